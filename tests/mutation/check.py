"""Mutation check of the tests: `python tests/mutation/check.py`, some hours of one core.

300 mutants are drawn with a fixed seed from the pieces that decide what is right and what may
leave. Each is put into a process of its own, where the mirrored tests run; those that survive meet
the wider ones. A mutant is killed if a test fails, or if they do not end in time.
What survives is listed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from mutants import mutants, mutated

ROOT = Path(__file__).resolve().parents[2]
SEED = 720810
GROUPS = {  # files, how many are drawn, and the tests that see them beside the mirrored ones
    "layers": (
        ("migrate/layers/*.py",), 130,
        (
            "tests/migrate/layers", "tests/migrate/test_lowering.py",
            "tests/test_conformance.py::test_every_case_passes_but_those_proved_wrong",
            "tests/test_conformance.py::test_every_fifth_case_passes_as_an_ml_program",
        ),
    ),
    "weights": (("migrate/weights.py", "migrate/compressed.py"), 34, ("tests/migrate/layers",)),
    "envelope": (("migrate/envelope.py", "migrate/rounding.py"), 34,
        (
            "tests/migrate/test_program_envelope.py", "tests/migrate/test_verify.py",
            "tests/reporter/understand",
        ),
    ),
    "divergence": (("reporter/understand/divergence.py",), 34, ("tests/reporter/understand",)),
    "signatures": (("reporter/understand/signatures/*.py",), 34, ("tests/reporter/understand",)),
    "redact": (
        (
            "reporter/write/privacy/redact.py", "reporter/measure/redaction.py",
            "reporter/measure/paths.py", "reporter/measure/private.py",
        ),
        34,
        (
            "tests/reporter/write/privacy/test_redact.py",
            "tests/reporter/write/privacy/test_privacy.py",
        ),
    ),
}  # fmt: skip
MIRRORS = {
    "migrate/rounding.py": "tests/migrate/test_envelope.py",
    "migrate/layers/gru.py": "tests/migrate/layers/test_recurrent.py",
    "migrate/layers/lstm.py": "tests/migrate/layers/test_recurrent.py",
    "reporter/measure/redaction.py": "tests/reporter/write/privacy/test_redact.py",
    "reporter/measure/paths.py": "tests/reporter/write/privacy/test_redact.py",
    "reporter/measure/private.py": "tests/reporter/write/privacy/test_redact.py",
}
SECONDS = 300  # of a core, for the tests of one mutant; it may loop for ever
WAITING = 1800  # seconds in all; it may wait for ever


class Mutated(importlib.machinery.SourceFileLoader):
    """A loader of one module that puts a mutant into it."""

    def __init__(self, name, path, number):
        super().__init__(name, str(path))
        self.number = number

    def get_code(self, fullname):
        source = Path(self.path).read_text(encoding="utf-8")
        return mutated(source, self.number, self.path)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module before anything else does."""

    def __init__(self, name, path, number):
        self.name, self.path, self.number = name, path, number

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        folder = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        loader = Mutated(fullname, self.path, self.number)
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=loader, submodule_search_locations=folder
        )


def module(path):
    """Return the dotted name of a file of this repository."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def drawn(seed=SEED, counts=None):
    """Return (group, file, mutant) for each mutant that is drawn."""
    found = []
    for group, (patterns, count, _) in GROUPS.items():
        files = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
        every = [(group, f, m) for f in files for m in mutants(f.read_text(encoding="utf-8"))]
        count = min((counts or {}).get(group, count), len(every))
        found += random.Random(f"{seed} {group}").sample(every, count)
    return found


def mirrored(file):
    """Return the tests that mirror a file, if there are any."""
    inside = file.relative_to(ROOT)
    named = MIRRORS.get(inside.as_posix())
    path = ROOT / named if named else ROOT / "tests" / inside.with_name(f"test_{inside.name}")
    if path.exists():
        return [path]
    beside = path.parent.with_suffix(".py")  # of a package, one test file
    beside = beside.with_name(f"test_{beside.name}")
    return [path.parent] if path.parent.is_dir() else [beside] if beside.exists() else []


def put(file, number):
    """Put a mutant into this process, and into those that it starts (sitecustomize.py)."""
    sys.meta_path.insert(0, Finder(module(file), file, number))
    os.environ["MUTANT"] = f"{number} {file}"
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (Path(__file__).parent, ROOT)))


def run(file, number, tests):
    """Run tests in a process with a mutant; return pytest's exit code, or -1 if it did not end."""
    process = os.fork()
    if process == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        if number is not None:
            put(file, number)
        import pytest

        quiet = open(os.devnull, "w")  # noqa: PTH123, SIM115  lives as long as the process
        os.dup2(quiet.fileno(), 1)
        os.dup2(quiet.fileno(), 2)
        with contextlib.redirect_stdout(io.StringIO()):
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *map(str, tests)])
        os._exit(int(code))
    end = time.monotonic() + WAITING
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)  # what the tests started, if they did not end
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -1


def tests_of(round_, group, file):
    """Return the tests that a mutant of a file meets in a round, if there are any."""
    return mirrored(file) if round_ == "mirrored" else [ROOT / test for test in GROUPS[group][2]]


def check_unmutated(round_, mutants_here):
    """Raise RuntimeError if tests fail without a mutant: then they would kill all of them."""
    for tests in {tuple(tests_of(round_, group, file)) for group, file, _ in mutants_here}:
        code = run(ROOT / "migrate/errors.py", None, tests) if tests else 0
        if code != 0:
            raise RuntimeError(f"{', '.join(map(str, tests))}: exit code {code} without a mutant")


def survivors(round_, mutants_here, note):
    """Return those mutants that the tests of a round do not see; each that they do is noted."""
    left = []
    for group, file, mutant in mutants_here:
        start = time.monotonic()
        tests = tests_of(round_, group, file)
        code = run(file, mutant.number, tests) if tests else 0
        if code == 0:
            left.append((group, file, mutant))
        note(round_, group, file, mutant, code != 0, time.monotonic() - start)
    return left


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a group")
    parser.add_argument(
        "--part", default="0/1", help="every so-many-eth: 0/2 and 1/2 for two cores"
    )
    parser.add_argument("--count", type=int, help="mutants of each group, in place of its own")
    parser.add_argument("--out", type=Path, help="a JSON-lines file that results are added to")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    import coremltools  # noqa: F401  once, for all processes
    import torch

    torch.set_num_threads(1)
    counts = dict.fromkeys(GROUPS, options.count) if options.count else None
    every = [x for x in drawn(counts=counts) if options.only in (None, x[0])]
    part, parts = map(int, options.part.split("/"))
    here = left = every[part::parts]

    def note(round_, group, file, mutant, killed, seconds):
        place = f"{file.relative_to(ROOT)}:{mutant.line} {mutant.what}"
        print(f"{round_} {'kill' if killed else 'SPARE'} {place} ({seconds:.0f} s)", flush=True)
        if options.out:
            line = {"group": group, "place": place, "number": mutant.number}
            with options.out.open("a") as stream:
                stream.write(json.dumps(line | {"round": round_, "killed": killed}) + "\n")

    for round_ in ("mirrored", "wider"):
        check_unmutated(round_, left)
        left = survivors(round_, left, note)
        print(f"{len(here) - len(left)} of {len(here)} mutants killed", flush=True)


if __name__ == "__main__":
    main()
