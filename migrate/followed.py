"""One ML Program, followed: what became of the weights and of the layers in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.agreement import Agreement
from migrate.constants import Constant, constants, scopes
from migrate.layer_map import Carried, Layout, absorbing, carried, missing, reasons, settled
from migrate.mil.program import load
from migrate.overview import describe_program
from migrate.traced_weights import Trace, Tracer, guessed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migrate.dataflow import Flow
    from migrate.module import Model

DTYPES: dict[str, type] = {"fp16": np.float16, "fp32": np.float32}


@dataclass(frozen=True)
class Followed:
    """What became of the weights and of the layers in a program."""

    trace: Trace
    carriers: Carried
    fused: dict[str, str]  # by the paths of layers without operations
    errors: list[str]


class Program:
    """A program as it is stored, with what is known of where its operations come from."""

    def __init__(self, net: Model, name: str, program: Any, layout: Layout) -> None:
        self.net, self.name, self.program, self.layout = net, name, program, layout
        halves = describe_program(program).in_float16
        self.precision = "fp16" if halves else "fp32"  # by which it is judged
        self.function = load(program).function
        self.constants = list(constants(self.function))
        self.scopes = scopes(program)
        self.carriers = carried(self.function, self.scopes, layout) if self.scopes else Carried({})

    @cached_property
    def alive(self) -> set[str]:
        """The layers that an output depends on."""
        return self.layout.alive()

    def homes(self, tracer: Tracer) -> Callable[[Constant], list[str]]:
        """Return what gives the layers that a constant's operation may be of."""
        if self.scopes:
            return lambda c: self.layout.home(self.scopes.get(c.operation.outputs[0].name, []))
        guesses = guessed(self.constants, tracer.candidates)
        return lambda c: guesses.get(c.operation, [])

    def excuse(self, layer: str, users: Sequence[str]) -> str:
        """Return why a weight of a layer may be missing, or nothing.

        `users` are the layers that compute with it, if it is one number.
        """
        if layer in self.layout.layers and layer not in self.layout.top:
            gone = bool(self.scopes) and layer not in self.carriers.operations
            return "the branch it is in was left out" if gone else ""
        if layer in self.layout.layers and layer not in self.alive:
            return "no output depends on it"
        return absorbing(self.layout, users, self.carriers)


def follow(
    program: Program, flow: Flow, tracer: Tracer, tries: Sequence[dict[str, Any]]
) -> Followed:
    """Return what became of the weights and of the layers in a program.

    `tries` are inputs that it is run on where a layer has no operations and it is not known why.
    """
    home, dtype = program.homes(tracer), DTYPES[program.precision]
    trace = tracer.trace(program.constants, home, program.excuse, dtype)
    absent = missing(program.layout, program.carriers) if program.scopes else []
    fused = reasons(program.layout, absent, flow, trace.fused)
    lost = _lost(program, [path for path in absent if path not in fused], tries)
    unseen = dict.fromkeys(absent, "fused or removed: what comes behind it is the same")
    return Followed(
        trace,
        program.carriers,
        {path: why for path, why in (unseen | fused).items() if path not in lost},
        [*trace.errors, *(f"{program.layout.describe(path)} is lost" for path in lost)],
    )


def _lost(program: Program, suspects: Sequence[str], tries: Iterable[dict[str, Any]]) -> list[str]:
    """Return the layers without which what comes behind them is another."""
    found: dict[str, None] = {}
    for inputs in tries if suspects else ():
        agrees = Agreement(
            program.net, program.function, program.carriers, inputs, program.precision
        )
        for path in suspects:
            if not settled(program.layout, path, program.carriers, agrees):
                found[path] = None
    return [path for path in suspects if path in found]
