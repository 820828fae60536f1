"""The folder of a migration: what it holds, what is kept of it, and what is refused."""

from __future__ import annotations

import functools
import itertools
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from migrations import (
    as_kept,
    both,
    fails,
    gives,
    measured,
    model,
    no_conversion,
    overflowing,
    planned,
    put,
    strict,
    with_inputs,
    without,
)  # fmt: skip

import migrate
from migrate import AnereportError
from migrate.coreml import coremltools, proto
from reporter.measure import coreml, measuring, record
from reporter.measure.identity import identify
from reporter.measure.record import RecordError
from reporter.measure.simulate import simulate
from reporter.understand import migrated
from reporter.understand.migrated import ABSENT, MigrationError
from reporter.write.attached.kept_records import kept
from reporter.write.files.outputs import OutputError
from reporter.write.migration import migration

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[4] / "samples"


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
    (variant,) = done.variants
    assert variant.identity == identify(out / "Block.mlpackage")
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
    page = (out / "migration.md").read_text()
    assert finding in page[: page.index("\n## ")]
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
    content = strict((out / "migration.json").read_text())
    assert content["schema"] == "anereport.migration/2"
    (variant,) = content["variants"]
    assert variant["name"] == "Block.mlpackage"
    assert variant["identity"] == done.variants[0].identity.model_dump()
    assert content["source"]["sha256"] == done.source.sha256
    assert [f["after"] for f in variant["features"]] == [
        "1x128x43x1 FLOAT32", "1x800x43x1 FLOAT32", "1x1600x39x1 FLOAT32",
    ]  # fmt: skip
    assert [f.changed for f in done.variants[0].features] == [False, False, True]
    assert migrated.load(out) == as_kept(done)


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
    assert done.variants[0].features[0].changed


def test_what_a_classifier_loses_is_said(tmp_path):
    path = classifier(tmp_path / "c.mlmodel")
    before = [f.name for f in migrate.read(path).outputs]
    done = migration.write(path, tmp_path / "out")
    spec = coremltools().utils.load_spec(str(tmp_path / "out" / "c.mlpackage"))
    carried = {f.name: f for f in spec.description.output}
    said = {f.name_before: f for f in done.variants[0].features if f.role == "output"}
    assert set(said) == set(before)
    for name in before:
        if name not in carried:
            assert said[name].after == ABSENT
            assert f"output '{name}'" in " ".join(done.findings)
        else:
            assert said[name].after != ABSENT
    page = rows((tmp_path / "out" / "migration.md").read_text())
    assert [row[0] for row in page] == ["input x", *(f"output {name}" for name in before)]


def table_rows(tokens):
    """The tables of a page, and for each how many cells its rows have."""
    tables = [i for i, t in enumerate(tokens) if t.type == "table_open"]
    columns = []
    for start in tables:
        end = next(i for i in range(start, len(tokens)) if tokens[i].type == "table_close")
        rows = [i for i in range(start, end) if tokens[i].type == "tr_open"] + [end]
        columns.append(
            [
                sum(t.type in ("th_open", "td_open") for t in tokens[a:b])
                for a, b in itertools.pairwise(rows)
            ]
        )
    return tables, columns


