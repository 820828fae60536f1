"""Our own step at the end of coremltools' passes, and which of its passes do nothing meanwhile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from migrate.coreml import coremltools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# In coremltools 9.0 the first three fail on what networks contain: they take whatever feeds a
# concat for a squeeze, each padding for a constant, each weight of a convolution for one. The last
# takes the root of a square for the number, which negative ones are not.
FAULTY = (
    "common::fuse_stack_split",
    "common::merge_consecutive_paddings",
    "common::compose_conv1d",
    "mil_backend::fuse_pow2_sqrt",
)
INTO_WEIGHTS = ("common::fuse_conv_batchnorm", "common::fuse_conv_scale")
OWN = "anereport::finish"
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class Step:
    """A function of the PyMIL program, as coremltools calls its passes."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self.function = function

    def set_options(self, options: Any) -> None:
        """Take no options."""

    def __call__(self, program: Any) -> None:
        """Change the program."""
        self.function(program)


def misleading(net: nn.Module) -> tuple[str, ...]:
    """Return which passes would change the numbers of a module.

    Those that fold scales into weights give them to the wrong channels of a transposed convolution
    in groups.
    """
    grouped = any(isinstance(m, TRANSPOSED) and m.groups > 1 for m in net.modules())
    return INTO_WEIGHTS if grouped else ()


@contextmanager
def pipeline(step: Callable[[Any], None], left_out: Iterable[str] = ()) -> Iterator[Any]:
    """Give coremltools' passes, without some, and after them this function of the PyMIL program."""
    ct = coremltools()
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    table = PASS_REGISTRY.passes  # that of the passes to a backend too, which no option names
    before = dict(table)
    table.update({name: Step(_nothing) for name in (*FAULTY, *left_out)})
    table[OWN] = Step(step)
    try:
        passes = ct.PassPipeline()
        passes.append_pass(OWN)
        yield passes
    finally:
        table.clear()
        table.update(before)


def _nothing(program: Any) -> None:
    pass
