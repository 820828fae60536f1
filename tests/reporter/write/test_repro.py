from __future__ import annotations

import ast
import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scripts import run_clean

import migrate
from migrate.coreml import coremltools, proto
from reporter.measure.inputs import seeded
from reporter.write import repro
from reporter.write.builder_calls import without_weights


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
def block_path():
    return Path(__file__).resolve().parents[3] / "samples" / "Block.mlmodel"


@pytest.fixture(scope="module")
def block(block_path, tmp_path_factory):
    """The script of Block, run once: script, building part, process, folder."""
    folder = tmp_path_factory.mktemp("block")
    script, building = repro.generate(block_path)
    return script, building, run_clean(script, folder), folder


def test_the_building_part_of_block_is_short(block):
    _, building, _, _ = block
    assert len(building) <= 1200
    assert building in block[0]
    assert building.isascii()


def test_block_is_rebuilt_weights_and_all(block, block_path):
    _, _, done, folder = block
    assert (done.returncode, done.stderr) == (0, "")
    rebuilt = migrate.load_spec(folder / "repro.mlmodel")
    original = migrate.load_spec(block_path)
    original.description.ClearField("metadata")
    assert rebuilt == original


def test_block_prints_the_hash_of_its_weights(block):
    assert drawn_digest() in block[2].stdout


def test_the_script_stops_where_core_ml_is_needed(block):
    if sys.platform == "darwin":
        pytest.skip("Core ML is here")
    assert "stopped before prediction" in block[2].stdout


def test_the_script_imports_coremltools_and_numpy_alone(block):
    tree = ast.parse(block[0])
    found = {
        a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    }
    found |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    own = {"coremltools", "numpy", "google"}  # protobuf comes with coremltools
    assert found - set(sys.stdlib_module_names) == own


def test_the_same_model_gives_the_same_script(block, block_path):
    assert repro.generate(block_path) == (block[0], block[1])


def inputs_of(script):
    """Return what the script's own seeded_inputs gives, up to that point executed here."""
    start = script.index("INPUTS = ")
    names = {"np": np, "sys": sys}
    exec(script[start : script.index("def flat")], names)
    return names["seeded_inputs"]()


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
    script, _ = repro.generate(path)
    ours, theirs = seeded(path), inputs_of(script)
    assert list(ours) == list(theirs) == ["in0", "numbers", "doubles"]
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name])
    assert theirs["numbers"].dtype == np.int32
    block_inputs = inputs_of(block[0])
    assert block_inputs["input1"].shape == (1, 800, 43, 1)
    assert not np.array_equal(
        block_inputs["input1"].ravel()[:9], block_inputs["input2"].ravel()[:9]
    )


@pytest.mark.parametrize(("code", "color"), [(10, "GRAYSCALE"), (20, "RGB"), (30, "BGR")])
def test_images_are_the_ones_that_anereport_uses(one_layer, tmp_path, code, color):
    spec = tiny(one_layer)
    image = spec.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 4, code
    path = save(spec, tmp_path / "t.mlmodel")
    feature = migrate.read(path).inputs[0]
    assert feature.color == color
    expected = migrate.to_pil(seeded(path)["in0"], feature)
    found = inputs_of(repro.generate(path)[0])["in0"]
    assert found.size == (5, 4)
    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("name", ["mnist_cnn", "waifu2x_photo_noise0"])
