"""`anereport schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from reporter.commands.terminal import loading


def schema(
    name: Annotated[
        str, typer.Argument(help="Which file; without one, they are listed.", show_default=False)
    ] = "",
) -> None:
    """Print the JSON Schema of a file that anereport writes, for programs that read it.

    Example: anereport schema report
    """
    import json

    with loading():
        from reporter.write import schemas

    if name:
        typer.echo(json.dumps(schemas.of(name), indent=1))
        return
    for kind, (_, identifier) in schemas.KINDS.items():
        typer.echo(f"{kind}: {identifier}")
