"""The command line: parse, call one function, print where the result is. No logic."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reporter.progress import Progress

REPORT, UNDERSTAND, MEASURE = "Report", "Understand", "Measure"


class Group(TyperGroup):
    """The group of commands; it turns every error into its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command: an expected error ends with 1, a fault of ours with 3."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None
        except Exception as error:
            code = _explain(error)
            if code is None:
                raise
            raise typer.Exit(code) from error


def _explain(error: Exception) -> int | None:
    """Print what a user should see of an error and return the exit code; None if it is typer's."""
    from migrate import AnereportError

    if isinstance(error, AnereportError):
        typer.echo(f"anereport: {' '.join(str(error).split())}", err=True)
        return 1
    if isinstance(error, BrokenPipeError):  # whoever reads our output has seen enough: click's
        return None
    if type(error).__module__.split(".")[0] in ("typer", "click"):
        return None
    from reporter.fault import bug_report

    typer.echo(bug_report(error, sys.argv[1:]), err=True)
    return 3


app = typer.Typer(
    cls=Group,
    name="anereport",
    help="Report, and get around, wrong numbers from the Apple Neural Engine.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Force = Annotated[bool, typer.Option("--force", help="Replace what is at the output's place.")]
Custom = Annotated[
    list[str],
    typer.Option(help="Builder of a custom layer: [CLASS=]package.module:function. Repeatable."),
]
Records = Annotated[
    list[Path],
    typer.Option(help="Records, or a folder of them, of the model and of what it became."),
]
Limit = Annotated[
    float, typer.Option(help="How many times what rounding explains a channel may be off.")
]
Budget = Annotated[
    float, typer.Option(help="Seconds to look for the fault that explains it; 0 for none.")
]
Shape = Annotated[
    str, typer.Option(help="Shape of a listing's output, as in 1,1600,39,1.", show_default=False)
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"anereport {version('anereport')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Report, and get around, wrong numbers from the Apple Neural Engine."""


@app.command(rich_help_panel=REPORT)
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
        typer.Option(help="Results: a record, an .npz or a listing. Repeatable."),
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
        model = _the_model(creating)
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
    )
    target = out or Path(f"{model.stem}-report")
    with _shown() as progress:
        report = creating.create(model, target, options, progress)
    if report.verdict:
        typer.echo(report.verdict)
    for finding in report.model.findings:
        typer.echo(f"finding: {finding}")
    for verdict in report.migration.verdicts if report.migration else ():
        _say_verdict(verdict)
    for missing in report.missing:
        typer.echo(f"not measured: {missing.what}; to measure: {missing.command}")
    typer.echo(f"repro.py: {report.repro.status}")
    typer.echo(f"wrote {target}/report.md, and {target}/{model.stem}-report.zip to attach")


def _the_model(creating: Any) -> Path:
    """Return the one model here; ask which if there are several and somebody can answer."""
    models: list[Path] = creating.models_in(Path())
    if len(models) > 1 and sys.stdin.isatty():
        for number, path in enumerate(models, 1):
            typer.echo(f"{number}  {path.name}")
        answer: int = typer.prompt("Which model", type=int)
        if 1 <= answer <= len(models):
            return models[answer - 1]
    return creating.choose_model(Path())


@app.command(rich_help_panel=REPORT)
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
        from migrate import layer_table

        typer.echo(layer_table())
        return
    from migrate import OptionError, Options
    from reporter.write import create as creating
    from reporter.write import migration

    options = Options(precision, target, features, tuple(keep_fp32), max_size)
    if source_only and (matrix or record):
        raise OptionError("--source-only makes no ML Program: leave --matrix and --record away")
    model = model or _the_model(creating)
    if source_only:
        folder = out or Path(f"{model.stem}-source")
        with _shown() as progress:
            migration.write_source(model, folder, force, progress, custom)
        typer.echo(f"wrote {folder}/model.py: load() in it gives the PyTorch module")
        return
    folder = out or Path(migration.default_folder(model))
    with _shown() as progress:
        done = migration.write(
            model, folder, options, force, progress, custom, matrix=matrix, records=record
        )
    for finding in done.findings:
        typer.echo(f"finding: {finding}")
    for variant in done.variants:
        if variant.left_out:
            typer.echo(f"left out: {variant.name}: {variant.left_out}")
    for verdict in done.verdicts:
        _say_verdict(verdict)
        for reason in verdict.reasons if len(done.verdicts) == 1 else ():
            typer.echo(f"  {reason}")
    for command in dict.fromkeys(c for verdict in done.verdicts for c in verdict.commands):
        typer.echo(f"to measure: {command}")
    source = "model.py (PyTorch), " if done.has_source else ""
    made = f"{len(done.made)} models" if done.matrix else done.others[0].name
    typer.echo(f"wrote {folder}/{made}; beside it {source}migration.md and .json")


def _say_verdict(verdict: Any) -> None:
    shown = "SIMULATED verdict" if verdict.simulated else "verdict"
    place = f" on {verdict.device}" if verdict.device else ""
    typer.echo(f"{shown}: {verdict.variant}{place}: {verdict.word}")


@app.command(rich_help_panel=UNDERSTAND)
def explain(
    results: Annotated[
        Path, typer.Argument(help="A record, an .npz or a listing.", show_default=False)
    ],
    model: Annotated[Path | None, typer.Option(help="The model of the results.")] = None,
    shape: Shape = "",
    tolerance: Annotated[
        float, typer.Option(help="Bound of |a - reference| / max(|reference|, 1).")
    ] = 0.01,
    limit: Limit = 8.0,
    budget: Budget = 60.0,
    custom: Custom = [],  # noqa: B006
) -> None:
    """Say what results show: the verdict first, then who is wrong, how, and what would explain it.

    Example: anereport explain record.json --model Block.mlmodel
    """
    from reporter.measure.results import parse_shape
    from reporter.understand.explain import explain as said
    from reporter.understand.understood import Bounds

    wanted, bounds = parse_shape(shape) if shape else None, Bounds(tolerance, limit, budget)
    with _shown() as progress:
        lines = said(results, model, wanted, bounds, custom, progress)
    for line in lines:
        typer.echo(line)


@app.command(rich_help_panel=UNDERSTAND)
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
    from reporter.write import lint as linting

    found = linting.findings(model, custom)
    for line in [linting.to_json(model, found)] if as_json else linting.lines(found):
        typer.echo(line)
    if linting.failed(found, strict):
        raise typer.Exit(1)


@app.command(rich_help_panel=UNDERSTAND)
def variants(
    model: Annotated[
        Path, typer.Argument(help="An .mlmodel: a NeuralNetwork.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write (default: MODEL-variants).")
    ] = None,
    record: Records = [],  # noqa: B006
    limit: Limit = 8.0,
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Write the edits of a model that a person would try by hand, and read their records.

    Each is a model of its own, proved in PyTorch to be what manifest.json says of it. With records
    of them a folder that is there is kept, and what they say is printed.
    Example: anereport variants Block.mlmodel --out variants
    """
    from reporter.write import variants as writing

    folder = out or Path(writing.default_folder(model))
    if record:
        with _shown() as progress:
            if force or not folder.exists():
                writing.write(model, folder, force, progress, custom)
            said = writing.read(model, folder, record, limit, progress, custom)
        for sentence in said:
            typer.echo(sentence)
        return
    with _shown() as progress:
        manifest = writing.write(model, folder, force, progress, custom)
    for entry in manifest.made:
        typer.echo(f"{entry.file}: {entry.same}. {entry.line}")
    for entry in manifest.left_out:
        typer.echo(f"left out: {entry.name or entry.kind}: {entry.left_out}")
    typer.echo(f"to measure: anereport run {folder} --out {folder.name}-records")
    typer.echo(f"wrote {len(manifest.made)} models and manifest.json to {folder}")


@app.command(rich_help_panel=MEASURE)
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
    with _shown() as progress:
        for record in running.run(model, out, options, progress):
            units = ", ".join(dict.fromkeys(r.unit for r in record.runs))
            typer.echo(f"{record.model.name}: {record.evidence} on {units}")
    typer.echo(f"wrote {out}")


@contextmanager
def _shown() -> Iterator[Progress]:
    """Show each step on the terminal while it lasts; nothing where there is no terminal."""
    from reporter.progress import Silent

    if not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Shown(bar)


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
