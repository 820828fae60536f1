"""Nothing is wrong with the ML Programs of models that people published.

Each is converted once, for both tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from published import seeded

import migrate
from migrate.mlprogram import convert
from migrate.module import Model
from migrate.options import Options
from migrate.spec import load_spec
from migrate.verification import verify

SMALL = ("blazeface_short", "hand_pose_createml", "hand_squeezenet", "mnist_cnn",
         "tiny_drawing_embedding")  # fmt: skip
LARGE = ("cpm_pose", "kraken_blla", "posenet_mobilenet075", "srcnn", "waifu2x_photo_noise0")
FOLDED = ("cpm_pose", "hand_pose_createml", "posenet_mobilenet075")
AS_THEY_WERE = ("same", "nearest fp16", "rewritten", "left out")
KINDS = ("normal", "integers", "as preprocessed")
OTHER_SHAPES = {
    "blazeface_short": {"input": (1, 3, 512, 512)},
    "posenet_mobilenet075": {"image": (1, 3, 257, 257)},
    "kraken_blla": {"input": (1, 3, 1800, 100)},
}


class GroupNorm(torch.nn.GroupNorm):
    """Kraken's custom layer, whose weights are the scale and the shift of each channel."""

    def __init__(self, params):
        channels = params.parameters["in_channels"].intValue
        super().__init__(params.parameters["num_groups"].intValue, channels)
        for name, stored in zip(("weight", "bias"), params.weights, strict=True):
            values = torch.tensor(list(stored.floatValue))
            setattr(self, name, torch.nn.Parameter(values, requires_grad=False))


class Published(NamedTuple):
    """A model's name, its module, and its ML Programs by precision."""

    name: str
    net: Model
    programs: dict[str, Any]


@pytest.fixture(scope="module", params=[*SMALL, *LARGE])
def published(request, shared_models):
    path = shared_models / f"{request.param}.mlmodel"
    if not path.exists():
        pytest.skip(f"no {request.param} here")
    net, spec = migrate.to_torch(path, {"groupnorm": GroupNorm}), load_spec(path)
    programs = {p: convert(net, spec, Options(p), "").program for p in migrate.PRECISIONS}
    return Published(request.param, net, programs)


def inputs_of(name, net):
    """Return inputs of the default shapes, and of others that an fp32 program is given too."""
    features = {feature.name: feature for feature in net.network.inputs}
    yield {n: seeded(feature) for n, feature in features.items()}
    if name in OTHER_SHAPES:
        yield {n: seeded(features[n], shape) for n, shape in OTHER_SHAPES[name].items()}


def numbers(value):
    return np.array(list(value.values()) if isinstance(value, dict) else value)


def test_its_ml_program_gives_what_the_module_gives(published):
    """Within what rounding explains: of float32 in an fp32 program, of float16 in an fp16 one."""
    name, net, programs = published
    choices = list(inputs_of(name, net))
    for precision, program in programs.items():
        for inputs in choices if precision == "fp32" else choices[:1]:
            outputs = migrate.evaluate(program, inputs)
            for output, envelope in migrate.envelopes(net, inputs, precision).items():
                given = numbers(outputs[output]).reshape(envelope.reference.shape)
                assert envelope.within(given), (precision, output, envelope.ratio(given).max())


def test_nothing_is_wrong(published):
    """Of the large ones the fp16 program alone, which holds what the other does and rounds it."""
    name, net, programs = published
    small = name in SMALL
    made = programs if small else {"fp16": programs["fp16"]}
    kinds = KINDS if small else KINDS[2:]
    found = verify(net, made, kinds=kinds)
    assert found.errors == {}
    assert found.findings == found.not_compared == ()
    assert found.departs is None
    assert {row.inputs for row in found.comparisons} == set(kinds)
    assert found.maps["fp16"].carried
    weights = [tensor for tensor in net.state_dict().values() if tensor.numel()]
    assert len(found.weights) == len(weights)
    fates = {fate for weight in found.weights for fate in weight.became.values()}
    assert all(fate.startswith(AS_THEY_WERE) for fate in fates)
    assert any("batch_norm into conv2d" in fate for fate in fates) == (name in FOLDED)
