"""What each fault of the catalogue makes of an output, by oracles of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network

import migrate
from migrate.faults import all_faults, places

RANDOM = np.random.RandomState(5)


def weights(*shape):
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def found(spec, text, arrays, *, previous=None, output="y"):
    """Return what the output would be, in float64 and without rounding."""
    net = migrate.to_torch(spec).double()
    with net.watching(migrate.fault(net, text, previous=previous)):
        return net.predict(arrays, exact=True)[output]


def joined(kind, shapes, **fields):
    """A layer "y" that joins inputs a, b, ..., and values for them."""
    names = dict(zip("abc", shapes, strict=False))
    arrays = {name: RANDOM.uniform(-1, 1, shape) for name, shape in names.items()}
    return network(names, ["y"], (kind, " ".join(names), "y", fields)), arrays


def cut(spec, texts):
    """Which of these faults the first layer may have."""
    (place,) = places(migrate.to_torch(spec))
    return {str(fault) for fault, _ in all_faults(place)} & set(texts)


@pytest.mark.parametrize("kind", ["concat", "concatND"])
def test_a_branch_is_read_as_zeros(kind):
    fields = {"axis": -3} if kind == "concatND" else {}
    spec, arrays = joined(kind, [(1, 2, 3, 4), (1, 5, 3, 4), (1, 1, 3, 4)], **fields)
    for i, name in enumerate("abc"):
        parts = {**arrays, name: np.zeros_like(arrays[name])}
        want = np.concatenate(list(parts.values()), 1)
        np.testing.assert_array_equal(found(spec, f"branch-dropped:{i}@y", arrays), want)
    first = found(spec, "branch-dropped:0@y", arrays)
    np.testing.assert_array_equal(found(spec, "branch-dropped@y", arrays), first)
    with pytest.raises(migrate.FaultError, match="takes one of :0, 1, 2"):
        migrate.fault(migrate.to_torch(spec), "branch-dropped:3@y")


@pytest.mark.parametrize("kind", ["add", "addBroadcastable"])
def test_a_term_of_a_sum_is_a_branch_too(kind):
    spec, arrays = joined(kind, [(2, 3), (2, 3)])
    np.testing.assert_array_equal(found(spec, "branch-dropped:1@y", arrays), arrays["a"])
    assert not cut(spec, ["rolled@y", "branches-swapped@y"])


@pytest.mark.parametrize(("axis", "interleave"), [(-3, False), (1, True), (-1, False), (0, True)])
def test_what_becomes_of_equal_branches(axis, interleave):
    shape = (2, 3, 4, 5)
    spec, arrays = joined("concatND", [shape, shape], axis=axis, interleave=interleave)
    a, b = arrays.values()
    apart = np.concatenate([a, b], axis)
    turns = np.stack([a, b], axis % 4 + 1).reshape(apart.shape)
    pair = {"apart": apart, "turns": turns}
    healthy, other = (
        pair["turns" if interleave else "apart"],
        pair["apart" if interleave else "turns"],
    )
    np.testing.assert_array_equal(found(spec, "branches-interleaved@y", arrays), other)
    want = np.roll(healthy, 1, axis)
    np.testing.assert_array_equal(found(spec, "rolled@y", arrays), want)

    def join(*parts):
        if interleave:
            return np.stack(parts, axis % 4 + 1).reshape(apart.shape)
        return np.concatenate(parts, axis)

    np.testing.assert_array_equal(found(spec, "branches-swapped@y", arrays), join(b, a))
    np.testing.assert_array_equal(found(spec, "branches-duplicated@y", arrays), join(a, a))


def test_branches_of_other_sizes_are_swapped_but_not_mixed():
    spec, arrays = joined("concatND", [(1, 2, 3), (1, 5, 3)], axis=1)
    a, b = arrays.values()
    want = np.concatenate([b, a], 1)
    np.testing.assert_array_equal(found(spec, "branches-swapped@y", arrays), want)
    same = np.concatenate([a, b], 1)
    for name in ("branches-duplicated", "branches-interleaved"):
        np.testing.assert_array_equal(found(spec, f"{name}@y", arrays), same)


def test_three_branches_are_swapped_end_to_end():
    spec, arrays = joined("stack", [(2, 3)] * 3, axis=0)
    want = np.stack(list(arrays.values())[::-1])
    np.testing.assert_array_equal(found(spec, "branches-swapped@y", arrays), want)


def test_a_concatenation_of_sequences_and_one_of_a_single_branch(one_layer):
    spec = one_layer("concat", [(2, 1, 3, 1, 1), (2, 1, 3, 1, 1)], rank5=True, sequenceConcat=True)
    spec.neuralNetwork.layers[0].name = "y"
    arrays = {f"in{i}": RANDOM.uniform(-1, 1, (2, 1, 3, 1, 1)) for i in range(2)}
    want = np.roll(np.concatenate(list(arrays.values())), 1, 0)
    got = found(spec, "rolled@y", arrays, output="out0")
    np.testing.assert_array_equal(got.ravel(), want.ravel())
    alone, _ = joined("concatND", [(2, 3)], axis=0)
    assert not cut(alone, ["rolled@y", "branch-dropped:0@y", "branches-swapped@y"])


def correlated(x, kernel, groups=1):
    """Cross-correlate [C, H, W] with [C_out, C / groups, h, w], without padding."""
    count, inside, h, w = kernel.shape
    rows, columns = x.shape[1] - h + 1, x.shape[2] - w + 1
    y = np.zeros((count, rows, columns))
    for o in range(count):
        first = o // (count // groups) * inside
        for r in range(rows):
            for c in range(columns):
                part = x[first : first + inside, r : r + h, c : c + w]
                y[o, r, c] = np.sum(part * kernel[o])
    return y


def convolution(kernel, *, groups=1, bias=None, given=False, padding=(), shape=(1, 4, 6, 7)):
    spec = network({"x": shape}, ["y"], ("convolution", "x", "y", {"nGroups": groups}))
    p = spec.neuralNetwork.layers[0].convolution
    p.outputChannels, p.kernelChannels = kernel.shape[:2]
    p.kernelSize.extend(kernel.shape[2:])
    p.valid.SetInParent()
    for start, end in padding:
        p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    if given:
        array = spec.description.input.add(name="w").type.multiArrayType
        array.shape.extend(kernel.shape)
        array.dataType = array.FLOAT32
        spec.neuralNetwork.layers[0].input.append("w")
    else:
        p.weights.floatValue.extend(kernel.ravel())
    if bias is not None:
        p.hasBias = True
        p.bias.floatValue.extend(bias)
    return spec


@pytest.mark.parametrize("given", [False, True])
def test_kernels_are_mirrored(given):
    kernel, bias, x = weights(3, 4, 2, 3), weights(3), RANDOM.uniform(-1, 1, (1, 4, 6, 7))
    spec = convolution(kernel, bias=bias, given=given)
    arrays = {"x": x, "w": kernel} if given else {"x": x}
    want = correlated(x[0], kernel[:, :, ::-1, ::-1]) + bias.reshape(3, 1, 1)
    np.testing.assert_allclose(found(spec, "kernel-flipped@y", arrays)[0], want, atol=1e-12)


def test_kernels_with_padding_on_one_side_are_mirrored():
    kernel, x = weights(2, 4, 2, 2), RANDOM.uniform(-1, 1, (1, 4, 6, 7))
    spec = convolution(kernel, padding=[(1, 0), (0, 2)])
    padded = np.pad(x[0], ((0, 0), (1, 0), (0, 2)))
    want = correlated(padded, kernel[:, :, ::-1, ::-1])
    np.testing.assert_allclose(found(spec, "kernel-flipped@y", {"x": x})[0], want, atol=1e-12)


def test_kernels_of_one_element_have_no_mirror_image():
    spec = convolution(weights(2, 4, 1, 1))
    with pytest.raises(migrate.FaultError, match="has kernels of one element"):
        migrate.fault(migrate.to_torch(spec), "kernel-flipped@y")


@pytest.mark.parametrize(("groups", "count"), [(2, 6), (4, 4)])
def test_groups_have_the_weights_of_the_next(groups, count):
    kernel, bias = weights(count, 4 // groups, 2, 2), weights(count)
    x = RANDOM.uniform(-1, 1, (1, 4, 6, 7))
    spec = convolution(kernel, groups=groups, bias=bias)
    of_next = np.concatenate([kernel[count // groups :], kernel[: count // groups]])
    want = correlated(x[0], of_next, groups) + bias.reshape(-1, 1, 1)
    np.testing.assert_allclose(found(spec, "groups-misassigned@y", {"x": x})[0], want, atol=1e-12)


def test_groups_of_a_transposed_convolution():
    kernel, x = weights(4, 1, 1, 1), RANDOM.uniform(-1, 1, (1, 4, 2, 2))
    spec = convolution(kernel, groups=4, shape=(1, 4, 2, 2))
    p = spec.neuralNetwork.layers[0].convolution
    p.isDeconvolution, p.kernelChannels, p.outputChannels = True, 4, 4
    want = x[0] * np.roll(kernel.ravel(), -1).reshape(4, 1, 1)
    np.testing.assert_allclose(found(spec, "groups-misassigned@y", {"x": x})[0], want, atol=1e-12)


def test_sums_overflow_where_their_terms_of_one_sign_do():
    kernel = np.array([[[[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]]]], np.float32)
    spec = convolution(kernel, bias=[0, 0], shape=(1, 2, 1, 5))
    x = np.array([[40000, 40000, 70000, 60000, 1], [40000, -39000, -20000, -60000, 2]], float)
    got = found(spec, "overflow@y", {"x": x.reshape(1, 2, 1, 5)})[0, :, 0]
    # 40000 - 39000 stays below 65,504 in both signs; 70000 does not, whatever is taken off it
    assert got[0].tolist() == [np.inf, 1000, np.inf, 0, 3]
    assert got[1].tolist() == [-np.inf, -1000, -np.inf, 0, -3]


def test_sums_that_cannot_reach_the_largest_number_do_not_overflow():
    kernel, x = weights(2, 4, 2, 2), RANDOM.uniform(-1, 1, (1, 4, 6, 7))
    spec = convolution(kernel, bias=weights(2))
    net = migrate.to_torch(spec).double()
    np.testing.assert_array_equal(found(spec, "overflow@y", {"x": x}), net.predict({"x": x})["y"])


def linear(shape, alpha=1.0, beta=0.0):
    spec = network({"x": shape}, ["y"], ("activation", "x", "y", {}))
    function = spec.neuralNetwork.layers[0].activation.linear
    function.alpha, function.beta = alpha, beta
    return spec


@pytest.mark.parametrize(
    ("channels", "offered"),
    [
        (1, []), (15, []), (16, []), (20, [16]), (40, [16, 32]), (48, [32]), (96, [64]),
        (300, [16, 32, 64, 256]), (512, []), (800, [64, 256]),
    ],
)  # fmt: skip
def test_the_last_channels_beyond_a_block_are_zero(channels, offered):
    shape = (1, channels, 2, 3)
    x = RANDOM.uniform(1, 2, shape)
    for size in (16, 32, 64, 256):
        want = x.copy()
        if size in offered:
            want[:, channels // size * size :] = 0
        got = found(linear(shape), f"channels-truncated:{size}@y", {"x": x})
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(17, 2, 2), (5, 17), (17,)])
def test_the_channels_of_lower_ranks(shape):
    x = np.ones(shape)
    got = found(linear(shape), "channels-truncated@y", {"x": x})
    assert np.count_nonzero(got == 0) == x.size // 17


@pytest.mark.parametrize(("shape", "row"), [((1, 2, 3, 5), 32), ((4, 33), 64), ((3, 1), 32)])
def test_padded_rows_are_read_as_contiguous(shape, row):
    x = RANDOM.uniform(1, 2, shape)
    memory, width = np.zeros(x.size // shape[-1] * row), shape[-1]
    for i, values in enumerate(x.reshape(-1, width)):
        memory[i * row : i * row + width] = values
    want = memory[: x.size].reshape(shape)
    np.testing.assert_array_equal(found(linear(shape), "rows-padded@y", {"x": x}), want)


@pytest.mark.parametrize("shape", [(4, 32), (2, 64), (7,)])
def test_rows_without_a_gap_are_read_as_they_are(shape):
    x = RANDOM.uniform(1, 2, shape)
    np.testing.assert_array_equal(found(linear(shape), "rows-padded@y", {"x": x}), x)


def test_values_out_of_range():
    x = np.array([1e5, -7e4, 65504, -1, 0, 2.0**-14, 2.0**-15, -(2.0**-24), np.inf])
    want = np.clip(x, -65504, 65504)
    np.testing.assert_array_equal(found(linear((9,)), "saturated@y", {"x": x}), want)
    want = np.where(np.abs(x) < 2.0**-14, 0, x)
    np.testing.assert_array_equal(found(linear((9,)), "subnormals-flushed@y", {"x": x}), want)
    np.testing.assert_array_equal(found(linear((9,)), "scale-doubled@y", {"x": x}), 2 * x)


def test_activations_are_skipped():
    x = RANDOM.uniform(-1, 1, (2, 3))
    np.testing.assert_array_equal(found(linear((2, 3), 3, 1), "activation-skipped@y", {"x": x}), x)
    for kind, fields in (("clip", {"maxVal": 0.5}), ("softmaxND", {"axis": 1}), ("tanh", {})):
        spec = network({"x": (2, 3)}, ["y"], (kind, "x", "y", fields))
        np.testing.assert_array_equal(found(spec, "activation-skipped@y", {"x": x}), x)


def test_a_threshold_is_an_activation_and_a_root_is_none(one_layer):
    for kind, expected in ((7, True), (0, False)):
        spec = one_layer("unary", [(2, 3)], type=kind, scale=1)
        names = {fault.name for fault, _ in all_faults(places(migrate.to_torch(spec))[0])}
        assert ("activation-skipped" in names) == expected


def test_inputs_that_are_zero():
    spec, arrays = joined("add", [(2, 3), (2, 3)], alpha=1.0)
    np.testing.assert_array_equal(found(spec, "input-zeroed@y", arrays), np.zeros((2, 3)))
    x = {"x": RANDOM.uniform(-1, 1, (2, 3))}
    got = found(linear((2, 3), 3, 0.25), "input-zeroed@y", x)
    np.testing.assert_array_equal(got, np.full((2, 3), 0.25))
    kernel, bias = weights(2, 4, 2, 2), weights(2)
    x = {"x": RANDOM.uniform(-1, 1, (1, 4, 6, 7))}
    for given in (bias, None):
        spec = convolution(kernel, bias=given, padding=[(1, 0), (0, 2)])
        got = found(spec, "input-zeroed@y", x)
        want = np.zeros(2) if given is None else bias
        np.testing.assert_array_equal(got, np.broadcast_to(want.reshape(2, 1, 1), got.shape))


def test_biases_of_other_layers():
    x = RANDOM.uniform(-1, 1, (1, 2, 3, 4))
    spec = network({"x": x.shape}, ["y"], ("scale", "x", "y", {"hasBias": True}))
    p = spec.neuralNetwork.layers[0].scale
    p.shapeScale.append(2), p.shapeBias.append(2)
    p.scale.floatValue.extend([2, 3])
    p.bias.floatValue.extend([10, 20])
    want = x * np.array([2, 3]).reshape(2, 1, 1)
    np.testing.assert_allclose(found(spec, "no-bias@y", {"x": x}), want, rtol=1e-12)
    x = RANDOM.uniform(-1, 1, (2, 2, 3, 4))
    spec = network({"x": x.shape}, ["y"], ("batchedMatmul", "x", "y", {"hasBias": True}))
    p = spec.neuralNetwork.layers[0].batchedMatmul
    p.weightMatrixFirstDimension, p.weightMatrixSecondDimension = 4, 5
    p.weights.floatValue.extend(range(20))
    p.bias.floatValue.extend([1, 2, 3, 4, 5])
    got = found(spec, "bias-only@y", {"x": x})
    np.testing.assert_array_equal(got, np.broadcast_to([1, 2, 3, 4, 5], (2, 2, 3, 5)))


def test_a_stale_output_is_that_of_the_previous_inputs():
    x, previous = RANDOM.uniform(-1, 1, (2, 2, 3))
    spec = linear((2, 3), 2, 1)
    got = found(spec, "stale@y", {"x": x}, previous={"x": np.float16(previous)})
    want = np.float16(2 * np.float16(previous).astype(float) + 1)
    np.testing.assert_array_equal(got, want)


def test_nothing_and_not_a_number():
    """No value, or none that is a number, is no reason to fail."""
    for shape in [(1,), (2, 3)]:
        for values in (np.full(shape, np.nan), np.zeros(shape)):
            for name in set(migrate.FAULTS) - {"stale"}:
                net = migrate.to_torch(linear(shape, 2))
                try:
                    watch = migrate.fault(net, f"{name}@y")
                except migrate.FaultError:
                    continue
                with net.watching(watch):
                    assert net.predict({"x": values})["y"].shape == shape
