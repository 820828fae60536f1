"""From a model, its results and a person's machine to a report: nothing private arrives."""

from __future__ import annotations

import html
import json
import re
import shutil
import zipfile

import numpy as np
import planted_secrets as planted
import pytest
from migrations import written
from packages import affine, saved
from small_block import small_block
from typer.testing import CliRunner

from migrate import load_spec
from reporter.cli import app
from reporter.measure import record as records
from reporter.measure.identity import identify
from reporter.measure.simulate import simulate
from reporter.write.create import Options, create
from reporter.write.migration import migration
from reporter.write.privacy import model_copy
from reporter.write.report import report_file
from reporter.write.report.report_folder import again
from reporter.write.report.stated import Stated
from reporter.write.variants import variants

EVERY = "\n".join(w for w, _ in planted.SECRETS if "\n" not in w)
PRIVATE = [p for w, p in planted.SECRETS if "\n" not in w]
MAIL, SERIAL = "jane.doe@example.com", "C02XK1ZZJGH5"


@pytest.fixture(autouse=True)
def _among_strangers(monkeypatch):
    planted.strangers(monkeypatch)


def model(folder, name=f"{MAIL}.mlmodel", spec=None):
    """Write a block whose every text holds all that is private."""
    spec = spec or small_block()
    metadata = spec.description.metadata
    metadata.author = metadata.license = metadata.shortDescription = EVERY
    metadata.versionString = MAIL
    metadata.userDefined[SERIAL] = EVERY
    metadata.userDefined["com.github.apple.coremltools.version"] = "8.1"
    spec.description.input[0].shortDescription = f"by {MAIL}"
    return written(folder / name, spec)


def record(path, folder, name=f"{SERIAL}.json", **more):
    """Write a record whose every text holds all that is private, in fields unknown too."""
    made = json.loads(records.dumps(simulate(path, "bias-only@one")))
    made["device"] |= {
        "label": "Jane's iPhone",
        "system": "iOS",
        "chip": MAIL,
        "tools": {MAIL: SERIAL},
    }
    made["runs"][0]["messages"] = ["E5RT error in " + w for w, _ in planted.SECRETS]
    made["unknown"] = {"password": "tulipan9", "said": EVERY, "ECID": 7349874591868649} | more
    failed = {
        "unit": "all",
        "input": made["runs"][0]["input"],
        "failure": {
            "stage": "load",
            "message": f"cannot read /Users/bobq/Falcon/x.bin of {MAIL}",
            "stderr": EVERY,
        },
    }
    made["runs"].append(failed)
    (folder / name).write_text(json.dumps(made))
    return folder / name  # fmt: skip


def script(folder):
    """Write a script of the user's, so that ours need not be run."""
    (folder / "mine.py").write_text("print(1)\n")
    return folder / "mine.py"


def texts(folder):
    """Yield the text of each file of a folder and of its zips, decoded, with all names."""
    for path in sorted(folder.rglob("*")):
        yield path.name, path.name
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield (
                        f"{path.name}:{name}",
                        f"{name}\n{archive.read(name).decode('utf-8', 'replace')}",
                    )
        elif path.is_file():
            yield str(path), path.read_bytes().decode("utf-8", "replace")


def spellings(text):
    """Return a text as it is, and as JSON, HTML and Markdown have it decoded."""
    unescaped = html.unescape(text)
    markdown = re.sub(r"\\([\\`*_\[\]#|])", r"\1", unescaped)
    decoded = text.replace("\\\\", "\\").replace("\\/", "/").replace('\\"', '"')
    return "\n".join((text, unescaped, markdown, decoded))


def leaks(folder, private=PRIVATE):
    return [(where, p) for where, text in texts(folder) for p in private if p in spellings(text)]


@pytest.fixture(scope="module")
def planted_report(tmp_path_factory):
    """A report of a model, a record, a listing's text, notes and a path that hold all of it."""
    folder = tmp_path_factory.mktemp("Falcon")
    with pytest.MonkeyPatch.context() as patch:
        planted.strangers(patch)
        path = model(folder)
        out = folder / "out"
        result, script = record(path, folder), folder / "mine.py"
        script.write_text(f"print({EVERY!r})\n")
        given = [path, "--out", out, "--record", result, "--script", script, "--budget", "0"]
        given = [*map(str, given), "--last-good", f"iOS 13.7 on {SERIAL}"]
        done = CliRunner().invoke(app, ["create", *given])
        (out / "notes.md").write_text(EVERY)
    return path, out, done


def test_nothing_planted_is_in_a_report_its_zip_or_what_is_printed(planted_report):
    _, out, done = planted_report
    assert done.exit_code == 0, done.output
    (out / "notes.md").unlink()
    assert leaks(out) == []
    printed = done.output.replace(str(out), "OUT")
    assert [p for p in PRIVATE if p in printed] == []
    assert "removed: " in printed
    assert "mail address" in printed.partition("removed: ")[2]


