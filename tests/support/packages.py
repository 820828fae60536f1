"""ML Programs that coremltools makes of torch modules, in memory and as packages on disk."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import torch
from torch import nn

from migrate.coreml import coremltools

ct = coremltools()
X = np.random.RandomState(0).randn(2, 3).astype(np.float32)


def converted(module, inputs, precision="fp32", target="iOS17", **options):
    """A torch module as the ML Program that coremltools makes of it."""
    floats = {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}
    examples = tuple(_zeros(i) for i in inputs)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), examples, check_trace=False)
        return ct.convert(
            traced, inputs=inputs, convert_to="mlprogram",
            compute_precision=floats.get(precision, precision),
            minimum_deployment_target=getattr(ct.target, target), skip_model_load=True, **options,
        )  # fmt: skip


def _zeros(feature):
    dtype = getattr(feature, "dtype", None)
    is_integer = dtype is not None and dtype.__name__ == "int32"
    return torch.zeros(feature.shape.to_list(), dtype=torch.int32 if is_integer else None)


class Affine(nn.Module):
    """Relu of 2.5 x + 1."""

    def forward(self, x):
        return torch.relu(x * 2.5 + 1)


def affine(precision="fp32", **options):
    """Affine of x (2, 3) as an ML Program with the output y."""
    x = ct.TensorType(name="x", shape=(2, 3))
    return converted(Affine(), [x], precision, outputs=[ct.TensorType(name="y")], **options)


def classifier(precision="fp16"):
    """A softmax of x (1, 3) with the classes a, b and c."""
    x = ct.TensorType(name="x", shape=(1, 3))
    config = ct.ClassifierConfig(["a", "b", "c"])
    return converted(nn.Softmax(-1), [x], precision, classifier_config=config)


def counter():
    """A program that keeps a state."""

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x):
            self.total.add_(x)
            return self.total * 1

    x = ct.TensorType(name="x", shape=(3,), dtype=np.float16)
    state = ct.StateType(wrapped_type=ct.TensorType(shape=(3,), dtype=np.float16), name="total")
    return converted(Counter(), [x], "fp16", "iOS18", states=[state])


def with_two_functions(folder):
    """The path of a package with the functions first and second."""
    path, both = folder / "one.mlpackage", folder / "both.mlpackage"
    affine(target="iOS18").save(str(path))
    descriptor = ct.utils.MultiFunctionDescriptor()
    descriptor.add_function(str(path), "main", "first")
    descriptor.add_function(str(path), "main", "second")
    descriptor.default_function_name = "first"
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        ct.utils.save_multifunction(descriptor, str(both))
    return both


def with_unknown_operations(path):
    """Rename the mul and the relu of a package on disk to what nobody knows."""
    (file,) = path.rglob("*.mlmodel")
    spec = ct.utils.load_spec(str(path))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    for operation in block.operations:
        if operation.type in ("mul", "relu"):
            operation.type = f"my_{operation.type}"
    file.write_bytes(spec.SerializeToString())
    return path


def large(path):
    """A package with a weight that does not stand in the program itself, and the weight's file."""
    x = ct.TensorType(name="x", shape=(1, 64))
    converted(nn.Linear(64, 64), [x]).save(str(path))
    (weights,) = path.rglob("weight.bin")
    return path, weights


def saved(program, path):
    """The path that a program has been saved to."""
    program.save(str(path))
    return path
