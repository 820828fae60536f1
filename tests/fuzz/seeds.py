"""What fuzzing begins with, made at run time: small models, records, tables and ML Programs.

Where the shared conformance cases and models are present, small ones of them are seeds too.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import warnings
import zipfile
from contextlib import redirect_stderr, suppress
from pathlib import Path
from random import Random
from time import monotonic

import numpy as np

import migrate
from migrate.coreml import coremltools, proto

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
mb = coremltools().converters.mil.Builder
LARGEST = 2**19  # bytes of a seed


def specs(seconds: float) -> list[bytes]:
    """Return model files: one of each layer, interfaces of every kind, and the shared ones."""
    made = [spec.SerializeToString() for spec in (*_layers(), classifier(), pipeline(), loop())]
    files = (SHARED / "models").glob("*.mlmodel") if seconds > 60 else ()
    return (
        made
        + _cases()[: int(8 * seconds)]
        + [f.read_bytes() for f in files if f.stat().st_size <= LARGEST]
    )


@functools.cache
def known() -> list:
    """Return parsed models, whose parts mutations put into others."""
    parse = proto("Model_pb2").Model.FromString
    return [parse(content) for content in specs(20) if len(content) < 4096]


@functools.cache
def _cases() -> list[bytes]:
    """Return the conformance cases' models, in an order that mixes them."""
    path = SHARED / "conformance" / "cases.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".mlmodel"))
        Random(0).shuffle(names)
        found = [archive.read(name) for name in names]
    return [content for content in found if len(content) <= LARGEST // 8]


def network(inputs, outputs, rank5=False):
    """Return a NeuralNetwork without layers: shapes of inputs by name, and names of outputs."""
    spec = proto("Model_pb2").Model(specificationVersion=1 if rank5 else 4)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for name, shape in inputs.items():
        array = spec.description.input.add(name=name).type.multiArrayType
        array.shape.extend(shape)
        array.dataType = array.FLOAT32
    for name in outputs:
        spec.description.output.add(name=name).type.multiArrayType.dataType = 65568
    return spec


def _layers():
    """Yield a network of each kind of layer, with no field set."""
    kinds = proto("NeuralNetwork_pb2").NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
    for number, field in enumerate(kinds):
        names = ["x", "y"][: 1 + number % 2]
        spec = network(dict.fromkeys(names, (1, 2, 3, 4)[number % 3 :]), ["out"], number % 4 == 3)
        layer = spec.neuralNetwork.layers.add(name="one", input=names, output=["out"])
        getattr(layer, field.name).SetInParent()
        yield spec


def classifier():
    """Return a classifier of images: a scaler, a convolution, a softmax."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    image = spec.description.input.add(name="image").type.imageType
    image.width, image.height, image.colorSpace = 4, 3, image.RGB
    spec.description.output.add(name="label").type.stringType.SetInParent()
    scores = spec.description.output.add(name="scores").type.dictionaryType
    scores.stringKeyType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "scores"
    net = spec.neuralNetworkClassifier
    net.stringClassLabels.vector.extend(["a", "b"])
    net.preprocessing.add(featureName="image").scaler.channelScale = 0.5
    conv = net.layers.add(name="conv", input=["image"], output=["c"]).convolution
    conv.outputChannels, conv.kernelChannels = 2, 3
    conv.kernelSize.extend([3, 4])
    conv.valid.SetInParent()
    conv.weights.float16Value = np.ones(72, np.float16).tobytes()
    net.layers.add(name="soft", input=["c"], output=["p"]).softmax.SetInParent()
    net.layers.add(name="flat", input=["p"], output=["q"]).flatten.SetInParent()
    return spec


def pipeline():
    """Return a pipeline of two networks."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    for name, source in (("middle", "x"), ("end", "middle")):
        stage = network({source: (2, 3)}, [name])
        layer = stage.neuralNetwork.layers.add(name=name, input=[source], output=[name])
        layer.activation.linear.alpha = 2
        spec.pipeline.models.append(stage)
    spec.description.input.extend(spec.pipeline.models[0].description.input)
    spec.description.output.extend(spec.pipeline.models[1].description.output)
    return spec


def loop():
    """Return a network with a loop of three rounds, and a quantised weight."""
    spec = network({"x": (4,)}, ["y"])
    layers = spec.neuralNetwork.layers
    layers.add(name="start", input=["x"], output=["y"]).copy.SetInParent()
    body = layers.add(name="loop").loop
    body.maxLoopIterations = 3
    inside = body.bodyNetwork.layers.add(name="more", input=["y"], output=["z"]).batchedMatmul
    inside.weightMatrixFirstDimension = inside.weightMatrixSecondDimension = 4
    inside.weights.rawValue = bytes(range(8))
    inside.weights.quantization.numberOfBits = 4
    linear = inside.weights.quantization.linearQuantization
    linear.scale.append(0.5)
    linear.bias.append(-2)
    again = body.bodyNetwork.layers.add(name="again", input=["z"], output=["y"])
    again.copy.SetInParent()
    return spec


def results(seconds: float) -> list[bytes]:
    """Return records with values of every form, and archives of arrays."""
    tensor = {"dtype": "float32", "shape": [2, 2], "data": "AACAPwAAAEAAAEBAAACAQA=="}
    strided = {"dtype": "uint8", "shape": [2, 1], "strides": [2, 1], "data": "AQID"}
    runs = [
        {"unit": "cpu", "input": "a", "outputs": {"y": tensor, "s": "a", "n": 3, "d": {"a": 0.5}}},
        {"unit": "ane", "input": "a", "repeat": 1, "start": "cold", "times": {"load": 0.5},
         "outputs": {"y": strided}, "messages": ["m"],
         "plan": {"operations": [{"name": "c", "kind": "conv", "planned": "ane"}]}},
        {"unit": "gpu", "input": "a", "failure": {"stage": "load", "message": "m", "signal": 6}},
    ]  # fmt: skip
    record = {
        "schema": "anereport.record/1",
        "evidence": "measured",
        "model": {"name": "m", "kind": "neuralNetwork", "spec_version": 4, "sha256": "0",
                  "sha256_without_metadata": "0", "size": 1},
        "device": {"label": "d", "memory": 1, "tools": {"python": "3"}, "virtual": False},
        "inputs": {"a": {"x": tensor}},
        "runs": runs,
    }  # fmt: skip
    return [json.dumps(record).encode(), *map(_archive, ("float32", "int64", "float16", "uint8"))]


def _archive(dtype: str) -> bytes:
    stream = io.BytesIO()
    arrays = {"in::x": np.ones((2, 3), dtype), "cpu::y": np.arange(6).astype(dtype)}
    np.savez(stream, **arrays, **{"ane::y": np.arange(6).astype(dtype)[::2]})
    return stream.getvalue()


def listings(seconds: float) -> list[bytes]:
    """Return tables in the forms that people paste."""
    rows = "0 0.5 0.25 nan\n...\n1 1e-3 -inf .5\n62399 1 2 3\n"
    table = "| Index | CPU | ANE |\n|---|---|---|\n| 7 | 1.0 | 2.0 |\n"
    sample = (ROOT / "samples" / "thread-720810.txt").read_bytes()
    return [sample, f"words\nIndex CPU GPU ANE\n{rows}".encode(), table.encode(),
            f"\ufeffindex,cpu,all\r\n{'0,1,2'}\r\n".encode()]  # fmt: skip


def programs(seconds: float) -> list[tuple]:
    """Return ML Programs as pairs of spec and weights: built ones, and converted cases."""
    until, found = monotonic() + seconds, list(_built())
    for content in itertools.chain([classifier().SerializeToString()], _cases()):
        if monotonic() > until:
            break
        spec = proto("Model_pb2").Model.FromString(content)
        with suppress(migrate.AnereportError), quiet():
            found.append(_parts(migrate.to_mlprogram(spec, target=f"iOS{15 + len(found) % 4}")))
    return [(spec, weights) for spec, weights in found if len(weights) < LARGEST]


def _built():
    """Yield programs of operations that networks seldom convert to."""
    ct = coremltools()
    inputs = [mb.TensorSpec((1, 2, 4, 4)), mb.TensorSpec((3,))]
    for function in (_sized, _looped, _listed):
        with quiet():
            program = mb.program(inputs, opset_version=ct.target.iOS17)(function)
            yield _parts(ct.convert(
                program, convert_to="mlprogram", skip_model_load=True,
                minimum_deployment_target=ct.target.iOS17, compute_precision=ct.precision.FLOAT32,
            ))  # fmt: skip


def _sized(x, n):
    """Sizes that are computed, or follow from numbers in the program."""
    size = mb.cast(x=n, dtype="int32")
    filled = mb.fill(shape=size, value=2.0)
    tiled = mb.tile(x=n, reps=size if size.val is not None else [3])
    padded = mb.pad(x=x, pad=[1, 1, 2, 2], mode="reflect")
    up = mb.upsample_nearest_neighbor(x=padded, scale_factor_height=2, scale_factor_width=2)
    resized = mb.resize_bilinear(x=up, target_size_height=5, target_size_width=6)
    counted = mb.range_1d(start=0.0, end=mb.reduce_sum(x=n, axes=[0]), step=1.0)
    hot = mb.one_hot(indices=mb.cast(x=mb.non_zero(x=n), dtype="int32"), one_hot_vector_size=4)
    return filled, tiled, resized, counted, hot


def _looped(x, n):
    """A loop and a branch."""
    total = mb.reduce_sum(x=n, axes=[0])
    end, _ = mb.while_loop(
        _cond=lambda i, y: mb.less(x=i, y=5.0),
        _body=lambda i, y: (mb.add(x=i, y=1.0), mb.mul(x=y, y=2.0)),
        loop_vars=(total, x),
    )
    return mb.cond(
        pred=mb.greater(x=end, y=1.0),
        _true_fn=lambda: mb.add(x=x, y=1.0),
        _false_fn=lambda: mb.conv(x=x, weight=np.ones((2, 2, 1, 1), np.float32)),
    )


def _listed(x, n):
    """A list, and random numbers."""
    ls = mb.make_list(init_length=2, elem_shape=(3,), dynamic_length=True)
    ls = mb.list_write(ls=ls, index=1, value=n)
    drawn = mb.random_uniform(shape=[2, 3], seed=1)
    return mb.list_read(ls=ls, index=1), drawn, mb.topk(x=n, k=2, axis=0)[0]


def _parts(model):
    """Return the spec and the weights of a program."""
    file = Path(model.weights_dir or "") / "weight.bin"
    return model.get_spec(), file.read_bytes() if file.is_file() else b""


@functools.wraps(redirect_stderr)
def quiet():
    """Keep coremltools' progress bars and warnings out of the output."""
    warnings.simplefilter("ignore")
    return redirect_stderr(io.StringIO())
