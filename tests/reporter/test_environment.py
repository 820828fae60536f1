"""Installations that are not as anereport needs them: a sentence says what to do, no traceback."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import migrate
from reporter import cli, environment
from reporter.write import lint
from reporter.write.migration import migration as migrating

ROOT = Path(__file__).resolve().parents[2]
THREAD = ROOT / "samples" / "thread-720810.txt"
EXPLAIN = ["explain", str(THREAD), "--shape", "1,1600,39,1"]
MAIN = "import sys; from reporter.cli import app; sys.argv[0] = 'anereport'; app()"


def installed(monkeypatch, **changes):
    """Let other versions be installed; None: the package is missing."""
    real = environment.version

    def version(name):
        found = changes.get(name, real(name))
        if found is None:
            raise environment.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(environment, "version", version)


def failing(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(lint, "findings", fail)
    return CliRunner().invoke(cli.app, ["lint", "Block.mlmodel"])


def anereport(*arguments, path=(), code=MAIN, **options):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    options = {"capture_output": True, "cwd": "/", **options}  # Python looks there first
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], text=True, timeout=60, check=False, env=environ,
        **options,
    )  # fmt: skip


# --- Python


@pytest.mark.parametrize(
    ("version", "word"),
    [((3, 9, 18), "3.9 is too old"), ((2, 7, 18), "2.7 is too old"),
     ((3, 14, 0), "3.14 is too new for coremltools")],
)  # fmt: skip
def test_a_python_that_does_not_fit(monkeypatch, version, word):
    monkeypatch.setattr(environment.sys, "version_info", version)
    assert environment.wrong_python() == (
        f"Python {word}: install anereport with Python 3.10 to 3.13"
    )


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 11, 7), (3, 13, 9)])
def test_the_versions_of_python_that_fit_are_those_of_the_package(monkeypatch, version):
    asked = environment.tested()["python"]
    assert environment.within(asked, ".".join(map(str, version)))
    assert not environment.within(asked, "3.9.18")
    assert not environment.within(asked, "3.14.0")
    monkeypatch.setattr(environment.sys, "version_info", version)
    assert environment.wrong_python() == ""


def test_with_a_wrong_python_no_command_is_even_imported():
    code = """
import importlib.metadata, sys, typing
del importlib.metadata.packages_distributions, typing.Annotated  # which older ones lack
sys.version_info = (3, 9, 18, 'final', 0)
import reporter.cli
"""
    done = anereport(code=code)
    assert done.returncode == 1
    assert done.stderr == (
        "anereport: Python 3.9 is too old: install anereport with Python 3.10 to 3.13\n"
    )


# --- versions of packages


@pytest.mark.parametrize(
    ("package", "version", "words"),
    [("numpy", "2.4.1", "numpy 2.4.1 is outside "), ("torch", None, "torch (missing) is outside "),
     ("coremltools", "8.3", "coremltools 8.3 is outside "), ("torch", "2.1.0", "torch 2.1.0 is")],
)  # fmt: skip
def test_an_error_among_versions_that_do_not_fit_names_them(monkeypatch, package, version, words):
    installed(monkeypatch, **{package: version})
    result = failing(monkeypatch, TypeError("only 0-dimensional arrays can be converted"))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"anereport: TypeError: only 0-dimensional arrays can be converted; {words}"
    )
    assert line.endswith(environment.INSTALL)


def test_a_conversion_that_fails_under_a_newer_numpy_says_so(monkeypatch):
    """With numpy 2.4 coremltools' front end fails for models that compute with a shape."""
    installed(monkeypatch, numpy="2.4.0")

    def fail(*args, **options):
        raise migrate.ConversionError("coremltools could not convert the torch module")

    monkeypatch.setattr(migrating, "write", fail)
    result = CliRunner().invoke(cli.app, ["migrate", "Block.mlmodel"])
    assert result.exit_code == 1
    assert "could not convert the torch module; numpy 2.4.0 is outside" in result.stderr