def test_the_reader_of_the_corpus_sees_what_is_planted(planted_report, tmp_path):
    path, _, _ = planted_report
    shutil.copyfile(path, tmp_path / "m.mlmodel")
    assert {p for _, p in leaks(tmp_path)} == set(PRIVATE)


def test_a_report_made_again_stays_clean_and_keeps_its_list(planted_report):
    _, out, _ = planted_report
    before = report_file.load(out).removed
    (out / "notes.md").write_text(f"# mine\nI ran it, {EVERY}")
    report = again(out, Stated(feedback="FB12345678"))
    assert leaks(out) == []
    assert "I ran it" in (out / "notes.md").read_text()
    counted = {one.kind: one.count for one in report.removed}
    assert all(counted[one.kind] >= one.count for one in before)
    assert report_file.load(out).removed == report.removed
    assert "notes.md" in {w for one in report.removed for w in one.where}


def test_the_copy_differs_in_its_texts_alone_and_both_hashes_are_said(planted_report):
    path, out, _ = planted_report
    report = report_file.load(out)
    copy = out / "removed-mail-address.mlmodel"
    assert report.model.identity.sha256 == identify(path).sha256
    assert report.model.bundled == identify(copy)
    before, after = load_spec(path), load_spec(copy)
    assert after.description.metadata.versionString == "[mail address]"
    assert after.description.metadata.userDefined["com.github.apple.coremltools.version"] == "8.1"
    for spec in (before, after):
        spec.description.ClearField("metadata")
        spec.description.input[0].shortDescription = ""
    assert before == after
    page = (out / "report.md").read_text()
    assert report.model.bundled.sha256 in page
    assert "Nothing else differs: checked" in page
    assert "the records beside it name the copy in place of the original" in page
    assert report.model.bundled.sha256 in (out / "feedback.txt").read_text()


def test_the_bundled_copy_goes_with_the_bundled_records(planted_report, tmp_path):
    _, out, _ = planted_report
    copy, kept = out / "removed-mail-address.mlmodel", out / "records"
    assert {records.load(p).model for p in kept.glob("*.json")} == {
        identify(copy).model_copy(update={"name": "[mail address].mlmodel"})
    }
    result = list(kept.glob("*.json"))
    report = create(copy, tmp_path / "out", Options(records=result, script=script(tmp_path)))
    assert report.verdict == report_file.load(out).verdict
    assert report.removed == ()


def test_arrays_of_a_model_name_its_bundled_copy(tmp_path):
    spec = small_block()
    spec.description.input[0].shortDescription = f"by {MAIL}"
    path = written(tmp_path / "m.mlmodel", spec)
    given = {f"in::{n}": np.ones(s, "f4") for n, s in (("a", (1, 6, 8, 1)), ("b", (1, 3, 8, 1)))}
    given |= {"cpu::out": np.ones((1, 16, 4, 1), "f4")}
    sha = identify(path).sha256_without_metadata
    np.savez(tmp_path / f"of {MAIL}.npz", **given, model=np.array(sha))
    found = [tmp_path / f"of {MAIL}.npz"]
    create(path, tmp_path / "out", Options(records=found, script=script(tmp_path)))
    kept = dict(np.load(tmp_path / "out" / "records" / "of removed-mail-address.npz"))
    after = identify(tmp_path / "out" / "m.mlmodel").sha256_without_metadata
    assert str(kept.pop("model")) == after != sha
    assert {k: v.tobytes() for k, v in kept.items()} == {k: v.tobytes() for k, v in given.items()}


def test_a_script_without_private_descriptions_rebuilds_a_model_that_keeps_them(tmp_path):
    spec = small_block()
    spec.description.input[0].shortDescription = f"by {MAIL}"
    path = written(tmp_path / "m.mlmodel", spec)
    report = create(path, tmp_path / "out", Options(keep_metadata=True))
    assert report.repro.rebuilds
    assert leaks(tmp_path / "out", [MAIL]) != []
    assert MAIL not in report.repro.script
    assert ("repro.py",) in [one.where for one in report.removed]


def test_old_records_pass_the_gate_again(planted_report, tmp_path):
    _, out, _ = planted_report
    shutil.copytree(out, tmp_path / "old")
    file = next((tmp_path / "old" / "records").glob("*.json"))
    content = json.loads(file.read_text()) | {"unknown": MAIL}
    file.write_text(json.dumps(content))
    again(tmp_path / "old", Stated())
    assert json.loads(file.read_text())["unknown"] == "[mail address]"


def test_a_model_with_a_private_name_can_be_varied_and_migrated(tmp_path):
    path = written(tmp_path / "aliceb.mlmodel", small_block())
    variants.write(path, tmp_path / "v")
    migration.write(path, tmp_path / "m")
    assert variants.read(path, tmp_path / "v", [])
    options = Options(variants=tmp_path / "v", migration=tmp_path / "m", script=script(tmp_path))
    create(path, tmp_path / "out", options)
    assert (tmp_path / "m" / "removed-user-name.mlpackage").is_dir()
    assert leaks(tmp_path / "out", ["aliceb"]) == []


