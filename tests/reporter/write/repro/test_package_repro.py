"""The script that loads a bundled package, executed as a stranger would."""

from __future__ import annotations

import ast
import shutil
import sys

import numpy as np
import pytest
from packages import affine, classifier, converted, ct, large, saved
from PIL import Image
from scripts import Devices, as_on_a_mac, names_of, run_clean, run_here
from torch import nn

import migrate
from reporter.measure.arrays import load_inputs, load_record
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.write.repro import package_repro

HOSTILE = "a'b\"c `{{ x }} é.mlpackage"


def generated(path):
    return package_repro.generate(path, migrate.describe_program(path))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package with a weight file and a name that is hard on quotes."""
    return large(tmp_path_factory.mktemp("hostile") / HOSTILE)[0]


def test_the_script_loads_the_package_beside_it(package, tmp_path):
    script = generated(package)
    assert script.isascii()
    shutil.copytree(package, tmp_path / HOSTILE)
    done = run_clean(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"sha256 {identify(package).sha256}" in done.stdout
    assert sys.platform == "darwin" or "stopped before prediction" in done.stdout


def test_the_script_imports_coremltools_and_numpy_alone(package):
    tree = ast.parse(generated(package))
    found = {
        a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    }
    found |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert found - set(sys.stdlib_module_names) == {"coremltools", "numpy"}


def inputs_of(path):
    """Return what the script of a package predicts on, and the output that it compares."""
    names = names_of(generated(path), path.parent)
    given = names["inputs"]("real")
    as_image = names.get("as_image", lambda name, array: array)
    return {name: as_image(name, array) for name, array in given.items()}, names["OUTPUT"]


def test_the_script_predicts_on_the_inputs_that_anereport_uses(tmp_path):
    class Sums(nn.Module):
        def forward(self, image, n):
            return image * n, n + n

    features = [
        ct.ImageType(name="image", shape=(1, 3, 4, 5), color_layout=ct.colorlayout.BGR),
        ct.TensorType(name="n", shape=(1,), dtype=np.int32),
    ]
    outputs = [ct.ImageType(name="picture"), ct.TensorType(name="m", dtype=np.int32)]
    path = saved(converted(Sums(), features, outputs=outputs), tmp_path / "s.mlpackage")
    theirs, output = inputs_of(path)
    ours = seeded(path)
    assert list(ours) == list(theirs) == ["image", "n"]
    assert np.array_equal(ours["n"], theirs["n"])
    feature = migrate.describe_program(path).inputs[0]
    assert isinstance(theirs["image"], Image.Image)
    assert np.array_equal(
        np.asarray(theirs["image"]), np.asarray(migrate.to_pil(ours["image"], feature))
    )
    assert output == "m"  # the first with numbers


def test_a_classifier_is_compared_by_its_probabilities(tmp_path):
    path = saved(classifier(), tmp_path / "c.mlpackage")
    assert inputs_of(path)[1] == "classLabel_probs"


def test_it_keeps_a_record_of_the_package(package, tmp_path, monkeypatch, capsys):
    shutil.copytree(package, tmp_path / HOSTILE)
    (output,) = migrate.describe_program(package).outputs
    devices = Devices(lambda unit, given: {output.name: np.ones(64, np.float32)})
    as_on_a_mac(monkeypatch, devices, generated(package), tmp_path, "--out", "r.npz")
    assert {file for file, _ in devices.asked} == {HOSTILE}
    assert "ANE against CPU: 0 of 64 elements differ" in capsys.readouterr().out
    record = load_record(tmp_path / "r.npz", identify(package))
    assert [run.unit for run in record.runs] == ["cpu", "gpu", "ane"]
    np.savez(tmp_path / "other.npz", model=np.array("0" * 64), **{"cpu::y": np.ones(2)})
    with pytest.raises(migrate.AnereportError, match="holds results of another model"):
        load_record(tmp_path / "other.npz", identify(package))


def test_it_has_no_other_weights(package, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_here(monkeypatch, generated(package), tmp_path, "--weights", "seeded")
    said = capsys.readouterr().err
    assert "there are no seeded weights: a package is not rebuilt" in said
    run_here(monkeypatch, generated(package), tmp_path, "inputs")
    kept = load_inputs(tmp_path / "real-inputs.npz")
    assert all(np.array_equal(kept[n], x) for n, x in seeded(package).items())


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is here")
def test_executing_it_shows_that_the_package_is_the_model(package):
    done = package_repro.execute(generated(package), package, identify(package))
    assert done.status == (
        "executed in a clean process up to the point where Core ML is needed: it loads the "
        "bundled package, the model itself"
    )
    assert done.own_weights
    assert not done.rebuilds
    assert "package loaded" in done.output
    (weights,) = done.weights
    assert (weights.kind, weights.identity) == ("real", identify(package))


def test_another_package_is_told_from_the_model(package, tmp_path):
    other = saved(affine(), tmp_path / "o.mlpackage")
    done = package_repro.execute("print('sha256 of another')", package, identify(other))
    assert "it loads ANOTHER package than the model" in done.status
    assert not done.own_weights


def test_a_script_that_fails_is_reported_as_failed(package):
    done = package_repro.execute("raise ValueError('on purpose')", package, identify(package))
    assert done.status == "FAILED when executed: ValueError: on purpose"
