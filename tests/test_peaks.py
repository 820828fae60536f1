"""What large weights take at the peak, in a process of its own: memory that is not Python's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"
MB = 1000  # in kilobytes
BEFORE = """
import numpy as np, torch
from migrate.envelope import _run
from migrate.rounding import Rounding
from reporter.write.repro import running

def dense(seed, layers, inside, outside):
    spec = bench.empty_spec((1, inside))
    drawn = np.random.RandomState(seed).uniform(-1, 1, inside * outside).astype("<f2")
    for i in range(layers):
        layer = spec.neuralNetwork.layers.add(name=f"layer{i}", input=["x"], output=["y"])
        p = layer.innerProduct
        p.inputChannels, p.outputChannels = inside, outside
        p.weights.float16Value = drawn.tobytes()
    return spec
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux keeps a peak that begins anew"
)


@pytest.fixture(scope="module")
def rise_of():
    spec = importlib.util.spec_from_file_location("peaks", BENCH / "peaks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rise_of


def test_specs_are_compared_without_a_copy_of_their_weights(rise_of):
    before = f"{BEFORE}\na, b = dense(0, 10, 1000, 2500), dense(1, 10, 1000, 2500)"
    rise = rise_of(before, 'running._judged("", "", a, b)')
    assert rise.own < 10 * MB  # each holds 50


def test_rounding_takes_the_rounded_weights_and_their_halves(rise_of):
    nets = "small, net = (migrate.to_torch(dense(0, 1, n, 6250)) for n in (2, 2000))"
    work = '_run({net}, {{"x": np.ones((1, {n}))}}, torch.float32, Rounding())'
    once = work.format(net="small", n=2)  # what torch makes at its first product
    rise = rise_of(f"{BEFORE}\n{nets}\n{once}", work.format(net="net", n=2000))
    assert 50 * MB < rise.own < 80 * MB  # they are 50 and 25
