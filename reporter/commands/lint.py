"""`anereport lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Custom
from reporter.commands.terminal import load_tools, loading, shown


def lint(
    model: Annotated[
        Path, typer.Argument(help="An .mlmodel, or a package of one.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail too.")] = False,
    custom: Custom = [],  # noqa: B006
) -> None:
    """Find what is wrong in a NeuralNetwork, or was reported to go wrong, without a device.

    Exit code 1 if there is an error. Example: anereport lint Block.mlmodel
    """
    with loading():
        load_tools()
        from reporter.write import lint as linting

    with shown():
        found = linting.findings(model, custom)
    for line in [linting.to_json(model, found)] if as_json else linting.lines(found):
        typer.echo(line)
    if linting.failed(found, strict):
        raise typer.Exit(1)
