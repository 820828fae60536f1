"""Every command that README.md shows is executed, in one folder, as by a newcomer without a Mac."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_block import small_block
from typer.testing import CliRunner

from reporter import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = ("anereport", "make", "pip", "pipx", "python", ".venv/bin/python", "uv")
URL = "https://developer.apple.com/forums/thread/720810"
RECORD = "run Block.mlmodel --simulate bias-only@three --out"

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac would measure")


def commands():
    """Return the commands of README: of indented lines, and between backticks."""
    indented = re.findall(r"^    (?:\$ )?(.*)$", README, re.MULTILINE)
    prose = re.sub(r"^    .*$", "", README, flags=re.MULTILINE)
    shown = [re.split(r"\s{2,}#", line)[0] for line in indented]
    shown += re.findall(r"`([^`]+)`", prose)
    one_line = (" ".join(text.split()) for text in shown)
    found = [c for c in one_line if c.split(" ")[0] in PROGRAMS and " " in c]
    return list(dict.fromkeys(found))


# what README says a Mac is needed for, and what is simulated in its place
ON_A_MAC = {
    "run Block.mlmodel --out record.json": [f"{RECORD} record.json"],
    "run Block.mlmodel --out before.json": [f"{RECORD} before.json"],
    "run Block-mlprogram/Block.mlpackage --out after.json": [
        "run Block-mlprogram/Block.mlpackage --simulate none --out after.json"
    ],
    "run Block-variants --out records": [
        "run Block-variants --simulate bias-only@three --out records"
    ],
    "run Block-mlprogram --out records": [
        "run Block-mlprogram --simulate none --out records",
        f"{RECORD} records/before.json",
    ],
}
# in an order in which each finds what it needs; before it, what is in its way is removed
STEPS = (
    ("create Block.mlmodel",),
    ("verify Block-report.zip",),
    ("create --from Block-report --fb FB12345678 --thread URL",),
    ("migrate Block.mlmodel",),
    ("run Block.mlmodel --out record.json",),
    ("run Block.mlmodel --out before.json",),
    ("run Block-mlprogram/Block.mlpackage --out after.json",),
    ("migrate Block.mlmodel --record before.json --record after.json",),
    ("lint Block.mlmodel",),
    ("variants Block.mlmodel",),
    ("run Block-variants --out records",),
    ("variants Block.mlmodel --record records",),
    ("variants Block.mlmodel --shrink --out small",),
    ("create --shrink small", "Block-report"),
    ("run Block-mlprogram --out records", "records"),
    ("migrate Block.mlmodel --record records",),
    ("explain records/ --model Block.mlmodel",),
    ("create Block.mlmodel --record records/", "Block-report"),
    ("runner Block.mlmodel",),
    ("runner samples/Block.mlmodel", "Block-runner.swiftpm"),
    ("schema",),
    ("schema report",),
    ("doctor",),
    ("doctor --json",),
    ("migrate --layers",),
    ("explain samples/thread-720810.txt --shape 1,1600,39,1",),
    ("explain simulated.json --model samples/Block.mlmodel",),
)
NAMED_ALONE = ("create", "run")  # as a word for the command; its help is shown
ELSEWHERE = {
    "uv tool install .": "the next test installs with pip",
    "pip install torch": "some 200 MB",
    "anereport --install-completion": "writes into the home folder: see test_cli.py",
    "make demo": "its recipe is printed below",
    "make test": "its recipe is printed below",
    "make bench": "its recipe is printed below",
    "make fuzz SECONDS=900": "its recipe is printed below",
    "python tests/mutation/check.py": "takes hours",
    "python repro.py": "see tests/reporter/write/repro/test_running.py",
    ".venv/bin/python -m pytest -m mac -v": "needs a Mac",
}


def test_every_command_of_the_readme_is_executed_here():
    executed = {f"anereport {step}" for step, *_ in STEPS}
    named = {f"anereport {name}" for name in NAMED_ALONE}
    assert set(commands()) <= executed | named | set(ELSEWHERE)
    assert executed <= set(commands())


def anereport(command):
    result = CliRunner().invoke(cli.app, shlex.split(command.replace("URL", URL)))
    return result.exit_code, result.stdout, result.stderr


def prepared(step):
    """Supply what a step takes for granted and README says in words."""
    if step == "verify Block-report.zip":
        shutil.copy("Block-report/Block-report.zip", ".")
    if step == "explain records/ --model Block.mlmodel":
        shutil.rmtree("records")
        assert anereport(f"{RECORD} records/phone.json")[0] == 0
    if step == "explain simulated.json --model samples/Block.mlmodel":
        simulate = "run samples/Block.mlmodel --simulate bias-only@conv3 --out simulated.json"
        assert anereport(simulate)[0] == 0


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command printed; those for a Mac end with README's way out, and are simulated."""
    folder, printed = tmp_path_factory.mktemp("newcomer"), {}
    shutil.copytree(ROOT / "samples", folder / "samples")
    (folder / "Block.mlmodel").write_bytes(
        small_block(declared=(1, 16, 4, 1)).SerializeToString(deterministic=True)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for step, *in_the_way in STEPS:
            for path in in_the_way:
                shutil.rmtree(path)
            prepared(step)
            code, out, err = anereport(step)
            if step in ON_A_MAC:
                assert code == 1, step
                assert "Core ML runs on Macs and Apple devices only" in err
                assert len(err.splitlines()) == 1
                for instead in ON_A_MAC[step]:
                    code, out, err = anereport(instead)
            assert (code, err) == (0, ""), (step, out, err)
            printed[step] = out
    return printed


@pytest.mark.parametrize("step", [step for step, *_ in STEPS])
def test_a_command_of_the_readme_works(said, step):
    assert said[step].strip()


@pytest.mark.parametrize("step", [step for step, *_ in STEPS if step.startswith("explain s")])
def test_the_readme_shows_what_is_printed(said, step):
    """Line for line; README breaks lines, and leaves out what it marks by dots."""
    block = re.search(
        rf"^    \$ anereport {re.escape(step)}\n((?:    .*\n)+)", README, re.MULTILINE
    )
    shown = " ".join(block[1].split())
    parts = [part.strip() for part in shown.split("...")]
    assert len(shown) > 300
    for part in parts:
        assert part in " ".join(said[step].split())


@pytest.mark.parametrize("name", NAMED_ALONE)
def test_a_command_that_is_named_alone_has_help(name):
    code, out, _ = anereport(f"{name} --help")
    assert code == 0
    assert f"Usage: anereport {name}" in out or f"{name} [OPTIONS]" in out


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize("command", [c for c in ELSEWHERE if c.startswith("make ")])
def test_the_makefile_has_the_recipe(command):
    program, *target = command.split()
    done = subprocess.run(
        [program, "--dry-run", *target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ".venv/bin" in done.stdout


def test_the_script_of_the_mutation_check_is_there():
    assert (ROOT / "tests/mutation/check.py").is_file()


def test_what_is_installed_has_the_command(tmp_path):
    """As `uv tool install .` does, but with the packages that are here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", tmp_path, ROOT]
    subprocess.run([*pip, *build], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    into = ["--python", tmp_path / "bin" / "python"]
    subprocess.run([*pip, *into, "install", *offline, wheel], check=True, timeout=120)
    import typer

    (site,) = tmp_path.glob("lib/python*/site-packages")
    (site / "here.pth").write_text(f"{Path(typer.__file__).parents[1]}\n")
    done = subprocess.run(
        [tmp_path / "bin" / "anereport", "migrate", "--layers"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "158 of 158 layer types" in done.stdout
