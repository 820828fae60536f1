"""Indices and sizes above 2048, which float16 does not hold, in fp16 programs."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network

import migrate

MANY = 40_000  # more than float16 counts up to


def halves(spec, target="iOS16", **inputs):
    """The outputs of the fp16 program, and the arithmetic of each kind of operation in it."""
    from coremltools.converters.mil.mil import types

    program = migrate.to_mlprogram(spec, "fp16", target)
    found = program._mil_program.functions["main"].operations
    kinds = {
        op.op_type: types.builtin_to_string(op.outputs[0].dtype)
        for op in found
        if op.op_type not in ("const", "cast")
    }
    given = {name: np.asarray(x, np.float32) for name, x in inputs.items()}
    return migrate.evaluate(program, given), kinds


def column(begin):
    """One entry of a vector of sizes."""
    return {
        "beginIds": [begin], "endIds": [begin + 1], "strides": [1], "beginMasks": [False],
        "endMasks": [False],
    }  # fmt: skip


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_an_index_that_is_reshaped_and_joined_before_an_embedding(target):
    spec = network(
        {"x": (4,), "z": (1,)}, ["y"],
        ("reshapeStatic", "x", "a", {"targetShape": [2, 2]}),
        ("expandDims", "a", "b", {"axes": [2]}),
        ("squeeze", "b", "c", {"axes": [2]}),
        ("expandDims", "z", "d", {"axes": [0]}),
        ("concatND", "d d", "e", {"axis": 1}),
        ("concatND", "c e", "f", {"axis": 0}),
        ("expandDims", "f", "g", {"axes": [2]}),
        ("embeddingND", "g", "y", {"vocabSize": MANY, "embeddingSize": 1}),
    )  # fmt: skip
    table = np.arange(MANY) % 1000
    spec.neuralNetwork.layers[-1].embeddingND.weights.floatValue.extend(table)
    x, z = [30_001, 39_999, 2049, 7], [35_003]
    outputs, kinds = halves(spec, target, x=x, z=z)
    expected = table[np.array([[30_001, 39_999], [2049, 7], [35_003, 35_003]])]
    np.testing.assert_array_equal(outputs["y"], expected[..., None])
    assert kinds["concat"] == kinds["expand_dims"] == "fp32"
    assert kinds["gather"] == "fp16"


def test_a_position_that_is_an_output():
    spec = network(
        {"x": (2, MANY)}, ["y"],
        ("argMax", "x", "a", {"axis": 1}),
        ("reshapeStatic", "a", "b", {"targetShape": [2]}),
        ("expandDims", "b", "y", {"axes": [0]}),
    )  # fmt: skip
    x = np.zeros((2, MANY))
    x[0, 37_773] = x[1, 31_111] = 1
    outputs, kinds = halves(spec, x=x)
    np.testing.assert_array_equal(outputs["y"], [[37_773, 31_111]])
    assert kinds["expand_dims"] == "fp32"


def test_arithmetic_of_sizes():
    """The rows and columns of [3001, 5], multiplied, are the shape of the output."""
    spec = network(
        {"x": (3001, 5)}, ["y", "n"],
        ("getShape", "x", "s", {}),
        ("sliceStatic", "s", "rows", column(0)),
        ("sliceStatic", "s", "columns", column(1)),
        ("multiplyBroadcastable", "rows columns", "n", {}),
        ("reshapeDynamic", "x n", "y", {}),
    )  # fmt: skip
    x = np.arange(15_005).reshape(3001, 5) % 17
    outputs, _ = halves(spec, x=x)
    np.testing.assert_array_equal(outputs["n"], [15_005])
    np.testing.assert_array_equal(outputs["y"], x.ravel())


@pytest.mark.parametrize(("begin", "size"), [(4097, 3), (4099, 1)])
def test_a_computed_place_in_a_slice(begin, size):
    spec = network(
        {"x": (5001,), "n": (1,), "m": (1,)}, ["y"],
        ("addBroadcastable", "n m", "begin", {}),
        ("sliceBySize", "x begin", "y", {"axis": 0, "size": size}),
    )  # fmt: skip
    x = np.arange(5001) % 100
    outputs, _ = halves(spec, x=x, n=[begin - 3], m=[3])
    np.testing.assert_array_equal(outputs["y"], x[begin : begin + size])


def test_features_are_halves():
    spec = network(
        {"x": (1, 1, 2, 2)}, ["y"],
        ("convolution", "x", "a", {"outputChannels": 1, "kernelChannels": 1, "kernelSize": [1, 1]}),
        ("addBroadcastable", "a x", "b", {}),
        ("multiplyBroadcastable", "b x", "c", {}),
        ("expandDims", "c", "y", {"axes": [0]}),
    )  # fmt: skip
    params = spec.neuralNetwork.layers[0].convolution
    params.weights.floatValue.append(0.5)
    params.valid.SetInParent()
    outputs, kinds = halves(spec, x=[[[[24, 3], [0.1, -1]]]])
    assert {kinds[kind] for kind in ("conv", "add", "mul", "expand_dims")} == {"fp16"}
    x = np.array([[24, 3], [0.1, -1]]).astype(np.float16)
    assert outputs["y"].shape == (1, 1, 1, 2, 2)
    np.testing.assert_array_equal(outputs["y"][0, 0, 0], (x * np.float16(0.5) + x) * x)


def test_an_index_and_the_feature_that_it_came_from():
    """The sum that is both an output and an index stays float32, what is made of it does not."""
    spec = network(
        {"x": (3000,), "n": (1,), "m": (1,)}, ["y", "z"],
        ("addBroadcastable", "n m", "place", {}),
        ("gather", "x place", "y", {}),
        ("unary", "place", "z", {"type": 0}),
    )  # fmt: skip
    x = np.arange(3000) % 7
    outputs, kinds = halves(spec, x=x, n=[2048], m=[1])
    np.testing.assert_array_equal(outputs["y"], x[[2049]])
    assert (kinds["add"], kinds["sqrt"]) == ("fp32", "fp16")
