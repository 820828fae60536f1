"""Killed at any point, a disk that is full, two runs at once: an output is whole, or not there."""

from __future__ import annotations

import pkgutil
import random
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ended_early import Warm
from small_block import small_block

from reporter.write.files.outputs import (
    OutputError,
    growing_folder,
    new_file,
    new_folder,
    partial,
    write_file,
)
from reporter.write.files.staging import replaced

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork, no locks")

COMMANDS = {
    "create": ("create Block.mlmodel --out out", 4),
    "migrate": ("migrate Block.mlmodel --source-only --out out", 4),
    "run": ("run Block.mlmodel --simulate none --out out", 4),
    "run of a folder": ("run models --simulate none --out out", 6),
    "shrink": ("variants Block.mlmodel --shrink --most 2 --out out", 1),
    "runner": ("runner Block.mlmodel --out out.swiftpm", 6),
}


def listing(folder):
    """Return every path below a folder, with the content of files."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def warm():
    process = Warm()
    yield process
    process.close()


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    (folder / "models").mkdir(parents=True)
    content = small_block(declared=(1, 16, 4, 1)).SerializeToString(deterministic=True)
    for name in ("Block", "models/a", "models/b"):
        (folder / f"{name}.mlmodel").write_bytes(content)
    return folder


def outputs(folder):
    return {p for p in listing(folder) if not p.startswith(("models", "Block.mlmodel"))}


def tops(folder):
    return {Path(p).parts[0] for p in outputs(folder)}


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_killed_at_any_point(warm, here, command, force):
    """The moments are drawn by a seed, and the last ones, when things are moved, are all tried."""
    words, moments = COMMANDS[command]
    assert warm.run(here, *words.split())[0] == 0
    whole, (out,) = outputs(here), tops(here)
    if not force:
        remove(here / out)
    status, count, printed = warm.run(here, *words.split(), *force)
    assert status == 0, printed
    for at in {*random.Random(0).sample(range(count), moments), *range(count - 4, count)}:
        if not force:
            remove(here / out)
        status, _, _ = warm.run(here, *words.split(), *force, at=at)
        assert status == -signal.SIGKILL
        found = {p for p in outputs(here) if Path(p).parts[0] == out}
        assert found in (set(), whole)
        if found and not force:
            continue
        status, _, printed = warm.run(here, *words.split(), *force)
        assert status == 0, printed
        assert outputs(here) == whole, at


@pytest.mark.parametrize("command", ["create", "runner", "run"])
def test_the_old_output_is_not_lost_where_a_run_is_killed_that_replaces_it(warm, here, command):
    """Whenever that is, the next run finds an output there, and asks for --force."""
    words, _ = COMMANDS[command]
    assert warm.run(here, *words.split())[0] == 0
    whole = outputs(here)
    count = warm.run(here, *words.split(), "--force")[1]
    for at in range(max(0, count - 6), count):
        assert warm.run(here, *words.split(), "--force", at=at)[0] == -signal.SIGKILL
        status, _, printed = warm.run(here, *words.split())
        assert status == 1
        assert "exists already" in printed
        assert whole <= outputs(here)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size", [1, 2000])
def test_where_no_more_can_be_written(warm, here, command, size):
    """A limit on the size of a file stands in for a full disk: the same error, at any write."""
    words, _ = COMMANDS[command]
    before = listing(here)
    status, _, printed = warm.run(here, *words.split(), limit=size)
    assert status == 1, printed
    (line,) = printed.splitlines() or [""]
    assert size == 1 or line.startswith("anereport: cannot write")
    assert listing(here) == before


# --- two runs at once


def write(path, text, force=False):
    with new_folder(path, force) as folder:
        (folder / "report.json").write_text('{"schema": "anereport.report/2"}')
        (folder / "a").write_text(text)


def overtaken(making, quicker):
    """Make an output, and before it has its name let another run make it."""
    with making as output:
        if isinstance(output, Path):
            (output / "a").write_text("second")
        else:
            output.write(b"second")
        quicker()


def test_the_second_of_two_runs_is_told_that_the_first_was_quicker(tmp_path):
    out, file = tmp_path / "out", tmp_path / "file"
    with pytest.raises(OutputError, match="out exists already"):
        overtaken(new_folder(out, False), lambda: write(out, "first"))
    assert (out / "a").read_text() == "first"
    with pytest.raises(OutputError, match="file exists already"):
        overtaken(new_file(file, False), lambda: write_file(file, "first", False))
    assert file.read_text() == "first"
    assert tops(tmp_path) == {"out", "file"}


def test_of_two_runs_with_force_the_last_stays(tmp_path):
    out = tmp_path / "out"
    write(out, "old")
    with new_folder(out, True) as folder:
        (folder / "a").write_text("second")
        write(out, "first", force=True)
        assert (out / "a").read_text() == "first"
    assert listing(tmp_path) == {"out": None, "out/a": b"second"}


def test_an_output_that_another_run_took_away_is_not_followed_by_the_one_before(tmp_path):
    out, new = tmp_path / "out", tmp_path / "new"
    write(out, "first", force=False)
    write(new, "second", force=False)
    with replaced(out):
        new.rename(out)
        out.rename(tmp_path / "taken by another run")
    assert tops(tmp_path) == {"taken by another run"}


def test_what_was_put_aside_gives_way_to_another_run_that_comes_just_then(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out, "first", force=False)
    with suppress(ZeroDivisionError), replaced(out):
        write(out, "second", force=False)
        monkeypatch.setattr("os.path.lexists", lambda path: path != out)  # looked a moment ago
        raise ZeroDivisionError
    assert (out / "a").read_text() == "second"
    assert tops(tmp_path) == {"out"}


def slowed(function):
    """Return a function that now and then waits first, as on a busy machine."""
    moments = random.Random(0)

    def slow(*args, **options):
        if moments.random() < 0.3:
            time.sleep(moments.random() * 0.002)
        return function(*args, **options)

    return slow


def test_many_runs_with_force_leave_one_whole_output(tmp_path, monkeypatch):
    out, errors = tmp_path / "out", []
    for name in ("rename", "mkdir", "stat", "open", "rmdir", "path.lexists"):
        target = f"os.{name}"
        monkeypatch.setattr(target, slowed(pkgutil.resolve_name(target)))

    def again(text):
        try:
            for _ in range(20):
                write(out, text, force=True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=again, args=[str(i)]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(listing(tmp_path)) == {"out", "out/a", "out/report.json"}


def test_a_folder_that_grows_is_for_one_run_at_a_time(tmp_path):
    out = tmp_path / "out"
    with growing_folder(out, False) as folder:
        (folder / "a").write_text("first")
        with (
            pytest.raises(OutputError, match=r"another run is writing .*out: wait for it"),
            growing_folder(out, False),
        ):
            raise AssertionError
        assert listing(tmp_path) == {"out.partial": None, "out.partial/a": b"first"}
    assert listing(tmp_path) == {"out": None, "out/a": b"first"}
    assert not partial(out).exists()


# --- what is left of runs that died


def test_only_what_is_ours_and_dead_is_removed(tmp_path):
    out = tmp_path / "out"
    ours = tmp_path / ".out.anereport-dead0000"
    ours.mkdir()
    (ours / "half").write_text("half")
    (tmp_path / ".out.anereport-dead0001").write_text("half of a file")
    strange = {
        ".out-archived",
        ".out",
        ".output.anereport-dead0000",
        "out.anereport-x",
        ".b.anereport-x",
    }
    for name in strange:
        (tmp_path / name).mkdir()
    with new_folder(out, False) as living:
        write(out, "second")
        assert living.is_dir()
        assert tops(tmp_path) == {*strange, "out", living.name}
        remove(out)
    assert tops(tmp_path) == {*strange, "out"}


def test_what_was_put_aside_comes_back_unless_there_is_something_new(tmp_path):
    out, aside = tmp_path / "out", tmp_path / ".out.anereport-old-dead0000" / "out"
    aside.mkdir(parents=True)
    (aside / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match="out exists already"):
        write(out, "new")
    assert listing(tmp_path)["out/notes.md"] == b"mine"
    remove(out)
    write(out, "new")
    (aside / "sub").mkdir(parents=True)
    with new_folder(tmp_path / "other", False):
        assert aside.is_dir()
    write(out, "newer", force=True)
    assert tops(tmp_path) == {"out", "other"}
    assert (out / "a").read_text() == "newer"
