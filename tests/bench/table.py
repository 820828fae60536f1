"""The table of benchmarks in README: the ratios of one run, and the machine that it ran on."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- make bench writes this table -->\n", "<!-- up to here -->\n"
HEAD = "| ratio of | is | at most |\n|---|---:|---:|\n"


class Row(NamedTuple):
    """A ratio; without a bound it is only told."""

    name: str
    ratio: float
    bound: float | None = None

    @property
    def fits(self):
        return self.bound is None or self.ratio <= self.bound

    def __str__(self):
        bound = "not judged" if self.bound is None else f"at most {self.bound:.2f}"
        return f"{self.name:56s} {self.ratio:6.2f}  {bound}  {'ok' if self.fits else 'BROKEN'}"

    @property
    def markdown(self):
        bound = "" if self.bound is None else f"{self.bound:.2f}"
        ratio = f"{self.ratio:.2f}" if self.fits else f"**{self.ratio:.2f}**"
        return f"| {self.name} | {ratio} | {bound} |\n"


def machine():
    """Return a sentence on this machine and its software, with the day; Linux alone."""
    processor = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    software = ", ".join(f"{name} {version(name)}" for name in ("torch", "coremltools", "numpy"))
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python "
        f"{platform.python_version()}, {software}; {datetime.date.today().isoformat()}."
    )


def block(rows, where):
    """Return the table as README has it, between its two comments."""
    return f"{BEGIN}{HEAD}{''.join(row.markdown for row in rows)}\n{where}\n{END}"


def replaced(text, new):
    """Return a text with another block in the place of the one that it holds."""
    before, rest = text.split(BEGIN)
    return before + new + rest.split(END)[1]


def write(rows):
    """Put the rows of a run into README."""
    README.write_text(replaced(README.read_text(), block(rows, machine())))
