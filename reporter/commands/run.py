"""`anereport run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Custom, Force, Inputs
from reporter.commands.terminal import load_tools, loading, shown


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
    inputs: Inputs = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="How many seeded inputs: the first on which rounding leaves something to see, and "
            "the next ones (default: 2; with --simulate 1)."
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Predictions of each input (default: 3; with --simulate 1)."),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also a ramp, an impulse, zeros and ones.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds for all that a compute unit does.")
    ] = 600.0,
    label: Annotated[
        str,
        typer.Option(
            help="What to call this Mac in the record (default: a random one, kept).",
            show_default=False,
        ),
    ] = "",
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Predict on every compute unit of this Mac and write the record.

    Ctrl-C keeps what is finished; of a folder of models, the next call goes on.

    Example: anereport run Block.mlmodel --out record.json
    """
    with loading():
        load_tools()
        from reporter.write import run as running

    options = running.Options(
        fault=simulate,
        inputs=inputs,
        custom=custom,
        force=force,
        seeds=seeds,
        repeats=repeats,
        controls=controls,
        seconds=timeout,
        label=label,
    )
    try:
        with shown() as progress:
            found = running.run(model, out, options, progress)
    except running.Stopped as stop:
        typer.echo(stop, err=True)
        raise
    for record in found:
        for line in running.said(record):
            typer.echo(f"{record.model.name}: {line}")
    typer.echo(f"wrote {out}")
