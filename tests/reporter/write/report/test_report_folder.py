"""What is made of a report.json: the same bytes each time, and nothing else is touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
from pathlib import Path

import jsonschema
import many_devices
import numpy as np
import pytest
from migrations import model as network
from migrations import spec_of, written
from packages import affine, saved
from rule_devices import always, record
from small_block import small_block

from migrate import AnereportError
from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.understand.reference import Referee
from reporter.understand.understood import Bounds
from reporter.write import repro, schemas
from reporter.write.create import Options, create
from reporter.write.files import staging
from reporter.write.migration import migration
from reporter.write.report import report_file, report_folder
from reporter.write.report.notes import NotesError
from reporter.write.report.report_folder import again
from reporter.write.report.stated import Stated
from reporter.write.variants import variants

SAMPLES = Path(__file__).resolve().parents[4] / "samples"
FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
HOSTILE = 'a|b`c```\n# <script>alert(1)</script> \u202e[x](y) *z* "q" \\| \u00e9~ ../../x'
MADE = {"report.md", "report.html", "report.json", "forum.md", "feedback.txt", "github.md"}
KINDS = ("simulated", "listed", "program", "migrated", "varied", "devices", "hostile", "nan")


def kept(path, record):
    path.write_text(dumps(record))
    return path


def simulated(here):
    path = written(here / "m.mlmodel", small_block())
    return path, {"records": [kept(here / "r.json", simulate(path, "bias-only@one"))]}


def listed(here):
    path = SAMPLES / "Block.mlmodel"
    return path, {"records": [SAMPLES / "thread-720810.txt"], "shape": (1, 1600, 39, 1),
                  "devices": ["iPhone 13"]}  # fmt: skip


def program(here):
    path = saved(affine(), here / "m.mlpackage")
    return path, {"records": [kept(here / "r.json", simulate(path, "none"))]}


def migrated(here):
    path = network(here / "m.mlmodel")
    migration.write(path, here / "m-mlprogram")
    made = here / "m-mlprogram/m.mlpackage"
    return path, {"records": [kept(here / "r.json", simulate(path, "bias-only@convolution")),
                              kept(here / "s.json", simulate(made, "none"))],
                  "migration": here / "m-mlprogram"}  # fmt: skip


def varied(here):
    path = written(here / "m.mlmodel", small_block())
    variants.write(path, here / "m-variants")
    models = [path, *sorted((here / "m-variants").glob("*.mlmodel"))]
    found = [kept(here / f"{i}.json", record(p, always)) for i, p in enumerate(models[:4])]
    return path, {"records": found, "variants": here / "m-variants"}


def devices(here):
    path = many_devices.model(here / "m.mlmodel")
    return path, {"records": [many_devices.written(here / "records", many_devices.ten(path))]}


def hostile(here):
    path = written(here / "m.mlmodel", spec_of(name=f"x{HOSTILE}", output=f"y{HOSTILE}"))
    return path, {"records": [kept(here / "r.json", simulate(path, "none"))],
                  "devices": [HOSTILE]}  # fmt: skip


def nan(here):
    path = network(here / "m.mlmodel")
    y = np.float32([np.nan, np.inf, -np.inf] * 6).reshape(1, 3, 2, 3)
    x = np.ones((1, 2, 2, 3), np.float32)
    np.savez(
        here / "r.npz",
        **{"in::x": x, "cpu::y": y, "gpu::y": y[:, ::-1], "ane::y": np.zeros_like(y)},
    )
    return path, {"records": [here / "r.npz"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A report's folder of each kind, and the Report that was returned with it."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
        for kind in KINDS:
            here = tmp_path_factory.mktemp(kind)
            path, options = globals()[kind](here)
            options = Options(bounds=Bounds(budget=2), **options)
            found[kind] = here / "report", create(path, here / "report", options)
    return found


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of the simulated one."""
    shutil.copytree(folders["simulated"][0], tmp_path / "report")
    return tmp_path / "report"