def test_the_list_names_kinds_and_places_and_nothing_else(planted_report):
    _, out, _ = planted_report
    section = (out / "report.md").read_text().partition("## Privacy\n")[2].partition("\n## ")[0]
    assert "the model's metadata: author" in section
    assert "records" in section
    assert "Removed: " in section


def test_a_model_without_anything_private_is_copied_to_the_byte(tmp_path):
    path = written(tmp_path / "m.mlmodel", small_block())
    report = create(path, tmp_path / "out", Options(script=script(tmp_path)))
    assert (tmp_path / "out" / "m.mlmodel").read_bytes() == path.read_bytes()
    assert report.model.bundled is None
    assert report.removed == ()
    assert "Nothing was found to remove." in (tmp_path / "out" / "report.md").read_text()


def test_metadata_are_kept_on_demand_and_the_list_says_so(tmp_path):
    spec = small_block()
    spec.description.metadata.author = MAIL
    path = written(tmp_path / "m.mlmodel", spec)
    given = ["--out", str(tmp_path / "out"), "--script", str(script(tmp_path))]
    done = CliRunner().invoke(app, ["create", str(path), *given, "--keep-metadata"])
    assert (tmp_path / "out" / "m.mlmodel").read_bytes() == path.read_bytes()
    kept = (
        "kept in the model, as --keep-metadata asks: 1 mail address (the model's metadata: author)"
    )
    assert kept in done.output
    report = report_file.load(tmp_path / "out")
    assert report.model.bundled is None
    assert [one.kept for one in report.removed] == [True]


def test_names_of_layers_stay_and_those_that_look_private_are_said(tmp_path):
    spec = small_block()
    layer = spec.neuralNetwork.layers[0]
    layer.name = MAIL
    path = written(tmp_path / "m.mlmodel", spec)
    result = tmp_path / "r.json"
    result.write_text(records.dumps(simulate(path, f"bias-only@{MAIL}")))
    report = create(path, tmp_path / "out", Options(records=[result]))
    assert report.model.layers[0].name == MAIL
    assert MAIL in (tmp_path / "out" / "repro.py").read_text()
    assert json.loads((tmp_path / "out" / "records" / "r.json").read_text())["simulation"] == (
        f"bias-only@{MAIL}"
    )
    said = [f for f in report.model.findings if "looks like a mail address" in f]
    assert len(said) == 1
    assert MAIL in said[0]
    assert report.repro.rebuilds
    assert again(tmp_path / "out", Stated()).model.findings == report.model.findings
    assert leaks(tmp_path / "out", ["[mail address]"]) == []


def test_a_package_leaves_its_texts_and_what_its_manifest_does_not_name(tmp_path):
    package = affine()
    package.author = MAIL
    path = saved(package, tmp_path / "p.mlpackage")
    (path / ".DS_Store").write_text(MAIL)
    (path / "Data" / "com.apple.CoreML" / "weights" / "._weight.bin").write_text(MAIL)
    (path / "notes.txt").write_text(MAIL)
    report = create(path, tmp_path / "out", Options())
    assert leaks(tmp_path / "out", [MAIL]) == []
    copy = tmp_path / "out" / "p.mlpackage"
    assert not [p for p in copy.rglob("*") if p.name.startswith(".") or p.name == "notes.txt"]
    assert report.model.bundled == identify(copy)
    assert report.model.bundled.sha256 in report.repro.output
    assert report.repro.own_weights
    stray = next(one for one in report.removed if one.kind == "stray file")
    assert stray.count == 3


def test_the_manifests_texts_are_told_and_its_identifiers_stay(tmp_path):
    path = saved(affine(), tmp_path / "p.mlpackage")
    manifest = json.loads((path / "Manifest.json").read_text())
    for item in manifest["itemInfoEntries"].values():
        item["author"] = MAIL
    (path / "Manifest.json").write_text(json.dumps(manifest))
    copied = model_copy.copied(path, tmp_path / "q.mlpackage")
    told = json.loads((copied.path / "Manifest.json").read_text())
    assert {item["author"] for item in told["itemInfoEntries"].values()} == {"[mail address]"}
    assert told["rootModelIdentifier"] == manifest["rootModelIdentifier"]
    assert list(told["itemInfoEntries"]) == list(manifest["itemInfoEntries"])
    assert load_spec(copied.path) == load_spec(path)


def test_a_copy_that_differs_in_more_than_its_texts_is_refused(tmp_path, monkeypatch):
    path = model(tmp_path, "m.mlmodel")
    real = model_copy.model_texts.tell

    def careless(spec, told):
        real(spec, told)
        if hasattr(spec, "specificationVersion"):
            spec.description.input[0].name += "x"

    monkeypatch.setattr(model_copy.model_texts, "tell", careless)
    with pytest.raises(model_copy.CopyError, match="give --keep-metadata"):
        model_copy.copied(path, tmp_path / "n.mlmodel")
