"""Fuzzing, briefly: each reader for some seconds, and every input that was ever found once more.

At length it is run by hand: `make fuzz SECONDS=900`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "fuzz"
TARGETS = {"spec": 2400, "results": 30000, "listing": 50000, "program": 6000}  # with their runs
SECONDS = 30  # at most, for these

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit of memory that fuzzing sets is Linux'"
)


def fuzzed(target, out, *options):
    command = [sys.executable, str(FOLDER / "fuzz.py"), target, "--out", str(out), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    found = [path.read_text() for path in sorted(out.glob("*.txt"))]
    return done, "\n".join([*found, done.stderr[-3000:]])


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found_in_some_runs(target, tmp_path):
    """The same runs each time: what is new is found by hand, not in somebody else's change."""
    runs = ("--seconds", str(SECONDS), "--runs", str(TARGETS[target]))
    done, said = fuzzed(target, tmp_path, *runs)
    assert done.returncode == 0, said
    assert list(tmp_path.iterdir()) == [], said


@pytest.mark.parametrize("target", sorted(path.name for path in (FOLDER / "found").iterdir()))
def test_what_was_found_once_is_answered(target, tmp_path):
    done, said = fuzzed(target, tmp_path, "--replay", str(FOLDER / "found" / target))
    assert done.returncode == 0, said


def test_a_fault_is_found_and_written_down(tmp_path):
    """The driver itself: of an input that no reader answers it keeps the bytes and says where."""
    spec = importlib.util.spec_from_file_location("fuzz_driver", FOLDER / "fuzz.py")
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)

    def reader(content):
        raise KeyError(content)

    watched = driver.Watched(reader, tmp_path)
    for content in (b"one", b"two"):
        watched(content)
    assert len(watched.found) == 1, "one place, one finding"
    (kept,) = (path for path in tmp_path.iterdir() if not path.suffix)
    assert kept.read_bytes() == b"one"
    assert "KeyError" in kept.with_suffix(".txt").read_text()
