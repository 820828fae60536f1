"""`anereport explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.options import Budget, Custom, Limit, Shape
from reporter.commands.terminal import load_tools, loading, shown


def explain(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Records, folders of them, an .npz or a listing; several are compared.",
            show_default=False,
        ),
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

    Of several devices it says on which the model fails and on which it passes.
    Example: anereport explain record.json --model Block.mlmodel
    """
    with loading():
        if model:
            load_tools()
        from reporter.measure.results import parse_shape
        from reporter.understand.explain import explain as said
        from reporter.understand.understood import Bounds

    wanted, bounds = parse_shape(shape) if shape else None, Bounds(tolerance, limit, budget)
    with shown() as progress:
        lines = said(results, model, wanted, bounds, custom, progress)
    for line in lines:
        typer.echo(line)
