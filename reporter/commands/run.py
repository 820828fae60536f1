"""`anereport run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Custom, Force
from reporter.commands.terminal import shown


def run(
    model: Annotated[
        Path,
        typer.Argument(help="An .mlmodel or .mlpackage, or a folder of them.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The record; of a folder, a folder of records.", show_default=False),
    ],
    simulate: Annotated[
        str,
        typer.Option(
            help="FAULT@LAYER of a NeuralNetwork, or none: write a simulated record.",
            show_default=False,
        ),
    ] = "",
    inputs: Annotated[
        Path | None, typer.Option(help="An .npz with an array per input (default: seeded).")
    ] = None,
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Predict on every compute unit of this Mac and write the record.

    Example: anereport run Block.mlmodel --out record.json
    """
    from reporter.write import run as running

    options = running.Options(simulate, inputs, custom, force)
    with shown() as progress:
        for record in running.run(model, out, options, progress):
            units = ", ".join(dict.fromkeys(r.unit for r in record.runs))
            typer.echo(f"{record.model.name}: {record.evidence} on {units}")
    typer.echo(f"wrote {out}")
