"""The error that rounding alone explains, per output channel: what a healthy device may be off.

    reference   the module in float64, weights and inputs included
    "fp16"      weights, inputs and every blob rounded to float16, float32 arithmetic between
    "fp32"      the module in float32, for the CPU of a NeuralNetwork
    rmse        of the one against the other, never below one ulp of the channel's peak

The channels are those of the report: axis -3, one more for each index before it; below rank 3 the
whole output is one. A channel of fewer than FEW values draws too few errors to know their size, and
has at least the error of the whole output; an output as small as that has no better estimate.

It is rounding at the ends of layers. A device that also accumulates in float16 is a few times off,
which `K` leaves room for; subnormals are kept, which a device may flush.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.func import functional_call

from migrate import features
from migrate.errors import AnereportError, ModelError, UnsupportedError
from migrate.kept import unrounded
from migrate.rounding import Rounding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from migrate.block import Watch
    from migrate.feature_types import Feature
    from migrate.module import Model
    from migrate.network import Network

    Array = NDArray[np.float64]

K = 8.0  # from simulated accumulators: at most 6.75 for the worst of them
FEW = 8  # two healthy draws of so many errors differ K times once in some 500,000 channels


@dataclass(frozen=True)
class Format:
    """A floating point format: the digits of its significand, and its least normal exponent."""

    digits: int
    least: int

    def ulp(self, peaks: Array) -> Array:
        """Return the distance to the next number of the format, in a format without an end."""
        exponents = np.frexp(peaks)[1] - 1
        exponents = np.where(peaks > 0, np.maximum(exponents, self.least), self.least)
        return np.ldexp(1.0, exponents - self.digits + 1)


FORMATS = {"fp16": Format(11, -14), "fp32": Format(24, -126)}


@dataclass(frozen=True, eq=False)
class Envelope:
    """What rounding explains of one output; of a classifier, of its scores in the labels' order.

    Where float16 overflows, rounding explains nothing: such values are left out of `rmse`, which is
    one ulp if none is left, and `overflowed` and `beyond_range` say so.
    """

    reference: Array
    rmse: Array  # one per channel
    overflowed: NDArray[np.bool_]  # whether a channel is finite only in the reference
    beyond_range: tuple[str, ...]  # blobs and weights of the model that rounding made infinite

    @property
    def axis(self) -> int | None:
        """The axis of the channels, if there is one."""
        return -3 if self.reference.ndim >= 3 else None

    @property
    def unfit(self) -> bool:
        """Whether rounding alone makes errors as large as the output: its input cannot tell."""
        size = _root_mean_square(self.reference)
        return bool(size > 0 and _root_mean_square(self.rmse) >= size)

    def ratio(self, values: Any) -> Array:
        """Return each channel's error over what rounding explains.

        It is infinite where a value or its reference is not finite and they differ.
        Raises AnereportError unless the shape is the reference's, apart from ones.
        """
        found = channels(_like(values, self.reference))
        reference = channels(self.reference)
        return np.where(_broken(found, reference), np.inf, _errors(found, reference) / self.rmse)

    def within(self, values: Any, k: float = K) -> bool:
        """Tell whether no channel is further off than k times what rounding explains."""
        if not 0 < k < math.inf:
            raise AnereportError(f"k is a positive number, not {k}")
        return bool(np.all(self.ratio(values) <= k))


def envelopes(
    net: Model, inputs: dict[str, Any], precision: str = "fp16", *, kept: Collection[str] = ()
) -> dict[str, Envelope]:
    """Return what "fp16" or "fp32" rounding explains of each output that has numbers, by its name.

    `inputs` are as for `predict`; of an image the numbers are its pixels, (1, C, H, W) in the
    feature's order. Outputs of integers are not rounded and have the ulp alone. `kept` are layers
    that stay float32. The module is as it was in the end; meanwhile its parameters are float64, or
    one copy of them is made.
    Raises UnsupportedError for a model that draws random numbers, whose reference is no device's.
    """
    if precision not in FORMATS:
        raise UnsupportedError(f"precision '{precision}' is not one of {', '.join(FORMATS)}")
    _refuse_random(net.network)
    references = _run(net, inputs, torch.float64, _unchanged)
    rounding = Rounding(unrounded(net, kept))
    try:
        found = _run(net, inputs, torch.float32, rounding if precision == "fp16" else _unchanged)
    except ModelError as error:
        raise ModelError(f"in {precision} the model does not run: {error}") from error
    beyond = tuple(rounding.beyond_range)
    return {
        feature.name: _envelope(feature, reference, values, FORMATS[precision], beyond)
        for (feature, reference), (_, values) in zip(references, found, strict=True)
    }


def explained(
    feature: Feature, reference: Tensor, values: Tensor, precision: str, beyond: tuple[str, ...]
) -> Envelope:
    """Return the envelope of an output from its reference and its values as rounding has them."""
    exact, near = _array(feature, reference), _array(feature, values)
    return _envelope(feature, exact, near, FORMATS[precision], beyond)


def channels(values: NDArray[Any]) -> NDArray[Any]:
    """Return an output as a matrix with a row for each channel."""
    return values.reshape(math.prod(values.shape[:-2]), math.prod(values.shape[-2:]))


def _envelope(
    feature: Feature, reference: Array, values: Array, form: Format, beyond: tuple[str, ...]
) -> Envelope:
    if values.shape != reference.shape:
        raise UnsupportedError(
            f"output {feature.name!r} has shape {_product(reference.shape)}, and with rounding "
            f"{_product(values.shape)}: the model computes its size from numbers that are rounded"
        )
    exact, near = channels(reference), channels(values)
    errors = np.zeros(len(exact)) if _integers(feature) else _errors(near, exact)
    if exact.shape[1] < FEW and len(exact):
        errors = np.maximum(errors, math.sqrt(np.mean(errors**2)))
    peaks = np.max(np.abs(exact), axis=1, initial=0.0, where=np.isfinite(exact))
    overflowed = (np.isfinite(exact) & ~np.isfinite(near)).any(axis=1)
    return Envelope(reference, np.maximum(errors, form.ulp(peaks)), overflowed, beyond)


def _run(
    net: Model, inputs: dict[str, Any], dtype: torch.dtype, watch: Watch
) -> list[tuple[Feature, Array]]:
    """Return the outputs of the module in a type, its weights and blobs as the watch gives them."""
    features.refuse_unknown(net.network.inputs, inputs)
    given = tuple(features.to_tensor(feature, inputs, dtype) for feature in net.network.inputs)
    single = all(x.dtype == torch.float32 for x in net.parameters())  # so it can be undone
    widens = watch is _unchanged and dtype == torch.float64 and single
    with torch.no_grad(), net.watching(watch), _widened(net) if widens else nullcontext():
        own = () if widens else net.named_parameters()
        stored = {
            name: _watched(name, tensor, dtype, watch)
            for name, tensor in (*own, *net.named_buffers())
        }
        outputs = functional_call(net, stored, given)
    return _arrays(net.network, outputs if isinstance(outputs, tuple) else (outputs,))


def _watched(name: str, tensor: Tensor, dtype: torch.dtype, watch: Watch) -> Tensor:
    """Return a tensor of the module as the watch gives it, never the module's: it is written to."""
    seen = watch(name, tensor.to(dtype if tensor.is_floating_point() else None))
    return seen.clone() if seen is tensor else seen


