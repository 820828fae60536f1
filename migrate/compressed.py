"""Weights that stay compressed in an ML Program, as they were in the NeuralNetwork.

The conversion sees dequantised values. After it, each constant that has the values of a weight that
was quantised is replaced by an operation that computes them from the codes:

    iOS16, iOS17   one table for the weight, or a scale and an integer zero point per channel
    iOS18          the same with any zero point, or a table per channel

Tables give the same bits, scales nearly the same. What has no such form stays in full, and is said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from migrate.coreml import coremltools
from migrate.passes import INTO_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from migrate.weights import Quantised

    Array = NDArray[Any]
    Key = tuple[tuple[int, ...], str, bytes]

TAKERS = {
    "conv": {"weight"},
    "conv_transpose": {"weight"},
    "gather": {"x"},
    "linear": {"weight"},
    "matmul": {"x", "y"},
}
WIDTHS = {"iOS16": (1, 2, 4, 6, 8), "iOS17": (1, 2, 4, 6, 8), "iOS18": (1, 2, 3, 4, 6, 8)}
ULPS: dict[Any, int] = {np.dtype("f4"): 4, np.dtype("f2"): 2}  # of a channel's largest value
FEW = 16  # values, of which it does not matter how they are stored

MERGED = "the conversion merged them into other constants"
USED = "only matrices of convolutions, products and embeddings can be compressed"
LARGER = "compressed they would not be smaller"


class Form(NamedTuple):
    """An operation that gives the values of a weight, how many bytes it takes, its arguments."""

    operation: str
    size: float
    arguments: dict[str, Any]

    @property
    def cost(self) -> float:
        """The size; a table may take a quarter more than a scale, since it is exact."""
        return self.size if "lut" in self.arguments else 1.25 * self.size


def left_out(quantised: list[Quantised], target: str) -> tuple[str, ...]:
    """Return which of coremltools' passes may not run: those that change what can be compressed."""
    return INTO_WEIGHTS if quantised and _release(target) in WIDTHS else ()


@np.errstate(over="ignore", invalid="ignore")  # of what overflows, no values are the same
def compress(program: Any, quantised: list[Quantised], target: str) -> list[str]:
    """Compress the constants of a PyMIL program that have the values of these weights.

    Returns sentences on the weights that are stored in full, one for all of a kind.
    """
    if not quantised:
        return []
    known = _by_values(quantised)
    reasons: dict[int, set[str]] = defaultdict(set)
    for function in program.functions.values():
        for const in list(_constants(function)):
            found = known.get(_key(const.outputs[0].val), [])
            reason = _compress(const, found[0][1], target) if found else ""
            for number, _ in found:
                reasons[number].add(reason)
    said = [max(reasons.get(i, {MERGED})) for i in range(len(quantised))]  # "" is the least
    return _sentences(quantised, said)


def _by_values(quantised: list[Quantised]) -> dict[Key, list[tuple[int, Quantised]]]:
    """Return the weights, each with its number, by their values of either precision.

    A matrix is there transposed as well, as torch has those of embeddings.
    """
    known: dict[Key, list[tuple[int, Quantised]]] = defaultdict(list)
    for number, weight in enumerate(quantised):
        turned = weight._replace(codes=weight.codes.T, scale=weight.scale.T, bias=weight.bias.T)
        for layout in (weight, turned) if weight.codes.ndim == 2 else (weight,):
            values = layout.values()
            for dtype in ULPS:
                known[_key(values.astype(dtype))].append((number, layout))
    return known


def _key(values: Array) -> Key:
    """Return what is the same for the same bits only."""
    return values.shape, values.dtype.str, sha256(values.tobytes()).digest()


def _constants(block: Any) -> Iterator[Any]:
    """Yield the operations that are constant arrays of floats, in inner blocks as well."""
    for operation in block.operations:
        for inner in operation.blocks:
            yield from _constants(inner)
        if operation.op_type == "const":
            value = operation.outputs[0].val
            if isinstance(value, np.ndarray) and value.dtype in ULPS:
                yield operation


