from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scripts import names_of, run_clean

import migrate
from migrate.coreml import coremltools, proto
from reporter.measure.inputs import seeded
from reporter.write import repro
from reporter.write.repro.layer_text import without_weights

BLOCK = Path(__file__).resolve().parents[4] / "samples" / "Block.mlmodel"


def save(spec, path):
    path.write_bytes(spec.SerializeToString(deterministic=True))
    return path


def drawn_digest():
    """Return the sha256 of Block's weights, drawn here from numpy's generator alone."""
    draw = np.random.RandomState(720810)
    digest = hashlib.sha256()
    for scale, shape in (
        (1 / 32, (1, 1, 800, 800)), (1, 800), (1 / 16, (1, 1, 128, 800)), (1, 800),
        (1 / 2, (5, 1, 1, 1600)), (1, 1600),
    ):  # fmt: skip
        digest.update(np.float32(draw.uniform(-1, 1, shape) * scale).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """The script of Block, run once where the model is not: what was generated, process, folder."""
    folder = tmp_path_factory.mktemp("block")
    made = repro.generate(BLOCK)
    return made, run_clean(made.script, folder), folder


def executed(building):
    """Return the spec that the building part of a post makes."""
    coremltools()
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder
    from google.protobuf import text_format

    names = {"np": np, "hashlib": hashlib, "datatypes": datatypes, "text_format": text_format}
    names |= {"NeuralNetworkBuilder": NeuralNetworkBuilder, "Model": proto("Model_pb2").Model}
    exec(building, names)
    return names["b"].spec


def test_the_building_part_of_block_is_short_and_builds_it(block):
    made, _, _ = block
    assert len(made.text) <= 1200
    assert made.text.isascii()
    spec, original = executed(made.text), migrate.load_spec(BLOCK)
    original.description.ClearField("metadata")
    spec.description.ClearField("metadata")
    assert spec == original


def test_block_is_rebuilt_weights_and_all(block):
    _, done, folder = block
    assert (done.returncode, done.stderr) == (0, "")
    rebuilt = migrate.load_spec(folder / "repro-seeded.mlmodel")
    original = migrate.load_spec(BLOCK)
    original.description.ClearField("metadata")
    assert rebuilt == original


def test_block_prints_the_hash_of_its_weights(block):
    assert drawn_digest() in block[1].stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is here")
def test_the_script_stops_where_core_ml_is_needed(block):
    assert "stopped before prediction" in block[1].stdout


def test_the_script_imports_coremltools_and_numpy_alone(block):
    tree = ast.parse(block[0].script)
    found = {
        a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    }
    found |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert found - set(sys.stdlib_module_names) == {"coremltools", "numpy"}


def test_the_same_model_gives_the_same_script(block):
    assert repro.generate(BLOCK)[:2] == block[0][:2]


def feature(spec, name, shape, dtype):
    array = spec.description.input.add(name=name).type.multiArrayType
    array.shape.extend(shape)
    array.dataType = dtype


def tiny(one_layer, name="t"):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    spec.neuralNetwork.layers[0].name = name
    return spec


def test_the_script_predicts_on_the_inputs_that_anereport_uses(one_layer, tmp_path, block):
    spec = tiny(one_layer)
    feature(spec, "numbers", (3, 5), 131104)
    feature(spec, "doubles", (7,), 65600)
    path = save(spec, tmp_path / "t.mlmodel")
    ours = seeded(path)
    theirs = names_of(repro.generate(path).script, tmp_path)["inputs"]("seeded")
    assert list(ours) == list(theirs) == ["in0", "numbers", "doubles"]
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name])
    assert theirs["numbers"].dtype == np.int32
    of_block = names_of(block[0].script, tmp_path)["inputs"]("real")
    assert of_block["input1"].shape == (1, 800, 43, 1)
    assert not np.array_equal(of_block["input1"].ravel()[:9], of_block["input2"].ravel()[:9])


@pytest.mark.parametrize(("code", "color"), [(10, "GRAYSCALE"), (20, "RGB"), (30, "BGR")])
def test_images_are_the_ones_that_anereport_uses(one_layer, tmp_path, code, color):
    spec = tiny(one_layer)
    image = spec.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 4, code
    path = save(spec, tmp_path / "t.mlmodel")
    described = migrate.read(path).inputs[0]
    assert described.color == color
    names = names_of(repro.generate(path).script, tmp_path)
    (array,) = names["inputs"]("seeded").values()
    assert np.array_equal(array, seeded(path)["in0"])
    expected, found = migrate.to_pil(array, described), names["as_image"]("in0", array)
    assert (found.size, found.mode) == ((5, 4), expected.mode)
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize(
    "name", ["a'b\"c", "```\n# x", "{{ x }} {seed} %s", "é\u202e", "\\", '"""']
)
def test_hostile_names_neither_break_the_script_nor_get_lost(one_layer, tmp_path, name):
    spec = tiny(one_layer, name)
    spec.description.input[0].name = spec.neuralNetwork.layers[0].input[0] = name
    path = save(spec, tmp_path / ('"""' + "'\\`.mlmodel"))
    made = repro.generate(path)
    assert "`" not in made.script
    assert made.script.isascii()
    assert "`" not in made.text
    assert without_weights(executed(made.text)) == without_weights(spec)
    built, _ = names_of(made.script, tmp_path)["build"]("seeded")
    assert without_weights(built) == without_weights(spec)
