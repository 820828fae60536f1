"""Our own step at the end of coremltools' passes, and which of its passes are left out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from migrate.coreml import coremltools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# These fail (in coremltools 9.0) on what networks contain: they take whatever feeds a concat for a
# squeeze, each padding for a constant, each weight of a convolution for one.
FAILING = ("fuse_stack_split", "merge_consecutive_paddings", "compose_conv1d")
OWN = "anereport::finish"


class Step:
    """A function of the PyMIL program, as coremltools calls its passes."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self.function = function

    def set_options(self, options: Any) -> None:
        """Take no options."""

    def __call__(self, program: Any) -> None:
        """Change the program."""
        self.function(program)


@contextmanager
def pipeline(step: Callable[[Any], None]) -> Iterator[Any]:
    """Give coremltools' passes and after them this function of the PyMIL program."""
    coremltools()
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    passes = coremltools().PassPipeline()
    passes.remove_passes({f"common::{name}" for name in FAILING})
    PASS_REGISTRY.passes[OWN] = Step(step)
    passes.append_pass(OWN)
    try:
        yield passes
    finally:
        del PASS_REGISTRY.passes[OWN]
