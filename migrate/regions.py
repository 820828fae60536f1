"""Control flow for conversion: branches and loops as MIL's `cond` and `while_loop`.

Tracing follows one course and forgets the others. So each sub-network is traced by itself, as a
function of the blobs it reads, and the lowering of the layer puts these functions inline: both ways
of a branch, one iteration of a loop. `loopBreak` and `loopContinue` become a blob, LEFT, and what
follows a layer that may set it becomes a branch on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import flow
from migrate.errors import ModelError, UnsupportedError
from migrate.flow import CLOSE_TO_ZERO
from migrate.limits import INT32_MAX
from migrate.lowering import Lowerer, converting, untraced

if TYPE_CHECKING:
    from migrate.block import Block
    from migrate.module import Interpreter

    Blobs = dict[str, Tensor]
    Course = Callable[[Blobs], None]  # changes the table

# Blobs of our own; no file's blob has such a name.
LEFT = "left\0"  # how the iteration under way is left; only bodies of loops have it
DONE, LIMIT = "done\0", "limit\0"  # how many iterations there were, and may be
GOES = "goes\0"  # whether there is another
OWN = (LEFT, DONE, LIMIT, GOES)  # a loop in a loop has others
ON, CONTINUED, BROKEN = 0.0, 1.0, 2.0
LEAVES = {"loopContinue": CONTINUED, "loopBreak": BROKEN}
MOST = 1000  # iterations that an example makes: on a way not meant for it, it may never end


def tell_wanted(net: Interpreter) -> None:
    """Tell each branch and loop of a network which of its blobs are read after it."""
    ends = {blob for blob, _ in net.exits}
    for i, op in enumerate(net.ops):
        if op.layer.blocks:
            getattr(net, op.child).wanted = ends | _read(net, i + 1)


def branch(ways: Sequence[Block], condition: Tensor, blobs: Blobs, wanted: set[str]) -> None:
    """Write to the table what one of two sub-networks gives of the wanted blobs."""
    choose(condition, [partial(run, way, wanted=wanted) for way in ways], ways, blobs, wanted)


def choose(
    condition: Tensor,
    courses: Sequence[Course],
    blocks: Sequence[Block],
    blobs: Blobs,
    wanted: set[str],
) -> None:
    """Write to the table what one of two courses leaves, the second for a condition of 0.

    A blob that only one of them writes, and that did not exist, is zeros after the other.
    """
    regions = [Region(course, blocks, blobs, wanted | {LEFT}) for course in courses]
    written = {n: x for region in regions for n, x in region.written.items()}
    for region in regions:
        _require_ranks(written, {**blobs, **region.written})
    if not written:
        return

    def outcome(found: dict[str, Any], zeros: Callable[[Any], Any]) -> dict[str, Any]:
        return {n: found[n] if n in found else zeros(x.shape) for n, x in written.items()}

    def compute(condition: Tensor, given: Blobs) -> Blobs:
        way = 0 if bool(condition.reshape(()).abs() > CLOSE_TO_ZERO) else 1
        return outcome({**given, **regions[way].compute(given)}, torch.zeros)

    def in_mil(mb: Any, condition: Any, given: dict[str, Any]) -> Any:
        def side(region: Region) -> tuple[Any, ...]:
            found = outcome({**given, **region.inline(given)}, partial(flow.zeros, mb))
            return tuple(mb.identity(x=x) for x in found.values())

        return flow.cond(mb, condition, [partial(side, region) for region in regions])

    blobs.update(_lowerer().call(compute, in_mil, condition, dict(blobs)))


def loop(
    condition: Block,
    body: Block,
    variable: str,
    count: Tensor | float,
    blobs: Blobs,
    wanted: set[str],
) -> None:
    """Write to the table what a loop leaves of the wanted blobs; `count` may be infinite.

    LoopLayerParams: the condition comes before the count, and a break before both.
    """
    wanted = wanted | {variable, DONE, GOES} | _read(condition) | _read(body)
    check = partial(_check, condition=condition, variable=variable, wanted=wanted)
    iterate = partial(_iterate, condition=condition, body=body, check=check, wanted=wanted)
    table = {n: x for n, x in blobs.items() if n not in OWN}
    table[DONE] = torch.zeros(1, dtype=torch.int32)
    if isinstance(count, Tensor):
        table[LIMIT] = count.int().reshape(1)
    elif math.isfinite(count):
        table[LIMIT] = torch.tensor([min(count, INT32_MAX)], dtype=torch.int32)
    check(table)
    region = Region(iterate, [condition, body], table, wanted)
    new = {n: torch.zeros(x.shape) for n, x in region.written.items() if n not in table}
    if new:  # an iteration that does not write them leaves what the one before it wrote
        table.update(new)
        region = Region(iterate, [condition, body], table, wanted)
    _require_ranks(region.written, table)
    carried = {n: table[n] for n in region.written}
    others = {n: x for n, x in table.items() if n not in carried}

    def compute(now: Blobs, others: Blobs) -> Blobs:
        for _ in range(MOST):
            if not bool(now[GOES]):
                break
            now = region.compute({**others, **now})
        return now

    def in_mil(mb: Any, now: dict[str, Any], others: dict[str, Any]) -> Any:
        def body(*values: Any) -> list[Any]:
            found = region.inline({**others, **dict(zip(now, values, strict=True))})
            return list(found.values())

        return flow.while_loop(mb, list(now.values()), list(now).index(GOES), body)

    table.update(_lowerer().call(compute, in_mil, carried, others))
    blobs.update({n: x for n, x in table.items() if n not in OWN})


def _check(table: Blobs, condition: Block, variable: str, wanted: set[str]) -> None:
    """Write to the table of a loop whether there is another iteration."""
    run(condition, table, wanted)
    goes = (table[DONE] < table[LIMIT]).float() if LIMIT in table else torch.ones(1)
    if variable:
        goes = goes * (_given(table, variable).abs() > CLOSE_TO_ZERO).float().reshape(1)
    table[GOES] = goes


def _end(table: Blobs) -> None:
    table[GOES] = torch.zeros(1)


def _iterate(table: Blobs, condition: Block, body: Block, check: Course, wanted: set[str]) -> None:
    """Write to the table of a loop what an iteration gives."""
    table[LEFT] = torch.full((1,), ON)
    run(body, table, wanted)
    table[DONE] = table[DONE] + 1
    left = table.pop(LEFT)
    if any(_leaves(op.layer, "loopBreak") for op in body.ops):
        choose((left == BROKEN).float(), [_end, check], [condition], table, wanted)
    else:
        check(table)


def run(block: Block, blobs: Blobs, wanted: set[str]) -> None:
    """Run a block over the table, with its control flow as regions."""
    _run_from(block, 0, blobs, wanted)


def _run_from(block: Block, start: int, blobs: Blobs, wanted: set[str]) -> None:
    for i, op in enumerate(block.ops[start:], start):
        if op.layer.kind in LEAVES:
            if LEFT not in blobs:
                raise ModelError(f"a {op.layer.kind} layer is outside the bodyNetwork of a loop")
            blobs[LEFT] = torch.full((1,), LEAVES[op.layer.kind])
            return
        if not op.layer.blocks:
            blobs.update(zip(op.layer.outputs, block.call(op, blobs), strict=False))
            continue
        getattr(block, op.child).convert(blobs, wanted | _read(block, i + 1))
        if any(_leaves(op.layer, kind) for kind in LEAVES):
            rest = partial(_run_from, block, i + 1, wanted=wanted)
            choose(blobs[LEFT], [lambda table: None, rest], [block], blobs, wanted)
            return


def _read(block: Block, start: int = 0) -> set[str]:
    """Return the blobs that layers of a block read, from one on, before these surely wrote them."""
    found: set[str] = set()
    written: set[str] = set()
    for op in block.ops[start:]:
        found |= set(op.layer.inputs) - written
        if not op.layer.blocks:
            written |= set(op.layer.outputs)
    return found


def _leaves(layer: Any, kind: str) -> bool:
    """Tell whether a layer may leave the loop around it by a layer of this kind."""
    inner = [] if layer.kind == "loop" else [one for block in layer.blocks for one in block]
    return layer.kind == kind or any(_leaves(one, kind) for one in inner)


def _given(blobs: Blobs, name: str) -> Tensor:
    if name not in blobs:
        raise ModelError("the blob of the condition has not been written")
    return blobs[name]


def _require_ranks(some: Blobs, others: Blobs) -> None:
    """Refuse a blob that is of one rank here and of another there."""
    for name, x in some.items():
        if name in others and others[name].ndim != x.ndim:
            raise UnsupportedError(
                f"blob {name!r} has rank {others[name].ndim} on one way through the control flow "
                f"and rank {x.ndim} on another, which MIL does not allow"
            )


class Region(nn.Module):
    """A course over a table of blobs, traced as a function of tensors.

    `blocks` are those whose layers it calls.
    """

    def __init__(
        self, course: Course, blocks: Iterable[Block], blobs: Blobs, wanted: set[str]
    ) -> None:
        super().__init__()
        self.course, self.wanted = course, wanted
        self.layers = nn.ModuleList(map(_layers, blocks))  # a trace names what is a child
        self.reads = list(blobs)
        self.written: Blobs = {}  # as the trace has seen them
        with untraced():
            values = tuple(blobs.values())
            self.traced: Any = torch.jit.trace(self, values, check_trace=False)  # type: ignore[no-untyped-call]

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted blobs that the course has written."""
        before = dict(zip(self.reads, values, strict=True))
        blobs = dict(before)
        self.course(blobs)
        self.written = {
            n: _like(x, before.get(n))
            for n, x in blobs.items()
            if n in self.wanted and x is not before.get(n)
        }
        return tuple(self.written.values())

    def compute(self, blobs: Blobs) -> Blobs:
        """Return the blobs that it writes."""
        return dict(zip(self.written, self.traced(*self._values(blobs)), strict=True))

    def inline(self, blobs: dict[str, Any]) -> dict[str, Any]:
        """Return the MIL variables that it writes, in the block under construction."""
        return dict(zip(self.written, flow.inline(self.traced, self._values(blobs)), strict=True))

    def _values(self, blobs: dict[str, Any]) -> list[Any]:
        return [blobs[name] for name in self.reads]


def _layers(block: Block) -> nn.Module:
    """Return a module of the layers of a block that are no control flow, by their names in it."""
    layers = nn.Module()
    for op in block.ops:
        if not op.layer.blocks:
            layers.add_module(op.child, getattr(block, op.child))
    return layers


def _like(x: Tensor, before: Tensor | None) -> Tensor:
    """Return a single number at the rank of what it replaces; to Core ML it is the same."""
    single = before is not None and x.ndim != before.ndim and x.numel() == before.numel() == 1
    return x.reshape(before.shape) if single and before is not None else x


def _lowerer() -> Lowerer:
    found = converting()
    assert found is not None
    return found
