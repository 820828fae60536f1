"""By how much a piece of work raises the peak of memory of a process of its own; Linux alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

RISE = """
import pathlib, sys; sys.path.insert(0, {here!r})
import bench, large, migrate
from peaks import kilobytes, watched
{before}
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
start = kilobytes("VmRSS")
with watched() as children:
    kept = {work}
print(kilobytes("VmHWM") - start, max(children.values(), default=0))
"""


class Peak(NamedTuple):
    """Kilobytes: the rise of the process' own peak, and the peak of its largest child."""

    own: int
    child: int


def rise_of(before, work):
    """Return what an expression takes; `before` are statements whose memory is there already."""
    code = RISE.format(here=str(HERE), before=before, work=work)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return Peak(*map(int, done.stdout.split()))


def kilobytes(field, process="self"):
    """Return a number that Linux keeps of a process; VmHWM is the peak of VmRSS."""
    lines = Path("/proc", str(process), "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


@contextmanager
def watched():
    """Yield the peaks of this process' children, which grow meanwhile.

    They are looked at ten times a second: what Linux keeps of ended ones begins with their parent.
    """
    found, ended = {}, threading.Event()

    def look():
        while not ended.wait(0.1):
            for task in Path("/proc/self/task").iterdir():
                with suppress(OSError, StopIteration):  # it has ended
                    for child in (task / "children").read_text().split():
                        found[child] = max(kilobytes("VmHWM", child), found.get(child, 0))

    threading.Thread(target=look, daemon=True).start()
    try:
        yield found
    finally:
        ended.set()
