"""Nothing is wrong with the ML Programs of models that people published."""

from __future__ import annotations

import pytest
import torch

import migrate
from migrate.mlprogram import convert
from migrate.options import Options
from migrate.spec import load_spec
from migrate.verification import verify

SMALL = ("blazeface_short", "hand_pose_createml", "hand_squeezenet", "mnist_cnn",
         "tiny_drawing_embedding")  # fmt: skip
LARGE = ("cpm_pose", "kraken_blla", "posenet_mobilenet075", "srcnn", "waifu2x_photo_noise0")
FOLDED = ("cpm_pose", "hand_pose_createml", "posenet_mobilenet075")
AS_THEY_WERE = ("same", "nearest fp16", "rewritten", "left out")


class GroupNorm(torch.nn.GroupNorm):
    """Kraken's custom layer."""

    def __init__(self, params):
        channels = params.parameters["in_channels"].intValue
        super().__init__(params.parameters["num_groups"].intValue, channels)
        for name, stored in zip(("weight", "bias"), params.weights, strict=True):
            values = torch.tensor(list(stored.floatValue))
            setattr(self, name, torch.nn.Parameter(values, requires_grad=False))


KINDS = ("normal", "integers", "as preprocessed")


@pytest.mark.parametrize(
    ("name", "precisions", "kinds"),
    [
        *((name, ("fp32", "fp16"), KINDS) for name in SMALL),
        *((name, ("fp16",), KINDS[2:]) for name in LARGE),
    ],
)
def test_nothing_is_wrong(shared_models, name, precisions, kinds):
    """Of the large ones the fp16 program alone, which holds what the other does and rounds it."""
    path = shared_models / f"{name}.mlmodel"
    if not path.exists():
        pytest.skip(f"no {name} here")
    net, spec = migrate.to_torch(path, {"groupnorm": GroupNorm}), load_spec(path)
    made = {p: convert(net, spec, Options(p), "").program for p in precisions}
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
