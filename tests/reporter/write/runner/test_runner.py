"""The project: its files, what is run, and where it may be written."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from packages import affine, saved
from small_block import inputs as block_inputs
from small_block import small_block

from migrate import AnereportError
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.write.files.outputs import OutputError
from reporter.write.run import Options
from reporter.write.runner import runner


def model(path, **options):
    path.write_bytes(small_block(**options).SerializeToString(deterministic=True))
    return path


def manifest(project):
    return json.loads((project / "Inputs" / "jobs.json").read_text(encoding="utf-8"))


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Steps:
    def __init__(self):
        self.said, self.expected = [], 0

    def expect(self, steps):
        self.expected += steps

    def step(self, text):
        self.said.append(text)


@pytest.fixture
def block(tmp_path):
    return model(tmp_path / "Block.mlmodel")


def test_a_project_holds_the_app_the_model_its_inputs_and_what_is_run(block, tmp_path):
    done = runner.write(block, tmp_path / "p.swiftpm", Options(seeds=1, repeats=4))
    assert done.path == tmp_path / "p.swiftpm"
    assert done.models == ("Block.mlmodel",)
    files = content(done.path)
    assert done.size == sum(map(len, files.values()))
    assert not done.large
    sources = {f"{name}.swift" for name in runner.SOURCES}
    names = {str(path) for path in files}
    assert names >= {"Package.swift", "README.md", "Models/1.mlmodel", *sources}
    assert (done.path / "Models" / "1.mlmodel").read_bytes() == block.read_bytes()
    found = manifest(done.path)
    assert found["schema"] == "anereport.runner/1"
    assert found["units"] == ["cpu", "gpu", "ane", "all"]
    assert found["repeats"] == 4
    (job,) = found["jobs"]
    assert (job["file"], job["record"]) == ("1.mlmodel", "Block")
    assert job["model"] == identify(block).model_dump()


def test_inputs_are_numpys_bytes_in_files_named_by_their_hash(block, tmp_path):
    done = runner.write(block, tmp_path / "p.swiftpm", Options(seeds=2))
    (job,) = manifest(done.path)["jobs"]
    assert [s["name"] for s in job["inputs"]] == ["seed-0", "seed-1"]
    names = set()
    for number, inputs in enumerate(job["inputs"]):
        expected = seeded(block, number)
        assert [v["name"] for v in inputs["values"]] == list(expected) == ["b", "a"]
        for value in inputs["values"]:
            data = (done.path / "Inputs" / value["file"]).read_bytes()
            array = np.frombuffer(data, np.dtype(value["dtype"])).reshape(value["shape"])
            assert np.array_equal(array, expected[value["name"]])
            assert value["file"] == f"{hashlib.sha256(data).hexdigest()}.bin"
            names.add(value["file"])
    assert names | {"jobs.json"} == {p.name for p in (done.path / "Inputs").iterdir()}


def test_inputs_of_the_users_own_take_the_place_of_seeded_ones(block, tmp_path):
    given = block_inputs()
    np.savez(tmp_path / "in.npz", **{f"in::{name}": x for name, x in given.items()})
    options = Options(inputs=tmp_path / "in.npz")
    done = runner.write(block, tmp_path / "p.swiftpm", options)
    ((inputs,),) = [job["inputs"] for job in manifest(done.path)["jobs"]]
    assert inputs["name"] == "user"
    for value in inputs["values"]:
        assert value["dtype"] == "float64"
        assert (done.path / "Inputs" / value["file"]).read_bytes() == given[value["name"]].tobytes()


def test_controls_are_carried_if_asked_for(block, tmp_path):
    done = runner.write(block, tmp_path / "p.swiftpm", Options(seeds=1, controls=True))
    (job,) = manifest(done.path)["jobs"]
    assert [s["name"] for s in job["inputs"]] == ["seed-0", "ramp", "impulse", "zeros", "ones"]


def test_a_folder_of_models_is_one_project(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    one, two = model(folder / "A b!.mlmodel"), model(folder / "A b?.mlmodel", kind="concat")
    package = saved(affine(), folder / "P.mlpackage")
    (folder / "manifest.json").write_text("{}")
    steps = Steps()
    done = runner.write(folder, tmp_path / "p.swiftpm", Options(seeds=1), steps)
    assert done.models == ("A b!.mlmodel", "A b?.mlmodel", "P.mlpackage")
    assert (steps.expected, steps.said[2]) == (3, "adding P.mlpackage")
    jobs = manifest(done.path)["jobs"]
    assert [job["file"] for job in jobs] == ["1.mlmodel", "2.mlmodel", "3.mlpackage"]
    assert [job["record"] for job in jobs] == ["1-A-b", "2-A-b", "3-P"]
    assert [job["model"]["name"] for job in jobs] == [one.name, two.name, package.name]
    assert content(done.path / "Models" / "3.mlpackage") == content(package)


def test_names_of_any_kind_stand_in_the_json_alone(tmp_path):
    odd = 'q"\\(x)\n/../' + "n" * 10_000
    spec = small_block()
    spec.description.input[0].name = odd
    spec.neuralNetwork.layers[1].input[0] = odd
    path = tmp_path / 'M "\\(y)`\n.mlmodel'
    path.write_bytes(spec.SerializeToString())
    done = runner.write(path, tmp_path / "p.swiftpm", Options(seeds=1))
    (job,) = manifest(done.path)["jobs"]
    assert job["inputs"][0]["values"][0]["name"] == odd
    assert job["model"]["name"] == path.name
    assert job["record"] == "M-y"
    plain = runner.write(model(tmp_path / "B.mlmodel"), tmp_path / "q.swiftpm", Options(seeds=1))
    for name in runner.SOURCES:
        file = f"{name}.swift"
        assert (done.path / file).read_bytes() == (plain.path / file).read_bytes()
    for file in content(done.path):
        assert re.fullmatch(r"[\w./-]+", str(file)), file


@pytest.mark.parametrize(
    ("stem", "expected"), [("日本", "model"), ("--", "model"), ("a" * 99, "a" * 60), ("é1", "1")]
)
def test_a_record_has_a_name_that_every_system_takes(tmp_path, stem, expected):
    done = runner.write(model(tmp_path / f"{stem}.mlmodel"), tmp_path / "p", Options(seeds=1))
    assert manifest(done.path)["jobs"][0]["record"] == expected


def test_the_same_project_has_the_same_bytes_and_another_is_another_app(block, tmp_path):
    first = runner.write(block, tmp_path / "a", Options(seeds=1)).path
    again = runner.write(block, tmp_path / "b", Options(seeds=1)).path
    other = runner.write(block, tmp_path / "c", Options(seeds=2)).path
    assert content(first) == content(again)
    keys = [manifest(path)["id"] for path in (first, other)]
    assert keys[0] != keys[1]
    for key, path in zip(keys, (first, other), strict=True):
        assert re.fullmatch("[0-9a-f]{12}", key)
        assert f'"anereport.runner.{key}"' in (path / "Package.swift").read_text()


def test_the_readme_says_how_much_is_run(block, tmp_path):
    path = runner.write(block, tmp_path / "p", Options(seeds=1, repeats=1)).path
    text = (path / "README.md").read_text()
    assert "runs 1 model on" in text
    assert "every input, once,\n" in text
    path = runner.write(block, tmp_path / "q", Options(seeds=1, repeats=7)).path
    assert "every input, 7 times,\n" in (path / "README.md").read_text()
    assert "not yet been run on hardware" in text


def test_the_suffix_of_an_app_package_is_added_where_it_lacks(block, tmp_path):
    assert runner.write(block, tmp_path / "v1.2", Options(seeds=1)).path.name == "v1.2.swiftpm"
    assert runner.write(block, tmp_path / "a.swiftpm", Options(seeds=1)).path.name == "a.swiftpm"


def test_a_project_is_named_after_its_model_or_folder(tmp_path, monkeypatch):
    assert runner.default_folder(Path("a/Block.v2.mlmodel")) == "Block.v2-runner.swiftpm"
    assert runner.default_folder(Path("a/Net-1.2-variants")) == "Net-1.2-variants-runner.swiftpm"
    monkeypatch.chdir(tmp_path)
    assert runner.default_folder(Path()) == f"{tmp_path.name}-runner.swiftpm"


def test_a_project_is_replaced_only_if_that_is_asked_for(block, tmp_path):
    path = runner.write(block, tmp_path / "p", Options(seeds=1)).path
    with pytest.raises(OutputError, match="exists already"):
        runner.write(block, tmp_path / "p", Options(seeds=1))
    (path / "Models" / "1.mlmodel").unlink()
    runner.write(block, tmp_path / "p", Options(seeds=1, force=True))
    assert (path / "Models" / "1.mlmodel").exists()


def test_a_folder_of_somebody_elses_is_never_replaced(block, tmp_path):
    theirs = tmp_path / "p.swiftpm"
    (theirs / "Inputs").mkdir(parents=True)
    (theirs / "Inputs" / "jobs.json").write_text('{"schema": "theirs"}')
    with pytest.raises(OutputError, match="a folder that anereport did not write"):
        runner.write(block, theirs, Options(seeds=1, force=True))


@pytest.mark.parametrize("kind", ["empty folder", "no model", "bad inputs", "custom"])
def test_what_cannot_be_run_leaves_nothing(block, tmp_path, kind):
    empty, options, source = tmp_path / "empty", Options(seeds=1), block
    empty.mkdir()
    if kind == "empty folder":
        source = empty
    elif kind == "no model":
        source = tmp_path / "text.mlmodel"
        source.write_text("this is no model")
    elif kind == "custom":
        spec = small_block()
        spec.neuralNetwork.layers[1].custom.className = "Mine"
        source = tmp_path / "custom.mlmodel"
        source.write_bytes(spec.SerializeToString())
    else:
        np.savez(tmp_path / "in.npz", a=np.zeros(2))
        options = Options(inputs=tmp_path / "in.npz")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(AnereportError):
        runner.write(source, tmp_path / "new" / "p", options)
    assert sorted(tmp_path.iterdir()) == before


def test_a_large_project_says_so(block, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "LARGE", 10_000)
    assert runner.write(block, tmp_path / "p", Options(seeds=1)).large
    shutil.rmtree(tmp_path / "p.swiftpm")
    monkeypatch.setattr(runner, "LARGE", 10_000_000)
    assert not runner.write(block, tmp_path / "p", Options(seeds=1)).large
