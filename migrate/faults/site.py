"""Where a fault sits: a layer in its place in the module, and the same layer as it ran."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.func import functional_call

from migrate import shapes
from migrate.block import REFUSALS, Block
from migrate.dataflow import joined
from migrate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.module import Model
    from migrate.network import Layer

PRODUCTS = (
    nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Place:
    """A layer that is no branch and no loop: its name among all, and the module that computes it.

    The name is the layer's own, or the module's path if that is empty or names another too.
    """

    name: str
    layer: Layer
    step: nn.Module
    spatial: bool
    nested: bool  # inside a branch or loop

    @property
    def product(self) -> tuple[str, Any] | None:
        """The convolution or dense layer with stored weights that is the step, or a part of it.

        Its name in the step comes before it, with a dot behind it: "" or "conv.".
        """
        for name, module in self.step.named_modules():
            if isinstance(module, PRODUCTS):
                return f"{name}." if name else "", module
        return None

    @property
    def biases(self) -> dict[str, Tensor]:
        """The parameters and buffers of the step that are its bias, by name."""
        tensors = (*self.step.named_parameters(), *self.step.named_buffers())
        return {name: x for name, x in tensors if name.rpartition(".")[2] == "bias"}

    def run(self, inputs: Sequence[Tensor], **parameters: Tensor) -> tuple[Tensor, ...]:
        """Return what the layer makes of other inputs, or with other parameters in their place.

        Raises ModelError where it cannot be applied to them.
        """

        def replaced(*xs: Tensor) -> Any:
            return functional_call(self.step, parameters, xs)

        step: Any = replaced if parameters else self.step
        try:
            result = shapes.as_batch(step, *inputs) if self.spatial else step(*inputs)
        except REFUSALS as error:
            sentence = str(error).splitlines() or [type(error).__name__]
            raise ModelError(
                f"layer {self.layer.name!r} ({self.layer.kind}) does not run: {sentence[0]}"
            ) from error
        return (result,) if isinstance(result, Tensor) else tuple(result)


@dataclass(frozen=True, eq=False)
class Site:
    """A layer as it ran: its inputs, and one of its outputs.

    `choice` is the N of a fault that has several forms.
    """

    place: Place
    inputs: tuple[Tensor, ...]
    healthy: Tensor
    index: int = 0  # of the output among the layer's
    choice: int = 0
    previous: Tensor | None = None  # the output for the previous prediction's inputs

    @property
    def params(self) -> Any:
        """The message of the layer's parameters."""
        return self.place.layer.params

    def again(self, *inputs: Tensor, **parameters: Tensor) -> Tensor:
        """Return the output for other inputs, if given, and with other parameters."""
        return self.place.run(inputs or self.inputs, **parameters)[self.index]

    @property
    def weight(self) -> Tensor | None:
        """The weights [C_out, C_in / groups, ...] or [C_in, C_out / groups, ...], if any."""
        product = self.place.product
        if product:
            return product[1].weight
        return self.inputs[1] if len(self.inputs) > 1 else None

    def with_weight(self, weight: Tensor) -> Tensor:
        """Return the output with these weights, stored or the second input."""
        product = self.place.product
        if product:
            return self.again(**{f"{product[0]}weight": weight})
        return self.again(self.inputs[0], weight, *self.inputs[2:])

    @property
    def channel_axis(self) -> int:
        """The axis of the channels, -3 for most; the last below rank 3, or 4 of an innerProduct."""
        kind = self.place.layer.kind
        if kind in ("convolution3d", "batchedMatmul", "embeddingND"):
            return -4 if kind == "convolution3d" else -1
        return -1 if self.healthy.ndim < (4 if kind == "innerProduct" else 3) else -3


def places(net: Model) -> list[Place]:
    """Return the layers of a module in order, those inside branches and loops after the others."""
    found = [
        (joined(path, op.child), op, getattr(module, op.child))
        for path, module in net.named_modules()
        if isinstance(module, Block)
        for op in module.ops
        if not op.layer.blocks
    ]
    times = Counter(name for path, op, _ in found for name in {path, op.layer.name})
    stages = net.network.stages or (net.network,)
    outermost = {id(layer) for stage in stages for layer in stage.layers}
    return [
        Place(
            op.layer.name if op.layer.name and times[op.layer.name] == 1 else path,
            op.layer, step, op.spatial, id(op.layer) not in outermost,
        )
        for path, op, step in found
    ]  # fmt: skip
