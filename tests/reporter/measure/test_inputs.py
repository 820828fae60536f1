"""The generator against the formula of its docstring in Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from devices import half
from networks import network
from packages import affine, saved

import migrate
from migrate import Envelope, Feature
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


# --- controls, and how much is measured


def of_control(name, kind, index, count):
    """One element, by the table of the module's docstring."""
    if name == "ramp":
        return {"array": (index % 2048 - 1024) / 512, "image": index % 256, "integer": index % 2}[
            kind
        ]
    lit = {"impulse": index == count // 2, "zeros": False, "ones": True}[name]
    return {"array": 1, "image": 255, "integer": 1}[kind] if lit else 0


@pytest.mark.parametrize("name", ["ramp", "impulse", "zeros", "ones"])
@pytest.mark.parametrize(
    ("feature", "kind", "dtype"),
    [
        (Feature("x", "multiArray", (1, 3, 40, 41)), "array", np.float32),
        (Feature("x", "multiArray", (5, 5), "float16"), "array", np.float32),
        (Feature("x", "multiArray", (1,)), "array", np.float32),
        (Feature("i", "image", (1, 3, 20, 30), color="RGB"), "image", np.uint8),
        (Feature("n", "multiArray", (50,), "int32"), "integer", np.int32),
    ],
)
def test_controls_are_those_of_the_table(name, feature, kind, dtype):
    x = inputs.control(feature, name)
    assert (x.shape, x.dtype) == (feature.shape, dtype)
    assert x.ravel().tolist() == [of_control(name, kind, i, x.size) for i in range(x.size)]
    np.testing.assert_array_equal(np.float16(x), x)  # no unit rounds the input itself


def test_controls_of_a_whole_model():
    spec = model(("b", (2, 3), "float32"), ("n", (4,), "int32"))
    found = inputs.controls(spec)
    assert list(found) == ["ramp", "impulse", "zeros", "ones"]
    assert {name: a.shape for name, a in found["ones"].items()} == {"b": (2, 3), "n": (4,)}
    assert found["impulse"]["b"].tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(("field", "count"), [("seeds", 0), ("repeats", -1)])
def test_less_than_one_is_no_schedule(field, count):
    with pytest.raises(migrate.AnereportError, match=f"--{field} is 1 or more, not {count}"):
        inputs.Schedule(**{field: count})


# --- inputs on which something can be seen


def bounds(unfit):
    """An envelope of an output that rounding drowns, or does not."""
    return Envelope(np.ones((1, 1, 4)), np.array([9.0 if unfit else 0.1]), np.zeros(1, bool), ())


@pytest.fixture
def envelopes(monkeypatch):
    """Make seeds fit or not: takes the answers for outputs, a list for each seed, and notes."""
    asked = []

    def install(*answers):
        def found(net, given):
            asked.append(given["in0"].copy())
            unfit = answers[len(asked) - 1]
            if isinstance(unfit, Exception):
                raise unfit
            return {str(i): bounds(one) for i, one in enumerate(unfit)}

        monkeypatch.setattr(migrate, "envelopes", found)
        return asked

    return install


@pytest.fixture
def relu(one_layer):
    return one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())


@pytest.mark.parametrize(
    ("answers", "seed"),
    [
        ([[False]], 0), ([[False, False]], 0), ([[True], [False]], 1),
        ([[False, True], [True, False], [True, True], [False, False]], 3),
        ([[True], [True], []], 2), ([[True]] * 4, 0),
    ],
)  # fmt: skip
def test_the_first_seed_that_tells_is_taken(relu, envelopes, answers, seed):
    """One output that rounding drowns is enough to try another; after four, the first is used."""
    asked = envelopes(*answers)
    name, given = inputs.telling(relu)
    assert name == f"seed-{seed}"
    np.testing.assert_array_equal(given["in0"], inputs.seeded(relu, seed)["in0"])
    assert len(asked) == len(answers) <= inputs.TRIED == 4
    for tried, x in enumerate(asked):
        np.testing.assert_array_equal(x, inputs.seeded(relu, tried)["in0"])


def test_seeds_follow_the_first_that_tells(relu, envelopes):
    envelopes([True], [False])
    found = inputs.scheduled(relu, inputs.Schedule(seeds=3))
    assert list(found) == ["seed-1", "seed-2", "seed-3"]
    for name, given in found.items():
        np.testing.assert_array_equal(given["in0"], inputs.seeded(relu, int(name[-1]))["in0"])


def test_controls_come_after_the_seeds(relu, envelopes):
    envelopes([False])
    found = inputs.scheduled(relu, inputs.Schedule(seeds=1, controls=True))
    assert list(found) == ["seed-0", "ramp", "impulse", "zeros", "ones"]


def test_where_nothing_is_known_of_rounding_it_is_the_first(relu, envelopes):
    asked = envelopes(migrate.UnsupportedError("draws random numbers"))
    assert inputs.telling(relu)[0] == "seed-0"
    assert len(asked) == 1
    asked.clear()
    envelopes([True], migrate.ModelError("does not run"))
    assert inputs.telling(relu)[0] == "seed-0"


def test_a_network_that_draws_random_numbers(one_layer):
    name, given = inputs.telling(one_layer("randomNormalLike", [(2, 3)]))
    assert name == "seed-0"
    assert given["in0"].shape == (2, 3)


def test_the_inputs_of_a_model_that_only_another_seed_shows(tmp_path):
    """A sum that float16 loses beside 6,000, unless it is large."""
    spec = network(
        {"x": (4,)}, ["y"],
        ("reduceSum", "x", "sum", {"reduceAll": True, "keepDims": True}),
        ("addBroadcastable", "sum one", "near", {}),
        ("subtractBroadcastable", "near one", "y", {}),
    )  # fmt: skip
    large = spec.neuralNetwork.layers.add(name="one", output=["one"]).loadConstantND
    large.shape.append(1)
    large.data.floatValue.append(6000)
    layers = list(spec.neuralNetwork.layers)
    del spec.neuralNetwork.layers[:]
    spec.neuralNetwork.layers.extend([layers[-1], *layers[:-1]])
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())
    sums = [inputs.seeded(path, seed)["x"].sum() for seed in range(inputs.TRIED)]
    # float16 has every fourth number beyond 4096
    expected = next(i for i, s in enumerate(sums) if abs(half(6000 + s) - 6000 - s) < abs(s))
    assert expected > 0
    assert inputs.telling(path)[0] == f"seed-{expected}"


def test_the_inputs_of_a_program(tmp_path):
    program = saved(affine("fp16"), tmp_path / "a.mlpackage")
    name, given = inputs.telling(program)
    assert name == "seed-0"
    np.testing.assert_array_equal(given["x"], inputs.seeded(program)["x"])


def test_custom_layers_take_their_builders(one_layer, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "told_builders.py").write_text("def twice(params):\n    return lambda x: 2 * x\n")

    def fill(p):
        p.className = "Twice"

    spec = one_layer("custom", [(1, 2, 4, 4)], fill=fill)
    for custom in ((), ("told_builders:twice",)):
        assert inputs.telling(spec, custom)[0] == "seed-0"
