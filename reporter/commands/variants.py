"""`anereport variants`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Custom, Force, Limit, Records
from reporter.commands.terminal import loading, shown


def variants(
    model: Annotated[
        Path, typer.Argument(help="An .mlmodel: a NeuralNetwork.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write (default: MODEL-variants, or MODEL-shrink)."),
    ] = None,
    record: Records = [],  # noqa: B006
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Write smaller and smaller networks, a round a call.")
    ] = False,
    most: Annotated[int, typer.Option(help="With --shrink: how many a round has at most.")] = 8,
    limit: Limit = 8.0,
    custom: Custom = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Write the edits of a model that a person would try by hand, and read their records.

    Each is a model of its own, proved in PyTorch to be what manifest.json says of it. With records
    of them a folder that is there is kept, and what they say is printed. With --shrink they are
    smaller networks, for the smallest that is still wrong: with the records of a round the next one
    is written, until nothing smaller fails.
    Example: anereport variants Block.mlmodel --out variants
    """
    if shrink:
        with loading():
            from reporter.write.variants import shrink as shrinking

        options = shrinking.Options(most, limit, custom, force)
        into = out or Path(shrinking.default_folder(model))
        with shown() as progress:
            said = shrinking.shrink(model, into, record, options, progress)
        for sentence in said:
            typer.echo(sentence)
        return
    with loading():
        from reporter.measure.results import record_files
        from reporter.understand.assessment import check_limit
        from reporter.understand.reading_words import sentences
        from reporter.write.attached.variants import default_folder
        from reporter.write.files.outputs import check_free
        from reporter.write.variants import variants as writing

    folder = out or Path(default_folder(model))
    if record:
        # what is wrong with either is said before long work
        check_limit(limit)
        record_files(record)
        with shown() as progress:
            if force or not folder.exists():
                check_free(folder, force, *record)
                writing.write(model, folder, force, progress, custom)
            readings = writing.read(model, folder, record, limit, progress, custom)
        for reading in readings:
            for sentence in sentences(reading):
                typer.echo(sentence)
        return
    with shown() as progress:
        manifest = writing.write(model, folder, force, progress, custom)
    for entry in manifest.made:
        typer.echo(f"{entry.file}: {entry.same}. {entry.line}")
    for entry in manifest.left_out:
        typer.echo(f"left out: {entry.name or entry.kind}: {entry.left_out}")
    typer.echo(f"to measure: anereport run {folder} --out {folder.name}-records")
    typer.echo(f"wrote {len(manifest.made)} models and manifest.json to {folder}")
