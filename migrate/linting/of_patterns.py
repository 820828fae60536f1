"""Layers behind layers, as in networks that were reported to go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.errors import ModelError
from migrate.layers.padding import edges
from migrate.layers.pooling import AVERAGE
from migrate.layers.reorganization import DEPTH_TO_SPACE, PIXEL_SHUFFLE
from migrate.linting.finding import INFO, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import together
from migrate.shapes import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Node, Scene

    Found = Iterator[tuple[Place, str]]

ISSUES = "https://github.com/apple/coremltools/issues"
KINO = "https://github.com/dmlsrc/KinoVSR"
WIDEST = 256  # channels into a pixel shuffle
LARGEST_RIGHT_MEAN = 3  # the side of the window that was reported right


@rule(
    "concat-depthwise",
    severity=WARNING,
    source="https://developer.apple.com/forums/thread/720810",
)
def concat_depthwise(scene: Scene) -> Found:
    """Find where a concatenation of channels feeds a depthwise convolution."""
    for node in scene.of("convolution"):
        p, source = node.layer.params, node.source()
        depthwise = p.nGroups > 1 and p.kernelChannels == 1 and not p.isDeconvolution
        if depthwise and _joins_channels(source):
            yield (
                node.place,
                f"is depthwise, of {p.nGroups:,} groups, and reads {source.place.where} "
                f"({source.kind}): such a network was reported to give constant rows on the "
                "Neural Engine",
            )


def _joins_channels(node: Node) -> bool:
    if node.kind == "concat":
        return not node.layer.params.sequenceConcat
    if node.kind != "concatND":
        return False
    axis, shape = int(node.layer.params.axis), node.outputs[0]
    return axis == CHANNEL or (axis >= 0 and shape is not None and axis == len(shape) + CHANNEL)


@rule("biased-pixel-shuffle", severity=WARNING, source=KINO)
def biased_pixel_shuffle(scene: Scene) -> Found:
    """Find where a pixel shuffle reads a convolution that adds a bias."""
    for node in _shuffles(scene):
        source = node.source()
        if source.kind == "convolution" and source.layer.params.hasBias:
            yield (
                node.place,
                f"moves the channels of {source.place.where} into pixels: its bias was reported "
                "to be added by the channel after the move, on the Neural Engine",
            )


@rule("wide-pixel-shuffle", severity=WARNING, source=KINO)
def wide_pixel_shuffle(scene: Scene) -> Found:
    """Find where a pixel shuffle reads more than 256 channels."""
    for node in _shuffles(scene):
        shape = node.inputs[0] if node.inputs else None
        if shape and len(shape) >= 3 and shape[CHANNEL] > WIDEST:
            yield (
                node.place,
                f"moves {shape[CHANNEL]:,} channels into pixels: more than {WIDEST} were reported "
                "wrong on the Neural Engine",
            )


def _shuffles(scene: Scene) -> Iterator[Node]:
    modes = (DEPTH_TO_SPACE, PIXEL_SHUFFLE)
    return (n for n in scene.of("reorganizeData") if n.layer.params.mode in modes)


@rule("padded-average", severity=WARNING, source=f"{ISSUES}/1901")
def padded_average(scene: Scene) -> Found:
    """Find where a mean over windows of more than 3 counts the zeros of the padding."""
    for node in scene.of("pooling"):
        p = node.layer.params
        counts = p.type == AVERAGE and not (p.globalPooling or p.avgPoolExcludePadding)
        wide = max(p.kernelSize, default=3) > LARGEST_RIGHT_MEAN
        if counts and wide and _is_padded(p, "PoolingPaddingType"):
            yield (
                node.place,
                "averages over its padding too: with 7x7 windows such a mean was reported off by "
                "a factor of exactly 49, and with 3x3 windows right",
            )


@rule("uneven-kernel", severity=WARNING, source=f"{ISSUES}/2515")
def uneven_kernel(scene: Scene) -> Found:
    """Find where a padded convolution has an even kernel that is no square, and a stride."""
    for node in scene.of("convolution"):
        p = node.layer.params
        kernel = [int(n) for n in p.kernelSize] or [3, 3]
        uneven = len(set(kernel)) > 1 and any(n % 2 == 0 for n in kernel)
        strided = max(p.stride, default=1) > 1 and not p.isDeconvolution
        if uneven and strided and _is_padded(p, "ConvolutionPaddingType"):
            size = "x".join(map(str, kernel))
            yield (
                node.place,
                f"has a kernel of {size}, a stride and padding: the last position of such a "
                "convolution was reported wrong",
            )


def _is_padded(p: Any, oneof: str) -> bool:
    border = p.WhichOneof(oneof)
    if border == "same":
        sizes = list(p.kernelSize) or [3, 3]
        return any(n > step for n, step in zip(sizes, list(p.stride) or [1, 1], strict=False))
    if border == "includeLastPixel":
        return any(p.includeLastPixel.paddingAmounts)
    try:
        return any(edges(p.valid.paddingAmounts, "paddingAmounts"))
    except ModelError:
        return False


@rule("leaky-relu", severity=INFO, source=f"{ISSUES}/1023")
def leaky_relu(scene: Scene) -> Found:
    """Find where a leaky ReLU reads a convolution."""
    found = [
        node
        for node in scene.of("activation")
        if node.layer.params.WhichOneof("NonlinearityType") == "leakyReLU"
        and node.source().kind == "convolution"
    ]
    if found:
        yield (
            together(found),
            "is a leaky ReLU behind a convolution: such networks were reported to drift on the "
            "Neural Engine (a norm of up to 0.1), which may be rounding",
        )


@rule("flat-product", severity=INFO, source=f"{ISSUES}/2625")
def flat_product(scene: Scene) -> Found:
    """Find where a matrix product is of blobs of two dimensions."""
    found = [
        node
        for node in scene.of("innerProduct", "batchedMatmul")
        if node.inputs and len(node.inputs[0] or ()) == 2
    ]
    if found:
        yield (
            together(found),
            "multiplies a matrix of two dimensions: reported less exact on the Neural Engine than "
            "the same product in four",
        )