def test_a_hostile_file_name_breaks_no_table(tmp_path):
    path = tiny(tmp_path / "a|b`c<script>.mlmodel")
    migration.write(path, tmp_path / "out")
    page = (tmp_path / "out" / "migration.md").read_text()
    assert rows(page) == [
        ["input x", "1x2x4 FLOAT32", "1x2x4 FLOAT32"],
        ["output y", "1x2x4 FLOAT32", "1x2x4 FLOAT32"],
    ]
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    tables, columns = table_rows(tokens)
    assert len(tables) >= 4
    assert all(len(set(cells)) == 1 for cells in columns), columns
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

    monkeypatch.setattr(migrate, "convert", fail)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AnereportError, match="coremltools could not"):
        migration.write(path, tmp_path / "new" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_folder_is_refused_before_any_work(tmp_path, monkeypatch):
    path = tiny(tmp_path / "t.mlmodel")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(migrate, "convert", no_conversion)
    monkeypatch.setattr(migrate, "load_spec", lambda *args: pytest.fail("worked"))
    with pytest.raises(AnereportError, match="exists already"):
        migration.write(path, tmp_path / "out")


def test_a_real_model_of_doubles(shared_models, tmp_path, monkeypatch):
    quick = functools.partial(migrate.verify, kinds=["integers"])  # its rest is tested elsewhere
    monkeypatch.setattr(migrate, "verify", quick)
    done = migration.write(shared_models / "waifu2x_photo_noise0.mlmodel", tmp_path / "out")
    assert "DOUBLE becomes FLOAT32" in " ".join(done.findings)
    spec = coremltools().utils.load_spec(str(tmp_path / "out" / "waifu2x_photo_noise0.mlpackage"))
    before = migrate.read(shared_models / "waifu2x_photo_noise0.mlmodel")
    assert [f.name for f in spec.description.input] == [f.name for f in before.inputs]
    assert [f.name for f in spec.description.output] == [f.name for f in before.outputs]
    assert np.all([f.after != ABSENT for f in done.variants[0].features])


# --- records, and a folder that is kept


AVOIDS = "avoids the bug"


class Told:
    """Counts the steps, and how many were to be expected."""

    def __init__(self):
        self.texts, self.expected = [], 0

    def expect(self, steps):
        self.expected += steps

    def step(self, text):
        self.texts.append(text)


class Files:
    """A small model, the folder that it was migrated to, and two records of them."""

    def __init__(self, folder):
        self.folder = folder
        self.model, self.out = folder / "m.mlmodel", folder / "out"
        self.before, self.after = folder / "before.json", folder / "after.json"

    @property
    def package(self):
        return self.out / "m.mlpackage"

    def write(self, *records, **options):
        return migration.write(self.model, self.out, records=records, **options)

    def kept(self):
        return sorted(p.name for p in (self.out / "records").glob("*"))


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    found = Files(tmp_path_factory.mktemp("made"))
    model(found.model)
    found.write()
    before, after = both(found.model, found.package)
    put(found.before, before)
    put(found.after, after)
    return found


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """A copy of it all, where nothing may be converted again."""
    shutil.copytree(made.folder, tmp_path / "work")
    monkeypatch.setattr(migrate, "convert", no_conversion)
    return Files(tmp_path / "work")


def refused(files, kind, *records, words="", **options):
    """One sentence, and all is as it was."""
    before = content(files.folder)
    names = sorted(p.name for p in files.folder.iterdir())
    with pytest.raises(kind) as caught:
        files.write(*records, **options)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert content(files.folder) == before
    assert sorted(p.name for p in files.folder.iterdir()) == names
    return message


def test_without_records_the_verdict_is_that_nothing_is_measured(made):
    done = migrated.load(made.out)
    (verdict,) = done.verdicts
    assert verdict.word == "not measured"
    assert verdict.commands == (
        "anereport run m.mlmodel --out before.json",
        "anereport run [temporary folder]/.../m.mlpackage --out after.json",
    )
    assert not (made.out / "records").exists()


def test_a_matching_folder_is_kept_and_the_verdict_added(files):
    before = content(files.out)
    done = files.write(files.before, files.after)
    (verdict,) = done.verdicts
    assert (verdict.variant, verdict.word, verdict.evidence) == (
        "m.mlpackage", AVOIDS, "measured",
    )  # fmt: skip
    after = content(files.out)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        "migration.json", "migration.md", "records/before.json", "records/after.json",
    }  # fmt: skip
    assert before.keys() <= after.keys()
    assert migrated.load(files.out) == as_kept(done)
    strict((files.out / "migration.json").read_text())
    assert [p.name for p in files.folder.iterdir() if p.name.startswith(".")] == []


def test_no_more_steps_than_were_expected(files):
    told = Told()
    files.write(files.before, progress=told)
    assert told.texts == ["reading the model", "comparing records of m.mlpackage"]
    assert told.expected == 2


