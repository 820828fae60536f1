"""`anereport migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Custom, Force, Records
from reporter.commands.terminal import loading, say_verdict, shown, the_model


def migrate(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="An .mlmodel file; without one, the only model in this folder.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show which layer types are covered, and stop.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write (default: MODEL-mlprogram).")
    ] = None,
    precision: Annotated[str, typer.Option(help="Arithmetic in fp16 or fp32.")] = "fp16",
    target: Annotated[
        str,
        typer.Option(help="Oldest system: iOS15 to iOS18, or macOS12 to macOS15."),
    ] = "iOS16",
    features: Annotated[
        str,
        typer.Option(help="fp16 or fp32 arrays at inputs and outputs (default: as declared)."),
    ] = "",
    keep_fp32: Annotated[
        list[str],
        typer.Option(help="A layer that stays float32 in an fp16 program. Repeatable."),
    ] = [],  # noqa: B006
    max_size: Annotated[
        int, typer.Option(help="Bound of dimensions that the model leaves without one.")
    ] = 2048,
    source_only: Annotated[
        bool,
        typer.Option(
            "--source-only", help="Write the PyTorch source alone (default: into MODEL-source)."
        ),
    ] = False,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix", help="Make all models of the experiment: each release, features, fp32."
        ),
    ] = False,
    record: Records = [],  # noqa: B006
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Re-express the NeuralNetwork in PyTorch and convert it to the ML Program format.

    The folder holds the ML Program, verified against the network, and model.py with its weights:
    readable PyTorch whose load() gives the module. With records of both from one device it ends
    in a verdict: whether the newer backend avoids the bug. Example: anereport migrate Block.mlmodel
    """
    if layers:
        with loading():
            from migrate import layer_table

            table = layer_table()
        typer.echo(table)
        return
    with loading():
        from migrate import OptionError, Options
        from reporter.write.migration import migration

    options = Options(precision, target, features, tuple(keep_fp32), max_size)
    if source_only and (matrix or record):
        raise OptionError("--source-only makes no ML Program: leave --matrix and --record away")
    model = model or the_model()
    if source_only:
        folder = out or Path(f"{model.stem}-source")
        with shown() as progress:
            migration.write_source(model, folder, force, progress, custom)
        typer.echo(f"wrote {folder}/model.py: load() in it gives the PyTorch module")
        return
    folder = out or Path(migration.default_folder(model))
    with shown() as progress:
        done = migration.write(
            model, folder, options, force, progress, custom, matrix=matrix, records=record
        )
    for finding in done.findings:
        typer.echo(f"finding: {finding}")
    for variant in done.variants:
        if variant.left_out:
            typer.echo(f"left out: {variant.name}: {variant.left_out}")
    for verdict in done.verdicts:
        say_verdict(verdict)
        for reason in verdict.reasons if len(done.verdicts) == 1 else ():
            typer.echo(f"  {reason}")
    for command in dict.fromkeys(c for verdict in done.verdicts for c in verdict.commands):
        typer.echo(f"to measure: {command}")
    source = "model.py (PyTorch), " if done.has_source else ""
    made = f"{len(done.made)} models" if done.matrix else done.others[0].name
    typer.echo(f"wrote {folder}/{made}; beside it {source}migration.md and .json")
