"""The generator against the formula of its docstring in Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest

from migrate import Feature
from migrate.coreml import proto
from reporter.measure import inputs

DTYPES = {"float32": 65568, "float64": 65600, "float16": 65552, "int32": 131104}


def oracle(index, seed, position):
    mask = 2**32 - 1
    x = (index + 0x9E3779B9 * (seed * 256 + position + 1)) & mask
    x ^= x >> 16
    x = x * 0x85EBCA6B & mask
    x ^= x >> 13
    x = x * 0xC2B2AE35 & mask
    return x ^ x >> 16


@pytest.mark.parametrize(("seed", "position"), [(0, 0), (0, 1), (1, 0), (7, 3), (2**31, 255)])
def test_the_hash(seed, position):
    found = inputs.hashed(1000, seed, position)
    assert found.tolist() == [oracle(i, seed, position) for i in range(1000)]
    assert inputs.hashed(0, seed, position).size == 0


def test_a_known_answer():
    """Index 0 of seed 0, input 0, by hand: the finalizer of MurmurHash3 on 0x9E3779B9."""
    assert inputs.hashed(1, 0, 0).tolist() == [oracle(0, 0, 0)]
    assert oracle(0, 0, -1) == 0  # the finalizer maps 0 to 0, and 1 to its published value
    assert oracle(1, 0, -1) == 0x514E28B7


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_arrays_are_exact_in_float16(dtype):
    feature = Feature("x", "multiArray", (3, 40, 41), dtype)
    x = inputs.values(feature, 5, 2)
    want = [((oracle(i, 5, 2) % 2048) - 1024) / 512 for i in range(x.size)]
    assert x.shape == (3, 40, 41)
    assert x.ravel().tolist() == want
    assert np.float16(x).astype(np.float64).ravel().tolist() == want
    assert (x.min(), x.max()) == (-2, 2 - 1 / 512)
    assert abs(x.mean()) < 0.1


def test_images_and_integers():
    image = inputs.values(Feature("i", "image", (1, 3, 20, 30), color="RGB"), 0, 1)
    assert (image.dtype, image.shape) == (np.uint8, (1, 3, 20, 30))
    assert image.ravel().tolist() == [oracle(i, 0, 1) % 256 for i in range(1800)]
    assert set(inputs.hashed(9999, 0, 1) & 255) == set(range(256))
    integers = inputs.values(Feature("n", "multiArray", (50,), "int32"), 0, 0)
    assert integers.dtype == np.int32
    assert integers.tolist() == [oracle(i, 0, 0) % 2 for i in range(50)]
    assert set(integers.tolist()) == {0, 1}


def model(*features):
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for name, shape, dtype in features:
        array = spec.description.input.add(name=name).type.multiArrayType
        array.shape.extend(shape)
        array.dataType = DTYPES[dtype]
    return spec


def test_a_whole_model():
    spec = model(("b", (2, 3), "float32"), ("a", (2, 3), "float64"), ("n", (4,), "int32"))
    ranged = spec.description.input.add(name="r").type.multiArrayType
    ranged.dataType = DTYPES["float32"]
    for low, high in [(2, 5), (7, -1)]:
        ranged.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    picture = spec.description.input.add(name="p").type.imageType
    picture.width, picture.height, picture.colorSpace = 5, 4, 10
    found = inputs.seeded(spec)
    shapes = {name: array.shape for name, array in found.items()}
    assert shapes == {"b": (2, 3), "a": (2, 3), "n": (4,), "r": (2, 7), "p": (1, 1, 4, 5)}
    assert list(found) == ["b", "a", "n", "r", "p"]  # the description's order gives the position
    assert found["p"].ravel().tolist() == [oracle(i, 0, 4) % 256 for i in range(20)]
    assert not np.array_equal(found["a"], found["b"])


def test_seeds_differ_and_repeat():
    spec = model(("x", (64,), "float32"))
    drawn = [tuple(inputs.seeded(spec, seed)["x"]) for seed in range(20)]
    assert len(set(drawn)) == 20
    assert tuple(inputs.seeded(spec, 3)["x"]) == drawn[3]
    assert tuple(inputs.seeded(spec)["x"]) == drawn[0]


def test_the_samples_inputs(samples):
    found = inputs.seeded(samples / "Block.mlmodel")
    shapes = {name: array.shape for name, array in found.items()}
    assert shapes == {"input2": (1, 128, 43, 1), "input1": (1, 800, 43, 1)}