def content(folder):
    """What lies below a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def write_notes(folder, text):
    with (folder / "notes.md").open("a", encoding="utf-8") as stream:
        stream.write(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_what_its_file_says(folders, kind):
    folder, report = folders[kind]
    text = (folder / "report.json").read_text(encoding="utf-8")
    found = report_file.loads(text)
    assert repr(found) == repr(report)
    assert ("NaN" in text) == (kind == "nan")
    assert report_file.dumps(found) == text
    validator = jsonschema.Draft202012Validator(schemas.of("report"))
    assert not list(validator.iter_errors(json.loads(text, parse_constant=pytest.fail)))


@pytest.mark.parametrize("kind", KINDS)
def test_made_again_of_the_same_it_is_the_same_bytes(folders, kind, tmp_path, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("something was computed")

    monkeypatch.setattr(Referee, "__init__", never)
    monkeypatch.setattr(repro, "execute", never)
    shutil.copytree(folders[kind][0], tmp_path / "moved")
    before = content(tmp_path)
    assert repr(again(tmp_path / "moved", Stated())) == repr(folders[kind][1])
    assert content(tmp_path) == before


def test_what_is_not_made_of_the_report_stays(folder):
    (folder / "screenshot.png").write_bytes(b"mine")
    (folder / "repro.py").write_text("print('edited')")
    (folder / "report.md").write_text("edited")
    before = content(folder)
    again(folder, Stated("FB1111111", "https://a.example/t"))
    after = content(folder)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == MADE | {"m-report.zip"}
    with zipfile.ZipFile(folder / "m-report.zip") as archive:
        assert archive.read("report.md") == after["report.md"]
        assert archive.read("repro.py") == b"print('edited')"
        assert "screenshot.png" not in archive.namelist()


def test_permissions_times_and_links_stay(folder):
    (folder / "mine.sh").write_text("echo mine")
    (folder / "mine.sh").chmod(0o750)
    os.utime(folder / "m.mlmodel", (1, 1))
    (folder / "link").symlink_to("mine.sh")
    (folder / "dangling").symlink_to("nowhere")
    again(folder, Stated("FB1111111"))
    assert stat.S_IMODE((folder / "mine.sh").stat().st_mode) == 0o750
    assert (folder / "m.mlmodel").stat().st_mtime == 1
    assert (folder / "link").readlink() == Path("mine.sh")
    assert (folder / "dangling").readlink() == Path("nowhere")


def test_where_it_was_filed_is_said_where_a_reader_needs_it(folder):
    report = again(folder, Stated("FB12345678", "https://a.example/thread_1"))
    assert (report.feedback, report.thread) == ("FB12345678", "https://a.example/thread_1")
    texts = {name: (folder / name).read_text() for name in MADE}
    assert [n for n in MADE if "FB12345678" not in texts[n]] == ["feedback.txt"]
    assert [n for n in MADE if "https://a.example/thread" not in texts[n]] == ["forum.md"]
    top = texts["report.md"].partition("## ")[0]
    assert "Filed as FB12345678, discussed at https://a.example/thread\\_1" in top
    assert "stated by the user" in top


def test_what_was_stated_stays_until_it_is_stated_otherwise(folder):
    again(folder, Stated("FB1111111", "https://a.example/1"))
    again(folder, Stated("FB2222222"))
    report = again(folder, Stated())
    assert (report.feedback, report.thread) == ("FB2222222", "https://a.example/1")
    assert "FB1111111" not in (folder / "report.md").read_text()


def test_notes_are_shown_bundled_and_kept(folder):
    assert "notes.md is still yours to write" in (folder / "feedback.txt").read_text()
    write_notes(folder, "I ran it on /Users/alice/x.py <b>myself</b> \u00e9\n\n```\nopen fence\n")
    mine = (folder / "notes.md").read_bytes().replace(b"/Users/alice/", b"~/")
    report = again(folder, Stated())
    assert (folder / "notes.md").read_bytes() == mine
    assert "I ran it on ~/x.py <b>myself</b> \u00e9" in report.notes
    page = (folder / "report.md").read_text()
    section = page.partition("## What I did myself\n")[2].partition("\n## ")[0]
    assert "I ran it on &#126;/x.py &lt;b&gt;myself&lt;/b&gt; \u00e9\n" in section
    assert section.rstrip().endswith("```text\nopen fence\n```")
    assert "&lt;b&gt;myself&lt;/b&gt;" in (folder / "report.html").read_text()
    for name in ("forum.md", "feedback.txt"):
        assert "I ran it on ~/x.py" in (folder / name).read_text(encoding="ascii")
    assert "still yours to write" not in (folder / "feedback.txt").read_text()
    with zipfile.ZipFile(folder / "m-report.zip") as archive:
        assert archive.read("notes.md") == mine


def test_of_long_notes_the_start_is_posted_and_the_rest_is_left_to_the_report(folder):
    write_notes(folder, "\n".join(["a line of notes"] * 60))
    again(folder, Stated())
    assert (folder / "report.md").read_text().count("a line of notes") == 60
    for name in ("forum.md", "feedback.txt"):
        posted = (folder / name).read_text()
        assert posted.count("a line of notes\n") == 47  # of 16 characters; their heading has 37
        assert "\na line of n... (the rest is in notes.md of the Feedback report)" in posted


def test_a_page_that_was_deleted_is_begun_anew(folder):
    begun = (folder / "notes.md").read_bytes()
    write_notes(folder, "something")
    again(folder, Stated())
    (folder / "notes.md").unlink()
    assert again(folder, Stated()).notes == ""
    assert (folder / "notes.md").read_bytes() == begun
    assert "something" not in (folder / "report.md").read_text()


def refused(folder, error, words, stated=None):
    """Make a report again, which must fail and leave everything as it was."""
    before = content(folder.parent)
    with pytest.raises(error, match=words) as caught:
        again(folder, stated or Stated("FB1111111"))
    assert content(folder.parent) == before
    assert "\n" not in str(caught.value)


def edit(folder, change):
    found = json.loads((folder / "report.json").read_text())
    change(found)
    (folder / "report.json").write_text(json.dumps(found))


def test_a_folder_that_is_no_report_is_refused(tmp_path, folder):
    words = r"holds no report\.json: write it with anereport create"
    refused(tmp_path / "nowhere", AnereportError, words)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", AnereportError, words)
    words = r"m\.mlmodel is no folder: give the one that anereport create wrote"
    refused(folder / "m.mlmodel", AnereportError, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(schema="anereport.report/1"), "expected 'anereport.report/2', found "),
        (lambda c: c["comparisons"][0].pop("units"), r"comparisons\.0\.units: Field required"),
        (lambda c: c.update(tolerance="x"), "tolerance: Input should be a valid number"),
        (lambda c: c["model"]["identity"].update(name="n.mlmodel"), "lacks n.mlmodel, which its"),
        (lambda c: c["model"]["identity"].update(name="../m.mlmodel"), "lacks ../m.mlmodel"),
    ],
)
def test_a_report_that_was_edited_is_refused(folder, change, words):
    edit(folder, change)
    refused(folder, AnereportError, words)


def test_a_folder_without_its_model_is_refused(folder):
    (folder / "m.mlmodel").unlink()
    refused(folder, AnereportError, "lacks m.mlmodel, which its report is of: put it back")


@pytest.mark.parametrize("how", ["folder", "latin-1", "huge"])
def test_notes_that_cannot_be_read_are_refused(folder, how):
    (folder / "notes.md").unlink()
    if how == "folder":
        (folder / "notes.md").mkdir()
    else:
        (folder / "notes.md").write_bytes(b"\xe9" if how == "latin-1" else b"x" * 100_000)
    refused(folder, NotesError, r"notes\.md")


def test_a_folder_that_may_not_be_written_beside(folder, monkeypatch):
    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(staging.tempfile, "mkdtemp", denied)
    refused(folder, AnereportError, r"cannot write .*report: Permission denied")


def test_the_current_folder_is_not_replaced(folder, monkeypatch):
    monkeypatch.chdir(folder)
    refused(folder, AnereportError, "cannot replace the current folder")
    refused(Path(), AnereportError, "cannot replace the current folder")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("at", ["_carry", "pack", "say"])
def test_a_call_that_is_stopped_leaves_the_folder_as_it_was(folder, monkeypatch, at, error):
    def stop(*arguments):
        raise error("stop")

    write_notes(folder, "mine")
    monkeypatch.setattr(report_folder, at, stop)
    before = content(folder.parent)
    with pytest.raises(error, match="stop"):
        again(folder, Stated("FB1111111"))
    assert content(folder.parent) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_one_that_is_stopped_at_the_very_end_does_too(folder, monkeypatch, error):
    real = Path.rename

    def rename(self, to):
        if Path(to) == folder and "-old-" not in str(self):
            raise error("stop")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    before = content(folder.parent)
    with pytest.raises((error, AnereportError), match="stop"):
        again(folder, Stated("FB1111111"))
    assert content(folder.parent) == before


def test_a_link_to_a_folder_is_followed(folder):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    again(link, Stated("FB1111111"))
    assert link.is_symlink()
    assert "FB1111111" in (folder / "report.md").read_text()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["link", "report"]


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)


def test_force_keeps_the_notes_too(folder, tmp_path, fast):
    path = written(tmp_path / "m.mlmodel", small_block())
    write_notes(folder, "mine \u00e9\r\n")
    mine = (folder / "notes.md").read_bytes()
    report = create(path, folder, Options(force=True, bounds=Bounds(budget=0)))
    assert (folder / "notes.md").read_bytes() == mine
    assert "mine \u00e9" in report.notes
    assert "mine \u00e9" in (folder / "report.md").read_text()
    assert not (folder / "records").exists()


@pytest.mark.parametrize("at", ["fill", "keep_notes"])
def test_force_that_fails_loses_no_notes(folder, tmp_path, fast, monkeypatch, at):
    path = written(tmp_path / "m.mlmodel", small_block())
    write_notes(folder, "mine")

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(report_folder, at, stop)
    before = content(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        create(path, folder, Options(force=True, bounds=Bounds(budget=0)))
    assert content(tmp_path) == before


def test_notes_that_cannot_be_read_are_said_before_long_work(folder, tmp_path, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("something was computed")

    monkeypatch.setattr(Referee, "__init__", never)
    (folder / "notes.md").write_bytes(b"\xff")
    with pytest.raises(NotesError, match="save it as a text in UTF-8"):
        create(SAMPLES / "Block.mlmodel", folder, Options(force=True))


def test_notes_that_cannot_be_read_are_named_where_the_user_has_them(folder):
    (folder / "notes.md").write_bytes(b"\xff\xff")
    refused(folder, AnereportError, f"cannot read {re.escape(str(folder.resolve()))}/notes.md: ")
