"""The error that float16 rounding alone explains of an ML Program's outputs.

    reference   the program with every float16 operation and cast in float32
    rounding    the program as it is declared: each operation's result rounded to its type

The rest is as `envelope` has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from migrate.envelope import Envelope, explained
from migrate.errors import UnsupportedError
from migrate.evaluation import compute
from migrate.mil.program import load
from migrate.mil.run import Arithmetic
from migrate.overview import describe_program

if TYPE_CHECKING:
    from migrate.overview import ProgramOverview


def program_envelopes(program: Any, inputs: dict[str, Any]) -> dict[str, Envelope]:
    """Return what float16 rounding explains of each output that has numbers, by its name.

    `program` and `inputs` are as for `evaluate`; of an image the numbers are its pixels. Raises
    UnsupportedError for a program that draws random numbers, or that computes nothing in float16.
    """
    _refuse(describe_program(program))
    loaded, declared = load(program), Arithmetic()
    references = compute(loaded, inputs, Arithmetic(widened=True))
    found = compute(loaded, inputs, declared)
    beyond = tuple(declared.beyond_range)
    return {
        feature.name: explained(feature, _tensor(reference), _tensor(value), "fp16", beyond)
        for (feature, reference), (_, value) in zip(references, found, strict=True)
        if isinstance(reference, (Tensor, dict))
    }


def _refuse(overview: ProgramOverview) -> None:
    random = [o for o in overview.operations if o.kind.startswith("random_")]
    if random:
        raise UnsupportedError(
            f"operation {random[0].name!r} ({random[0].kind}) draws random numbers, which are "
            "others on each system: there is no reference to tell rounding by"
        )
    if not overview.in_float16:
        raise UnsupportedError(
            f"the program computes in {overview.precision}: there is no float16 rounding in it"
        )


def _tensor(value: Tensor | dict[Any, float]) -> Tensor:
    """Return an output's numbers; of a classifier its scores in the labels' order."""
    if isinstance(value, Tensor):
        return value
    return torch.tensor(list(value.values()), dtype=torch.float64)