def test_the_page_says_the_verdict_and_what_it_rests_on(files):
    files.write(files.before, files.after)
    page = (files.out / "migration.md").read_text().replace("\\", "")
    assert f"**m.mlpackage on my phone, iPhone14,2 (20C65): {AVOIDS}.**" in page
    assert "1 of 1 operations of m.mlpackage are planned on the Neural Engine." in page
    assert "SIMULATED" not in page
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    _, columns = table_rows(tokens)
    assert all(len(set(cells)) == 1 for cells in columns), columns


def test_simulated_records_are_marked_on_the_page(files):
    put(files.before, simulate(files.model, "bias-only@convolution"))
    put(files.after, planned(simulate(files.package, "none")))
    done = files.write(files.before, files.after)
    assert done.simulated
    assert done.verdicts[0].word == AVOIDS
    page = (files.out / "migration.md").read_text()
    assert "> **SIMULATED.**" in page
    assert "SIMULATED. **m" in page


def test_records_come_one_after_the_other(files):
    """Those that were given before count as well."""
    first = files.write(files.before)
    assert first.verdicts[0].word == "not measured"
    assert files.kept() == ["before.json"]
    second = files.write(files.after)
    assert second.verdicts[0].word == AVOIDS
    assert files.kept() == ["after.json", "before.json"]
    assert second.verdicts[0].before.records == ("before.json",)


def test_the_same_record_is_kept_once(files):
    files.write(files.before, files.before)
    shutil.copy(files.before, files.folder / "copy.json")
    files.write(files.folder / "copy.json", files.after)
    assert files.kept() == ["after.json", "before.json"]


def test_a_record_with_a_folder_of_a_user_is_kept_once(files):
    """It is kept without that folder, and is the same record all the same."""
    found = fails(record.load(files.before), "gpu", message="no /Users/alice/model here")
    put(files.before, found)
    files.write(files.before, files.after)
    files.write(files.before)
    assert files.kept() == ["after.json", "before.json"]
    assert all(b"alice" not in text for text in content(files.out).values())


def test_another_record_of_the_same_name_is_kept_beside(files):
    """In folders of their own, and more than one."""
    after = record.load(files.after)
    later = put(files.folder / "later" / "after.json", measured(after, build="21A000"))
    third = put(files.folder / "third" / "After.json", measured(after, build="z"))
    beside = put(files.folder / "2-after.json", measured(after, build="y"))
    files.write(files.before, files.after, beside)
    done = files.write(later, third)
    names = files.kept()
    assert len(names) == len({name.lower() for name in names}) == 5
    builds = {r.device.build for r in kept(files.out).values()}
    assert builds == {"20C65", "21A000", "y", "z"}
    assert len(done.verdicts) == 4


def test_a_record_of_any_name_is_read_again(files):
    shutil.move(files.before, files.folder / "before")
    files.write(files.folder / "before")
    assert files.kept() == ["before.json"]
    assert files.write(files.after).verdicts[0].word == AVOIDS


def test_a_folder_of_records(files):
    folder = files.folder / "records"
    folder.mkdir()
    for path in (files.before, files.after):
        shutil.move(path, folder / path.name)
    (folder / "notes.txt").write_text("no record")
    assert files.write(folder).verdicts[0].word == AVOIDS
    assert files.kept() == ["after.json", "before.json"]


def test_records_and_no_folder_yet(made, tmp_path):
    """All is made, and judged, at once."""
    done = migration.write(made.model, tmp_path / "out", records=[made.before, made.after])
    assert done.verdicts[0].word == AVOIDS
    assert migrated.load(tmp_path / "out") == as_kept(done)
    assert len(list((tmp_path / "out" / "records").iterdir())) == 2


def test_what_the_verdict_is_worth_with_other_records(files):
    before, after = record.load(files.before), record.load(files.after)
    y = next(r for r in after.runs if r.unit == "cpu").outputs["y"].array()
    cases = {
        "right, but not proven to run on the Neural Engine": (before, planned(after, None)),
        "nothing to avoid: the NeuralNetwork was right on this device":
            (gives(before, "ane", y=y), after),
        "does not avoid it": (before, fails(after, "ane")),
        "worse": (before, gives(after, "ane", y=y + 1e6)),
        "not measured": (before, without(after, "ane")),
        AVOIDS: (fails(before, "ane"), after),
    }  # fmt: skip
    for word, (one, other) in cases.items():
        shutil.rmtree(files.out / "records", ignore_errors=True)
        put(files.before, one)
        put(files.after, other)
        assert files.write(files.before, files.after).verdicts[0].word == word
        assert f": {word}.**" in (files.out / "migration.md").read_text().replace("\\", "")


