"""The forward pass of a module as statements: recorded layer by layer, in the order of execution.

A blob is a variable; a layer becomes the assignments of what it writes, with names of their own for
what it uses twice; a branch is an `if`, a loop a `for` or `while`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from migrate import names
from migrate.errors import UnsupportedError
from migrate.layers.control import Branch, Loop, holds
from migrate.nodes import Node
from migrate.printing import ATOM, Printer, is_slice, runs
from migrate.recording import Recorder
from migrate.statements import Compound, Line, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from migrate.block import Block, Op

    Blobs = dict[str, Tensor]


class Program:
    """Statements as they are recorded; `variables` names each blob, by (scope, blob).

    Where the recorder folds, every variable is assigned once: a blob that is written again gets a
    new one.
    """

    def __init__(self, recorder: Recorder, variables: dict[Any, str], reserved: set[str]) -> None:
        self.recorder, self.printer = recorder, Printer()
        self.variables, self.taken = variables, {*variables.values(), *reserved}
        self.keys = {name: key for key, name in variables.items()}  # of every variable so far
        self._written: set[Any] = set()
        self.statements: list[Statement] = []
        self.bases: dict[str, str] = {}  # names of what blobs are views of, to the blobs' names

    def say(self, text: str) -> None:
        """Add a statement that is kept; what it reads was printed since the last one."""
        self.statements.append(Line(text, self._reads(), keep=True))

    def text(self, value: Any) -> str:
        """Return a value as an expression of the variables so far."""
        return self.printer.text(self.recorder.node(value))

    def block(self, block: Block, blobs: Blobs, scope: Any) -> None:
        """Record the layers of a block; the table of blobs grows as when it runs."""
        for op in block.ops:
            if op.layer.kind in ("loopBreak", "loopContinue"):
                self.say(op.layer.kind.removeprefix("loop").lower())
                return
            if op.layer.blocks:
                self._flow(getattr(block, op.child), op, blobs, scope)
                continue
            results = block.call(op, blobs)
            written = zip(op.layer.outputs, results, strict=False)
            blobs.update(self.assign({(scope, blob): value for blob, value in written}))

    def assign(self, values: dict[Any, Tensor]) -> Blobs:
        """Write the statements that assign these blobs; return their tensors, by blob.

        Where a value has a variable already, that stays its name if variables are assigned once.
        """
        if self.recorder.fold:
            self._rename(self._written & set(values))
            self._written.update(values)
        roots: dict[str, Tensor] = {}
        again: dict[str, Tensor] = {}
        nodes: set[Node] = set()
        for key, value in values.items():
            node = self.recorder.node(value)
            is_name = node.kind in ("variable", "member")
            named = is_name or node in self.printer.temporaries or node in nodes
            (again if named else roots)[self.variables[key]] = value
            nodes.add(node)
        if self.recorder.fold:
            self._define(roots)
        else:
            self._assign_anew(roots, again)
        for name, value in roots.items():
            self.recorder.name(value, name)
        by_name = {**again, **roots}
        return {key[1]: by_name[self.variables[key]] for key in values}

    def _assign_anew(self, roots: dict[str, Tensor], again: dict[str, Tensor]) -> None:
        """Assign variables that are in use: of several, all values are computed before."""
        values = {**roots, **again}
        if len(values) > 1:
            self._define({names.fresh(name, self.taken): x for name, x in roots.items()})
        else:
            self._define(roots)
        if again or len(values) > 1:
            text = ", ".join(self.text(value) for value in values.values())
            pattern = tuple(values) if len(values) > 1 else next(iter(values))
            self.statements.append(Line(text, self._reads(), pattern))
        roots.update({name: self.recorder.copy(value) for name, value in again.items()})

    def _rename(self, keys: Iterable[Any]) -> None:
        for key in keys:
            name = names.fresh(self.variables[key], self.taken)
            self.variables[key], self.keys[name] = name, key

    def _define(self, roots: dict[str, Tensor]) -> None:
        """Write what computes the values, each assigned to its name."""
        uses: dict[Node, int] = {}
        order: list[Node] = []
        chosen: dict[Node, str] = {}
        for name, value in roots.items():
            node = self.recorder.node(value)
            self._count(node, uses, order)
            chosen[node] = name
        for name, value in roots.items():
            base = self.recorder.base(value)
            if base in uses and base.kind in ("call", "item") and base not in chosen:
                chosen[base] = names.fresh(f"{name}_base", self.taken)
                self.bases[chosen[base]] = name
        local = set(self.taken)
        for node in order:
            if node in self.printer.temporaries:
                continue
            pattern = _pattern(node, uses, chosen, local)
            if pattern:
                text, strength = self.printer.defining(node)
                line = Line(text, self._reads(), pattern, atom=strength == ATOM)
                self.statements.append(line)
                self._remember(node, pattern)
        lasting = {*roots, *self.bases}  # other names are taken again by the next layers
        temporaries = self.printer.temporaries
        self.printer.temporaries = {n: name for n, name in temporaries.items() if name in lasting}

    def _count(self, value: Any, uses: dict[Node, int], order: list[Node]) -> None:
        """Count how often each unnamed node below is used, and list them, each after its own."""
        if not isinstance(value, Node):
            for part in _values(value):
                self._count(part, uses, order)
            return
        uses[value] = uses.get(value, 0) + 1
        if uses[value] > 1 or value in self.printer.temporaries:
            return
        for part in (value.target, value.args, value.kwargs):
            self._count(part, uses, order)
        order.append(value)

    def _remember(self, node: Node, pattern: Any) -> None:
        if isinstance(pattern, str):
            self.printer.temporaries[node] = pattern
            return
        for part, name in zip(node.parts, pattern, strict=True):
            if name != "_":
                self._remember(part, name)

    def _flow(self, step: Branch | Loop, op: Op, blobs: Blobs, scope: Any) -> None:
        if isinstance(step, Branch):
            self._branch(step, blobs, blobs[op.layer.inputs[0]], scope)
        else:
            count = blobs[op.layer.inputs[0]] if step.own else None
            self._loop(step, blobs, count, scope)

    def _branch(self, step: Branch, blobs: Blobs, condition: Tensor, scope: Any) -> None:
        header = f"if {self._condition(condition)}:"
        reads = self._reads()
        bodies, outcomes = [], []
        for block in (step.if_branch, step.else_branch):
            inside = dict(blobs)
            bodies.append(self._inside(partial(self.block, block, inside, scope)))
            outcomes.append(inside)
        _require_alike(*outcomes)
        for outcome in reversed(outcomes):
            blobs.update(outcome)
        for blob, value in blobs.items():
            self.recorder.name(value, self.variables[scope, blob])
        self.statements.append(Compound([(header, bodies[0]), ("else:", bodies[1])], reads))

    def _loop(self, step: Loop, blobs: Blobs, count: Tensor | None, scope: Any) -> None:
        """LoopLayerParams: the condition is computed once more than the body."""
        limit = str(step.count) if count is None else f"int({self.text(count)})"
        endless = count is None and step.count == 0 and bool(step.variable)
        counter = "_"
        if step.variable and not endless:
            counter = names.fresh("iteration", self.taken)
            if count is not None:
                text, limit = limit, names.fresh("limit", self.taken)
                self.statements.append(Line(text, self._reads(), limit, keep=True))
        rounds = f"max({limit}, 0) + 1" if step.variable else limit
        header = "while True:" if endless else f"for {counter} in range({rounds}):"
        reads = self._reads()

        def body() -> None:
            if step.variable:
                self.block(step.condition, blobs, scope)
                ended = f"not {self._condition(blobs[step.variable])}"
                ended += "" if endless else f" or {counter} >= {limit}"
                leave: list[Statement] = [Line("break", set(), keep=True)]
                self.statements.append(Compound([(f"if {ended}:", leave)], self._reads()))
            self.block(step.body, blobs, scope)

        before = dict(blobs)
        self.statements.append(Compound([(header, self._inside(body))], reads))
        _require_alike(before, blobs)

    def _inside(self, write: Callable[[], None]) -> list[Statement]:
        """Return the statements that `write` adds, as a body of their own."""
        outside, self.statements = self.statements, []
        write()
        inside, self.statements = self.statements, outside
        return inside

    def _condition(self, value: Tensor) -> str:
        return f"{self.printer.function(holds)}({self.text(value)})"

    def _reads(self) -> set[str]:
        reads, self.printer.reads = self.printer.reads, set()
        return reads


def _require_alike(some: Blobs, others: Blobs) -> None:
    """Refuse a blob that is of one rank or type here, and of another there."""
    for name in some.keys() & others.keys():
        a, b = some[name], others[name]
        if (a.ndim, a.dtype) != (b.ndim, b.dtype):
            raise UnsupportedError(
                f"model.py cannot follow blob {name!r}, which has rank {a.ndim} on one way "
                f"through the control flow and rank {b.ndim} on another"
            )


def _pattern(node: Node, uses: dict[Node, int], chosen: dict[Node, str], taken: set[str]) -> Any:
    """Return the name that the node is assigned to, or a tuple of names; "" if it needs none."""
    if node in chosen:
        return chosen[node]
    often = uses[node] > 1 or any(uses.get(part, 0) > 1 for part in node.parts)
    if node.kind != "call" or not often:
        return ""
    return _unpacked(node, uses, chosen, taken)


def _unpacked(node: Node, uses: dict[Node, int], chosen: dict[Node, str], taken: set[str]) -> Any:
    if node not in uses:
        return "_"
    if not node.parts:
        stem = names.identifiers([_stem(node)])[_stem(node)]
        return chosen.get(node) or names.fresh(stem, taken)
    return tuple(_unpacked(part, uses, chosen, taken) for part in node.parts)


def _values(container: Any) -> Iterable[Any]:
    """Return what to count in a container: of a run of items, their source once."""
    if isinstance(container, dict):
        return list(container.values())
    if isinstance(container, slice):
        return [container.start, container.stop, container.step]
    if isinstance(container, (tuple, list)):
        return [run[0].args[0] if is_slice(run) else run[0] for run in runs(container)]
    return []


def _stem(node: Node) -> str:
    """Return what to call the value of a function: by the function's own name."""
    while node.kind == "item":
        node = node.args[0]
    if isinstance(node.target, Node):
        return str(node.target.target).rpartition(".")[2]
    name = node.target if isinstance(node.target, str) else node.target.__name__
    return {"__getitem__": "part"}.get(name, name.strip("_"))
