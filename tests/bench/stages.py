"""What each stage of `anereport create` takes on samples/Block.mlmodel, in milliseconds.

Two stages start another Python and one draws; every other is to end within a second.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.write.create import Options, create

BLOCK = Path(__file__).resolve().parents[2] / "samples" / "Block.mlmodel"
MOST = 1.0  # seconds
IMPORTS = "imports, in a process of their own"
SLOW = (IMPORTS, "running the repro script in a clean process", "writing report.html")


class Stage(NamedTuple):
    """The least of all attempts; a stage that comes several times is counted as one."""

    name: str
    seconds: float

    @property
    def fits(self):
        return self.seconds <= MOST or self.name in SLOW

    def __str__(self):
        bound = "may exceed a second" if self.name in SLOW else f"at most {MOST:.0f} s"
        word = "ok" if self.fits else "BROKEN"
        return f"create, {self.name:56.56s} {1000 * self.seconds:7.0f} ms  {bound}  {word}"


class Watch:
    """A Progress that notes how long each step lasts."""

    def __init__(self):
        self.seconds, self.current, self.begun = {}, "before the first step", time.perf_counter()

    def expect(self, steps):
        pass

    def step(self, text):
        now = time.perf_counter()
        self.seconds[self.current] = self.seconds.get(self.current, 0) + now - self.begun
        self.current, self.begun = "trying faults" if text.startswith("trying ") else text, now


def imports():
    """Return the seconds that a new process takes for what `create` imports."""
    code = "import coremltools, torch, markdown, reporter.write.create"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return time.perf_counter() - start


def one_create(record, folder):
    """Return the seconds of each stage, by its name."""
    watch = Watch()
    create(BLOCK, folder, Options(records=[record]), watch)
    watch.step("")
    return watch.seconds


def stages(attempts):
    """Return the stages of `create` with a simulated record, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record.json")
        record.write_text(dumps(simulate(BLOCK, "bias-only@conv3")))
        found = [
            {IMPORTS: imports(), **one_create(record, Path(folder, str(i)))}
            for i in range(attempts)
        ]
    return [Stage(name, min(each.get(name, 0) for each in found)) for name in found[0]]
