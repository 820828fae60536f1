"""What a terminal shows and asks."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reporter.commands.ending import ending_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.progress import Progress


@contextmanager
def shown() -> Iterator[Progress]:
    """Show each step on the terminal while it lasts; nothing where there is no terminal."""
    from reporter.progress import Silent

    if sys.stderr is None or not sys.stderr.isatty():  # None: it is closed
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Shown(bar)


@contextmanager
def loading() -> Iterator[None]:
    """Show that something is done while modules are imported, which takes seconds."""
    with ExitStack() as bar:
        bar.enter_context(shown())
        with ending_at_once(bar.close):
            yield


def load_tools() -> None:
    """Import torch and coremltools, within `loading`: by itself the work imports them later."""
    import torch  # noqa: F401

    from migrate import coremltools

    coremltools()


class Shown:
    """A progress bar; it only moves to and fro until it is told how much is to come."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.task = bar, bar.add_task("starting", total=None)
        self.begun, self.expected = 0, 0

    def expect(self, steps: int) -> None:
        """Lengthen the bar."""
        self.expected += steps
        self.bar.update(self.task, total=max(self.expected, self.begun))

    def step(self, text: str) -> None:
        """Show what begins; what began before is done."""
        self.bar.update(self.task, description=text, completed=self.begun)
        self.begun += 1


def the_model() -> Path:
    """Return the one model here; ask which if there are several and somebody can answer."""
    from reporter.write.models_here import choose_model, models_in

    models: list[Path] = models_in(Path())
    if len(models) > 1 and sys.stdin is not None and sys.stdin.isatty():
        for number, path in enumerate(models, 1):
            typer.echo(f"{number}  {path.name}")
        answer: int = typer.prompt("Which model", type=int)
        if 1 <= answer <= len(models):
            return models[answer - 1]
    return choose_model(Path())


def say_verdict(verdict: Any) -> None:
    """Print the verdict on one model of a migration."""
    said = "SIMULATED verdict" if verdict.simulated else "verdict"
    place = f" on {verdict.device}" if verdict.device else ""
    typer.echo(f"{said}: {verdict.variant}{place}: {verdict.word}")