def test_where_all_fits_a_fault_is_ours_and_an_expected_error_stands_alone(monkeypatch):
    assert environment.unfit() == ""
    assert failing(monkeypatch, TypeError("x")).exit_code == 3
    installed(monkeypatch, numpy="2.4.0")
    result = failing(monkeypatch, migrate.ModelError("Block.mlmodel is empty"))
    assert result.stderr == "anereport: Block.mlmodel is empty\n"


# --- another package of that name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("from migrate.changeset import Nothing\n", "the package migrate fails with Module"),
        ("__version__ = '0.13'\n", "is not anereport's"),
    ],
)
def test_another_package_migrate_is_named_with_its_owner(tmp_path, content, words):
    """sqlalchemy-migrate, as pip would install it."""
    (tmp_path / "migrate").mkdir()
    (tmp_path / "migrate" / "__init__.py").write_text(content)
    info = tmp_path / "sqlalchemy_migrate-0.13.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sqlalchemy-migrate\nVersion: 0.13.0\n"
    )
    (info / "top_level.txt").write_text("migrate\n")
    done = anereport(*EXPLAIN, path=[tmp_path])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
    assert "sqlalchemy-migrate brings one too" in line
    assert line.endswith(environment.INSTALL)


def test_a_file_called_migrate_in_the_way(tmp_path):
    (tmp_path / "migrate.py").write_text("print\n")
    done = anereport(*EXPLAIN, path=[tmp_path])
    assert done.returncode == 1
    assert f"{tmp_path}/migrate.py is not anereport's" in done.stderr


# --- files that the system refuses


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EACCES, "change its permissions"), (errno.EPERM, "change its permissions"),
     (errno.ELOOP, "give the file itself"), (errno.ENAMETOOLONG, "choose a shorter name")],
)  # fmt: skip
def test_a_file_that_the_system_refuses(monkeypatch, number, advice):
    result = failing(monkeypatch, OSError(number, os.strerror(number), "there/x"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"anereport: cannot use there/x: {os.strerror(number)}: ")
    assert result.stderr.endswith(f"{advice}\n")
    assert failing(monkeypatch, OSError(number, os.strerror(number))).exit_code == 3


@pytest.mark.parametrize("command", [["explain"], ["run", "--out", "o"], ["verify"], ["lint"]])
def test_a_name_that_is_too_long(command):
    result = CliRunner().invoke(cli.app, [*command, "x" * 300])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"{'x' * 300}: File name too long" in line


# --- what is written cannot be


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_wherever_it_shows(monkeypatch, number):
    result = failing(monkeypatch, OSError(number, os.strerror(number), "/scratch/x"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"anereport: cannot write /scratch/x: {os.strerror(number)}: ")
    assert "TMPDIR" in result.stderr
    assert failing(monkeypatch, OSError(errno.EINVAL, "no")).exit_code == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_an_output_that_is_full():
    with Path("/dev/full").open("w") as full:
        done = anereport(*EXPLAIN, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("anereport: cannot write: No space left")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", [0, 2])
def test_a_stream_that_is_closed(closed):
    again = "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])"
    code = f"import os, sys\nos.close({closed})\n{again}"
    done = anereport(MAIN, *EXPLAIN, code=code)
    assert done.returncode == 0
    assert done.stdout.startswith("All eleven rows lie in channel 322")


# --- versions


def test_the_versions_are_those_that_matter():
    from importlib.metadata import version

    said = CliRunner().invoke(cli.app, ["--version"]).stdout
    tools = ", ".join(f"{name} {version(name)}" for name in ("coremltools", "torch", "numpy"))
    assert said == (
        f"anereport {version('anereport')} (python {platform.python_version()}, {tools})\n"
    )


def test_versions_of_what_is_not_installed_are_left_out(monkeypatch):
    installed(monkeypatch, anereport=None, torch=None)
    said = CliRunner().invoke(cli.app, ["--version"]).stdout
    assert said.startswith("anereport (not installed) (python ")
    assert "torch" not in said
