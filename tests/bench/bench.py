"""Benchmarks as ratios measured in one process: `make bench`, or --smoke for small sizes.

Each line names what is measured, the ratio, and the bound that it is held to. The command fails
if a bound is broken. Absolute times depend on the machine and are not judged.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import torch
from torch import nn

import migrate
from migrate.coreml import coremltools, proto


def best(function, repeats):
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
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
        net(x), model(x)  # interleaved below, so that the machine's mood hits both
        times = [(best(lambda: net(x), 3), best(lambda: model(x), 3)) for _ in range(repeats)]
    return min(ours for ours, _ in times) / min(theirs for _, theirs in times)


def long_against_short(long, short):
    """Building per layer in a long chain, over that in a short one."""
    specs = {n: chain_spec(n) for n in (long, short)}
    per_layer = {n: best(lambda s=spec: migrate.to_torch(s), 3) / n for n, spec in specs.items()}
    return per_layer[long] / per_layer[short]


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small sizes, bounds not judged")
    smoke = parser.parse_args().smoke
    mb, blocks, rounds, long = (4, 2, 1, 500) if smoke else (100, 8, 10, 5000)
    rows = [
        (f"build from a {mb} MB spec / load_spec", build_against_load(mb), 1.0),
        (f"forward, {blocks} residual blocks / torch", forward_against_torch(blocks, rounds), 1.05),
        (
            f"build per layer, {long} / {long // 10}",
            long_against_short(long, long // 10),
            1.5,
        ),
        ("anereport --help / an empty typer program", help_against_empty(rounds), 1.5),
        (f"copies of the weights beside the spec, {mb} MB", copies_of_the_weights(mb), 2.0),
    ]
    broken = 0
    for name, ratio, bound in rows:
        fits = ratio <= bound
        broken += not fits
        print(f"{name:48s} {ratio:6.2f}  at most {bound:.2f}  {'ok' if fits else 'BROKEN'}")
    return 0 if smoke else int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
