"""`anereport runner`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Force
from reporter.commands.terminal import load_tools, loading, shown


def runner(
    model: Annotated[
        Path,
        typer.Argument(help="An .mlmodel or .mlpackage, or a folder of them.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The project, NAME.swiftpm (default: MODEL-runner.swiftpm)."),
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="An .npz with an array per input (default: seeded).")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeded inputs (default: 2).")] = None,
    repeats: Annotated[int, typer.Option(help="Predictions of each input.")] = 3,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also a ramp, an impulse, zeros and ones.")
    ] = False,
    force: Force = False,
) -> None:
    """Write an app for iPhone and iPad that measures models and shares their records.

    Xcode opens it, and Swift Playgrounds on an iPad. It has not yet been run on hardware.

    Example: anereport runner Block.mlmodel
    """
    with loading():
        load_tools()
        from reporter.write.rendering import size
        from reporter.write.run import Options
        from reporter.write.runner import runner as writing

    options = Options(inputs=inputs, seeds=seeds, repeats=repeats, controls=controls, force=force)
    with shown() as progress:
        done = writing.write(model, out or Path(writing.default_folder(model)), options, progress)
    if done.large:
        typer.echo(f"large: over {size(writing.LARGE)} takes long to bring to an iPad and to build")
    models = "1 model" if len(done.models) == 1 else f"{len(done.models)} models"
    typer.echo(f"wrote {done.path}: {models}, {size(done.size)}")
    typer.echo("1. open it in Xcode 15.3 or later, or in Swift Playgrounds on an iPad; press Run")
    typer.echo("2. in the app: Start, then Share records; README.md in it says more")
    typer.echo("3. here: anereport create MODEL --record RECORD.json")
