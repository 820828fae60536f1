"""A worker's process, watched from outside, and what it leaves when it ends in any way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reporter.measure.messages import messages
from reporter.measure.record import Failure, Plan, Run
from reporter.measure.redaction import redaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reporter.measure.record import Start, Unit
    from reporter.measure.worker import Job

TICK = 0.1  # seconds between two looks
TAIL = 4000  # characters that a failure keeps of what was printed
MOST_PRINTED = 1 << 22  # bytes, from the end, that are looked through


@dataclass(frozen=True)
class Ended:
    """How a process ended, and its finished runs."""

    status: int | None  # exit code, the negative of a signal, or None: its time was over
    stage: str  # what it did last
    message: str  # why it ended, unless it went well
    printed: str
    runs: tuple[Run, ...]

    @property
    def in_a_prediction(self) -> bool:
        """Whether it died in a prediction, so that one of another input may go well."""
        return self.status is not None and self.stage == "predict"

    def failure(self, unit: Unit, name: str, start: Start = "", repeat: int = 0) -> Run:
        """Return the run that could not be made."""
        return Run(
            unit=unit,
            input=name,
            repeat=repeat,
            start=start,
            failure=Failure(
                stage=self.stage,
                message=self.message,
                signal=-self.status if self.status and self.status < 0 else None,
                stderr=self.printed[-TAIL:],
            ),
            messages=() if self.runs else messages(self.printed),
        )


def run(job: Job, seconds: float, begins: Callable[[str], None]) -> Ended:
    """Do a job in a process of its own, and return how that ended.

    `begins` is told each input when its first prediction begins. The process is killed when its
    `seconds` are over, or if an exception such as KeyboardInterrupt ends the waiting.
    """
    job.begin("load" if job.inputs else "compile")
    path = job.folder / "job.json"
    path.write_text(job.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "reporter.measure.worker", str(path)]
    with (
        (job.folder / "printed").open("wb") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # it closes when this process ends, and ends the other
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=job.folder,  # modules that lie in the user's folder are none of its
            start_new_session=True,  # Ctrl-C is answered here
        ) as process,
    ):
        try:
            status = _waited(process, job, time.monotonic() + seconds, begins)
        finally:
            process.kill()
    return _ended(job, status, seconds)


def _waited(
    process: subprocess.Popen[bytes], job: Job, deadline: float, begins: Callable[[str], None]
) -> int | None:
    """Return the exit status; None if the deadline comes first."""
    names = [name for name, _ in job.inputs]

    def say() -> None:
        while names and len(job.inputs) - len(names) <= len(_files(job)) // job.repeats:
            begins(names.pop(0))

    while (left := deadline - time.monotonic()) > 0:
        say()
        try:
            status = process.wait(min(TICK, left))
        except subprocess.TimeoutExpired:
            continue
        say()
        return status
    return None


def _files(job: Job) -> list[Path]:
    return sorted(job.folder.glob("[0-9]*.json"))


def finished(job: Job) -> tuple[Run, ...]:
    """Return the runs that a job has made, the plan and what was printed with the first."""
    runs = [Run.model_validate_json(path.read_bytes()) for path in _files(job)]
    if not runs:
        return ()
    plan = job.folder / "plan.json"
    more = {
        "messages": messages(_printed(job)),
        "plan": Plan.model_validate_json(plan.read_bytes()) if plan.exists() else None,
    }
    return (runs[0].model_copy(update=more), *runs[1:])


def _ended(job: Job, status: int | None, seconds: float) -> Ended:
    error = redaction().text(_text(job.folder / "error"))
    return Ended(
        status=status,
        stage=_text(job.folder / "stage"),
        message=_why(status, error, seconds),
        printed=_printed(job),
        runs=finished(job),
    )


def _why(status: int | None, error: str, seconds: float) -> str:
    """Return why a process ended; `error` is the exception that ended it, if one did."""
    if status is None:
        return f"it did not end within {seconds:.3g} s"
    if status >= 0:
        return error or f"its process ended with exit code {status}"
    known = {one.value: f" ({one.name})" for one in signal.Signals}
    return f"its process was ended by signal {-status}{known.get(-status, '')}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _printed(job: Job) -> str:
    """Return the end of what was printed, without what tells a person or a machine."""
    with (job.folder / "printed").open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - MOST_PRINTED))
        return redaction().text(log.read().decode(errors="replace"))