def test_an_overflow_stays_strict_json(tmp_path):
    """Infinite ratios in the verification and in the verdict."""
    path, out = overflowing(tmp_path / "m.mlmodel"), tmp_path / "out"
    migration.write(path, out)
    given = both(path, out / "m.mlpackage", "none")
    paths = [put(tmp_path / f"{i}.json", r) for i, r in enumerate(given)]
    done = migration.write(path, out, records=paths)
    assert any("overflows float16 by itself" in r for r in done.verdicts[0].reasons)
    text = (out / "migration.json").read_text()
    assert '"Infinity"' in text
    strict(text)
    assert migrated.load(out) == as_kept(done)


# --- what is refused


def test_a_folder_of_another_model_is_refused(files):
    model(files.model, kernel=np.float32([[1, 2], [3, 4], [5, 6]]))
    message = refused(files, MigrationError, files.before, words="a migration of another model")
    assert "m.mlmodel, sha256 " in message
    assert message.endswith("choose another with --out, or give --force")


def test_a_model_of_other_metadata_is_another(files):
    spec = migrate.load_spec(files.model)
    spec.description.metadata.author = "Ada"
    files.model.write_bytes(spec.SerializeToString())
    refused(files, MigrationError, files.before, words="a migration of another model")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp32"}, "ML Program in fp32, for iOS16 and later"),
        ({"target": "iOS17"}, "ML Program in fp16, for iOS17 and later"),
        ({"features": "fp16"}, "fp16 arrays at its inputs and outputs"),
        ({"keep_fp32": ("relu",)}, "but for relu in fp32"),
        ({"max_size": 7}, "does not hold what is asked for"),
    ],
)
def test_a_folder_of_other_options_is_refused(files, options, words):
    message = refused(
        files, MigrationError, files.before, options=migrate.Options(**options), words=words
    )
    assert "does not hold what is asked for" in message
    assert message.endswith("or give --force to convert again")


def test_a_folder_of_one_program_is_no_matrix(files):
    words = "does not hold what is asked for (ML Program in fp16, for iOS15"
    refused(files, MigrationError, files.before, matrix=True, words=words)


def test_a_package_that_was_changed_is_refused(files):
    (file,) = files.package.rglob("*.mlmodel")
    spec = migrate.load_spec(files.package)
    spec.description.metadata.author = "somebody"
    file.write_bytes(spec.SerializeToString())
    refused(files, MigrationError, files.before, words="m.mlpackage is not as it was written")
    shutil.rmtree(files.package)
    refused(files, MigrationError, files.before, words="lacks m.mlpackage")


def test_a_migration_that_cannot_be_read_is_refused(files):
    (files.out / "migration.json").write_text("{")
    refused(files, OutputError, files.before, words="a folder that anereport did not write")
    (files.out / "migration.json").write_text('{"schema": "anereport.migration/2",')
    refused(files, MigrationError, files.before, words="cannot read")
    (files.out / "migration.json").write_text('{"schema": "anereport.migration/1"}')
    refused(files, MigrationError, files.before, words="run anereport migrate again")


def test_a_folder_of_somebody_else_is_refused(files):
    shutil.rmtree(files.out)
    files.out.mkdir()
    (files.out / "thesis.txt").write_text("mine")
    refused(files, OutputError, files.before, words="a folder that anereport did not write")


def test_a_folder_without_a_migration_is_refused(files):
    shutil.rmtree(files.out)
    files.out.mkdir()
    refused(files, MigrationError, files.before, words="holds no migration.json")


def test_a_folder_that_exists_is_refused_without_records(files):
    refused(files, OutputError, words="exists already")


