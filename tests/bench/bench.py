"""Benchmarks as ratios measured in one process: `make bench`, or --smoke for small sizes.

Each line names what is measured, the ratio, and the bound that it is held to. The command fails
if a bound is broken, and writes the ratios into README, with the machine. Absolute times depend on
the machine and are not judged, but for the stages of `create`, most of which are to end within a
second in one of three attempts.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
import tracemalloc
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import table
import torch
from large import convert_memory, growth, memory, to_coreml
from peaks import rise_of
from stages import stages
from table import Row
from torch import nn

import migrate
from migrate.coreml import coremltools, proto
from reporter.measure import record
from reporter.measure.identity import ModelIdentity
from reporter.understand.divergence import compare


def best(function, repeats):
    """Return the shortest time; nothing is collected meanwhile, as by timeit: it cools caches."""
    times = []
    gc.disable()
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    gc.enable()
    return min(times)


def empty_spec(shape):
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    spec.description.input.add(name="x").type.multiArrayType.shape.extend(shape)
    spec.description.output.add(name="y").type.multiArrayType.dataType = 65568
    return spec


def wide_spec(megabytes):
    """Ten 3x3 convolutions that hold so many megabytes of float32 weights."""
    channels = int((megabytes * 1e6 / 4 / 10 / 9) ** 0.5)
    spec = empty_spec((1, channels, 8, 8))
    rng = np.random.RandomState(0)
    for i in range(10):
        layer = spec.neuralNetwork.layers.add(name=f"conv{i}")
        layer.input.append("x" if i == 0 else f"b{i - 1}")
        layer.output.append("y" if i == 9 else f"b{i}")
        p = layer.convolution
        p.outputChannels = p.kernelChannels = channels
        p.kernelSize.extend([3, 3])
        p.same.SetInParent()
        p.weights.floatValue.extend(rng.uniform(-1, 1, channels * channels * 9))
    return spec


def chain_spec(length):
    spec = empty_spec((1, 8, 4, 4))
    for i in range(length):
        layer = spec.neuralNetwork.layers.add(name=f"layer{i}")
        layer.input.append("x" if i == 0 else f"b{i - 1}")
        layer.output.append("y" if i == length - 1 else f"b{i}")
        layer.activation.ReLU.SetInParent()
    return spec


class Bottleneck(nn.Module):
    """The block of ResNet-50: 1x1, 3x3 and 1x1 convolutions, each normalised, beside a shortcut."""

    def __init__(self, inside, width, stride):
        super().__init__()
        outside = 4 * width
        self.body = nn.Sequential(
            *normalised(inside, width, 1, 1), nn.ReLU(),
            *normalised(width, width, 3, stride), nn.ReLU(),
            *normalised(width, outside, 1, 1),
        )  # fmt: skip
        same = inside == outside and stride == 1
        self.shortcut = nn.Sequential(*([] if same else normalised(inside, outside, 1, stride)))

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def normalised(inside, outside, size, stride):
    conv = nn.Conv2d(inside, outside, size, stride, padding=size // 2, bias=False)
    return [conv, nn.BatchNorm2d(outside)]


def resnet(depths, width):
    """A ResNet of bottlenecks; (3, 4, 6, 3) of width 64 are ResNet-50 with its 102 MB."""
    torch.manual_seed(0)
    layers = [*normalised(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inside = width
    for stage, depth in enumerate(depths):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inside, width << stage, stride))
            inside = 4 * (width << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 1000))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.relu(self.b(torch.relu(self.a(x))) + x)


def build_against_load(megabytes):
    """Building the module from a loaded spec, over reading the spec from disk."""
    spec = wide_spec(megabytes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "wide.mlmodel")
        path.write_bytes(spec.SerializeToString())
        load = best(lambda: coremltools().utils.load_spec(str(path)), 5)
    return best(lambda: migrate.to_torch(spec), 5) / load


def forward_against_torch(blocks, repeats):
    """A forward pass of the migrated network, over that of the torch model it came from."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 3), *(Residual(64) for _ in range(blocks))).eval()
    x = torch.rand(1, 3, 64, 64)
    ct = coremltools()
    traced = torch.jit.trace(model, x)
    inputs = [ct.TensorType(name="x", shape=x.shape)]
    converted = ct.convert(traced, inputs=inputs, convert_to="neuralnetwork")
    net = migrate.to_torch(converted)
    with torch.no_grad():
        net(x), model(x)  # in turns below, so that the machine's mood hits both
        times = [(best(lambda: net(x), 1), best(lambda: model(x), 1)) for _ in range(repeats)]
    return min(ours for ours, _ in times) / min(theirs for _, theirs in times)


