"""Options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Replace what is at the output's place.")]
Custom = Annotated[
    list[str],
    typer.Option(help="Builder of a custom layer: [CLASS=]package.module:function. Repeatable."),
]
Inputs = Annotated[
    Path | None, typer.Option(help="An .npz with an array per input (default: seeded).")
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