def _compress(const: Any, weight: Quantised, target: str) -> str:
    """Replace a constant by the smallest form of the weight; return why not, or nothing."""
    release = _release(target)
    if release not in WIDTHS:
        return f"{target} has no compressed constants"
    if not _taken(const.outputs[0]):
        return USED
    full = const.outputs[0].val
    form = min(_forms(weight, full.dtype, release), key=lambda form: form.cost, default=None)
    if form is None:
        return f"{target} has no scales and integer zero points that give the same values"
    if form.size >= full.nbytes or full.size < FEW:
        return LARGER
    _replace(const, form)
    return ""


def _release(target: str) -> str:
    """Return the iOS release that a target, such as macOS13, is."""
    return str(coremltools().target[target].name)


def _taken(var: Any) -> bool:
    """Return whether all that use a constant take a compressed one in its place."""
    return not var.consuming_blocks and all(
        name in TAKERS.get(operation.op_type, ())
        for operation in var.child_ops
        for name, value in operation.inputs.items()
        if value is var or operation.op_type not in TAKERS
    )


def _replace(const: Any, form: Form) -> None:
    """Put the operation in the place of a constant; coremltools asks for the pass that does so."""
    from coremltools.converters.mil.mil import Builder
    from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource

    block, old, name = const.enclosing_block, const.outputs[0], f"{const.name}_compressed"
    with block, Builder.scope(ScopeInfo(ScopeSource.COREMLTOOLS_GRAPH_PASS, ["compress"])):
        new = getattr(Builder, form.operation)(**form.arguments, name=name, before_op=const)
        block.replace_uses_of_var_after_op(const, old, new, no_check_var_types=True)
    block.remove_ops([const])


def _forms(weight: Quantised, dtype: Any, release: str) -> Iterator[Form]:
    """Yield the forms that give a weight's values in this precision."""
    shared = _linear(weight)[0].size == 1
    width = min(width for width in WIDTHS[release] if width >= weight.bits)
    if release == "iOS18":
        yield _tables(weight, dtype, width)
    elif shared:
        yield _table(weight, dtype, width)
    if not shared:
        yield from _scaled(weight, dtype, release)


def _table(weight: Quantised, dtype: Any, width: int) -> Form:
    """Return iOS 16's form: codes of some bits each, the least significant first, in bytes."""
    codes = _unsigned(weight).reshape(-1, 1)
    digits = np.unpackbits(codes, axis=1, count=width, bitorder="little")
    indices = np.packbits(digits, bitorder="little")
    lut = _entries(weight, width).astype(dtype).ravel()
    shape = np.array(weight.codes.shape, np.uint32)
    arguments = {"indices": indices, "lut": lut, "shape": shape}
    return Form("constexpr_lut_to_dense", indices.nbytes + lut.nbytes, arguments)


def _tables(weight: Quantised, dtype: Any, width: int) -> Form:
    """Return iOS 18's form: one table, or one per channel."""
    lut = _entries(weight, width).astype(dtype)[..., None]
    arguments = {"indices": _unsigned(weight).astype(_integers(width)), "lut": lut}
    size = weight.codes.size * width / 8 + lut.nbytes
    return Form("constexpr_lut_to_dense", size, arguments)


def _scaled(weight: Quantised, dtype: Any, release: str) -> Iterator[Form]:
    """Yield the form with a scale and a zero point per channel, if it is near enough.

    The zero point is an integer of the type of the codes, or on iOS 18, where need be, a float.
    """
    scale, bias = _linear(weight)
    scale = np.where(scale == 0, np.float32(1), scale)  # of a channel where all codes are 0
    codes, width = _unsigned(weight), 4 if release == "iOS18" and weight.bits <= 4 else 8
    exact = -_lowest(weight) - bias.astype(np.float64) / scale
    whole = np.rint(exact).clip(0, 2**width - 1).astype(np.uint8)
    scale = scale.astype(dtype)
    for zero in (whole, exact.astype(np.float32))[: 1 + (release == "iOS18")]:
        values = scale.astype(np.float32) * (codes.astype(np.float32) - zero.astype(np.float32))
        if (scale > 0).all() and _near(values.astype(dtype), weight):
            yield (_shift_scale if release == "iOS18" else _affine)(codes, scale, zero, width)
            return


