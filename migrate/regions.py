"""Control flow for conversion: branches and loops as MIL's `cond` and `while_loop`.

Tracing follows one course and forgets the others. So each sub-network is traced by itself, as a
function of the blobs it reads, and the lowering of the layer puts these functions inline: both ways
of a branch, one iteration of a loop. `loopBreak` and `loopContinue` become a blob, LEFT, and what
follows a layer that may set it becomes a branch on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate.coreml import coremltools
from migrate.lowering import Lowerer, converting, untraced

if TYPE_CHECKING:
    from migrate.module import Block, Interpreter

    Blobs = dict[str, Tensor]

LEFT = "left\0"  # the blob that says how an iteration is left; no file's blob has this name
ON, CONTINUED, BROKEN = 0.0, 1.0, 2.0
LEAVES = {"loopContinue": CONTINUED, "loopBreak": BROKEN}
CLOSE_TO_ZERO = 1e-6  # BranchLayerParams


def tell_wanted(net: Interpreter) -> None:
    """Tell each branch and loop of a network which of its blobs are read after it."""
    ends = {blob for blob, _ in net.exits}
    for i, op in enumerate(net.ops):
        if op.layer.blocks:
            later = {name for other in net.ops[i + 1 :] for name in other.layer.inputs}
            getattr(net, op.child).wanted = ends | later


def branch(ways: Sequence[Block], condition: Tensor, blobs: Blobs, wanted: set[str]) -> None:
    """Write to the table what one of two sub-networks gives of the wanted blobs."""
    choose(condition, [partial(run, way, wanted=wanted) for way in ways], blobs, wanted)


def choose(
    condition: Tensor, ways: Sequence[Callable[[Blobs], None]], blobs: Blobs, wanted: set[str]
) -> None:
    """Write to the table what one of two functions of it does, the second for a condition of 0.

    A blob that only one of them writes, and that did not exist, is zeros after the other.
    """
    regions = [Region(way, list(blobs), wanted | {LEFT}) for way in ways]
    values = list(blobs.values())
    traced = [region.trace(values) for region in regions]
    shapes = {n: shape for region in regions for n, shape in region.written.items()}
    names = list(shapes)
    if not names:
        return

    def outcome(
        region: Region, results: Sequence[Any], given: Sequence[Any], zero: Any
    ) -> list[Any]:
        """Return a value of each name: the region's, or else the one before, or else zeros."""
        before = dict(zip(region.reads, given, strict=True))
        found = {**before, **dict(zip(region.written, results, strict=True))}
        return [found[n] if n in found else zero(shapes[n]) for n in names]

    def compute(condition: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
        way = 0 if bool(condition.reshape(()).abs() > CLOSE_TO_ZERO) else 1
        return outcome(regions[way], traced[way](*values), values, torch.zeros)

    def in_mil(mb: Any, condition: Any, values: Sequence[Any]) -> Any:
        def side(way: int) -> tuple[Any, ...]:
            results = outcome(
                regions[way], inline(traced[way], values), values, partial(_zeros, mb)
            )
            return tuple(mb.identity(x=x) for x in results)

        return mb.cond(
            pred=_holds(mb, condition), _true_fn=lambda: side(0), _false_fn=lambda: side(1)
        )

    results = _lowerer().call(compute, in_mil, condition, values)
    blobs.update(zip(names, results, strict=True))


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
    wanted = wanted | set(blobs) | {variable}

    def goes_on(table: Blobs, done: Tensor) -> Tensor:
        goes = (done < count).float().reshape(1)
        if variable:
            goes = goes * (table[variable].abs() > CLOSE_TO_ZERO).float().reshape(1)
        return goes

    def iterate(table: Blobs) -> None:
        table[LEFT] = torch.full((1,), ON)
        run(body, table, wanted)
        table[DONE] = table[DONE] + 1
        checked = partial(run, condition, wanted=wanted)
        if not _may_leave(body, "loopBreak"):
            checked(table)
            table[GOES] = goes_on(table, table[DONE])
            return
        broken = (table[LEFT] == BROKEN).float()
        choose(1 - broken, [checked, lambda table: None], table, wanted)
        table[GOES] = goes_on(table, table[DONE]) * (1 - broken)

    run(condition, blobs, wanted)
    table = {**blobs, DONE: torch.zeros(1)}
    table[GOES] = goes_on(table, table[DONE])
    region = Region(iterate, list(table), wanted | {DONE, GOES})
    traced = region.trace(list(table.values()))
    carried = list(region.written)
    start = [table[n] if n in table else torch.zeros(region.written[n]) for n in carried]
    fixed = [n for n in table if n not in carried]

    def values(carried_now: Sequence[Any], others: Sequence[Any]) -> list[Any]:
        found = dict(zip([*carried, *fixed], [*carried_now, *others], strict=True))
        return [found[n] for n in region.reads]

    def compute(now: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        now = list(now)
        while bool(now[carried.index(GOES)]):
            now = list(traced(*values(now, others)))
        return now

    def in_mil(mb: Any, now: Sequence[Any], others: Sequence[Any]) -> Any:
        return mb.while_loop(
            _cond=lambda *now: _holds(mb, now[carried.index(GOES)]),
            _body=lambda *now: tuple(_varying(mb, x) for x in inline(traced, values(now, others))),
            loop_vars=tuple(_varying(mb, x) for x in now),
        )

    results = _lowerer().call(compute, in_mil, start, [table[n] for n in fixed])
    blobs.update(zip(carried, results, strict=True))
    for name in (DONE, GOES, LEFT):
        blobs.pop(name, None)


DONE, GOES = "done\0", "goes\0"  # how many iterations there were, and whether there is another


def run(block: Block, blobs: Blobs, wanted: set[str]) -> None:
    """Run a block over the table, with its control flow as regions."""
    _run_from(block, 0, blobs, wanted)


def _run_from(block: Block, start: int, blobs: Blobs, wanted: set[str]) -> None:
    for i, op in enumerate(block.ops[start:], start):
        if op.layer.kind in LEAVES:
            blobs[LEFT] = torch.full((1,), LEAVES[op.layer.kind])
            return
        if not op.layer.blocks:
            blobs.update(zip(op.layer.outputs, block.call(op, blobs), strict=False))
            continue
        after = wanted | {name for later in block.ops[i + 1 :] for name in later.layer.inputs}
        flow = getattr(block, op.child)
        flow.convert(blobs, blobs[op.layer.inputs[0]] if flow.own else None, after)
        if LEFT in blobs and any(_leaves(op.layer, kind) for kind in LEAVES):
            rest = partial(_run_from, block, i + 1, wanted=wanted)
            choose(blobs[LEFT], [lambda table: None, rest], blobs, wanted)
            return


def _may_leave(block: Block, kind: str) -> bool:
    return any(_leaves(op.layer, kind) for op in block.ops)


def _leaves(layer: Any, kind: str) -> bool:
    """Tell whether a layer may leave the loop around it by a layer of this kind."""
    inner = [] if layer.kind == "loop" else [one for block in layer.blocks for one in block]
    return layer.kind == kind or any(_leaves(one, kind) for one in inner)


class Region(nn.Module):
    """A function over a table of blobs as one of tensors, which can be traced."""

    def __init__(
        self, function: Callable[[Blobs], None], reads: Sequence[str], wanted: set[str]
    ) -> None:
        super().__init__()
        self.function, self.reads, self.wanted = function, list(reads), wanted
        self.written: dict[str, tuple[int, ...]] = {}  # the shapes that a trace has seen

    def trace(self, values: Sequence[Tensor]) -> Any:
        """Return the traced function; it gives `written`, in that order."""
        with untraced():
            return torch.jit.trace(self, tuple(values), check_trace=False)  # type: ignore[no-untyped-call]

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted blobs that the function has written."""
        before = dict(zip(self.reads, values, strict=True))
        blobs = dict(before)
        self.function(blobs)
        changed = {
            n: _like(x, before.get(n))
            for n, x in blobs.items()
            if n in self.wanted and x is not before.get(n)
        }
        self.written = {n: tuple(map(int, x.shape)) for n, x in changed.items()}
        return tuple(changed.values())


def _like(x: Tensor, before: Tensor | None) -> Tensor:
    """Return a single number at the rank of what it replaces; to Core ML it is the same."""
    single = before is not None and x.ndim != before.ndim and x.numel() == before.numel() == 1
    return x.reshape(before.shape) if single and before is not None else x


def inline(traced: Any, values: Sequence[Any]) -> list[Any]:
    """Return what a traced function makes of MIL variables, in the block under construction."""
    from coremltools.converters.mil.frontend.torch.converter import TorchConverter
    from coremltools.converters.mil.frontend.torch.ops import convert_nodes

    ct = coremltools()
    given = [
        ct.TensorType(name=f"given_{i}", shape=tuple(1 for _ in x.shape))
        for i, x in enumerate(values)
    ]
    converter = TorchConverter(traced, inputs=given)
    for name, value in zip(converter.graph.inputs, values, strict=True):
        converter.context.add(value, torch_name=name)
    converter.convert_const()
    convert_nodes(converter.context, converter.graph)
    return [converter.context[name] for name in converter.graph.outputs]


def _varying(mb: Any, value: Any) -> Any:
    """Return a variable of this value that coremltools does not take for a constant of the loop."""
    variable = mb.identity(x=value)
    variable._sym_val = None
    if not value.rank:  # it has two types for a scalar
        variable._sym_type = value.dtype
    return variable


def _holds(mb: Any, condition: Any) -> Any:
    scalar = mb.squeeze(x=condition) if condition.rank else condition
    return mb.greater(x=mb.abs(x=scalar), y=CLOSE_TO_ZERO)


def _zeros(mb: Any, shape: tuple[int, ...]) -> Any:
    return mb.fill(shape=list(shape), value=0.0)


def _lowerer() -> Lowerer:
    found = converting()
    assert found is not None
    return found
