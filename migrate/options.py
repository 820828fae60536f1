"""What kind of ML Program is wanted."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from migrate.errors import UnsupportedError

PRECISIONS = ("fp16", "fp32")
TARGETS = {f"iOS{n}": n for n in range(15, 19)} | {f"macOS{n - 3}": n for n in range(15, 19)}
FIRST_WITH_HALVES = 16  # iOS release


class OptionError(UnsupportedError):
    """An option that does not exist, or not with another or with this model."""


@dataclass(frozen=True)
class Options:
    """What kind of ML Program is wanted; OptionError for what does not exist, or together."""

    precision: str = "fp16"  # of the arithmetic
    target: str = "iOS16"  # the oldest system that is to run it
    features: str = ""  # precision of the arrays at the interface; "" for what the model declares
    keep_fp32: tuple[str, ...] = ()  # names of layers that stay float32 in an fp16 program
    max_size: int = 2048  # bound of dimensions that the NeuralNetwork leaves without one

    def __post_init__(self) -> None:
        _choose("precision", self.precision, PRECISIONS)
        _choose("target", self.target, tuple(TARGETS))
        _choose("features", self.features, ("", *PRECISIONS))
        if self.features == "fp16" and self.release < FIRST_WITH_HALVES:
            raise OptionError(f"float16 features need iOS16, the target is {self.target}")
        if self.keep_fp32 and self.precision == "fp32":
            raise OptionError(
                "with precision 'fp32' every layer is float32, so keep_fp32 says nothing"
            )
        if self.max_size < 1:
            raise OptionError(f"max_size {self.max_size} is not a size")

    @property
    def release(self) -> int:
        """The number of the target's iOS release."""
        return TARGETS[self.target]

    def check_layers(self, names: Sequence[str]) -> None:
        """Raise OptionError for a layer to keep in float32 that the model does not have."""
        for name in self.keep_fp32:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=3) or names[:3]
                known = ", ".join(f"'{other}'" for other in close)
                raise OptionError(
                    f"the model has no layer '{name}' to keep in float32; it has {known}, ..."
                )


def _choose(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        names = ", ".join(name for name in known if name)
        raise OptionError(f"{option} '{value}' is not one of {names}")