def test_records_of_an_unrelated_model_are_refused(files, tmp_path):
    other = model(tmp_path / "other.mlmodel", kernel=np.float32([[1, 2], [3, 4], [5, 6]]))
    path = put(files.folder / "unrelated.json", simulate(other, "none"))
    message = refused(files, RecordError, files.before, path, words="a record of another model")
    assert "unrelated.json" in message
    assert "other.mlmodel" in message
    assert "neither of m.mlmodel nor of m.mlpackage" in message


def test_records_of_an_unrelated_model_leave_no_new_folder(made, tmp_path):
    path = model(tmp_path / "other.mlmodel", kernel=np.float32([[1, 2], [3, 4], [5, 6]]))
    with pytest.raises(RecordError, match="a record of another model"):
        migration.write(path, tmp_path / "new" / "out", records=[made.before])
    assert [p.name for p in tmp_path.iterdir()] == ["other.mlmodel"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("none.json", None, "no such file"), ("bad.json", "{", "is not JSON"),
     ("old.json", "{}", "schema: expected 'anereport.record/1'")],
)  # fmt: skip
def test_records_that_cannot_be_read_are_refused(files, name, text, words):
    path = files.folder / name
    if text is not None:
        path.write_text(text)
    refused(files, RecordError, path, words=words)


def test_a_folder_without_records_is_refused(files):
    (files.folder / "empty").mkdir()
    (files.folder / "empty" / "notes.txt").write_text("no record")
    refused(files, RecordError, files.folder / "empty", words="empty holds no record")


def test_a_kept_record_that_was_spoiled_is_refused(files):
    files.write(files.before)
    (files.out / "records" / "before.json").write_text("{")
    refused(files, RecordError, files.after, words="is not JSON")


def test_inputs_that_are_not_those_of_the_model_end_in_a_sentence(files):
    odd = np.zeros((1, 5, 2, 3), np.float32)
    for path in (files.before, files.after):
        put(path, with_inputs(record.load(path), x=odd))
    (verdict,) = files.write(files.before, files.after).verdicts
    assert verdict.reasons[0].startswith("no reference can be computed: ")


def test_force_converts_again(made, tmp_path):
    shutil.copytree(made.out, tmp_path / "out")
    put(tmp_path / "out" / "records" / "old.json", record.load(made.before))
    options = migrate.Options(target="iOS17")
    done = migration.write(made.model, tmp_path / "out", options, True, records=[made.before])
    assert done.variants[0].options == options
    assert [p.name for p in (tmp_path / "out" / "records").iterdir()] == ["before.json"]


def test_one_that_was_left_out_of_a_matrix_is_not_there(files):
    """So that it cannot be what a single program is asked for."""
    done, options = migrated.load(files.out), migrate.Options(target="iOS17")
    left = done.variants[0].model_copy(
        update={"identity": None, "left_out": "no", "options": options}
    )
    whole = done.model_copy(update={"variants": (*done.variants, left)})
    (files.out / "migration.json").write_text(migrated.dumps(whole))
    words = "does not hold what is asked for (ML Program in fp16, for iOS17"
    refused(files, MigrationError, files.before, options=options, words=words)


def test_without_options_whatever_a_model_was_migrated_to_is_judged(made, tmp_path):
    """The command that the page gives has no options, whichever the folder was made with."""
    out, options = tmp_path / "out", migrate.Options(target="iOS17")
    migration.write(made.model, out, options)
    done = migration.write(made.model, out, records=[made.before])
    assert done.variants[0].options == options
    assert "--record before.json --record after.json --out" in (out / "migration.md").read_text()


# --- on a Mac


@pytest.fixture
def mac(monkeypatch):
    """Core ML is here, and a network is wrong on its Neural Engine; the names measured so far."""
    names = []

    def measure(path, inputs=None):
        assert inputs is None
        names.append(path.name)
        fault = "bias-only@convolution" if path.suffix == ".mlmodel" else "none"
        found = measured(simulate(path, fault), label="this Mac")
        return planned(found) if path.suffix == ".mlpackage" else found

    monkeypatch.setattr(coreml, "available", lambda: True)
    monkeypatch.setattr(measuring, "measure", measure)
    return names


