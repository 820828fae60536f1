"""The conformance cases, where that folder is present, and proof for those whose answer is wrong.

A case is wrong if no reading of NeuralNetwork.proto can give its expected answer. Each kind is
proved here from the case's own data; the product knows nothing of them.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import migrate
from migrate.coreml import proto

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "conformance"
PREFIX = "NewLayersSimpleTest.test_"

# RandomNormal/Uniform/Bernoulli*LayerParams: "filled with random ... values", with a seed and the
# distribution's parameters, but no generator. These expect the very sample of one.
ONE_SAMPLE = {
    "random_bernoulli_dynamic__000",
    "random_bernoulli_dynamic__001",
    "random_bernoulli_dynamic__002",
    "random_bernoulli_dynamic__004",
    "random_bernoulli_like__001",
    "random_normal_dynamic__001",
    "random_normal_dynamic__003",
    "random_normal_static__000",
    "random_uniform_dynamic__001",
    "random_uniform_dynamic__002",
    "random_uniform_like__000",
    "random_uniform_static__001",
    "random_uniform_static__002",
}
# These compare moments of two samples of a normal distribution, closer than samples agree.
TOO_CLOSE = {
    "random_normal_dynamic__000",
    "random_normal_dynamic__002",
    "random_normal_like__000",
    "random_normal_like__001",
    "random_normal_like__002",
    "random_normal_static__001",
}
# TopKLayerParams says nothing of equal values; these expect them in an order of no rule.
TIES = {"topk__004", "topk__006"}
WRONG = {PREFIX + name for name in ONE_SAMPLE | TOO_CLOSE | TIES}

# What no ML Program can express; README says it in words.
COMPUTED_LIMITS = {f"{PREFIX}nms__00{i}" for i in (1, 2, 3, 5, 7)}  # of NonMaximumSuppression
COMPUTED_RANK = {
    "TestFill.test_builder_to_backend_symbolic__000",
    "TestReshape.test_builder_to_backend_symbolic__000",
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared conformance cases here")


@functools.cache
def contents():
    """Return the archive's members, read at once: its directory alone takes 10 ms to open."""
    with zipfile.ZipFile(FOLDER / "cases.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def case_names():
    return sorted({entry.split("/")[0] for entry in contents()})


def case(name):
    spec = proto("Model_pb2").Model()
    spec.ParseFromString(contents()[f"{name}/model.mlmodel"])
    arrays = np.load(io.BytesIO(contents()[f"{name}/data.npz"]))
    return spec, {key: arrays[key] for key in arrays.files}


# The script named first runs with all imported that collections need not look at (conftest.py).
RUN = """
import gc, runpy, sys
from migrate.coreml import coremltools
coremltools()
gc.freeze()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def failures(tmp_path, *options):
    result = tmp_path / "result.json"
    command = [sys.executable, "-c", RUN, FOLDER / "check.py", "--json", result, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert result.exists(), done.stderr[-2000:]
    return json.loads(result.read_text())["failures"]


def test_every_case_passes_but_those_proved_wrong(tmp_path):
    assert set(failures(tmp_path)) <= WRONG


def test_every_fifth_case_passes_as_an_ml_program(tmp_path):
    found = failures(tmp_path, "--mlprogram", "--step", "5")
    assert set(found) <= WRONG | COMPUTED_LIMITS | COMPUTED_RANK


@pytest.mark.parametrize("name", sorted(COMPUTED_LIMITS | COMPUTED_RANK))
def test_what_no_ml_program_can_express_is_refused(name):
    spec, _ = case(name)
    with pytest.raises(migrate.UnsupportedError, match=r"^layer '.*comput"):
        migrate.to_mlprogram(spec)


def test_samples_are_expected_that_the_layers_parameters_do_not_determine():
    """Same kind, seed and parameters: an answer that follows from them would begin alike."""
    samples = {}
    for name in sorted(ONE_SAMPLE):
        spec, arrays = case(PREFIX + name)
        layer = spec.neuralNetwork.layers[0]
        params = getattr(layer, layer.WhichOneof("layer"))
        assert params.seed == 42
        kind = name.split("_")[1]
        samples.setdefault(kind, []).append(arrays["out::output"].ravel()[:64])
    assert set(samples) == {"bernoulli", "normal", "uniform"}
    for kind, found in samples.items():
        assert len(found) > 1
        assert any(not np.array_equal(a, b) for a, b in itertools.combinations(found, 2)), kind


@pytest.mark.parametrize("name", sorted(TOO_CLOSE))
def test_moments_are_expected_closer_than_samples_of_that_size_agree(name):
    """The k-th moment of n normal values has variance (E x^2k - (E x^k)^2) / n."""
    _, arrays = case(PREFIX + name)
    count = arrays["out::output"].size
    even = [1, 0, 1, 0, 3, 0, 15, 0, 105, 0, 945]  # E x^k of the normal distribution

    def deviations(k):
        """Return how many standard errors of a difference the case's bound is."""
        error = math.sqrt(2 * (even[2 * k] - even[k] ** 2) / count)
        return 0.05 * max(1.0, even[k]) / error

    assert min(deviations(k) for k in range(1, 6)) < 1.0


def test_equal_values_are_expected_in_an_order_of_no_rule():
    """The values agree with ours; the indices of equal ones now rise and now fall."""
    steps = []
    for name in sorted(TIES):
        spec, arrays = case(PREFIX + name)
        axis = spec.neuralNetwork.layers[0].topK.axis
        inputs = {key[4:]: value for key, value in arrays.items() if key.startswith("in::")}
        found = migrate.to_torch(spec).predict(inputs)
        np.testing.assert_allclose(found["values"], arrays["out::values"], rtol=1e-6)
        tied = np.diff(arrays["out::values"], axis=axis) == 0
        steps.extend(np.diff(arrays["out::indices"], axis=axis)[tied])
    assert min(steps) < 0 < max(steps)


def calls_of(net, arrays):
    """Return the case's own inputs, and random ones of other shapes that the network runs on."""
    import torch

    from migrate.examples import allowed_shapes
    from migrate.features import to_tensor

    network = net.network
    given = {key[4:]: value for key, value in arrays.items() if key.startswith("in::")}
    calls = [[to_tensor(f, given, torch.float32) for f in network.inputs]]
    torch.manual_seed(0)
    shapes = itertools.product(*(allowed_shapes(f, network)[:3] for f in network.inputs))
    for sizes in itertools.islice(shapes, 8):
        inputs = [torch.rand(size) for size in sizes]
        if sizes != tuple(tuple(x.shape) for x in calls[0]) and runs(net, inputs):
            calls.append(inputs)
            break
    return calls


def runs(net, inputs):
    try:
        net(*inputs)
    except migrate.AnereportError:
        return False
    return True


def test_the_source_of_every_case_computes_the_same_bits_without_this_project(differences_outside):
    cases, other_shapes = {}, 0
    for name in case_names():
        spec, arrays = case(name)
        calls = calls_of(migrate.to_torch(spec), arrays)
        cases[name] = (spec, calls)
        other_shapes += len(calls) > 1
    assert other_shapes > 30
    found = dict(zip(cases, differences_outside(list(cases.values())), strict=True))
    assert {name: why for name, why in found.items() if why} == {}


def test_flexible_ml_programs_follow_the_shape():
    """At a second allowed shape, which the trace has not seen, they give what the module gives."""
    compared = 0
    for name in flexible_cases():
        spec, arrays = case(name)
        net = migrate.to_torch(spec)
        calls = calls_of(net, arrays)[1:]
        if not calls or name in WRONG | COMPUTED_LIMITS | COMPUTED_RANK:
            continue
        program = migrate.to_mlprogram(spec, "fp32")
        for tensors in calls:
            names = [feature.name for feature in net.network.inputs]
            inputs = {n: x.numpy() for n, x in zip(names, tensors, strict=True)}
            wanted, found = net.predict(inputs), migrate.evaluate(program, inputs)
            for value, want in zip(found.values(), wanted.values(), strict=True):
                np.testing.assert_allclose(value, want, rtol=1e-3, atol=1e-5, err_msg=name)
            compared += 1
    assert compared > 30


def flexible_cases():
    return [
        name
        for name in case_names()
        if any(f.shapes or f.ranges for f in migrate.read(case(name)[0]).inputs)
    ]
