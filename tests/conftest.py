"""Fixtures shared by all tests: one-layer networks, and where the real models are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from migrate.coreml import coremltools, proto

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared_models() -> Path:
    """The folder of real models; the test is skipped where it is not present."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("no shared models here")
    return folder


@pytest.fixture
def samples() -> Path:
    return ROOT / "samples"


def network_spec(
    shapes: list[tuple[int, ...]], outputs: list[str], *, rank5: bool = False, version: int = 4
) -> Any:
    """Return a spec without layers: inputs in0, in1, ... of these shapes, outputs undeclared."""
    coremltools()
    spec = proto("Model_pb2").Model(specificationVersion=version)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for i, shape in enumerate(shapes):
        feature = spec.description.input.add(name=f"in{i}")
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = 65568
    for name in outputs:
        spec.description.output.add(name=name).type.multiArrayType.dataType = 65568
    return spec


@pytest.fixture
def one_layer():
    """Build a spec of one layer: one_layer("add", [(2, 3)], alpha=2.0) or with fill=function."""

    def build(kind, shapes, *, outputs=1, fill=None, rank5=False, version=None, **fields):
        names = [f"out{i}" for i in range(outputs)]
        version = version or (1 if rank5 else 4)
        spec = network_spec(list(shapes), names, rank5=rank5, version=version)
        layer = spec.neuralNetwork.layers.add(name="tested")
        layer.input.extend(f"in{i}" for i in range(len(shapes)))
        layer.output.extend(names)
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            if isinstance(value, (list, tuple)):
                getattr(params, field).extend(value)
            else:
                setattr(params, field, value)
        if fill:
            fill(params)
        return spec

    return build


@pytest.fixture
def run_layer(one_layer):
    """Run one layer in float64 on arrays: returns its output array, or a list of several."""
    import migrate

    def run(kind, arrays, *, outputs=1, **options):
        arrays = [np.asarray(a) for a in arrays]
        spec = one_layer(kind, [a.shape for a in arrays], outputs=outputs, **options)
        net = migrate.to_torch(spec).double()
        results = net.predict({f"in{i}": a for i, a in enumerate(arrays)})
        values = [results[f"out{i}"] for i in range(outputs)]
        return values[0] if outputs == 1 else values

    return run