@contextmanager
def _widened(net: Model) -> Iterator[None]:
    """Let float32 parameters be float64 while the context lasts: no copy stays beside them."""
    try:
        for x in net.parameters():
            x.data = x.data.double()
        yield
    finally:
        for x in net.parameters():
            x.data = x.data.float()


def _arrays(network: Network, values: Sequence[Tensor]) -> list[tuple[Feature, Array]]:
    """Return the outputs that have numbers; a classifier's label alone has none."""
    label = network.predicted_feature if network.labels else None
    return [
        (feature, _array(feature, value))
        for feature, value in zip(features.tensor_outputs(network), values, strict=True)
        if feature.name != label
    ]


def _array(feature: Feature, value: Tensor) -> Array:
    array: Array = features.passed_on(feature, value).double().numpy()
    return array.ravel() if feature.kind == "dictionary" else array


def _unchanged(_: str, value: Tensor) -> Tensor:
    return value


def _refuse_random(network: Network) -> None:
    for layer in network.all_layers():
        if layer.kind.startswith("random") or layer.kind == "categoricalDistribution":
            raise UnsupportedError(
                f"layer {layer.name!r} ({layer.kind}) draws random numbers, which are others on "
                "each system: there is no reference to tell rounding by"
            )


def _integers(feature: Feature) -> bool:
    return feature.dtype == "int32" or feature.kind == "int64"


def _like(values: Any, reference: Array) -> Array:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise AnereportError("the values of an output are an array of numbers") from error
    if [n for n in array.shape if n != 1] != [n for n in reference.shape if n != 1]:
        raise AnereportError(
            f"the values have shape {_product(array.shape)}, "
            f"their reference has {_product(reference.shape)}"
        )
    return array.reshape(reference.shape)


def _errors(values: Array, reference: Array) -> Array:
    """Return the RMSE of each row, over the elements where both are finite."""
    both = np.isfinite(values) & np.isfinite(reference)
    difference = np.subtract(values, reference, out=np.zeros(both.shape), where=both)
    with np.errstate(over="ignore"):  # further off than float64 can say
        squares: Array = np.sum(difference**2, axis=1)
    return np.sqrt(squares / np.maximum(both.sum(axis=1), 1))


def _root_mean_square(values: Array) -> float:
    """Return sqrt(mean(x^2)) of the finite values, of any magnitude; 0 of none."""
    finite = np.abs(values[np.isfinite(values)])
    peak = float(np.max(finite, initial=0.0))
    return peak * math.sqrt(float(np.mean((finite / peak) ** 2))) if peak > 0 else 0.0


def _broken(values: Array, reference: Array) -> NDArray[np.bool_]:
    """Tell of each row whether it has a value that is not finite and not its reference."""
    both = np.isfinite(values) & np.isfinite(reference)
    same = (values == reference) | (np.isnan(values) & np.isnan(reference))
    broken: NDArray[np.bool_] = (~both & ~same).any(axis=1)
    return broken


def _product(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
