"""Inputs and outputs: what the description declares of them, and how they leave the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from migrate import features
from migrate.declared import mismatches
from migrate.errors import ModelError
from migrate.linting.finding import ERROR, INFO, WARNING, Place
from migrate.linting.registry import rule
from migrate.linting.scene import MOVES
from migrate.module import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrate.linting.scene import Scene

    Found = Iterator[tuple[Place, str]]

THREAD = "https://developer.apple.com/forums/thread/720810"
ISSUES = "https://github.com/apple/coremltools/issues"
ROW = 32  # values of float16 in 64 bytes
LAST_OF_IOS_12 = 3  # the specification version


@rule("declared-shape", severity=ERROR, source=THREAD)
def declared_shape(scene: Scene) -> Found:
    """Find where an output declares a shape that the layers do not give."""
    shapes = {name: tuple(x.shape) for name, x in scene.run.features.items()}
    known = tuple(f for f in scene.network.outputs if f.name in shapes)
    described = Model()
    described.network = replace(scene.network, outputs=known)
    for mismatch in mismatches(described, shapes) if scene.run.usual else ():
        feature = next(f for f in known if f.name == mismatch.output)
        yield scene.at(feature, "output"), str(mismatch)


@rule("output-unwritten", severity=ERROR)
def output_unwritten(scene: Scene) -> Found:
    """Find where an output is named that no layer writes."""
    if scene.network.stages:
        return
    try:
        meant = features.stand_ins(scene.network)
    except ModelError as error:
        missing = next((f for f in scene.outputs if f"'{f.name}'" in str(error)), scene.outputs[0])
        yield scene.at(missing, "output"), "no layer writes it, and no one blob is left over for it"
        return
    for feature in scene.outputs:
        if feature.name in meant:
            blob = meant[feature.name]
            reason = f"no layer writes it; '{blob}', the one blob that nothing reads, may be meant"
            yield scene.at(feature, "output"), reason


@rule("feature-unfit", severity=ERROR)
def feature_unfit(scene: Scene) -> Found:
    """Find where an input cannot enter the network as it is described."""
    for feature in scene.inputs:
        if feature.name in scene.run.unfit:
            yield scene.at(feature, "input"), scene.run.unfit[feature.name]


@rule("label-count", severity=ERROR)
def label_count(scene: Scene) -> Found:
    """Find where a classifier has another number of scores than of labels."""
    for feature in features.class_features(scene.network) if scene.outputs else ():
        scores = scene.run.features.get(feature.name)
        if scores is not None and scores.numel() != len(scene.network.labels):
            reason = f"{scores.numel():,} scores for {len(scene.network.labels):,} labels"
            yield scene.at(feature, "output"), reason


@rule(
    "trailing-cast",
    severity=WARNING,
    source="https://gist.github.com/niw/a56d89d70d895dd26f905b90c98f1db4",
)
def trailing_cast(scene: Scene) -> Found:
    """Find where a float32 output comes from a layer that moves data, so that a cast ends all."""
    writers = scene.writers()
    for feature in scene.outputs:
        writer = writers.get(feature.name)
        single = feature.kind == "multiArray" and feature.dtype in ("float32", "float64")
        if single and writer is not None and writer.kind in MOVES - {"copy"}:
            yield (
                scene.at(feature, "output"),
                f"it is {feature.dtype} and comes from {writer.place.where} ({writer.kind}): a "
                "cast from float16 behind a layer that moves data was reported to leave zeros on "
                "iOS 18, and float16 outputs to be right",
            )


@rule("batched-input", severity=INFO, source=f"{ISSUES}/1229")
def batched_input(scene: Scene) -> Found:
    """Find where an input holds several images."""
    for feature in scene.inputs:
        shapes = (feature.shape, *feature.shapes, tuple(high for _, high in feature.bounds))
        batch = max((shape[0] for shape in shapes if len(shape) == 4), default=1)
        exact = feature.kind == "multiArray" and not scene.network.rank5_arrays
        if exact and batch > 1:
            reason = f"batches of up to {batch:,}: one converter's were reported to end in an error"
            yield scene.at(feature, "input"), reason


@rule("enumerated-shapes", severity=INFO, source=f"{ISSUES}/1909")
def enumerated_shapes(scene: Scene) -> Found:
    """Find where an input may have one of several shapes, which bears on where a model runs."""
    for feature in scene.inputs:
        if feature.shapes:
            yield (
                scene.at(feature, "input"),
                f"has {len(feature.shapes):,} enumerated shapes: a network with a layer norm was "
                "reported to leave the Neural Engine for them",
            )


@rule("range-of-shapes", severity=INFO, source=f"{ISSUES}/2370")
def range_of_shapes(scene: Scene) -> Found:
    """Find where an input may have any shape of a range, which bears on where a model runs."""
    for feature in scene.inputs:
        if any(low != high for low, high in feature.ranges):
            yield (
                scene.at(feature, "input"),
                "has a range of shapes: such a model was reported to run on the Neural Engine "
                "with the default shape alone",
            )


@rule(
    "padded-rows",
    severity=INFO,
    source="https://github.com/FluidInference/FluidAudio/pull/730",
)
def padded_rows(scene: Scene) -> Found:
    """Find where an output's rows do not fill 64 bytes, so that they may be padded in memory."""
    for feature in scene.outputs:
        value = scene.run.features.get(feature.name)
        if feature.kind != "multiArray" or value is None or value.ndim < 2:
            continue
        if value.shape[-1] % ROW and value.shape[-2] > 1:
            yield (
                scene.at(feature, "output"),
                f"its rows are {value.shape[-1]} wide: the Neural Engine was reported to pad "
                "rows to 64 bytes, so read the array by its strides",
            )


@rule(
    "old-specification",
    severity=INFO,
    source="https://github.com/onnx/onnx-coreml/issues/569",
)
def old_specification(scene: Scene) -> Found:
    """Find where the model is of a specification for iOS 12 or older."""
    version = scene.network.spec_version
    if not scene.stage and not scene.network.stages and version <= LAST_OF_IOS_12:
        yield (
            scene.whole,
            f"specification version {version}: a network was reported wrong on the Neural Engine "
            "as a model for iOS 12, and right as one for iOS 13",
        )
