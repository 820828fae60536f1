"""Every weight traced into an ML Program, and every constant of the program back to the weights.

A constant is held against the candidates of its operation's layer (see `candidates`), in its role:

    same             the same bytes, float32
    nearest fp16     each value rounded to float16
    compressed       within what a compressed form may differ
    rewritten: how   equal to the rewrite, computed in float64 and rounded

What fits none is an error, and so is a weight that has gone nowhere.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from migrate.candidates import Candidate, candidates, owner
from migrate.dataflow import Flow, Node, layers
from migrate.matching import distance, found_as

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from migrate.constants import Constant
    from migrate.module import Model

    Array = NDArray[Any]


NEUTRAL = "left out: nothing but zeros or ones"


@dataclass(frozen=True)
class Weight:
    """A weight of the network, and what became of it in each program."""

    layer: str
    name: str
    shape: tuple[int, ...]
    sha256: str  # of its float32 values
    became: dict[str, str]  # by program


@dataclass
class Trace:
    """What became of the weights in one program, by their paths."""

    became: dict[str, str] = field(default_factory=dict)
    fused: dict[str, str] = field(default_factory=dict)  # layers, and what took their place
    errors: list[str] = field(default_factory=list)


class Tracer:
    """The weights of a module, to be found in programs."""

    def __init__(self, net: Model, flow: Flow, describe: Callable[[str], str]) -> None:
        self.describe = describe  # a layer's path, as a user knows it
        self.paths = {path for path, _ in layers(net)}
        self.weights = {
            path: tensor.detach().float().numpy()
            for path, tensor in (*net.named_parameters(), *net.named_buffers())
            if tensor.numel() and tensor.is_floating_point()
        }
        self.numbers = flow.numbers
        self.used: dict[str, list[tuple[str, Node]]] = defaultdict(list)  # in layers, as constants
        for node in flow.nodes:
            for constant in _constants(node) if node.value is None else ():
                for path in constant.weights:
                    self.used[path].append((node.layer, constant))
        self.candidates = candidates(net, flow)

    def table(self, traces: dict[str, Trace]) -> tuple[Weight, ...]:
        """Return the weights, and what became of them by program."""
        found = []
        for path, values in self.weights.items():
            layer = owner(path, self.paths)
            digest = hashlib.sha256(np.ascontiguousarray(values, "<f4").tobytes()).hexdigest()
            became = {name: trace.became[path] for name, trace in traces.items()}
            name = path.removeprefix(f"{layer}.")
            found.append(Weight(self.describe(layer), name, values.shape, digest, became))
        return tuple(found)

    def trace(
        self,
        constants: Sequence[Constant],
        home: Callable[[Constant], Sequence[str]],
        excuse: Callable[[str, Sequence[str]], str],
        dtype: type,
    ) -> Trace:
        """Return what became of the weights in a program of this type.

        `home` gives the layers of a constant's operation; `excuse` says why a weight may be
        missing, or nothing, for its layer and, if it is one number, the layers that compute with
        it.
        """
        trace = Trace()
        loose: list[tuple[Constant, Sequence[str]]] = []
        carrying: set[str] = set()  # layers whose operations are given constants
        for constant in constants:
            where = home(constant)
            carrying.update(where)
            if not self._place(trace, constant, where) and constant.counts:
                loose.append((constant, where))
        wrong: set[str] = set()
        for constant, where in loose:
            meant = [c for c in self._of(where) if c.fits(constant.role)]
            if self._is_new(constant, meant) or self._found_elsewhere(trace, constant, meant):
                continue
            wrong.update(*(c.weights for c in meant))
            trace.errors.append(self._refuted(constant, where, meant))
        for path in self.weights:
            if path not in trace.became:
                why = self._left_out(path, excuse, dtype)
                if owner(path, self.paths) not in carrying:
                    why = why or self._merged(path, trace)
                trace.became[path] = why or "missing"
                if not why and path not in wrong:
                    trace.errors.append(f"{self._named(path)} is not in it")
        return trace

    def _of(self, where: Sequence[str]) -> list[Candidate]:
        return [candidate for layer in where for candidate in self.candidates.get(layer, ())]

    def _place(self, trace: Trace, constant: Constant, where: Sequence[str]) -> bool:
        """Find the candidate that a constant is, and note it."""
        near = sorted(self._of(where), key=lambda c: not c.weights)
        meant = [c for c in near if c.fits(constant.role)]
        for candidate in meant or near:
            what = found_as(constant, candidate)
            if what:
                self._note(trace, candidate, constant, what)
                return True
        return False

    def _note(self, trace: Trace, candidate: Candidate, constant: Constant, what: str) -> None:
        for path in candidate.weights:
            before = trace.became.get(path, "rewritten")
            if before.startswith("rewritten"):
                trace.became[path] = what
        for layer in candidate.layers:
            trace.fused.setdefault(layer, constant.operation.name)

    def _is_new(self, constant: Constant, meant: Sequence[Candidate]) -> bool:
        """Tell whether a constant is one value over and over that stands for no weight."""
        values = constant.values.ravel()
        uniform = bool((values == values[:1]).all())
        return uniform and (not meant or values[0] in (0, 1))

    def _found_elsewhere(
        self, trace: Trace, constant: Constant, meant: Sequence[Candidate]
    ) -> bool:
        """Find a constant among other layers' weights, if its own layer has none for its role."""
        if meant:
            return False
        return self._place(trace, constant, list(self.candidates))

    def _refuted(self, constant: Constant, where: Sequence[str], meant: Sequence[Candidate]) -> str:
        """Say what a constant should have been."""
        of = self._source(constant)
        also = f"; it is {of}" if of else ""
        if not meant:
            places = ", ".join(map(self.describe, where)) or "the program"
            return f"{places}: {constant} is no weight of the network{also}"
        best = min(meant, key=lambda c: (c.role != constant.role, c.how, distance(constant, c)))
        names = " and ".join(self._named(path) for path in sorted(best.weights)) or "a constant"
        off = distance(constant, best)
        by = f", off by up to {off:.3g}" if np.isfinite(off) else ""
        how = f" ({best.how})" if best.how else ""
        return f"{names}{how} is not the {constant}{by}{also}"

    def _source(self, constant: Constant) -> str:
        """Return the weight of another layer that a constant is, if it is one."""
        for path, values in self.weights.items():
            if values.shape == constant.values.shape and values.size > 1:
                near = values.astype(constant.values.dtype)
                if np.array_equal(near, constant.values):
                    return "that of " + self._named(path)
        return ""

    def _left_out(self, path: str, excuse: Callable[[str, Sequence[str]], str], dtype: type) -> str:
        """Return why a weight may be missing, or nothing."""
        if path in self.numbers:
            return "read as a number: a size or an index"
        if _neutral(self.weights[path].astype(dtype)):
            return NEUTRAL
        used = self.used[path]
        if used and all(_neutral(c.exact().numpy().astype(dtype)) for _, c in used):
            return NEUTRAL
        single = self.weights[path].size == 1
        return excuse(owner(path, self.paths), [layer for layer, _ in used] if single else [])

    def _merged(self, path: str, trace: Trace) -> str:
        """Return which weight a layer without operations shares, as equal layers come to do."""
        values = self.weights[path]
        for other, fate in trace.became.items():
            if fate != "missing" and np.array_equal(self.weights.get(other, ()), values):
                return f"merged with {self._named(other)}"
        return ""

    def _named(self, path: str) -> str:
        layer = owner(path, self.paths)
        return f"{self.describe(layer)}: {path.removeprefix(f'{layer}.')}"


def _constants(node: Node) -> list[Node]:
    return [x for x in node.inputs() if x.value is not None]


def _neutral(values: Array) -> bool:
    """Tell whether a scale or a shift by these values changes nothing, or leaves nothing."""
    return bool((values == 0).all() or (values == 1).all())


def guessed(
    constants: Sequence[Constant], known: dict[str, list[Candidate]]
) -> dict[Any, list[str]]:
    """Return for operations the layer that most of their constants, large ones first, belong to.

    This is for a package read from a file, which does not say where operations come from.
    """
    of: dict[Any, list[Constant]] = defaultdict(list)
    for constant in constants:
        if constant.counts:
            of[constant.operation].append(constant)
    found = {}
    for operation, given in of.items():
        votes = {
            layer: sum(
                1 + (c.values.ndim > 1)
                for c in given
                if any(found_as(c, x) for x in options if x.fits(c.role))
            )
            for layer, options in known.items()
        }
        best = max(votes, key=lambda layer: votes[layer], default="")
        if votes.get(best):
            found[operation] = [best]
    return found
