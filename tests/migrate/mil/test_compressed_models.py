"""Models that coremltools compresses against what it decompresses them to."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from programs import quiet

from migrate import evaluate
from migrate.coreml import coremltools

ct = coremltools()


@functools.cache
def network(target):
    """A small converted model of two layers with weights."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(4, 16, 3)
    module = torch.nn.Sequential(convolution, torch.nn.Flatten(2), torch.nn.Linear(9, 8)).eval()
    with quiet():
        return ct.convert(
            torch.jit.trace(module, torch.zeros(1, 4, 5, 5)),
            inputs=[ct.TensorType(name="x", shape=(1, 4, 5, 5))],
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, target),
            skip_model_load=True,
        )


def quantize(**options):
    return "linear_quantize_weights", "OpLinearQuantizerConfig", options


def palettize(bits, **options):
    return "palettize_weights", "OpPalettizerConfig", {"mode": "uniform", "nbits": bits, **options}


def prune():
    return "prune_weights", "OpMagnitudePrunerConfig", {"target_sparsity": 0.6}


BLOCKS = {"mode": "linear", "granularity": "per_block", "block_size": 2}
GROUPS = {"granularity": "per_grouped_channel", "group_size": 4}
MODELS = [
    ("iOS16", [quantize(mode="linear_symmetric")], {"affine_dequantize"}),
    ("iOS16", [quantize(dtype="uint8", granularity="per_tensor")], {"affine_dequantize"}),
    ("iOS16", [palettize(6)], {"lut_to_dense"}),
    ("iOS16", [prune()], {"sparse_to_dense"}),
    ("iOS18", [quantize(dtype="int4", **BLOCKS)], {"blockwise_shift_scale"}),
    ("iOS18", [quantize(dtype="uint4", mode="linear")], {"blockwise_shift_scale"}),
    ("iOS18", [palettize(3, **GROUPS)], {"lut_to_dense"}),
    ("iOS18", [prune()], {"sparse_to_dense"}),
    ("iOS18", [prune(), quantize()], {"sparse_blockwise_shift_scale", "sparse_to_dense"}),
    ("iOS18", [prune(), palettize(4)], {"lut_to_sparse", "sparse_to_dense"}),
    (
        "iOS18",
        [palettize(4), quantize(granularity="per_tensor")],
        {"lut_to_dense", "blockwise_shift_scale"},
    ),
]


def kinds(model):
    """Which operations decompress weights."""
    (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
    prefix = "constexpr_"
    return {one.type.removeprefix(prefix) for one in block.operations if prefix in one.type}


@pytest.mark.parametrize(("target", "steps", "expected"), MODELS)
def test_a_compressed_model_computes_what_its_decompressed_one_does(target, steps, expected):
    tools = ct.optimize.coreml
    model = network(target)
    with quiet():
        for i, (step, config, options) in enumerate(steps):
            settings = getattr(tools, config)(weight_threshold=16, **options)
            joint = {"joint_compression": True} if i else {}
            model = getattr(tools, step)(model, tools.OptimizationConfig(settings), **joint)
        plain = tools.decompress_weights(model)
    assert kinds(model) == expected
    assert not kinds(plain)
    x = np.random.RandomState(5).randn(1, 4, 5, 5).astype(np.float32)
    (result,) = evaluate(model, {"x": x}).values()
    (wanted,) = evaluate(plain, {"x": x}).values()
    np.testing.assert_array_equal(result, wanted)
