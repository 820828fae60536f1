"""The command line: its commands, and how every error becomes an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from reporter.commands.ending import STOPPED, ending_at_once

with ending_at_once():
    from reporter import environment

    if wrong := environment.wrong_python():  # the commands cannot even be imported then
        sys.exit(f"anereport: {wrong}")

    from typing import Annotated, Any

    import typer
    from typer.core import TyperGroup

    from reporter.commands.create import create
    from reporter.commands.doctor import doctor
    from reporter.commands.explain import explain
    from reporter.commands.lint import lint
    from reporter.commands.migrate import migrate
    from reporter.commands.run import run
    from reporter.commands.runner import runner
    from reporter.commands.schema import schema
    from reporter.commands.variants import variants
    from reporter.commands.verify import verify

REFUSED = {  # what the system says of a file that was given, and what to do then
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.ELOOP: "give the file itself",
    errno.ENAMETOOLONG: "choose a shorter name",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
REPORT, UNDERSTAND, MEASURE = "Report", "Understand", "Measure"


class Group(TyperGroup):
    """The group of commands; it turns every error into its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command: an expected error ends with 1, a fault of ours with 3."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):  # Abort: at a question
            typer.echo("stopped", err=True)
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            code = _explain(error)
            if code is None:
                raise
            raise typer.Exit(code) from error


def _explain(error: Exception) -> int | None:
    """Print what a user should see of an error and return the exit code; None if it is typer's."""
    if isinstance(error, BrokenPipeError):  # whoever reads our output has seen enough: click's
        return None
    if type(error).__module__.split(".")[0] in ("typer", "click"):
        return None
    if sentence := _expected(error):
        typer.echo(f"anereport: {' '.join(sentence.split())}", err=True)
        return 1
    from reporter.fault import bug_report

    typer.echo(bug_report(error, sys.argv[1:]), err=True)
    return 3


def _expected(error: Exception) -> str:
    """Return the sentence about an error that is the user's to mend; nothing for a fault of ours.

    In an installation that is not as anereport needs it, any other error may come of that.
    """
    if sentence := environment.collision():
        return sentence
    from migrate import AnereportError, ConversionError

    if isinstance(error, AnereportError):
        unfit = environment.unfit() if isinstance(error, ConversionError) else ""
        return f"{error}; {unfit}" if unfit else str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" {error.filename}" if error.filename else ""
        return f"cannot write{place}: {error.strerror}: make room, there and where TMPDIR says"
    if isinstance(error, OSError) and error.filename and error.errno in REFUSED:
        return f"cannot use {error.filename}: {error.strerror}: {REFUSED[error.errno]}"
    if unfit := environment.unfit():
        return f"{type(error).__name__}: {error}; {unfit}"
    return ""


app = typer.Typer(
    cls=Group,
    name="anereport",
    help="Report, and get around, wrong numbers from the Apple Neural Engine.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        found = environment.versions()
        own = found.pop("anereport", "(not installed)")
        typer.echo(f"anereport {own} ({', '.join(f'{name} {v}' for name, v in found.items())})")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the versions.")
    ] = False,
) -> None:
    """Report, and get around, wrong numbers from the Apple Neural Engine."""


COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    REPORT: (create, migrate, verify, schema),
    UNDERSTAND: (explain, lint, variants),
    MEASURE: (run, runner, doctor),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
