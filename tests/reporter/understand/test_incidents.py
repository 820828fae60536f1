"""Known incidents: what a model has and its output shows, on networks and ML Programs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from networks import network

import migrate
from migrate import Feature, Operation, ProgramOverview
from reporter.understand import incidents as module
from reporter.understand.incidents import Incident, incidents, known
from reporter.understand.signatures import CODES, Signature

BLOCK = "samples/Block.mlmodel"


def shown(*codes):
    return [Signature(code, "", (), "") for code in codes]


def ids(model, *codes):
    return [incident.id for incident in known(model, shown(*codes))]


def layers(*rows, shape=(1, 3, 8, 64), outputs=("y",)):
    return migrate.read(network({"x": shape}, outputs, *rows))


def activation(kind):
    return layers(("activation", "x", "y", {kind: None}))


def program(*kinds, channels=8, outputs=("float32",), width=64):
    """An ML Program of operations in a row, each of so many channels."""
    operations = tuple(
        Operation(f"o{i}", kind, (1, channels, 8, width), "float16") for i, kind in enumerate(kinds)
    )
    features = tuple(
        Feature(f"y{i}", "multiArray", (1, channels, 8, width), dtype)
        for i, dtype in enumerate(outputs)
    )
    given = (Feature("x", "multiArray", (1, 3, 8, width)),)
    return ProgramOverview(8, "CoreML7", "iOS 17, macOS 14", "fp16", given, features, operations,
                           (), 0)  # fmt: skip


@pytest.mark.parametrize("incident", incidents(), ids=lambda incident: incident.id)
def test_each_incident_has_a_symptom_a_trigger_a_date_and_a_source(incident):
    assert isinstance(incident, Incident)
    assert incident.codes
    assert set(incident.codes) <= set(CODES) - {"B0", "X0"}
    assert incident.trigger != module.Trigger()
    assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", incident.first)
    assert incident.first <= incident.last or incident.first.startswith(incident.last)
    assert incident.url.startswith("https://") or "does not name" in incident.source
    assert "not reproduced here" in incident.source
    assert incident.devices
    assert incident.says == f"looks like {incident.id}"


def test_ids_are_unique():
    assert len({incident.id for incident in incidents()}) == len(incidents()) >= 25


def test_block_with_a_stuck_channel_looks_like_the_thread():
    found = known(migrate.read(BLOCK), shown("K1"))
    assert [one.says for one in found] == ["looks like Apple Developer Forums thread 720810"]
    assert ids(migrate.read(BLOCK), "K2", "K1") == ["Apple Developer Forums thread 720810"]
    assert ids(migrate.read(BLOCK), "D1") == []


def test_block_as_an_ml_program_does_so_too():
    assert ids(program("conv", "conv", "concat", "conv"), "K1") == [
        "Apple Developer Forums thread 720810"
    ]
    assert ids(program("concat", "relu", "conv"), "K1") == []
    assert ids(program("concat", "cast", "conv"), "K1") != []  # a cast computes nothing


def test_softplus_with_a_cliff_looks_like_2687():
    for model in (activation("softplus"), program("softplus")):
        assert "coremltools #2687" in ids(model, "C1")
        assert "coremltools #2359" not in ids(model, "C1")
        assert ids(model, "K1") == []
    assert ids(activation("sigmoid"), "C1") == []


def test_mish_looks_like_2359():
    assert {"coremltools #2359", "coremltools #2687"} <= set(
        ids(program("softplus", "tanh", "mul"), "C1")
    )


def test_one_layer_must_read_the_other():
    leaky = ("activation", "a", "y", {"leakyReLU": None})
    convolution = {"outputChannels": 4, "kernelChannels": 3, "nGroups": 1, "kernelSize": [1, 1]}
    chained = layers(("convolution", "x", "a", convolution), leaky)
    apart = layers(("convolution", "x", "b", convolution), ("copy", "x", "a", {}), leaky)
    assert "coremltools #1023" in ids(chained, "D1")
    assert "coremltools #1023" not in ids(apart, "D1")


@pytest.mark.parametrize(("channels", "expected"), [(256, False), (257, True)])
def test_pixel_shuffle_of_more_than_256_channels(channels, expected):
    name = "KinoVSR, pixel shuffle above 256 channels"
    shuffle = {"mode": 2, "blockSize": 2}
    convolution = {"outputChannels": channels, "kernelChannels": 3, "kernelSize": [1, 1]}
    net = layers(("convolution", "x", "a", convolution), ("reorganizeData", "a", "y", shuffle))
    assert (name in ids(net, "P1")) is expected
    assert (name in ids(program("conv", "pixel_shuffle", channels=channels), "P1")) is expected


@pytest.mark.parametrize(("width", "expected"), [(31, True), (32, False)])
def test_rows_below_32(width, expected):
    found = ids(program("relu", width=width), "Z1")
    assert ("Neural Engine kernels below width 32" in found) is expected


@pytest.mark.parametrize(("width", "expected"), [(200, True), (224, False)])
def test_rows_that_are_padded(width, expected):
    found = ids(program("relu", width=width), "L1")
    assert ("desert-ant-core #120" in found) is expected


@pytest.mark.parametrize(("dtype", "expected"), [("float32", True), ("float16", False)])
def test_the_type_of_the_output(dtype, expected):
    model = program("conv", "max_pool", "transpose", "reshape", "cast", outputs=("int32", dtype))
    assert ("FB15290156" in ids(model, "Z2")) is expected
    assert ("onnxruntime #17726" in ids(model, "L1")) is not expected


def test_what_is_said_of_ml_programs_is_not_said_of_networks():
    incident = next(one for one in incidents() if one.id == "FB15290156")
    facts = module._of_program(program("max_pool", "transpose", "reshape"))
    assert module._triggered(facts, incident.trigger)
    assert not module._triggered(replace(facts, format="neuralnetwork"), incident.trigger)


def test_an_input_of_several_sizes():
    model = program("conv")
    flexible = replace(model.inputs[0], bounds=((1, 1), (3, 3), (8, 64), (8, 64)))
    assert ids(model, "S1") == []
    assert ids(replace(model, inputs=(flexible,)), "S1") == ["coremltools #939"]


@pytest.mark.parametrize(("width", "expected"), [(511, False), (512, True)])
def test_large_images(width, expected):
    found = ids(program("conv", "leaky_relu", width=width), "D1")
    assert ("coremltools #1671" in found) is expected


def test_an_oblong_kernel_with_a_stride():
    shape = {"outputChannels": 4, "kernelChannels": 3, "kernelSize": [3, 2], "stride": [2, 2]}
    square = {**shape, "kernelSize": [3, 3]}
    assert ids(layers(("convolution", "x", "y", shape)), "P1") == ["coremltools #2515"]
    assert ids(layers(("convolution", "x", "y", square)), "P1") == []


def test_parameters_of_unary_and_pooling_layers():
    assert "CoreML-LLM, reciprocal root" in ids(layers(("unary", "x", "y", {"type": 1})), "G1")
    assert "coremltools #1901" in ids(layers(("pooling", "x", "y", {"type": 1})), "G1")
    assert ids(layers(("pooling", "x", "y", {"type": 0})), "G1") == []


def test_weights_in_a_table_stand_beside_the_operations():
    assert "coreai-torch #93" in ids(program("constexpr_lut_to_dense", "conv"), "P1")


def test_the_signature_that_is_the_headline_comes_first():
    model = program("scaled_dot_product_attention", "reduce_argmax", "softplus")
    assert ids(model, "C1", "F1")[0] == "coremltools #2687"
    assert ids(model, "F1", "C1")[0] != "coremltools #2687"


def test_nothing_is_known_without_a_signature_or_a_layer():
    assert known(activation("softplus"), []) == []
    assert known(activation("softplus"), shown("B0", "X0")) == []
    assert ids(program(width=64), "C1", "N1", "G1", "K1", "P1") == []
    assert ids(program("no_such_operation", outputs=()), "Z1", "L1") == []


def test_operations_without_a_shape():
    odd = Operation("if", "cond", None, "nothing")
    model = replace(program("softplus"), operations=(odd, Operation("s", "softplus", (), "fp16")))
    assert "coremltools #2687" in ids(model, "C1")


def test_the_data_lie_next_to_the_code():
    assert module.DATA.is_file()
    assert module.DATA.read_text("utf-8").isascii()
