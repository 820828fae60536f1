"""README's ways to add a piece work: one of each is added to a copy of the project, and used there.

What is added is what the copy was made to lack first, or what nothing else knows.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def put(file, text, before=None):
    """Put a text at the end of a file, or in place of another, which must be there once."""
    content = file.read_text() if file.exists() else ""
    if before is None:
        content += text
    else:
        assert content.count(before) == 1, (file, before)
        content = content.replace(before, text)
    file.write_text(content)


LAYER = """
import torch
from migrate.registry import layer

@layer("erf")
def erf(p):
    return torch.erf
"""
OPERATION = """
import torch
from migrate.mil.registry import op
from migrate.mil.values import tensor

@op("erf")
def erf(x):
    return torch.erf(tensor(x))
"""
FAULT = '''

@counterfactual("halved")
def halved(site: Site) -> Tensor:
    """Write half of every value."""
    return site.healthy / 2
'''
RULE = '''

@rule("shouting", severity=INFO)
def shouting(scene: Scene) -> Found:
    """Find layers whose names are in capitals."""
    for node in scene.nodes:
        if re.search("'[A-Z]+'", node.place.where):
            yield node.place, "is in capitals"
'''
VENUE = '''
"""short.txt: the title alone."""

from reporter.write.rendering import render

FILE = "short.txt"


def text(report):
    """Return the report's title."""
    return render(FILE, report=report)
'''
USE = """
import json, sys, zipfile
from pathlib import Path
import numpy as np
import migrate
from migrate.coreml import coremltools, proto
from reporter.write.create import Options, create

spec = proto("Model_pb2").Model(specificationVersion=4)
spec.neuralNetwork.arrayInputShapeMapping = 1
spec.description.input.add(name="x").type.multiArrayType.shape.extend([3])
spec.description.input[0].type.multiArrayType.dataType = 65568
spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
layer = spec.neuralNetwork.layers.add(name="ERF", input=["x"], output=["y"])
layer.erf.SetInParent()
Path("m.mlmodel").write_bytes(spec.SerializeToString())
x = np.float32([-1, 0, 2])
net = migrate.to_torch("m.mlmodel")
found = {"home": migrate.__file__, "layer": net.predict({"x": x})["y"].tolist()}
program = migrate.to_mlprogram("m.mlmodel", precision="fp32")
found["operation"] = np.ravel(migrate.evaluate(program, {"x": x})["y"]).tolist()
with net.watching(migrate.fault(net, "halved@ERF")):
    found["fault"] = net.predict({"x": x})["y"].tolist()
found["rules"] = [finding.rule for finding in migrate.lint("m.mlmodel")]
create(Path("m.mlmodel"), Path("report"), Options())
found["venue"] = Path("report", "short.txt").read_text()
found["zipped"] = zipfile.ZipFile("report/m-report.zip").namelist()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project without the layer and the operation `erf`."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("migrate", "reporter", "templates"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    put(folder / "migrate/layers/unary.py", "", before='    "erf": torch.erf,\n')
    put(folder / "migrate/mil/unary.py", "", before='    "erf": torch.erf,\n')
    return folder


def use(folder):
    """Make a model of the layer `erf` there, and do with it what the additions are for."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{USE}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_one_of_each_is_added_and_works(copy):
    code, _, said = use(copy)
    assert code != 0
    assert "erf" in said.splitlines()[-1]
    put(copy / "migrate/layers/added.py", LAYER)
    put(copy / "migrate/mil/added.py", OPERATION)
    put(copy / "migrate/faults/of_outputs.py", FAULT)
    put(copy / "migrate/linting/of_layers.py", RULE)
    put(copy / "reporter/write/venues/short.py", VENUE)
    put(copy / "templates/short.txt", "{{ report.title|plain }}\n")
    listed = copy / "reporter/write/report/report_folder.py"
    put(listed, "github, html, json_, markdown, short", before="github, html, json_, markdown")
    put(listed, "ZIPPED = (markdown, html, short)", before="ZIPPED = (markdown, html)")
    code, printed, said = use(copy)
    assert code == 0, said
    found = json.loads(printed.splitlines()[-1])
    assert Path(found["home"]).is_relative_to(copy)
    right = [-0.8427008, 0.0, 0.9953223]
    assert found["layer"] == pytest.approx(right, abs=1e-6)
    assert found["operation"] == pytest.approx(right, abs=1e-6)
    assert found["fault"] == pytest.approx([x / 2 for x in right], abs=1e-6)
    assert "shouting" in found["rules"]
    assert found["venue"].startswith("Core ML: m.mlmodel")
    assert any(name.endswith("short.txt") for name in found["zipped"])
