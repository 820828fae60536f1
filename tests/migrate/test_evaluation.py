"""ML Programs that coremltools makes of torch modules, evaluated and compared with torch."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import migrate
from migrate import InputError, ModelError, UnsupportedError
from migrate.coreml import coremltools

ct = coremltools()


def converted(module, inputs, precision="fp32", target="iOS17", **options):
    """A torch module as the ML Program that coremltools makes of it."""
    floats = {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}
    examples = tuple(_zeros(i) for i in inputs)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), examples, check_trace=False)
        return ct.convert(
            traced, inputs=inputs, convert_to="mlprogram", compute_precision=floats[precision],
            minimum_deployment_target=getattr(ct.target, target), skip_model_load=True, **options,
        )  # fmt: skip


def _zeros(feature):
    dtype = getattr(feature, "dtype", None)
    is_integer = dtype is not None and dtype.__name__ == "int32"
    return torch.zeros(feature.shape.to_list(), dtype=torch.int32 if is_integer else None)


class Affine(nn.Module):
    def forward(self, x):
        return torch.relu(x * 2.5 + 1)


def affine(precision="fp32", **options):
    x = ct.TensorType(name="x", shape=(2, 3))
    return converted(Affine(), [x], precision, outputs=[ct.TensorType(name="y")], **options)


X = np.random.RandomState(0).randn(2, 3).astype(np.float32)


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
    x = ct.TensorType(name="x", shape=(1, 3))
    program = converted(nn.Softmax(-1), [x], classifier_config=ct.ClassifierConfig(["a", "b", "c"]))
    scores = np.array([[0.1, 2.0, 0.3]], np.float32)
    outputs = migrate.evaluate(program, {"x": scores})
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


def large(tmp_path):
    """A package with a weight that does not stand in the program itself."""
    x = ct.TensorType(name="x", shape=(1, 64))
    path = tmp_path / "large.mlpackage"
    converted(nn.Linear(64, 64), [x]).save(str(path))
    (weights,) = path.rglob("weight.bin")
    return path, weights


def test_missing_weights(tmp_path):
    path, weights = large(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"weight.bin is missing") as caught:
        migrate.evaluate(path, {"x": np.zeros((1, 64))})
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off(tmp_path):
    path, weights = large(tmp_path)
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"large.mlpackage cannot be read"):
        migrate.evaluate(path, {"x": np.zeros((1, 64))})


def test_operations_that_are_not_known_are_listed_at_once(tmp_path):
    path = tmp_path / "p.mlpackage"
    affine().save(str(path))
    (file,) = path.rglob("*.mlmodel")
    spec = migrate.load_spec(path)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    for operation in block.operations:
        if operation.type in ("mul", "relu"):
            operation.type = f"my_{operation.type}"
    file.write_bytes(spec.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"not known: my_mul, my_relu$"):
        migrate.evaluate(path, {"x": X})


def test_states_are_refused():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x):
            self.total.add_(x)
            return self.total * 1

    x = ct.TensorType(name="x", shape=(3,), dtype=np.float16)
    state = ct.StateType(wrapped_type=ct.TensorType(shape=(3,), dtype=np.float16), name="total")
    program = converted(Counter(), [x], "fp16", "iOS18", states=[state])
    with pytest.raises(UnsupportedError, match="keeps states \\('total'\\)"):
        migrate.evaluate(program, {"x": np.zeros(3)})


def test_several_functions_are_refused(tmp_path):
    path = tmp_path / "one.mlpackage"
    affine(target="iOS18").save(str(path))
    descriptor = ct.utils.MultiFunctionDescriptor()
    descriptor.add_function(str(path), "main", "first")
    descriptor.add_function(str(path), "main", "second")
    descriptor.default_function_name = "first"
    both = tmp_path / "both.mlpackage"
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        ct.utils.save_multifunction(descriptor, str(both))
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