def long_against_short(long, short):
    """Building per layer in a long chain, over that in a short one."""
    specs = {n: chain_spec(n) for n in (long, short)}
    per_layer = {n: best(lambda s=spec: migrate.to_torch(s), 3) / n for n, spec in specs.items()}
    return per_layer[long] / per_layer[short]


class Conversion(NamedTuple):
    """What `migrate` takes of a ResNet, over `coremltools.convert` of the torch model."""

    time: float
    memory: float


def migrate_against_convert(depths, width, repeats):
    """Convert a NeuralNetwork, and the torch model that it came from; both as fp16 ML Programs."""
    model = resnet(depths, width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "resnet.mlmodel")
        to_coreml(model, "neuralnetwork").save(str(path))
        ours, theirs = (lambda: migrate.to_mlprogram(path)), (lambda: to_coreml(model, "mlprogram"))
        times = [(best(ours, 1), best(theirs, 1)) for _ in range(repeats)]
        memory = convert_memory(path, f"bench.resnet({depths}, {width})")
    time_ratio = min(ours for ours, _ in times) / min(theirs for _, theirs in times)
    return Conversion(time_ratio, memory)


class File(NamedTuple):
    """What a record takes, over `np.savez` and `np.load` of its array; peaks over that array."""

    written: float
    read: float
    peak: float


