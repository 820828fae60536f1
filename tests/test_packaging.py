from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), "."],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_top_level_is_the_two_packages(names):
    tops = {name.split("/")[0] for name in names}
    (info,) = [top for top in tops if top.endswith(".dist-info")]
    assert tops == {"reporter", "migrate", info}
    assert info.startswith("anereport-")


def test_the_templates_are_inside_the_package(names):
    found = (p for p in (ROOT / "templates").rglob("*") if p.is_file())
    expected = {f"reporter/{p.relative_to(ROOT)}" for p in found}
    assert len(expected) >= 7
    assert expected == {n for n in names if n.startswith("reporter/templates/")}


def test_both_packages_are_typed(names):
    assert {"reporter/py.typed", "migrate/py.typed"} <= set(names)
    assert "reporter/understand/incidents.json" in names
    assert "reporter/measure/devices.json" in names


def test_every_module_is_packed_and_nothing_else(names):
    expected = {
        str(p.relative_to(ROOT))
        for package in ("reporter", "migrate")
        for p in (ROOT / package).rglob("*.py")
    }
    packed = {n for n in names if n.endswith(".py")} - {
        n for n in names if n.startswith("reporter/templates/")
    }
    assert packed == expected
    assert not [n for n in names if "__pycache__" in n or n.endswith((".mlmodel", ".pyc"))]


def test_the_command_and_the_license_are_declared(wheel, names):
    with zipfile.ZipFile(wheel) as archive:
        (points,) = [n for n in names if n.endswith("entry_points.txt")]
        assert "anereport = reporter.cli:app" in archive.read(points).decode()
        (metadata,) = [n for n in names if n.endswith("/METADATA")]
        text = archive.read(metadata).decode()
    assert "numpy<2.4" in text.replace(" ", "")
    assert [n for n in names if n.endswith("licenses/LICENSE")]


def test_an_unpacked_wheel_finds_its_templates(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import reporter.write.rendering as r, migrate; print(r.__file__); print(r._templates());"
        "print(len(r._environment().list_templates()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    module, templates, count = done.stdout.splitlines()
    assert module.startswith(str(tmp_path))
    assert templates == str(tmp_path / "reporter" / "templates")
    assert int(count) >= 7
