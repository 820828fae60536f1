"""What a model file holds: a NeuralNetwork, or an ML Program. Both have inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate import Network, ProgramOverview


def read(model: Any, custom: Sequence[str] = ()) -> Network | ProgramOverview:
    """Return the network, or what the ML Program says of itself; `custom` is for a network alone.

    Raises AnereportError, in a sentence, for a file that is neither.
    """
    if migrate.load_spec(model).WhichOneof("Type") != "mlProgram":
        return migrate.read(model)
    if custom:
        raise migrate.AnereportError(
            f"--custom gives builders of a NeuralNetwork's layers; {model} is an ML Program"
        )
    if isinstance(model, Path) and not model.is_dir():
        raise migrate.AnereportError(
            f"{model} is an ML Program without its package: give the .mlpackage folder"
        )
    return migrate.describe_program(model)
