"""A run whose blobs are kept, so that a change to one of them can be followed to the outputs.

It is the run of a healthy fp16 device: weights and blobs rounded to float16, float32 arithmetic.
Only what lies behind a change is computed again, from the kept values, up to where it dies out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from migrate import features
from migrate.errors import ModelError
from migrate.replay_plan import plan
from migrate.rounding import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from migrate.module import Model
    from migrate.replay_plan import Step, Values

    Known = Callable[[int, Mapping[int, Tensor]], bool]

SAMPLE = 256  # values that tell most blobs from whole numbers, or from others


class Replay:
    """The kept run; `values` are by number, None where an optional input or branch gives none."""

    def __init__(self, net: Model, inputs: dict[str, Any]) -> None:
        self.net = net
        self.plan = plan(net)
        self.last_readers = self.plan.last_readers()
        self._host = _Host(net)
        tensors = (*net.named_parameters(), *net.named_buffers())
        self._stored = {f"net.{name}": as_stored(_single(x.detach())) for name, x in tensors}
        self.values: list[Tensor | None] = [None] * self.plan.count
        self.within(lambda: [None for _ in self._running(self.values, inputs)])

    def within(self, do: Callable[[], Any]) -> Any:
        """Return what `do` returns, called while the module is the fp16 device."""
        with torch.no_grad(), self.net.watching(lambda _, value: as_stored(value)):
            return functional_call(self._host, self._stored, (do,))

    def written(self, inputs: dict[str, Any]) -> dict[int, Tensor]:
        """Return what the layers write for other inputs, as float16 where that is exact."""
        values: list[Tensor | None] = [None] * self.plan.count
        found: dict[int, Tensor] = {}

        def run() -> None:
            for i, step in self._running(values, inputs):
                if step.layer:
                    results = ((n, values[n]) for n in step.writes)
                    found.update((n, _compact(x)) for n, x in results if x is not None)
                for n in (*step.reads, *step.writes):
                    if n is not None and self.last_readers[n] <= i:
                        values[n] = None

        self.within(run)
        return found

    def follow(
        self, at: int, changed: Mapping[int, Tensor], known: Known | None = None
    ) -> dict[int, Tensor] | None:
        """Return the values of outputs that differ, by number, if step `at` writes `changed`.

        `known` is asked after each step that changed something, with the changed values that are
        still to be read; where it says that what follows is known, the result is None. To be
        called `within`.
        """
        ends = {number for _, number in self.plan.outputs}
        live = {n: x for n, x in changed.items() if not self.same(n, x)}
        for i in range(at, len(self.plan.steps)):
            step = self.plan.steps[i]
            if i > at:
                if not any(n in live for n in step.reads):
                    continue
                results = run_step(step, [self._value(n, live) for n in step.reads])
                for n, x in zip(step.writes, results, strict=True):
                    if x is not None and not self.same(n, x):
                        live[n] = x
                    elif x is None and self.values[n] is not None:
                        self._refuse_lost(n, i, ends)
            for n in [n for n in live if self.last_readers[n] <= i and n not in ends]:
                del live[n]
            if not live:
                break
            if known and known(i, live):
                return None
        return live

    def _refuse_lost(self, number: int, at: int, ends: Collection[int]) -> None:
        """Raise ModelError if a value that is needed is not written any more, as in a branch."""
        if number in ends or self.last_readers[number] > at:
            raise ModelError("a blob that is read later is not written any more")

    def same(self, number: int, x: Tensor) -> bool:
        """Tell whether a value is the kept one, bit for bit."""
        kept = self.values[number]
        if kept is None or kept.shape != x.shape or kept.dtype != x.dtype:
            return False
        if x.dtype != torch.float32:
            return torch.equal(kept, x)
        first = (kept.reshape(-1)[:SAMPLE], x.reshape(-1)[:SAMPLE])  # a difference is soon found
        return _same_bits(*first) and _same_bits(kept, x)

    def _value(self, number: int | None, changed: Mapping[int, Tensor]) -> Tensor | None:
        if number is None:
            return None
        return changed[number] if number in changed else self.values[number]

    def _running(
        self, values: list[Tensor | None], inputs: dict[str, Any]
    ) -> Iterator[tuple[int, Step]]:
        """Run every step, and yield it when its values have been written."""
        described = self.net.network.inputs
        features.refuse_unknown(described, inputs)
        for number, feature in zip(self.plan.inputs, described, strict=True):
            values[number] = features.to_tensor(feature, inputs, torch.float32)
        for i, step in enumerate(self.plan.steps):
            read = [None if n is None else values[n] for n in step.reads]
            for n, x in zip(step.writes, run_step(step, read), strict=True):
                values[n] = x
            yield i, step


class _Host(nn.Module):
    """A module around the network, whose weights stand in for its own during a call."""

    def __init__(self, net: Model) -> None:
        super().__init__()
        self.net = net

    def forward(self, do: Callable[[], Any]) -> Any:
        return do()


def run_step(step: Step, values: Values) -> Values:
    """Return what a step writes, blobs as the device stores them."""
    results = step.run(values)
    if not step.blobs:
        return results
    return [x if x is None else as_stored(x) for x in results]


def as_stored(x: Tensor) -> Tensor:
    """Return what `rounded` does, in half the time where a sample is not all whole numbers."""
    if x.dtype == torch.float32 and x.is_contiguous():
        sample = x.flatten()[:: x.numel() // SAMPLE + 1]
        if bool((sample != sample.round()).any()):
            return x.half().float()
    return rounded(x)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


def _single(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x


def _compact(x: Tensor) -> Tensor:
    if x.dtype != torch.float32:
        return x
    half = x.half()
    return half if torch.equal(half.float(), x) else x