def test_a_mac_measures_the_model_and_what_it_became(mac, tmp_path):
    path, out, told = model(tmp_path / "m.mlmodel"), tmp_path / "out", Told()
    done = migration.write(path, out, progress=told)
    assert mac == ["m.mlmodel", "m.mlpackage"]
    assert "measuring m.mlpackage on this Mac" in told.texts
    assert len(told.texts) == told.expected
    (verdict,) = done.verdicts
    assert (verdict.word, verdict.device) == (AVOIDS, "this Mac, iPhone14,2 (20C65)")
    assert sorted(p.name for p in (out / "records").iterdir()) == [
        "m.mlmodel.json", "m.mlpackage.json",
    ]  # fmt: skip
    assert migrated.load(out) == as_kept(done)


def test_a_mac_measures_every_model_of_a_matrix(mac, tmp_path):
    path, out = model(tmp_path / "m.mlmodel", declared=(1, 3, 3, 2)), tmp_path / "out"
    done = migration.write(path, out, matrix=True)
    assert mac == [v.name for v in done.variants]
    assert len(mac) == 10
    words = {v.variant: v.word for v in done.verdicts}
    assert list(words) == mac[1:]
    assert words["m-declared.mlmodel"] == "does not avoid it"
    unproven = "right, but not proven to run on the Neural Engine"
    assert words["m-fp32-iOS15.mlpackage"] == unproven
    for release in (15, 16, 17, 18):
        assert words[f"m-fp16-iOS{release}.mlpackage"] == AVOIDS
    for release in (16, 17, 18):
        assert words[f"m-fp16-iOS{release}-fp16-features.mlpackage"] in (AVOIDS, unproven)
    page = (out / "migration.md").read_text()
    assert all(name in page for name in mac)
    kept = migration.write(path, out, matrix=True, records=[out / "records" / "m.mlmodel.json"])
    assert len(mac) == 10
    assert kept.verdicts == done.verdicts
    assert len(list((out / "records").iterdir())) == 10


def test_a_mac_measures_nothing_where_records_are_given(mac, files):
    assert files.write(files.before, files.after).verdicts[0].word == AVOIDS
    assert mac == []


def test_a_network_in_a_package(tmp_path):
    """It has the name that its ML Program has, and is none of the folder's."""
    path, out = tmp_path / "m.mlpackage", tmp_path / "out"
    spec = migrate.load_spec(model(tmp_path / "m.mlmodel"))
    coremltools().models.MLModel(spec, skip_model_load=True).save(str(path))
    done = migration.write(path, out)
    (variant,) = done.variants
    assert (done.source.name, variant.name) == ("m.mlpackage", "m.mlpackage")
    assert (done.source.kind, variant.identity.kind) == ("neuralNetwork", "mlProgram")
    paths = [put(tmp_path / f"{i}.json", r) for i, r in enumerate(both(path, out / "m.mlpackage"))]
    assert migration.write(path, out, records=paths).verdicts[0].word == AVOIDS


def test_a_corrected_network_is_judged_by_the_same_evidence(mac, tmp_path, monkeypatch):
    """Right on the Neural Engine and planned whole on it: declaring the shape was enough."""

    def measure(path):
        fault = "bias-only@convolution" if path.name == "m.mlmodel" else "none"
        return planned(measured(simulate(path, fault)))

    monkeypatch.setattr(measuring, "measure", measure)
    networks = migrate.UnsupportedError("not here")

    def convert(net, source, options, sha256, real=migrate.convert):
        if (options.precision, options.target, options.features) != ("fp16", "iOS15", ""):
            raise networks
        return real(net, source, options, sha256)

    monkeypatch.setattr(migrate, "convert", convert)
    path = model(tmp_path / "m.mlmodel", declared=(1, 3, 3, 2))
    done = migration.write(path, tmp_path / "out", matrix=True)
    words = {v.variant: v.word for v in done.verdicts}
    assert list(words) == ["m-declared.mlmodel", "m-fp16-iOS15.mlpackage"]
    assert words["m-declared.mlmodel"] == AVOIDS