def _near(values: Array, weight: Quantised) -> bool:
    """Return whether values differ from the weight's by a few roundings of a channel's largest."""
    expected = weight.values()
    axes = tuple(axis for axis, n in enumerate(_linear(weight)[0].shape) if n == 1)
    largest = np.abs(expected).max(axes, keepdims=True).astype(values.dtype)
    limit = ULPS[values.dtype] * np.spacing(largest)
    return bool((np.abs(values - expected.astype(np.float64)) <= limit).all())


def _affine(codes: Array, scale: Array, zero: Array, width: int) -> Form:
    axis = np.int32(np.argmax(scale.shape))
    vectors = {"zero_point": zero.ravel(), "scale": scale.ravel()}
    arguments = {"quantized_data": codes, "axis": axis} | vectors
    size = codes.nbytes + zero.nbytes + scale.nbytes
    return Form("constexpr_affine_dequantize", size, arguments)


def _shift_scale(codes: Array, scale: Array, zero: Array, width: int) -> Form:
    integers = _integers(width)
    offset = zero.astype(integers) if zero.dtype == np.uint8 else zero
    arguments = {"data": codes.astype(integers), "scale": scale, "offset": offset}
    size = codes.size * width / 8 + zero.nbytes + scale.nbytes
    return Form("constexpr_blockwise_shift_scale", size, arguments)


def _entries(weight: Quantised, width: int) -> Array:
    """Return the values of all codes along an axis more than the weight has; 0 for others."""
    scale, bias = _linear(weight)
    if weight.table is None:
        codes = np.arange(2**weight.bits, dtype=np.float32) + _lowest(weight)
        found = codes * scale[..., None] + bias[..., None]
    else:
        found = weight.table[: 2**width].reshape(*scale.shape, -1)
    unused = [(0, 0)] * scale.ndim + [(0, 2**width - found.shape[-1])]
    return np.pad(found, unused)


def _linear(weight: Quantised) -> tuple[Array, Array]:
    """Return the scale and the bias, of the same shape, with as many axes as the weight."""
    scale, bias = np.broadcast_arrays(weight.scale, weight.bias)
    shape = (1,) * (weight.codes.ndim - scale.ndim) + scale.shape
    return scale.reshape(shape), bias.reshape(shape)


def _unsigned(weight: Quantised) -> NDArray[np.uint8]:
    return (weight.codes.astype(np.int16) - _lowest(weight)).astype(np.uint8)


def _lowest(weight: Quantised) -> int:
    """Return the code that becomes 0."""
    return -128 if weight.codes.dtype == np.int8 else 0


def _integers(width: int) -> Any:
    """Return coremltools' type of arrays of integers of so many bits."""
    from coremltools.converters.mil.mil import types

    return types.nptype_from_builtin(types.string_to_builtin(f"uint{width}"))


def _sentences(quantised: list[Quantised], reasons: list[str]) -> list[str]:
    """Return one for each kind and reason; names stand with how often they occur."""
    kinds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for weight, reason in zip(quantised, reasons, strict=True):
        if reason and weight.codes.size >= FEW:
            form = "linear" if weight.table is None else "lookup table"
            kinds[f"{form}, {weight.bits} bits", reason][weight.field] += 1
    found = []
    for (kind, reason), fields in kinds.items():
        names = ", ".join(name if n == 1 else f"{n} times {name}" for name, n in fields.items())
        found.append(f"{names} ({kind}) are stored in full: {reason}")
    return found
