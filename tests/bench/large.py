"""Large models: a VGG-16 of half a gigabyte, and a chain of thousands of layers.

Memory is judged on the first, time per layer on the second.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from peaks import rise_of
from torch import nn

from migrate.coreml import coremltools, proto
from reporter.write import create
from reporter.write.migration import migration

VGG_16 = (1, 1, "pool", 2, 2, "pool", 4, 4, 4, "pool", 8, 8, 8, "pool", 8, 8, 8, "pool")
FLOAT32 = 65568  # ArrayFeatureType.ArrayDataType


def vgg(width):
    """A VGG-16; of width 64 it is the original with its 553 MB."""
    torch.manual_seed(0)
    layers, inside = [], 3
    for step in VGG_16:
        if step == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(inside, step * width, 3, padding=1), nn.ReLU()]
            inside = step * width
    wide = 64 * width
    dense = [nn.Linear(49 * inside, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(wide, 1000))


def to_coreml(model, kind):
    """Convert as one does: trace the model, and give the trace to coremltools."""
    ct = coremltools()
    traced = torch.jit.trace(model.eval(), torch.zeros(1, 3, 224, 224))
    inputs = [ct.TensorType(name="x", shape=(1, 3, 224, 224))]
    return ct.convert(traced, inputs=inputs, convert_to=kind, skip_model_load=True)


class Memory(NamedTuple):
    """Of `migrate` over `coremltools.convert`; of `create`, and its largest child, over weights."""

    migrate: float
    create: float
    child: float


def memory(width):
    """What a VGG-16 takes: to convert it as a NeuralNetwork, and to report it."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "vgg.mlmodel"), Path(folder, "report")
        to_coreml(vgg(width), "neuralnetwork").save(str(path))
        weights = path.stat().st_size
        report = rise_of(
            "from reporter.write import create",
            f"create.create(pathlib.Path({str(path)!r}), pathlib.Path({str(out)!r}), "
            "create.Options())",
        )
        ratio = convert_memory(path, f"large.vgg({width})")
    return Memory(ratio, 1024 * report.own / weights, 1024 * report.child / weights)


def convert_memory(path, model):
    """Return the peak of `to_mlprogram` over that of converting the torch model, it included.

    `model` is the expression that makes the torch model which the file at `path` came from.
    """
    once = 'large.to_coreml(bench.nn.Conv2d(3, 3, 1), "mlprogram")'  # imports, and caches
    ours = rise_of(once, f"migrate.to_mlprogram({str(path)!r})")
    theirs = rise_of(once, f'large.to_coreml({model}, "mlprogram")')
    return ours.own / theirs.own


def chain(length, channels=8):
    """A spec of convolutions, activations and additions in turn, each after the one before."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for features, name in ((spec.description.input, "x"), (spec.description.output, "y")):
        features.add(name=name).type.multiArrayType.dataType = FLOAT32
    spec.description.input[0].type.multiArrayType.shape.extend((1, channels, 8, 8))
    rng, last, earlier = np.random.RandomState(0), "x", "x"
    for i in range(length):
        name = "y" if i == length - 1 else f"b{i}"
        layer = spec.neuralNetwork.layers.add(name=f"layer{i}", input=[last], output=[name])
        if i % 3 == 0:
            p = layer.convolution
            p.outputChannels = p.kernelChannels = channels
            p.kernelSize.extend([3, 3])
            p.same.SetInParent()
            p.weights.floatValue.extend(rng.uniform(-0.2, 0.2, channels * channels * 9))
        elif i % 3 == 1:
            layer.activation.ReLU.SetInParent()
        else:
            layer.input.append(earlier)
            layer.addBroadcastable.SetInParent()
            earlier = name
        last = name
    return spec


class Growth(NamedTuple):
    """Our own time per layer in a long chain, over that in a short one."""

    migrate: float
    create: float


def growth(long, short):
    """Migrate and report two chains; the conversion by coremltools is not our own time."""
    with tempfile.TemporaryDirectory() as folder:
        times = {n: _own_times(n, Path(folder)) for n in (short, long)}
    per_layer = [[seconds / n for seconds in times[n]] for n in (long, short)]
    return Growth(*(a / b for a, b in zip(*per_layer, strict=True)))


def _own_times(length, folder):
    """Return the seconds of a migration, without conversions, and of a report."""
    path = folder / f"chain{length}.mlmodel"
    path.write_bytes(chain(length).SerializeToString())
    with _converting() as spent:
        start = time.perf_counter()
        migration.write(path, folder / f"migrated{length}")
        migrated = time.perf_counter() - start - sum(spent)
    start = time.perf_counter()
    create.create(path, folder / f"report{length}", create.Options())
    return migrated, time.perf_counter() - start


@contextmanager
def _converting():
    """Yield the seconds that each call of coremltools.convert takes meanwhile."""
    ct, spent = coremltools(), []
    convert = ct.convert

    def timed(*args, **kwargs):
        start = time.perf_counter()
        try:
            return convert(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    ct.convert = timed
    try:
        yield spent
    finally:
        ct.convert = convert
