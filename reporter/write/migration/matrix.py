"""Which models are made: the one that is asked for and its control, or the whole experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import migrate

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = ("iOS15", "iOS16", "iOS17", "iOS18")
WITH_HALVES = RELEASES[1:]  # those whose features can be float16
CONTROL = "the control, which never runs on the Neural Engine"


@dataclass(frozen=True)
class Wanted:
    """An ML Program to make; without a name it is compared, and not handed out."""

    label: str
    name: str
    what: str
    options: migrate.Options


def one(model: Path, options: migrate.Options) -> tuple[Wanted, ...]:
    """Return the ML Program of these options, and that of the other precision beside it."""
    other = "fp32" if options.precision == "fp16" else "fp16"
    control = replace(options, precision=other, keep_fp32=())
    return (
        Wanted(options.precision, f"{model.stem}.mlpackage", _what(options), options),
        Wanted(other, "", _what(control), control),
    )


def whole(model: Path, options: migrate.Options) -> tuple[Wanted, ...]:
    """Return the ML Programs of the experiment: each release, float16 features, and fp32.

    Raises OptionError if the options ask for one of these.
    """
    usual = migrate.Options()
    for name in ("precision", "target", "features"):
        if getattr(options, name) != getattr(usual, name):
            raise migrate.OptionError(
                f"the matrix has each precision, target and kind of features: leave {name} away"
            )
    found = [replace(options, target=release) for release in RELEASES]
    found += [replace(options, target=release, features="fp16") for release in WITH_HALVES]
    found.append(replace(options, precision="fp32", keep_fp32=(), target=RELEASES[0]))
    return tuple(
        Wanted(label := _label(o), f"{model.stem}-{label}.mlpackage", _what(o), o) for o in found
    )


def _label(options: migrate.Options) -> str:
    features = f"-{options.features}-features" if options.features else ""
    return f"{options.precision}-{options.target}{features}"


def _what(options: migrate.Options) -> str:
    kept = f" but for {', '.join(options.keep_fp32)} in fp32" if options.keep_fp32 else ""
    features = f", {options.features} arrays at its inputs and outputs" if options.features else ""
    control = f": {CONTROL}" if options.precision == "fp32" else ""
    return (
        f"ML Program in {options.precision}{kept}{features}, for {options.target} and later"
        f"{control}"
    )
