"""What float16 cannot hold or loses, layer by layer, and where its path first leaves float32's.

    overflow        values or weights beyond 65,504, which become infinite
    flushed         values or weights so small that float16 has zero for them
    subnormal       those with fewer digits, which a device may flush to zero
    cancellation    the relative error grows many times from a layer's inputs to its output

The errors are those of the module with weights and blobs rounded to float16, against float32. The
path departs at the first layer whose output is finite in float32 alone, or has a relative error
(root mean square) of more than DEPARTED that is also GROWTH times that of its least exact input,
or of one rounding: the layer lost it, and did not only pass it on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from migrate import features
from migrate.dataflow import joined, layers
from migrate.errors import ModelError
from migrate.kept import unrounded
from migrate.rounding import LARGEST, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from migrate.module import Model

LEAST_NORMAL, LEAST = 2.0**-14, 2.0**-24
ROUNDING = 2.0**-11  # relative
DEPARTED = 2.0**-5
GROWTH = 32.0
NOTABLE = 0.25  # of the values that are not zero
SAMPLE = 2**14  # values of a blob that its error is measured on


@dataclass(frozen=True)
class Range:
    """What float16 cannot hold or loses of a layer."""

    layer: str
    what: str  # "overflow", "subnormal", "flushed" or "cancellation"
    of: str  # the blob or weight
    value: float  # the largest, or the share of values, or how many times the error grows


@dataclass(frozen=True)
class Departure:
    """Where the fp16 path first leaves the fp32 path by more than rounding."""

    layer: str
    blob: str
    ratio: float  # of the blob's relative error to that of its inputs; infinite for an overflow


class _Path:
    """A run of the module: told of each blob, with the layer that wrote it."""

    def __init__(self, net: Model, exempt: Collection[str]) -> None:
        self.net, self.exempt = net, exempt
        self.at = ""
        self.count: dict[str, int] = defaultdict(int)

    @contextmanager
    def following(self) -> Iterator[None]:
        hooks = [m.register_forward_hook(self._left(path)) for path, m in layers(self.net)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _left(self, path: str) -> Any:
        def note(module: Any, inputs: Any, result: Any) -> None:
            self.at = path

        return note

    def key(self, blob: str) -> tuple[str, int]:
        """Return what a write of a blob is known by in both runs."""
        self.count[blob] += 1
        return blob, self.count[blob]


class _Single(_Path):
    """The float32 path: how large values are, and samples of them."""

    def __init__(
        self, net: Model, exempt: Collection[str], found: dict[tuple[str, str, str], float]
    ) -> None:
        super().__init__(net, exempt)
        self.samples: dict[tuple[str, int], Tensor] = {}
        self.found = found

    def __call__(self, blob: str, value: Tensor) -> Tensor:
        key = self.key(blob)
        if value.is_floating_point():
            self.samples[key] = _sample(value).clone()
            for what, number in _extremes(value) if blob not in self.exempt else ():
                place = (self.at, what, blob)
                self.found[place] = max(number, self.found.get(place, 0.0))
        return value


class _Half(_Path):
    """The float16 path: how far off each blob is, and how far off its inputs were."""

    def __init__(
        self,
        net: Model,
        single: _Single,
        inputs: Callable[[str], Sequence[str]],
        found: dict[tuple[str, str, str], float],
    ) -> None:
        super().__init__(net, single.exempt)
        self.samples, self.inputs, self.found = single.samples, inputs, found
        self.errors: dict[str, float] = {}
        self.departure: tuple[str, str, float] | None = None

    def __call__(self, blob: str, value: Tensor) -> Tensor:
        result = value if blob in self.exempt else rounded(value)
        reference = self.samples.pop(self.key(blob), None)
        if reference is not None and value.is_floating_point():
            before = max((self.errors.get(name, 0.0) for name in self.inputs(self.at)), default=0.0)
            error = _error(_sample(result), reference)
            self.errors[blob] = error
            growth = error / max(before, ROUNDING)
            if growth >= GROWTH and math.isfinite(error):
                place = (self.at, "cancellation", blob)
                self.found[place] = max(growth, self.found.get(place, 0.0))
            if self.departure is None and error > DEPARTED and growth >= GROWTH:
                self.departure = self.at, blob, growth
        return result


def audit(
    net: Model,
    tries: Sequence[dict[str, Any]],
    name: Callable[[str], str],
    kept: Collection[str] = (),
) -> tuple[tuple[Range, ...], Departure | None]:
    """Return what float16 cannot hold or loses, and where it first departs from float32.

    `name` gives what a layer is called, by its path; `kept` are layers that stay float32.
    """
    found: dict[tuple[str, str, str], float] = {}
    departure, exempt = None, unrounded(net, kept)
    for inputs in tries:
        given = tuple(features.to_tensor(f, inputs, torch.float32) for f in net.network.inputs)
        single = _Single(net, exempt, found)
        _run(net, single, given, _as_it_is)
        half = _Half(net, single, _reader(net), found)
        with suppress(ModelError):  # a size that float16 has no number for; the comparisons say so
            _run(net, half, given, lambda name, x: x if name in exempt else rounded(x))
        departure = departure or half.departure
    ranges = [Range(name(at), what, blob, value) for (at, what, blob), value in found.items()]
    departs = Departure(name(departure[0]), *departure[1:]) if departure else None
    return (*_of_weights(net, name, exempt), *ranges), departs


def _as_it_is(_: str, x: Tensor) -> Tensor:
    return x


def _run(
    net: Model,
    path: _Single | _Half,
    given: tuple[Tensor, ...],
    change: Callable[[str, Tensor], Tensor],
) -> None:
    stored = {
        name: change(name, x.detach())
        for name, x in (*net.named_parameters(), *net.named_buffers())
    }
    torch.manual_seed(0)  # so that random layers draw the same
    with torch.no_grad(), net.watching(path), path.following():
        functional_call(net, stored, given)


def _reader(net: Model) -> Callable[[str], Sequence[str]]:
    """Return what gives the blobs that a layer reads, by its path."""
    read = {
        joined(path, op.child): op.layer.inputs
        for path, module in net.named_modules()
        for op in getattr(module, "ops", ())
    }
    return lambda path: read.get(path, ())


def _sample(x: Tensor) -> Tensor:
    return x.flatten()[:: max(1, x.numel() // SAMPLE)]


def _error(values: Tensor, reference: Tensor) -> float:
    """Return the relative error, infinite if a value is finite in the reference alone."""
    if values.shape != reference.shape:
        return float("inf")
    finite = reference.isfinite()
    if not values[finite].isfinite().all():
        return float("inf")
    a, b = values[finite].double(), reference[finite].double()
    size = float(b.square().mean().sqrt()) if b.numel() else 0.0
    off = float((a - b).square().mean().sqrt()) if b.numel() else 0.0
    return off / max(size, LEAST_NORMAL)


def _extremes(x: Tensor) -> Iterator[tuple[str, float]]:
    """Yield what values are that float16 has no place for; small ones are counted in a sample."""
    if not x.numel():
        return
    largest = max(abs(float(end)) for end in x.aminmax())
    if not math.isfinite(largest):
        largest = float(torch.where(x.isfinite(), x.abs(), 0).max())
    if largest >= LARGEST + 16:
        yield "overflow", largest
    size = _sample(x).abs()
    size = size[(size > 0) & size.isfinite()]
    flushed = float((size <= LEAST / 2).double().sum()) / max(size.numel(), 1)
    subnormal = float((size < LEAST_NORMAL).double().sum()) / max(size.numel(), 1)
    if flushed >= NOTABLE:
        yield "flushed", flushed
    elif subnormal >= NOTABLE:
        yield "subnormal", subnormal


def _of_weights(net: Model, name: Callable[[str], str], exempt: Collection[str]) -> Iterator[Range]:
    for path, module in layers(net):
        for key, x in (*module.named_parameters(), *module.named_buffers()):
            if x.is_floating_point() and joined(path, key) not in exempt:
                for what, value in _extremes(x.detach()):
                    yield Range(name(path), what, key, value)


def sentences(ranges: Sequence[Range], departs: Departure | None) -> list[str]:
    """Return the findings for a user: overflows, and where the paths part."""
    found = [
        f"layer '{r.layer}' overflows float16: {r.of} reaches {r.value:,.6g}, the largest is "
        "65,504; a fault of the program's precision, not of the hardware (--keep-fp32)"
        for r in ranges
        if r.what == "overflow"
    ]
    if departs:
        times = (
            "values overflow"
            if departs.ratio == float("inf")
            else f"its error is {departs.ratio:.3g} times that of its inputs"
        )
        found.append(
            f"at layer '{departs.layer}' (blob '{departs.blob}') float16 leaves the float32 path "
            f"by more than rounding: {times}"
        )
    return found
