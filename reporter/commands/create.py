"""`anereport create`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Budget, Custom, Force, Inputs, Limit, Shape
from reporter.commands.terminal import say_verdict, shown, the_model


def create(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="An .mlmodel or .mlpackage; without one, the only model in this folder.",
            show_default=False,
        ),
    ] = None,
    record: Annotated[
        list[Path],
        typer.Option(help="Results: a record, a folder of them, an .npz or a listing. Repeatable."),
    ] = [],  # noqa: B006  typer copies it
    out: Annotated[
        Path | None, typer.Option(help="The report's folder (default: MODEL-report).")
    ] = None,
    shape: Shape = "",
    device: Annotated[
        list[str],
        typer.Option(help='A device of results that name none: "iPhone 14, iOS 16.2 (20C65)".'),
    ] = [],  # noqa: B006
    tolerance: Annotated[
        float, typer.Option(help="Bound of |a - reference| / max(|reference|, 1).")
    ] = 0.01,
    limit: Limit = 8.0,
    budget: Budget = 60.0,
    script: Annotated[
        Path | None, typer.Option(help="Bundle your own repro script instead of ours, unrun.")
    ] = None,
    run_script: Annotated[bool, typer.Option("--run-script", help="Run --script first.")] = False,
    migration: Annotated[
        Path | None,
        typer.Option(help="Folder that anereport migrate wrote (default: MODEL-mlprogram)."),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(help="Folder that anereport variants wrote (default: MODEL-variants)."),
    ] = None,
    inputs: Inputs = None,
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Bundle model, results, divergence table and repro script into a report ready to file.

    Example: anereport create Block.mlmodel --record record.json
    """
    from reporter.measure.results import parse_shape
    from reporter.understand.understood import Bounds
    from reporter.write import create as creating

    found = list(record)
    if model is None:
        model = the_model()
        found = found or creating.records_beside(model)
    options = creating.Options(
        records=found,
        shape=parse_shape(shape) if shape else None,
        devices=device,
        bounds=Bounds(tolerance, limit, budget),
        script=script,
        run_script=run_script,
        force=force,
        custom=custom,
        migration=migration,
        variants=variants,
        inputs=inputs,
    )
    target = out or Path(f"{model.stem}-report")
    with shown() as progress:
        report = creating.create(model, target, options, progress)
    if report.verdict:
        typer.echo(report.verdict)
    for finding in report.model.findings:
        typer.echo(f"finding: {finding}")
    for verdict in report.migration.verdicts if report.migration else ():
        say_verdict(verdict)
    for missing in report.missing:
        typer.echo(f"not measured: {missing.what}; to measure: {missing.command}")
    typer.echo(f"repro.py: {report.repro.status}")
    typer.echo(f"wrote {target}/report.md, and {target}/{model.stem}-report.zip to attach")
