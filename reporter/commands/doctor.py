"""`anereport doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from reporter.commands.terminal import loading, shown


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what this machine is, what can be measured on it, and which iPhones are connected.

    Example: anereport doctor
    """
    with loading():
        from reporter.write import doctor as examining

    with shown():
        found = examining.examine()
    for line in [examining.to_json(found)] if as_json else examining.lines(found):
        typer.echo(line)
