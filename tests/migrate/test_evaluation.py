"""ML Programs that coremltools makes of torch modules, evaluated and compared with torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from packages import (
    Affine,
    X,
    affine,
    classifier,
    converted,
    counter,
    ct,
    large,
    with_two_functions,
    with_unknown_operations,
)
from PIL import Image
from torch import nn

import migrate
from migrate import InputError, ModelError, UnsupportedError


def test_a_program_in_float32():
    y = migrate.evaluate(affine(), {"x": X})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.maximum(X * np.float32(2.5) + 1, 0))


def test_a_program_in_float16_rounds_after_every_operation():
    y = migrate.evaluate(affine("fp16"), {"x": X})["y"]
    half = X.astype(np.float16).astype(np.float32)
    product = (half * np.float32(2.5)).astype(np.float16).astype(np.float32)
    expected = np.maximum((product + 1).astype(np.float16), 0).astype(np.float32)
    np.testing.assert_array_equal(y, expected)
    assert not np.array_equal(y, np.maximum(X * 2.5 + 1, 0))


def test_a_package_on_disk(tmp_path):
    path = tmp_path / "affine.mlpackage"
    affine().save(str(path))
    np.testing.assert_array_equal(
        migrate.evaluate(path, {"x": X})["y"], migrate.evaluate(affine(), {"x": X})["y"]
    )


class Pixels(nn.Module):
    def forward(self, image):
        return image * 0.5


def test_images_in_and_out():
    image = ct.ImageType(name="image", shape=(1, 3, 4, 6), color_layout=ct.colorlayout.BGR)
    result = ct.ImageType(name="out", color_layout=ct.colorlayout.BGR)
    program = converted(Pixels(), [image], outputs=[result])
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3) * 3
    out = migrate.evaluate(program, {"image": Image.fromarray(pixels)})["out"]
    np.testing.assert_array_equal(np.asarray(out), np.round(pixels * 0.5))


def test_a_classifier_gives_its_label_and_probabilities():
    scores = np.array([[0.1, 2.0, 0.3]], np.float32)
    outputs = migrate.evaluate(classifier("fp32"), {"x": scores})
    assert outputs.pop("classLabel") == "b"
    ((_, probabilities),) = outputs.items()
    assert list(probabilities) == ["a", "b", "c"]
    np.testing.assert_allclose(
        list(probabilities.values()), torch.softmax(torch.tensor(scores[0]), -1), rtol=1e-6
    )


def test_integers_in_and_out():
    class Twice(nn.Module):
        def forward(self, n):
            return n + n

    n = ct.TensorType(name="n", shape=(3,), dtype=np.int32)
    program = converted(Twice(), [n], outputs=[ct.TensorType(name="y", dtype=np.int32)])
    y = migrate.evaluate(program, {"n": np.array([1, -2, 2**20], np.int32)})["y"]
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, [2, -4, 2**21])
    with pytest.raises(InputError, match="input 'n' takes integers, got float64"):
        migrate.evaluate(program, {"n": np.array([0.5, 1, 2])})
    with pytest.raises(InputError, match="input 'n' has integers of more than 32 bits"):
        migrate.evaluate(program, {"n": np.array([1, 2, 2**31])})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "input 'x' is missing"),
        ({"x": X, "z": X}, "the model has no input 'z'"),
        ({"x": X[:1]}, "input 'x' has shape 1x3, the model takes 2x3"),
        ({"x": np.stack([X, X])}, "input 'x' has 3 dimensions, the model takes 2"),
        ({"x": np.array([["a"] * 3] * 2)}, "input 'x' is not an array of numbers"),
        ({"x": X * 1j}, "input 'x' is not an array of numbers"),
        ({"x": [[1, 2, 3], [4, 5]]}, "input 'x' is not an array of numbers"),
        ({"x": None}, "input 'x' is not an array of numbers"),
    ],
)
def test_inputs_that_do_not_fit(inputs, words):
    with pytest.raises(InputError, match=words):
        migrate.evaluate(affine(), inputs)


def test_what_is_no_ml_program(samples):
    with pytest.raises(ModelError, match=r"Block.mlmodel is not an ML Program"):
        migrate.evaluate(samples / "Block.mlmodel", {})


def test_missing_weights(tmp_path):
    path, weights = large(tmp_path / "large.mlpackage")
    weights.unlink()
    with pytest.raises(ModelError, match=r"weight.bin is missing") as caught:
        migrate.evaluate(path, {"x": np.zeros((1, 64))})
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off(tmp_path):
    path, weights = large(tmp_path / "large.mlpackage")
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"large.mlpackage cannot be read: .*bin ends before"):
        migrate.evaluate(path, {"x": np.zeros((1, 64))})


def test_operations_that_are_not_known_are_listed_at_once(tmp_path):
    path = tmp_path / "p.mlpackage"
    affine().save(str(path))
    with_unknown_operations(path)
    with pytest.raises(UnsupportedError, match=r"not known: my_mul, my_relu$"):
        migrate.evaluate(path, {"x": X})


def test_states_are_refused():
    with pytest.raises(UnsupportedError, match="keeps states \\('total'\\)"):
        migrate.evaluate(counter(), {"x": np.zeros(3)})


def test_several_functions_are_refused(tmp_path):
    both = with_two_functions(tmp_path)
    with pytest.raises(UnsupportedError, match="has 2 functions \\(first, second\\)"):
        migrate.evaluate(both, {"x": X})


def test_an_operation_that_fails_is_named():
    class Pick(nn.Module):
        def forward(self, x, n):
            return x.index_select(0, n.long())

    x = ct.TensorType(name="x", shape=(2, 3))
    n = ct.TensorType(name="n", shape=(1,), dtype=np.int32)
    program = converted(Pick(), [x, n])
    with pytest.raises(ModelError, match=r"^operation '.*' \(gather\): ") as caught:
        migrate.evaluate(program, {"x": X, "n": np.array([9], np.int32)})
    assert "\n" not in str(caught.value)


def test_widened_nothing_is_rounded_but_what_is_stored():
    """The casts at the interface and each operation are float32; 0.1 is the float16 number."""

    class Tenth(nn.Module):
        def forward(self, x):
            return torch.relu(x * 2.5 + 0.1)

    x = ct.TensorType(name="x", shape=(2, 3), dtype=np.float32)
    outputs = [ct.TensorType(name="y", dtype=np.float32)]
    program = converted(Tenth(), [x], "fp16", outputs=outputs)
    assert [o.kind for o in migrate.describe_program(program).operations].count("cast") == 2
    y = migrate.evaluate(program, {"x": X}, widened=True)["y"]
    stored = np.float32(np.float16(0.1))
    np.testing.assert_array_equal(y, np.maximum(X * np.float32(2.5) + stored, 0))
    assert stored != np.float32(0.1)
    assert not np.array_equal(y, migrate.evaluate(program, {"x": X})["y"])


def test_widened_a_float16_feature_comes_in_as_it_is_and_goes_out_in_float32():
    x = ct.TensorType(name="x", shape=(2, 3), dtype=np.float16)
    outputs = [ct.TensorType(name="y", dtype=np.float16)]
    program = converted(Affine(), [x], "fp16", outputs=outputs)
    y = migrate.evaluate(program, {"x": X}, widened=True)["y"]
    given = np.float32(np.float16(X))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.maximum(given * np.float32(2.5) + 1, 0))
    assert migrate.evaluate(program, {"x": X})["y"].dtype == np.float16


def test_widened_the_range_is_that_of_float32():
    program = affine("fp16")
    large = np.full((2, 3), 60000, np.float32)
    assert np.isinf(migrate.evaluate(program, {"x": large})["y"]).all()
    assert (migrate.evaluate(program, {"x": large}, widened=True)["y"] == 150001).all()


def test_widened_the_blocks_of_a_branch_are_too():
    class Branch(nn.Module):
        def forward(self, x):
            return twice(x)

    @torch.jit.script
    def twice(x):
        if bool(x.sum() > 0):
            return x * 1.0009765625 * 1.0009765625
        return x - 1

    x = ct.TensorType(name="x", shape=(2,))
    program = converted(Branch(), [x], "fp16", outputs=[ct.TensorType(name="y")])
    given = np.array([1, 3], np.float32)
    factor = np.float32(1.0009765625)
    y = migrate.evaluate(program, {"x": given}, widened=True)["y"]
    np.testing.assert_array_equal(y, given * factor * factor)
    assert not np.array_equal(y, migrate.evaluate(program, {"x": given})["y"])


def test_widened_integers_and_a_float32_program_stay_as_they_are():
    class Twice(nn.Module):
        def forward(self, n):
            return n + n

    n = ct.TensorType(name="n", shape=(3,), dtype=np.int32)
    program = converted(Twice(), [n], "fp16", outputs=[ct.TensorType(name="y", dtype=np.int32)])
    y = migrate.evaluate(program, {"n": np.array([1, -2, 2**20], np.int32)}, widened=True)["y"]
    assert (y.dtype, y.tolist()) == (np.int32, [2, -4, 2**21])
    both = [migrate.evaluate(affine(), {"x": X}, widened=w)["y"] for w in (True, False)]
    np.testing.assert_array_equal(*both)
