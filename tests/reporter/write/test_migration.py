from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt

import migrate
from migrate import AnereportError
from migrate.coreml import coremltools, proto
from reporter.measure.identity import identify
from reporter.write import migration
from reporter.write.migration import ABSENT

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[3] / "samples"


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """Block, migrated: folder and Migration."""
    out = tmp_path_factory.mktemp("block") / "Block-mlprogram"
    return out, migration.write(SAMPLES / "Block.mlmodel", out)


def tiny(path, name="x", output="y", mode=None, data_type=None):
    b = NeuralNetworkBuilder(
        [(name, datatypes.Array(1, 2, 4))], [(output, datatypes.Array(1, 2, 4))],
        disable_rank5_shape_mapping=True, use_float_arraytype=True, mode=mode,
    )  # fmt: skip
    b.add_activation("relu", "RELU", name, output)
    if data_type:
        b.spec.description.input[0].type.multiArrayType.dataType = data_type
    path.write_bytes(b.spec.SerializeToString(deterministic=True))
    return path


def classifier(path):
    b = NeuralNetworkBuilder(
        [("x", datatypes.Array(3))], [("probabilities", datatypes.Array(3))], mode="classifier"
    )
    b.add_softmax("softmax", "x", "probabilities")
    b.set_class_labels(["a", "b", "c"], predicted_feature_name="label",
                       prediction_blob="probabilities")  # fmt: skip
    path.write_bytes(b.spec.SerializeToString(deterministic=True))
    return path


def rows(page):
    found = [line for line in page.splitlines() if re.match(r"\| (input|output) ", line)]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found]


def test_the_folder_holds_the_package_and_what_was_found(block):
    out, done = block
    assert sorted(p.name for p in out.iterdir()) == [
        "Block.mlpackage", "migration.json", "migration.md", "model.py", "weights.npz",
    ]  # fmt: skip
    assert [p.name for p in out.parent.iterdir()] == ["Block-mlprogram"]
    assert done.package == identify(out / "Block.mlpackage")
    assert done.source == identify(SAMPLES / "Block.mlmodel")


def test_the_source_is_of_the_same_model(block):
    out, done = block
    assert done.has_source
    assert json.loads((out / "migration.json").read_text())["has_source"]
    assert "`model.py` is the same network in PyTorch" in (out / "migration.md").read_text()
    net = runpy.run_path(str(out / "model.py"))["load"]()
    inputs = [torch.rand(1, 128, 43, 1), torch.rand(1, 800, 43, 1)]
    with torch.no_grad():
        assert torch.equal(net(*inputs), migrate.to_torch(SAMPLES / "Block.mlmodel")(*inputs))


def test_a_custom_layer_that_cannot_be_written_is_a_finding(tmp_path, monkeypatch):
    """The ML Program is written all the same."""
    (tmp_path / "in_place.py").write_text("def build(p):\n    return lambda x: x.mul_(2)\n")
    monkeypatch.chdir(tmp_path)
    path = tiny(tmp_path / "own.mlmodel")
    spec = migrate.load_spec(path)
    spec.neuralNetwork.layers[0].custom.className = "Own"
    path.write_bytes(spec.SerializeToString())
    done = migration.write(path, tmp_path / "out", custom=["in_place:build"])
    (finding,) = (f for f in done.findings if "model.py" in f)
    assert finding.startswith("model.py is not written: layer 'relu' (custom), 1 of 1: it changes")
    assert not done.has_source
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["migration.json", "migration.md", "own.mlpackage"]
    assert "in PyTorch" not in (tmp_path / "out" / "migration.md").read_text()


