"""Pipelines: models whose stages read what the stages before them give, by name."""

from __future__ import annotations

from typing import Any

from migrate.errors import ModelError
from migrate.feature_types import read_features
from migrate.network import NETWORKS, PIPELINES, Network, read_network


def joined(spec: Any) -> Network:
    """Join the stages: each reads features of the pipeline or of the stages before it."""
    models = _stages(spec)
    others = [
        f"{i} ({model.WhichOneof('Type') or 'of no type'})"
        for i, model in enumerate(models, 1)
        if model.WhichOneof("Type") not in NETWORKS
    ]
    if not models:
        raise ModelError("the model is a pipeline without stages, not a NeuralNetwork")
    if others:
        raise ModelError(
            f"of the pipeline's {len(models)} stages these are not a NeuralNetwork: "
            + ", ".join(others)
        )
    stages = tuple(read_network(model) for model in models)
    inputs = read_features(spec.description.input, "inputs")
    outputs = read_features(spec.description.output, "outputs")
    known = {feature.name for feature in inputs}
    for i, stage in enumerate(stages, 1):
        for feature in stage.inputs:
            if feature.name not in known and not feature.optional:
                raise ModelError(
                    f"stage {i} of the pipeline reads {feature.name!r}, "
                    "which is no input and no output of an earlier stage"
                )
        known.update(feature.name for feature in stage.outputs)
    lost = [feature.name for feature in outputs if feature.name not in known]
    if lost:
        raise ModelError(f"output {lost[0]!r} of the pipeline is given by no stage")
    classifiers = [stage for stage in stages if stage.labels]
    return Network(
        kind=spec.WhichOneof("Type"),
        spec_version=int(spec.specificationVersion),
        inputs=inputs,
        outputs=outputs,
        layers=(),
        rank5_arrays=False,
        rank5_images=False,
        labels=classifiers[-1].labels if classifiers else (),
        predicted_feature=classifiers[-1].predicted_feature if classifiers else "",
        stages=stages,
    )


def _stages(spec: Any) -> list[Any]:
    """Return the models of a pipeline, those of pipelines inside it in their place."""
    kind = spec.WhichOneof("Type")
    if kind not in PIPELINES:
        return [spec]
    pipeline = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    return [stage for model in pipeline.models for stage in _stages(model)]
