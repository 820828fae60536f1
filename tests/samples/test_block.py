from __future__ import annotations

import hashlib
import importlib.util
import re

import numpy as np
import pytest

from migrate.coreml import coremltools, proto


@pytest.fixture(scope="module")
def block():
    """samples/block.py as a module, and the spec that it builds."""
    from pathlib import Path

    coremltools()
    path = Path(__file__).resolve().parents[2] / "samples" / "block.py"
    described = importlib.util.spec_from_file_location("samples_block", path)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module, module.build()


def test_the_committed_model_is_what_the_script_builds(block, samples):
    committed = (samples / "Block.mlmodel").read_bytes()
    parsed = proto("Model_pb2").Model.FromString(committed)
    expected = parsed.SerializeToString(deterministic=True)
    assert block[1].SerializeToString(deterministic=True) == expected


def test_building_twice_gives_the_same(block):
    module, spec = block
    assert module.build().SerializeToString(deterministic=True) == spec.SerializeToString(
        deterministic=True
    )


def test_the_script_writes_the_model_beside_itself(block, samples, tmp_path):
    import runpy
    import shutil

    shutil.copy(samples / "block.py", tmp_path)
    runpy.run_path(str(tmp_path / "block.py"), run_name="__main__")
    written = proto("Model_pb2").Model.FromString((tmp_path / "Block.mlmodel").read_bytes())
    assert written == block[1]


def test_the_network_is_the_threads(block):
    spec = block[1]
    network = spec.neuralNetwork
    assert network.arrayInputShapeMapping == 1  # disable_rank5_shape_mapping=True
    features = (*spec.description.input, *spec.description.output)
    shapes = {f.name: list(f.type.multiArrayType.shape) for f in features}
    assert shapes == {
        "input2": [1, 128, 43, 1], "input1": [1, 800, 43, 1], "output": [1, 800, 39, 1],
    }  # fmt: skip
    assert {f.type.multiArrayType.dataType for f in features} == {65568}
    assert [layer.name for layer in network.layers] == ["conv1", "conv2", "concat", "conv3"]
    assert network.layers[2].concatND.axis == -3
    facts = [
        (c.outputChannels, c.kernelChannels, c.nGroups, list(c.kernelSize), c.hasBias)
        for c in (network.layers[i].convolution for i in (0, 1, 3))
    ]
    assert facts == [
        (800, 800, 1, [1, 1], True), (800, 128, 1, [1, 1], True), (1600, 1, 1600, [5, 1], True),
    ]  # fmt: skip


def test_the_weights_are_seeded_draws(block):
    """Core ML keeps [output, kernel channel, height, width]; the script draws in builder order."""
    draw = np.random.RandomState(720810)
    layers = block[1].neuralNetwork.layers
    for index, scale, shape in (
        (0, 1 / 32, (1, 1, 800, 800)), (1, 1 / 16, (1, 1, 128, 800)), (3, 1 / 2, (5, 1, 1, 1600)),
    ):  # fmt: skip
        kernel = np.float32(draw.uniform(-1, 1, shape) * scale)
        bias = np.float32(draw.uniform(-1, 1, shape[-1]))
        found = layers[index].convolution
        assert np.array_equal(
            np.float32(found.weights.floatValue), kernel.transpose(3, 2, 0, 1).ravel()
        )
        assert np.array_equal(np.float32(found.bias.floatValue), bias)


def test_the_thread_has_its_eleven_rows(samples):
    lines = (samples / "thread-720810.txt").read_text(encoding="ascii").splitlines()
    assert lines[0] == "Index CPU GPU ANE"
    assert lines[1] == lines[-1] == "..."
    rows = [line.split() for line in lines[2:-1]]
    assert [int(row[0]) for row in rows] == list(range(12568, 12579))
    assert {row[3] for row in rows} == {"0.2047119"}
    assert rows[0][1:3] == ["-23.01966", "-23.01562"]
    assert rows[-1][1:3] == ["-22.49558", "-22.5"]


def test_the_rows_are_the_threads_own(samples):
    thread = samples.parent.parent / "shared" / "thread-720810.txt"
    if not thread.exists():
        pytest.skip("the thread is not here")
    pattern = r"^\s*(125\d\d)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s*$"
    posted = re.findall(pattern, thread.read_text(encoding="utf-8"), re.MULTILINE)
    ours = re.findall(pattern, (samples / "thread-720810.txt").read_text(), re.MULTILINE)
    assert len(ours) == 11
    assert ours == posted


def test_the_model_file_is_known(samples):
    """A changed file would no longer match the records made of it."""
    digest = hashlib.sha256((samples / "Block.mlmodel").read_bytes()).hexdigest()
    assert digest == "3adcdf9738df8d5dd8f17e48cf1aa916bc53336e4a59ec8179487b3ee46f68c4"
