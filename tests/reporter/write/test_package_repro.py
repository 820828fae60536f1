"""The script that loads a bundled package, executed as a stranger would."""

from __future__ import annotations

import ast
import shutil
import sys

import numpy as np
import pytest
from packages import affine, classifier, converted, ct, large, saved
from PIL import Image
from scripts import run_clean
from torch import nn

import migrate
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.write import package_repro

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


def inputs_of(script):
    """Return what the script's own seeded_inputs gives, up to that point executed here."""
    names = {"np": np, "sys": sys}
    exec(script[script.index("INPUTS = ") : script.index("def flat")], names)
    return names["seeded_inputs"](), names["OUTPUT"]


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
    theirs, output = inputs_of(generated(path))
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
    assert inputs_of(generated(path))[1] == "classLabel_probs"


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


def test_another_package_is_told_from_the_model(package, tmp_path):
    other = saved(affine(), tmp_path / "o.mlpackage")
    done = package_repro.execute("print('sha256 of another')", package, identify(other))
    assert "it loads ANOTHER package than the model" in done.status
    assert not done.own_weights


def test_a_script_that_fails_is_reported_as_failed(package):
    done = package_repro.execute("raise ValueError('on purpose')", package, identify(package))
    assert done.status == "FAILED when executed: ValueError: on purpose"
