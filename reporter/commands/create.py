"""`anereport create`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reporter.commands.options import Budget, Custom, Force, Inputs, Limit, Shape
from reporter.commands.terminal import loading, say_verdict, shown, the_model

if TYPE_CHECKING:
    from reporter.write.report.report import Report

WITH_FROM = ("from_", "fb", "thread", "last_good", "forum_limit", "size_limit", "force")


def create(
    context: typer.Context,
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
    last_good: Annotated[
        str, typer.Option(help='The last system that was right, if you know one: "iOS 13.7".')
    ] = "",
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
    shrink: Annotated[
        Path | None,
        typer.Option(help="Folder that anereport variants --shrink wrote (default: MODEL-shrink)."),
    ] = None,
    inputs: Inputs = None,
    custom: Custom = [],  # noqa: B006
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="A report's folder, to be written again without measuring."),
    ] = None,
    fb: Annotated[
        str, typer.Option(help="The number that Feedback Assistant gave: FB12345678.")
    ] = "",
    thread: Annotated[str, typer.Option(help="Web address where it is discussed.")] = "",
    forum_limit: Annotated[
        int | None,
        typer.Option(help="Characters of forum.md at most (default: 7000).", show_default=False),
    ] = None,
    without_weights: Annotated[
        bool,
        typer.Option(
            "--without-weights", help="Attach neither the model nor any other that was made of it."
        ),
    ] = False,
    keep_metadata: Annotated[
        bool,
        typer.Option("--keep-metadata", help="Bundle the model with its texts, private or not."),
    ] = False,
    size_limit: Annotated[
        float | None,
        typer.Option(help="MB of the zip from which on to warn (default: 10).", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Bundle model, results, divergence table and repro script into a report ready to file.

    With --from, a report that is there is written again: with the numbers that it was filed under,
    and what you wrote in its notes.md. Nothing is measured then.

    Example: anereport create Block.mlmodel --record record.json
    """
    with loading():
        from reporter.measure.results import parse_shape
        from reporter.understand.understood import Bounds
        from reporter.write import create as creating
        from reporter.write.models_here import records_beside
        from reporter.write.report import report_folder
        from reporter.write.report.stated import Stated

    stated = Stated(fb, thread, last_good, forum_limit, size_limit)
    if from_ is not None:
        _nothing_else(context)
        _say(report_folder.again(from_, stated), from_)
        return
    found = list(record)
    if model is None:
        model = the_model()
        found = found or records_beside(model)
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
        shrink=shrink,
        inputs=inputs,
        without_weights=without_weights,
        keep_metadata=keep_metadata,
        stated=stated,
    )
    target = out or Path(f"{model.stem}-report")
    with shown() as progress:
        report = creating.create(model, target, options, progress)
    _say(report, target)


def _nothing_else(context: typer.Context) -> None:
    """Raise AnereportError for what was given beside --from and would need measuring."""
    from migrate import AnereportError

    given = [
        "the model" if parameter.param_type_name == "argument" else parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name and parameter.name not in WITH_FROM and _given(context, parameter.name)
    ]
    if given:
        raise AnereportError(f"--from measures nothing: leave out {', '.join(given)}")


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _say(report: Report, target: Path) -> None:
    """Print what was found, what is missing, and where the report is."""
    from reporter.write.privacy.removed import removals
    from reporter.write.rendering import size
    from reporter.write.report import report_folder
    from reporter.write.zipped.archive import oversize

    if report.verdict:
        typer.echo(report.verdict)
    for finding in report.model.findings:
        typer.echo(f"finding: {finding}")
    for verdict in report.migration.verdicts if report.migration else ():
        say_verdict(verdict)
    for missing in report.missing:
        typer.echo(f"not measured: {missing.what}; to measure: {missing.command}")
    typer.echo(f"repro.py: {report.repro.status}")
    zipped = target / report_folder.archive(report)
    attached = f"{zipped} to attach, {size(zipped.stat().st_size)}"
    typer.echo(f"wrote {target}/report.md, and {attached}")
    if large := oversize(zipped, report):
        typer.echo(f"warning: {large}", err=True)
    if not report.notes:
        typer.echo(
            f"{target}/notes.md is yours to write, what you did and saw yourself: generated "
            "reports that nobody looked over are treated as spam; "
            f"then: anereport create --from {shlex.quote(str(target))}"
        )
    for said in removals(report.removed):
        typer.echo(said)