def test_a_real_model_is_rebuilt_but_for_its_weights(shared_models, tmp_path, name):
    path = shared_models / f"{name}.mlmodel"
    script, building = repro.generate(path)
    done = run_clean(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rebuilt = migrate.load_spec(tmp_path / "repro.mlmodel")
    original = migrate.load_spec(path)
    original.description.ClearField("metadata")
    assert without_weights(rebuilt) == without_weights(original)
    assert rebuilt != original
    judged = repro._judged(script, "", rebuilt, original)
    assert judged.rebuilds
    assert not judged.own_weights
    assert "seeded weights in place of its own" in judged.status
    assert building.isascii()


@pytest.mark.parametrize(
    "name", ["a'b\"c", "```\n# x", "{{ x }} {seed} %s", "é\u202e", "\\", '"""']
)
def test_hostile_names_neither_break_the_script_nor_get_lost(one_layer, tmp_path, name):
    spec = tiny(one_layer, name)
    spec.description.input[0].name = spec.neuralNetwork.layers[0].input[0] = name
    path = save(spec, tmp_path / ('"""' + "'\\`.mlmodel"))
    script, building = repro.generate(path)
    ast.parse(script)
    assert "`" not in building
    assert script.isascii()
    names = {"np": np, "hashlib": hashlib}
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder
    from google.protobuf import text_format

    names |= {"datatypes": datatypes, "NeuralNetworkBuilder": NeuralNetworkBuilder}
    names |= {"text_format": text_format, "Model": proto("Model_pb2").Model}
    exec(building, names)
    assert without_weights(names["b"].spec) == without_weights(spec)


def test_a_script_broken_on_purpose_is_reported_as_failed(one_layer, tmp_path):
    path = save(tiny(one_layer), tmp_path / "t.mlmodel")
    done = repro.execute("print('so far')\nraise ValueError('broken on purpose')\n", path)
    assert done.status == "FAILED when executed: ValueError: broken on purpose"
    assert "so far" in done.output
    assert not done.rebuilds


def test_a_script_that_writes_no_model_is_reported_as_failed(one_layer, tmp_path):
    path = save(tiny(one_layer), tmp_path / "t.mlmodel")
    assert repro.execute("print('nothing')", path).status == "FAILED when executed: nothing"
    assert repro.execute("", path).status == "FAILED when executed: no output"


def test_a_script_that_builds_something_else_is_told_from_the_model(one_layer):
    original, other = tiny(one_layer), tiny(one_layer, "another name")
    judged = repro._judged("", "", other, original)
    assert not judged.rebuilds
    assert "ANOTHER network" in judged.status


def test_a_script_that_takes_too_long_is_stopped(one_layer, tmp_path, monkeypatch):
    monkeypatch.setattr(repro, "SECONDS", 0.5)
    path = save(tiny(one_layer), tmp_path / "t.mlmodel")
    done = repro.execute("import time\ntime.sleep(60)\n", path)
    assert done.status.startswith("FAILED when executed: over 0.5 s")


def test_the_users_script_is_not_run_unless_asked(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("open('ran', 'w').close()\n")
    found = repro.from_user(script, run=False)
    assert found.script == "open('ran', 'w').close()\n"
    assert (found.author, found.output) == ("the user", "")
    assert found.status.startswith("not executed")
    assert not (tmp_path / "ran").exists()


def test_the_users_script_runs_where_it_lies(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("open('ran', 'w').close()\nprint('hello')\n")
    found = repro.from_user(script, run=True)
    assert (tmp_path / "ran").exists()
    assert found.status == "executed, it ended without error"
    assert found.output == "hello\n"


def test_the_users_script_that_fails(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import sys\nprint('so far')\nsys.exit('no')\n")
    found = repro.from_user(script, run=True)
    assert found.status == "executed, FAILED (exit 1)"
    assert found.output == "so far\nno\n"


def test_the_users_script_may_print_any_bytes(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe ok')\n")
    assert "ok" in repro.from_user(script, run=True).output


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_a_script_that_cannot_be_read(tmp_path, kind):
    path = tmp_path / "mine.py"
    if kind == "folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(migrate.AnereportError, match="cannot read the script"):
        repro.from_user(path, run=True)


# --- on a Mac, with a stand-in for the class that predicts


def predicted_with(script, folder, monkeypatch, *arguments):
    """The files that the script predicts with, in order."""
    ct, asked = coremltools(), []

    class Stub:
        def __init__(self, path, compute_units):
            asked.append((Path(path).name, compute_units.name))

        def predict(self, inputs):
            (x,) = inputs.values()
            return {"out0": x + len(asked)}

    (folder / "repro.py").write_text(script)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["repro.py", *arguments])
    monkeypatch.setattr(ct.models, "MLModel", Stub)
    monkeypatch.setattr(sys, "platform", "darwin")
    runpy.run_path(str(folder / "repro.py"), run_name="__main__")
    assert [unit for _, unit in asked] == ["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"]
    return {name for name, _ in asked}


def test_it_predicts_with_the_model_itself_where_that_lies_beside(
    one_layer, tmp_path, monkeypatch, capsys
):
    path = save(one_layer("activation", [(2, 3)], fill=linear), tmp_path / "m.mlmodel")
    script, _ = repro.generate(path)
    assert predicted_with(script, tmp_path, monkeypatch) == {"m.mlmodel"}
    assert "predicting with the model itself" in capsys.readouterr().out
    assert predicted_with(script, tmp_path, monkeypatch, "seeded") == {"repro.mlmodel"}
    assert "predicting with seeded weights" in capsys.readouterr().out
    path.unlink()
    assert predicted_with(script, tmp_path, monkeypatch) == {"repro.mlmodel"}


def linear(p):
    p.linear.alpha = 2.0
