"""What an ML Program says of itself, of programs that coremltools makes of torch modules."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from packages import (
    affine,
    classifier,
    converted,
    counter,
    ct,
    large,
    saved,
    with_two_functions,
    with_unknown_operations,
)
from programs import mb, quiet, types
from torch import nn

import migrate
from migrate import ModelError, Operation, UnsupportedError, describe_program


@pytest.mark.parametrize(
    ("target", "version", "opset", "system"),
    [
        ("iOS15", 6, "CoreML5", "iOS 15, macOS 12"),
        ("iOS16", 7, "CoreML6", "iOS 16, macOS 13"),
        ("iOS17", 8, "CoreML7", "iOS 17, macOS 14"),
        ("iOS18", 9, "CoreML8", "iOS 18, macOS 15"),
    ],
)
def test_the_oldest_system(target, version, opset, system):
    found = describe_program(affine(target=target))
    assert (found.spec_version, found.opset, found.system) == (version, opset, system)


def test_operations_in_order_with_the_type_of_their_output():
    found = describe_program(affine())
    assert [(o.kind, o.shape, o.dtype) for o in found.operations] == [
        ("mul", (2, 3), "float32"), ("add", (2, 3), "float32"), ("relu", (2, 3), "float32"),
    ]  # fmt: skip
    assert found.operations[-1].name == "op_7"
    assert (found.labels, found.weights_size) == ((), 0)


def test_features_are_those_of_the_description():
    image = ct.ImageType(name="image", shape=(1, 3, 4, 6), color_layout=ct.colorlayout.BGR)
    number = ct.TensorType(name="n", shape=(1,), dtype=np.int32)

    class Sums(nn.Module):
        def forward(self, image, n):
            return image * n, n + n

    outputs = [ct.TensorType(name="y"), ct.TensorType(name="m", dtype=np.int32)]
    found = describe_program(converted(Sums(), [image, number], outputs=outputs))
    assert [(f.name, f.kind, f.shape, f.color or f.dtype) for f in found.inputs] == [
        ("image", "image", (1, 3, 4, 6), "BGR"), ("n", "multiArray", (1,), "int32"),
    ]  # fmt: skip
    assert [(f.name, f.dtype) for f in found.outputs] == [("y", "float32"), ("m", "int32")]


class TwoDense(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.second(self.first(x).tanh())


def test_precision_is_that_of_what_is_computed():
    x = ct.TensorType(name="x", shape=(2, 3), dtype=np.float32)
    y = ct.TensorType(name="y", dtype=np.float32)
    half = converted(TwoDense(), [x], "fp16", outputs=[y])
    assert {o.dtype for o in describe_program(half).operations} == {"float16", "float32"}
    assert describe_program(half).precision == "fp16"
    assert describe_program(converted(TwoDense(), [x], outputs=[y])).precision == "fp32"
    some = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type != "tanh")
    assert describe_program(converted(TwoDense(), [x], some, outputs=[y])).precision == "mixed"

    class Twice(nn.Module):
        def forward(self, n):
            return n + n

    n = ct.TensorType(name="n", shape=(3,), dtype=np.int32)
    assert describe_program(converted(Twice(), [n])).precision == "integers"


@pytest.mark.parametrize("labels", [["a", "b", "c"], [30, 10, 20]])
def test_a_classifiers_labels(labels):
    x = ct.TensorType(name="x", shape=(1, 3))
    program = converted(nn.Softmax(-1), [x], classifier_config=ct.ClassifierConfig(labels))
    found = describe_program(program)
    assert found.labels == tuple(labels)
    assert found.operations[-1].kind == "classify"


def test_the_size_of_the_weights(tmp_path):
    path, weights = large(tmp_path / "large.mlpackage")
    found = describe_program(path)
    assert found.weights_size == weights.stat().st_size > 64 * 64 * 4
    assert describe_program(str(path)) == found


def test_operations_of_inner_blocks_and_open_and_no_dimensions():
    @torch.jit.script
    def doubled(x):
        if bool(x.sum() > 0):
            return torch.tanh(x)
        return x - 1

    class Branch(nn.Module):
        def forward(self, x):
            return doubled(x)

    x = ct.TensorType(name="x", shape=(ct.RangeDim(1, 9, default=2), 3))
    with quiet():
        module = torch.jit.script(Branch())
        program = ct.convert(
            module, inputs=[x], convert_to="mlprogram", skip_model_load=True,
            compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS17,
        )  # fmt: skip
    found = {o.kind: o for o in describe_program(program).operations}
    assert found["tanh"].shape == (-1, 3)
    assert found["reduce_sum"].shape == ()
    assert list(found).index("cond") < list(found).index("tanh")
    assert found["greater"].dtype == "bool"


def test_what_is_no_tensor():
    @mb.program(input_specs=[mb.TensorSpec((2,), types.fp32)], opset_version=ct.target.iOS17)
    def program(x):
        ls = mb.make_list(init_length=1, elem_shape=(2,), dtype="fp32")
        return mb.list_read(ls=mb.list_write(ls=ls, index=0, value=x), index=0)

    with quiet():
        model = ct.convert(
            program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17,
            pass_pipeline=ct.PassPipeline.EMPTY, skip_model_load=True,
        )  # fmt: skip
    first, *_ = describe_program(model).operations
    assert first == Operation(first.name, "make_list", None, "list")


def test_operations_need_not_be_known(tmp_path):
    path = with_unknown_operations(saved(affine(), tmp_path / "p.mlpackage"))
    kinds = [o.kind for o in describe_program(path).operations]
    assert kinds == ["my_mul", "add", "my_relu"]


def test_missing_weights(tmp_path):
    path, weights = large(tmp_path / "large.mlpackage")
    shutil.move(weights, tmp_path / "elsewhere")
    with pytest.raises(
        ModelError, match=r"large.mlpackage lacks its weights: .*weight.bin is miss"
    ):
        describe_program(path)


def test_what_cannot_be_described(tmp_path, samples):
    with pytest.raises(ModelError, match=r"Block.mlmodel is not an ML Program"):
        describe_program(samples / "Block.mlmodel")
    with pytest.raises(UnsupportedError, match=r"keeps states \('total'\)"):
        describe_program(counter())
    with pytest.raises(UnsupportedError, match=r"has 2 functions \(first, second\)"):
        describe_program(with_two_functions(tmp_path))
    spec = classifier().get_spec()
    spec.mlProgram.functions["main"].opset = "CoreML99"
    with pytest.raises(ModelError, match="no operations of its opset 'CoreML99'"):
        describe_program(spec_only(spec))


def spec_only(spec):
    """What is like a model in memory of this spec."""

    class Held:
        weights_dir = None

        def get_spec(self):
            return spec

    return Held()


def test_it_has_a_public_name():
    assert migrate.describe_program is describe_program
    assert {"ProgramOverview", "Operation", "describe_program"} <= set(migrate.__all__)