def record_against_npz(count):
    """Write and read a record of one output of so many float32 values."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "record.json"), Path(folder, "array.npz")
        found = record_of(count)
        array = found.runs[0].outputs["y"].array()
        written = best(lambda: write(found, ours), 3) / best(lambda: np.savez(theirs, y=array), 3)
        read = best(lambda: record.load(ours).runs[0].outputs["y"].array(), 3)
        read /= best(lambda: np.load(theirs)["y"], 3)
        peaks = [rise_of(*expressions).own for expressions in file_work(ours, count)]
    return File(written, read, max(peaks) * 1024 / array.nbytes)


def file_work(path, count):
    """Yield what is there already, and the work: writing a record, and reading it.

    The array that is written is there before; the one that is read is counted.
    """
    small = str(path.with_suffix(".small"))
    once = (
        f"bench.write(bench.record_of(1), pathlib.Path({small!r})); "
        f"bench.record.load(pathlib.Path({small!r})); "
    )
    file = f"pathlib.Path({str(path)!r})"
    yield f"{once}found = bench.record_of({count})", f"bench.write(found, {file})"
    yield once, f"bench.record.load({file})"


def record_of(count):
    values = np.random.RandomState(0).standard_normal(count).astype(np.float32)
    run = record.Run(unit="ane", input="x", outputs={"y": record.Tensor.of(values)})
    model = ModelIdentity(
        name="m",
        kind="neuralNetwork",
        spec_version=4,
        size=1,
        sha256="",
        sha256_without_metadata="",
    )
    return record.Record(
        evidence="simulated", model=model, device=record.Device(), inputs={"x": {}}, runs=(run,)
    )


def write(found, path):
    with path.open("wb") as stream:
        record.dump(found, stream)


EMPTY = """
import typer
app = typer.Typer()
@app.command()
def a() -> None: ...
@app.command()
def b() -> None: ...
@app.command()
def c() -> None: ...
@app.command()
def d() -> None: ...
app()
"""


def help_against_empty(repeats):
    """`anereport --help`, over a typer program of four empty commands, as processes."""
    ours = "import sys; sys.argv = ['anereport', '--help']; from reporter.cli import app; app()"

    def started(code):
        subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, check=True)

    times = [
        (best(lambda: started(ours), 1), best(lambda: started(EMPTY), 1)) for _ in range(repeats)
    ]
    return min(ours for ours, _ in times) / min(theirs for _, theirs in times)


def copies_of_the_weights(megabytes):
    """The peak of Python's and numpy's memory while building, over the weights' bytes.

    The module's parameters are numpy's memory, so they are counted; the given spec is not.
    """
    spec = wide_spec(megabytes)
    tracemalloc.start()
    net = migrate.to_torch(spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    return peak / weights


def metrics_against_largest(count):
    """All metrics of two arrays, over `np.abs(a - b).max()` of them; and the peak of memory."""
    a = np.random.RandomState(0).standard_normal(count).astype(np.float32)
    b = a + np.float32(1e-3)
    ratio = best(lambda: compare(a, b), 2) / best(lambda: np.abs(a - b).max(), 3)
    tracemalloc.start()
    compare(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return ratio, peak / a.nbytes


def forms(smoke):
    """Yield the ratios of single forms of work: building, running, comparing, keeping."""
    mb, blocks, rounds, long = (4, 2, 1, 500) if smoke else (100, 8, 10, 5000)
    yield Row(f"build from a {mb} MB spec / load_spec", build_against_load(mb), 1.0)
    forward = forward_against_torch(blocks, 10 * rounds)
    yield Row(f"forward, {blocks} residual blocks / torch", forward, 1.05)
    short = long // 10
    yield Row(f"build per layer, {long:,} / {short:,}", long_against_short(long, short), 1.5)
    yield Row("anereport --help / an empty typer program", help_against_empty(rounds), 1.5)
    copies = copies_of_the_weights(mb)
    yield Row(f"copies of the weights beside the spec, {mb} MB", copies, 2.0)
    count = 10**5 if smoke else 10**8
    metrics, used = metrics_against_largest(count)
    yield Row(f"metrics of {count:.0e} values / the largest error", metrics, 15.0)
    yield Row("their memory / that of one array", used, 0.1)
    elements = 10**5 if smoke else 10**7
    file = record_against_npz(elements)
    yield Row(f"write a record of {elements:.0e} values / np.savez", file.written, 20.0)
    yield Row("read it / np.load", file.read, 20.0)
    yield Row("peak of memory of either / its array", file.peak, 5.0)


def models(smoke):
    """Yield the ratios of whole models: a ResNet-50, a VGG-16, a chain of thousands of layers."""
    depths, width = ((1, 1, 1, 1), 8) if smoke else ((3, 4, 6, 3), 64)
    conversion = migrate_against_convert(depths, width, 1 if smoke else 3)
    yield Row("migrate a ResNet-50 / coremltools.convert", conversion.time, 1.3)
    yield Row("its peak of memory / that of convert", conversion.memory, 1.5)
    used = memory(2 if smoke else 64)
    yield Row("migrate a VGG-16, its peak of memory / that of convert", used.migrate, 1.5)
    yield Row("create, its peak of memory / the VGG-16's weights", used.create, 5.0)
    yield Row("its largest child, the repro script, / these weights", used.child)
    long, short = (30, 6) if smoke else (5000, 500)
    grown = growth(long, short)
    yield Row(f"migrate less convert, per layer, {long:,} / {short:,}", grown.migrate, 1.5)
    yield Row(f"create, per layer, {long:,} / {short:,}", grown.create, 1.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small sizes, bounds not judged")
    smoke = parser.parse_args().smoke
    rows, broken = [], 0
    for row in chain(forms(smoke), models(smoke)):
        print(row, flush=True)
        rows.append(row)
        broken += not row.fits
    for stage in stages(1 if smoke else 3):
        broken += not stage.fits
        print(stage)
    if smoke:
        return 0
    table.write(rows)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
