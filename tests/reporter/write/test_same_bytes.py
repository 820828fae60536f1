"""Two builds of one report, in processes that share nothing but what they are given."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_block import small_block

from reporter.measure.record import dumps
from reporter.measure.simulate import simulate

ROOT = Path(__file__).resolve().parents[3]
DATE = "2024-02-29T12:34:56Z"

SHIM = """
import datetime, os, time
days = float(os.environ["FAKED_DAYS"]) * 86400
now, real = time.time, datetime.datetime
time.time = lambda: now() + days
time.time_ns = lambda: int(time.time() * 1e9)
for name in ("localtime", "gmtime"):
    def shifted(seconds=None, of=getattr(time, name)):
        return of(time.time() if seconds is None else seconds)
    setattr(time, name, shifted)

class Shifted(real):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(time.time())
    @classmethod
    def today(cls):
        return cls.now()

datetime.datetime = Shifted
"""
RUN = "import sys; from reporter.cli import app; app(sys.argv[1:])"


def built(here, folder, *, days, seed, umask, zone, locale, absolute):
    """Run `create` for the model and record of `here` in a folder; return where the report is."""
    place = here / folder
    place.mkdir(parents=True)
    for name in ("m.mlmodel", "record.json"):
        (place / name).write_bytes((here / name).read_bytes())
    at = f"{place}/" if absolute else ""
    command = ["create", f"{at}m.mlmodel", "--record", f"{at}record.json", "--out", f"{at}out"]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(place), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(here / "shim"), str(ROOT)]), "FAKED_DAYS": str(days),
        "PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": locale, "LANG": locale,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command],
        cwd=here if absolute else place, env=environment, umask=umask,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "out"


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    here = tmp_path_factory.mktemp("builds")
    model = here / "m.mlmodel"
    model.write_bytes(small_block().SerializeToString(deterministic=True))
    record = simulate(model, "bias-only@three").model_copy(update={"date": DATE})
    (here / "record.json").write_text(dumps(record))
    (here / "shim").mkdir()
    (here / "shim" / "sitecustomize.py").write_text(SHIM)
    one = {"days": 0, "seed": 1, "umask": 0o022, "zone": "UTC", "locale": "C.UTF-8"}
    other = {"days": 401.3, "seed": 4242, "umask": 0o077, "zone": "Asia/Tokyo", "locale": "C"}
    with ThreadPoolExecutor() as pool:
        first = pool.submit(built, here, "one", **one, absolute=False)
        second = pool.submit(built, here, "two/words here", **other, absolute=True)
        return first.result(), second.result()


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_file_of_the_folder_and_the_zip_are_the_same_bytes(builds):
    one, other = map(files, builds)
    assert "m-report.zip" in one
    assert "notes.md" in one
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_members_are_dated_as_the_record(builds):
    for folder in builds:
        with zipfile.ZipFile(folder / "m-report.zip") as archive:
            assert {m.date_time for m in archive.infolist()} == {(2024, 2, 29, 12, 34, 56)}


def test_the_clock_that_was_faked_is_what_the_builds_saw(tmp_path):
    """Else the first test would show nothing of days."""
    (tmp_path / "sitecustomize.py").write_text(SHIM)
    code = "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "FAKED_DAYS": "401.5"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    import time

    for seen in map(float, done.stdout.split()):
        assert 401.4 * 86400 < seen - time.time() < 401.6 * 86400