def test_what_cannot_be_converted_can_be_had_as_source(tmp_path):
    """MIL's non_maximum_suppression takes constants for the thresholds."""
    path = tiny(tmp_path / "boxes.mlmodel")
    spec = migrate.load_spec(path)
    highest = spec.neuralNetwork.layers.add(name="highest", input=["y"], output=["highest"])
    highest.reduceMax.reduceAll = True
    outputs = ["boxes", "scores", "indices", "count"]
    layer = spec.neuralNetwork.layers.add(name="nms", input=["y", "y", "highest"], output=outputs)
    layer.NonMaximumSuppression.maxBoxes = 1
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(AnereportError, match=r"--source-only writes the PyTorch source alone$"):
        migration.write(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    migration.write_source(path, tmp_path / "out")
    assert (tmp_path / "out" / "model.py").exists()


def test_the_declared_output_is_not_the_computed_one_and_that_is_said(block):
    out, done = block
    (finding,) = done.findings
    assert "declares output 'output' as 1x800x39x1 while its layers give 1x1600x39x1" in finding
    assert finding in (out / "migration.md").read_text()
    assert json.loads((out / "migration.json").read_text())["findings"] == [finding]


def test_the_package_loads_and_carries_the_true_shape_and_the_names(block):
    out, _ = block
    spec = coremltools().utils.load_spec(str(out / "Block.mlpackage"))
    assert spec.WhichOneof("Type") == "mlProgram"
    description = spec.description
    assert [f.name for f in description.input] == ["input2", "input1"]
    assert [f.name for f in description.output] == ["output"]
    assert list(description.output[0].type.multiArrayType.shape) == [1, 1600, 39, 1]


def test_the_json_says_the_same(block):
    out, done = block
    content = json.loads((out / "migration.json").read_text())
    assert content["schema"] == "anereport.migration/1"
    assert content["package"] == done.package.model_dump()
    assert content["source"]["sha256"] == done.source.sha256
    assert [f["after"] for f in content["features"]] == [
        "1x128x43x1 FLOAT32", "1x800x43x1 FLOAT32", "1x1600x39x1 FLOAT32",
    ]  # fmt: skip
    assert [f.changed for f in done.features] == [False, False, True]


def test_the_page_marks_what_changed(block):
    out, _ = block
    found = rows((out / "migration.md").read_text())
    assert found == [
        ["input input2", "1x128x43x1 FLOAT32", "1x128x43x1 FLOAT32"],
        ["input input1", "1x800x43x1 FLOAT32", "1x800x43x1 FLOAT32"],
        ["output output", "1x800x39x1 FLOAT32", "1x1600x39x1 FLOAT32, changed"],
    ]


def test_doubles_become_floats_and_that_is_said(tmp_path):
    path = tiny(tmp_path / "t.mlmodel", data_type=65600)
    done = migration.write(path, tmp_path / "out", migrate.Options(precision="fp32"))
    assert "'x': DOUBLE becomes FLOAT32" in " ".join(done.findings)
    assert done.features[0].changed


def test_what_a_classifier_loses_is_said(tmp_path):
    path = classifier(tmp_path / "c.mlmodel")
    before = [f.name for f in migrate.read(path).outputs]
    done = migration.write(path, tmp_path / "out")
    spec = coremltools().utils.load_spec(str(tmp_path / "out" / "c.mlpackage"))
    carried = {f.name: f for f in spec.description.output}
    said = {f.name_before: f for f in done.features if f.role == "output"}
    assert set(said) == set(before)
    for name in before:
        if name not in carried:
            assert said[name].after == ABSENT
            assert f"output '{name}'" in " ".join(done.findings)
        else:
            assert said[name].after != ABSENT
    page = rows((tmp_path / "out" / "migration.md").read_text())
    assert [row[0] for row in page] == ["input x", *(f"output {name}" for name in before)]


def described(*features):
    spec = proto("Model_pb2").Model()
    for role, name, shape in features:
        feature = getattr(spec.description, role).add(name=name)
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = 65568
    return spec


def test_features_are_paired_by_name_then_by_order():
    before = described(("output", "a", [1]), ("output", "b c", [2]), ("output", "d", [3]))
    after = described(("output", "b_c", [2]), ("output", "a", [1]), ("input", "new", [4]))
    found = {c.name_before: c for c in migration._changes(before, after)}
    assert not found["a"].changed
    assert (found["b c"].name_after, found["b c"].after) == ("b_c", "2 FLOAT32")
    assert (found["d"].after, found["d"].changed) == (ABSENT, True)
    assert (found["new"].before, found["new"].role) == (ABSENT, "input")


def test_a_hostile_file_name_breaks_no_table(tmp_path):
    path = tiny(tmp_path / "a|b`c<script>.mlmodel")
    migration.write(path, tmp_path / "out")
    page = (tmp_path / "out" / "migration.md").read_text()
    assert rows(page) == [
        ["input x", "1x2x4 FLOAT32", "1x2x4 FLOAT32"],
        ["output y", "1x2x4 FLOAT32", "1x2x4 FLOAT32"],
    ]
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    assert [t.type for t in tokens].count("tr_open") == 3 + 3
    inline = [child.type for t in tokens for child in t.children or []]
    assert not {"html_inline", "link_open"} & set(inline)
    assert "html_block" not in [t.type for t in tokens]


def test_the_metadata_of_the_model_is_carried(tmp_path):
    path = tiny(tmp_path / "t.mlmodel")
    spec = proto("Model_pb2").Model.FromString(path.read_bytes())
    spec.description.metadata.author = "Ada"
    spec.description.metadata.userDefined["key"] = "value"
    path.write_bytes(spec.SerializeToString())
    migration.write(path, tmp_path / "out")
    found = coremltools().utils.load_spec(str(tmp_path / "out" / "t.mlpackage"))
    assert found.description.metadata.author == "Ada"
    assert found.description.metadata.userDefined["key"] == "value"


def test_nothing_is_written_when_the_conversion_fails(tmp_path, monkeypatch):
    path = tiny(tmp_path / "t.mlmodel")

    def fail(*args):
        raise AnereportError("coremltools could not")

    monkeypatch.setattr(migrate.mlprogram, "convert", fail, raising=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AnereportError, match="coremltools could not"):
        migration.write(path, tmp_path / "new" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_folder_is_refused_before_any_work(tmp_path, monkeypatch):
    path = tiny(tmp_path / "t.mlmodel")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(migrate.mlprogram, "to_mlprogram", lambda *args: pytest.fail("worked"))
    with pytest.raises(AnereportError, match="exists already"):
        migration.write(path, tmp_path / "out")


def test_a_real_model_of_doubles(shared_models, tmp_path):
    done = migration.write(shared_models / "waifu2x_photo_noise0.mlmodel", tmp_path / "out")
    assert "DOUBLE becomes FLOAT32" in " ".join(done.findings)
    spec = coremltools().utils.load_spec(str(tmp_path / "out" / "waifu2x_photo_noise0.mlpackage"))
    before = migrate.read(shared_models / "waifu2x_photo_noise0.mlmodel")
    assert [f.name for f in spec.description.input] == [f.name for f in before.inputs]
    assert [f.name for f in spec.description.output] == [f.name for f in before.outputs]
    assert np.all([f.after != ABSENT for f in done.features])
