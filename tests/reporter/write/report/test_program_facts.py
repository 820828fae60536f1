"""The facts of packages: shapes as evaluated, and why there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from packages import affine, classifier, converted, ct, saved, with_unknown_operations
from torch import nn

import migrate
from reporter.measure.identity import identify
from reporter.write.report.program_facts import program_facts


@pytest.fixture
def facts(tmp_path):
    def found(program):
        path = saved(program, tmp_path / "m.mlpackage")
        return program_facts(path, migrate.describe_program(path))

    return found


def shapes(found):
    return [(f.name, f.role, f.kind, f.dtype, f.computed) for f in found.features]


def test_an_array(facts, tmp_path):
    found = facts(affine("fp16"))
    assert shapes(found) == [
        ("x", "input", "multiArray", "float16", (2, 3)),
        ("y", "output", "multiArray", "float16", (2, 3)),
    ]  # fmt: skip
    assert found.identity == identify(tmp_path / "m.mlpackage")
    assert found.identity.kind == "mlProgram"
    assert (found.layers, found.findings, found.unavailable) == ((), (), "")
    assert found.program.precision == "fp16"


def test_a_program_in_float32_cannot_be_on_the_neural_engine(facts):
    (finding,) = facts(affine("fp32")).findings
    assert "computes in float32 alone, which the Neural Engine does not" in finding


@pytest.mark.parametrize(("factor", "overflows"), [(40_000, True), (20_000, False)])
def test_what_float16_alone_makes_infinite_is_a_finding(facts, factor, overflows):
    """The seeded inputs reach -2: 80,000 is beyond 65,504, 40,000 is not."""

    class Large(nn.Module):
        def forward(self, x):
            return torch.relu(x * factor) / factor

    x = ct.TensorType(name="x", shape=(1, 3, 4, 4), dtype=np.float32)
    found = facts(converted(Large(), [x], "fp16"))
    assert len(found.findings) == overflows
    for finding in found.findings:
        assert "float16 overflows in 1 of the program's values" in finding
        assert "not of the hardware" in finding


def test_images_and_two_outputs(facts):
    class Both(nn.Module):
        def forward(self, image):
            return image * 0.5, image.mean((2, 3))

    image = ct.ImageType(name="image", shape=(1, 3, 4, 6))
    outputs = [ct.ImageType(name="out"), ct.TensorType(name="means", dtype=np.float32)]
    assert shapes(facts(converted(Both(), [image], outputs=outputs))) == [
        ("image", "input", "image", "RGB", (1, 3, 4, 6)),
        ("out", "output", "image", "RGB", (1, 3, 4, 6)),
        ("means", "output", "multiArray", "float32", (1, 3)),
    ]  # fmt: skip


def test_a_classifier(facts):
    found = facts(classifier())
    assert [(f.name, f.computed) for f in found.features] == [
        ("x", (1, 3)), ("classLabel", None), ("classLabel_probs", (3,)),
    ]  # fmt: skip
    assert found.program.labels == ("a", "b", "c")


def test_what_cannot_be_evaluated(tmp_path):
    path = with_unknown_operations(saved(affine(), tmp_path / "m.mlpackage"))
    found = program_facts(path, migrate.describe_program(path))
    assert found.unavailable == "operations that are not known: my_mul, my_relu"
    assert found.features[1].computed is None
    assert [o.kind for o in found.program.operations] == ["my_mul", "add", "my_relu"]
