"""Devices with a known rule: records of a folder of variants, without Core ML.

A device is a function of a network and its blobs' shapes that tells whether a repeat is wrong.
"""

from __future__ import annotations

import itertools

import numpy as np

import migrate
from migrate.coreml import proto
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.measure.record import Device, Record, Run
from reporter.measure.simulate import values

PHONE = Device(label="my phone", build="20C65")
FLOAT32 = 65568


def joined_spec(one=640, other=640, deep=True, height=5, width=1, declared=()):
    """Two 1x1 convolutions, concatenated, and a 3x1 convolution that reads both."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network = spec.neuralNetwork
    network.arrayInputShapeMapping = 1
    random = np.random.default_rng(7)
    for name, channels in (("a", one), ("b", other)):
        given = spec.description.input.add(name=name).type.multiArrayType
        given.shape.extend([1, 2, height, width])
        given.dataType = FLOAT32
        _convolution(network, random, f"conv_{name}", name, f"{name}_out", (channels, 2, 1, 1))
    joint = network.layers.add(name="concat", input=["a_out", "b_out"], output=["both"])
    joint.concatND.axis = -3
    count = one + other
    shape = (count, 1, 3, 1) if deep else (4, count, 3, 1)
    _convolution(network, random, "deep", "both", "y", shape, groups=count if deep else 1)
    made = spec.description.output.add(name="y").type.multiArrayType
    made.shape.extend(declared)
    made.dataType = FLOAT32
    return spec


def _convolution(network, random, name, source, target, shape, groups=1):
    layer = network.layers.add(name=name, input=[source], output=[target])
    c = layer.convolution
    c.outputChannels, c.kernelChannels, c.nGroups = shape[0], shape[1], groups
    c.kernelSize.extend(shape[2:])
    c.valid.SetInParent()
    c.weights.floatValue.extend(random.normal(size=shape).ravel())
    c.hasBias = True
    c.bias.floatValue.extend(random.normal(size=shape[0]))


def seen(net, given):
    """What a network gives in float64, and the shape of each of its blobs."""
    shapes = {}

    def watch(blob, value):
        shapes[blob] = tuple(value.shape)
        return value

    net.double()
    with net.watching(watch):
        exact = net.predict(dict(given), exact=True)
    return exact, shapes


def record(path, wrong, *, made_of=None, repeats=1, evidence="measured", device=PHONE,
           units=("cpu", "ane"), seed=0):  # fmt: skip
    """A record: the CPU gives float64 as float32, the ANE each blob in float16.

    Where `wrong(network, shapes)` holds, the ANE's first output is its mean everywhere instead.
    """
    net = migrate.to_torch(made_of or path)
    given = inputs.seeded(path, seed)
    ours = dict(zip((f.name for f in net.network.inputs), given.values(), strict=True))
    exact, shapes = seen(net, ours)
    with net.watching(lambda blob, value: migrate.rounded(value)):
        halves = net.predict(dict(ours), exact=True)
    names = [f.name for f in migrate.load_spec(path).description.output]
    runs = []
    for unit, repeat in itertools.product(units, range(repeats)):
        found = dict(zip(names, (exact if unit == "cpu" else halves).values(), strict=True))
        if unit == "ane" and wrong(net.network, shapes):
            blob = names[0]
            found[blob] = np.full_like(found[blob], found[blob].mean())
        outputs = values({n: np.float32(x) for n, x in found.items()})
        runs.append(Run(unit=unit, input=f"seed-{seed}", repeat=repeat, outputs=outputs))
    return Record(
        schema="anereport.record/1", evidence=evidence, model=identify(path), device=device,
        inputs={f"seed-{seed}": values(given)}, runs=tuple(runs),
    )  # fmt: skip


def concat_into_depthwise(most):
    """Wrong where a depthwise convolution of more than `most` channels reads a concatenation."""

    def wrong(network, shapes):
        joints = {b for o in network.layers if o.kind in ("concat", "concatND") for b in o.outputs}
        return any(
            o.kind == "convolution"
            and o.params.nGroups == shapes[o.inputs[0]][-3] > most
            for o in network.layers
            if joints.intersection(o.inputs)
        )  # fmt: skip

    return wrong


def last_axis_of_one(network, shapes):
    """Wrong where an output's last axis is 1."""
    return any(shapes[f.name][-1] == 1 for f in network.outputs if f.name in shapes)


def every_third():
    """Wrong every third time, whatever the network."""
    count = itertools.count(1)
    return lambda network, shapes: next(count) % 3 == 0


def never(network, shapes):
    """A device that is right."""
    return False


def always(network, shapes):
    """A device that is always wrong."""
    return True
