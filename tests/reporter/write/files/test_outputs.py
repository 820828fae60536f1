from __future__ import annotations

import errno
import json
import stat
from pathlib import Path

import pytest

from reporter.write.files import staging
from reporter.write.files.outputs import OutputError, check_free, new_folder, write_file

OLD = '{"schema": "anereport.report/2"}'


def listing(folder):
    """Return every path below a folder, with the content of files."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def enter(target, force, error=None):
    """Write half of an output; the body then raises, or must not have run at all."""
    with new_folder(target, force=force) as folder:
        (folder / "half.txt").write_text("half")
        raise error or AssertionError("the body ran")


def replace_with_new(target):
    with new_folder(target, force=True) as folder:
        (folder / "new.txt").write_text("new")


def test_a_new_folder_appears_whole(tmp_path):
    target = tmp_path / "out"
    with new_folder(target, force=False) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "sub").mkdir()
        assert not target.exists()
        assert folder.parent == tmp_path  # the same disk, so that the renaming is one step
    assert listing(tmp_path) == {"out": None, "out/a.txt": b"a", "out/sub": None}
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OutputError, SystemExit])
@pytest.mark.parametrize("place", ["out", "new/deep/out"])
def test_nothing_is_left_when_the_body_raises(tmp_path, error, place):
    (tmp_path / "other.txt").write_text("stays")
    before = listing(tmp_path)
    with pytest.raises(error):
        enter(tmp_path / place, False, error("stop"))
    assert listing(tmp_path) == before


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_old_output_survives_a_body_that_raises(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "report.json").write_text(OLD)
    else:
        target.write_text("old")
    before = listing(tmp_path)
    with pytest.raises(ValueError, match="stop"):
        enter(target, True, ValueError("stop"))
    assert listing(tmp_path) == before


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_an_existing_output_is_refused_before_the_body_runs(tmp_path, kind):
    target = tmp_path / "out"
    target.write_text("old") if kind == "file" else target.mkdir()
    if kind == "folder":
        (target / "report.json").write_text(OLD)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match=r"exists already: .*--force"):
        enter(target, False)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_force_replaces_all_of_the_old(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "report.json").write_text(OLD)
    else:
        target.write_text("old")
    replace_with_new(target)
    assert listing(tmp_path) == {"out": None, "out/new.txt": b"new"}


def test_missing_parents_are_made(tmp_path):
    with new_folder(tmp_path / "a" / "b" / "out", force=False) as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "a" / "b" / "out" / "x").read_text() == "x"


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("a file")
    before = listing(tmp_path)
    for target in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(OutputError, match=r"cannot write .*out: "):
            enter(target, False)
        with pytest.raises(OutputError, match=r"cannot write .*out: "):
            write_file(target, "text", force=False)
    assert listing(tmp_path) == before


def test_a_folder_without_permission(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(staging.tempfile, "mkdtemp", refused)
    monkeypatch.setattr(staging.tempfile, "mkstemp", refused)
    with pytest.raises(OutputError, match=r"cannot write .*out: Permission denied"):
        enter(tmp_path / "new" / "out", False)
    with pytest.raises(OutputError, match=r"cannot write .*out: Permission denied"):
        write_file(tmp_path / "new" / "out", "text", force=False)
    assert listing(tmp_path) == {}


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*out: No space left"):
        enter(tmp_path / "out", False, OSError(errno.ENOSPC, "No space left on device"))
    assert listing(tmp_path) == {}


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "report.json").write_text(OLD)
    before = listing(tmp_path)
    real = Path.rename

    def rename(self, to):
        if Path(to) == target and "-old-" not in str(self):
            raise OSError(errno.EIO, "Input/output error")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OutputError, match=r"cannot write .*out: Input/output error"):
        replace_with_new(target)
    assert listing(tmp_path) == before


def test_a_name_too_long_for_the_disk(tmp_path):
    target = tmp_path / ("n" * 300)
    with pytest.raises(OutputError, match="cannot write"):
        enter(target, False)
    with pytest.raises(OutputError, match="cannot write"):
        write_file(target, "text", force=False)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("name", [".", "..", "../here"])
def test_the_current_folder_is_never_replaced(tmp_path, monkeypatch, name):
    here = tmp_path / "here"
    here.mkdir()
    (here / "precious.txt").write_text("mine")
    monkeypatch.chdir(here)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match="current folder"):
        enter(Path(name), True)
    assert listing(tmp_path) == before


def test_write_file(tmp_path):
    target = tmp_path / "deep" / "a.json"
    write_file(target, "é\n", force=False)
    assert target.read_bytes() == b"\xc3\xa9\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    with pytest.raises(OutputError, match="exists already"):
        write_file(target, "other", force=False)
    assert target.read_text(encoding="utf-8") == "é\n"
    write_file(target, "other", force=True)
    assert listing(tmp_path) == {"deep": None, "deep/a.json": b"other"}


def test_write_file_over_a_folder_leaves_both(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is a folder: name a file"):
        write_file(tmp_path / "folder", "text", force=True)
    assert listing(tmp_path) == {"folder": None}


def test_check_free(tmp_path):
    check_free(tmp_path / "none", force=False)
    check_free(tmp_path / "none", force=True)
    check_free(tmp_path, force=True)
    with pytest.raises(OutputError, match="exists already"):
        check_free(tmp_path, force=False)


def head(schema):
    """The beginning of a JSON file of ours, as all are written: indented, the schema first."""
    return json.dumps({"schema": f"anereport.{schema}", "more": 1}, indent=1)


RECORD = head("record/1")
PYTHON = "class Block(nn.Module):  # written by anereport 0.1.0\n"


@pytest.mark.parametrize(
    "content",
    [
        {"photo.jpg": "a picture"},
        {"a.json": RECORD, "b.txt": "notes"},
        {"sub/a.json": RECORD},
        {"package.json": '{"name": "shop"}', "tsconfig.json": '{"strict": true}'},
        {"a.json": RECORD, "package.json": '{"name": "shop"}'},
        {"a.json": json.dumps({"notes": "x" * 200, "schema": "anereport.record/1"})},
        {"report.json": '{"coverage": 81}'},
        {"report.json": RECORD, "thesis.tex": "mine"},
        {"migration.json": '{"from": "v1"}', "x": ""},
        {"shrink.json": "[]", "x": ""},
        {"manifest.json": head("record/1"), "x": ""},
        {"Inputs/jobs.json": "[]"},
        {"model.py": "class Mine: pass\n"},
        {"model.py": "class Mine: pass\n", "weights.npz": "mine"},
        {"weights.npz": "mine"},
        {"model.py": PYTHON, "train.py": "mine"},
    ],
)
def test_force_leaves_a_folder_alone_that_is_not_ours(tmp_path, content):
    target = tmp_path / "out"
    filled_with(target, content)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match="anereport did not write"):
        enter(target, True)
    assert listing(tmp_path) == before


def filled_with(folder, content):
    folder.mkdir()
    for name, text in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a.json": RECORD, "b.json": RECORD},
        {"a": RECORD},
        {"report.json": head("report/1"), "x": ""},
        {"migration.json": head("migration/2"), "x": ""},
        {"shrink.json": head("shrink/1"), "x": ""},
        {"manifest.json": head("variants/1"), "x": ""},
        {"Inputs/jobs.json": head("runner/1"), "x": ""},
        {"model.py": f"{'import torch' * 20}\n{PYTHON}"},
        {"model.py": PYTHON, "weights.npz": "ours"},
    ],
)
def test_force_replaces_a_folder_that_is_empty_or_ours(tmp_path, content):
    target = tmp_path / "out"
    filled_with(target, content)
    replace_with_new(target)
    assert listing(tmp_path) == {"out": None, "out/new.txt": b"new"}
