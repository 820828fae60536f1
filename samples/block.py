"""Build samples/Block.mlmodel: the network of Apple forum thread 720810, call for call.

The thread never posted its weights, so these are seeded: uniform draws of numpy's RandomState,
the same on every machine, scaled by a power of two so that no rounding differs. They are not the
weights that failed on the thread's devices.

    python samples/block.py            # writes Block.mlmodel beside this script
"""

from pathlib import Path

import numpy as np
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.utils import save_spec

SEED = 720810


def convolution_weights(draw, scale, height, width, kernel_channels, output_channels):
    """Return W (height, width, kernel channels, output channels) and b, drawn in that order."""
    shape = (height, width, kernel_channels, output_channels)
    kernel = draw.uniform(-1, 1, shape) * scale
    bias = draw.uniform(-1, 1, output_channels)
    return {"W": np.float32(kernel), "b": np.float32(bias), "has_bias": True}


def build():
    """Return the spec of the thread's network, its declared output of 800 channels included."""
    draw = np.random.RandomState(SEED)
    conv1_weights = convolution_weights(draw, 1 / 32, 1, 1, 800, 800)
    conv2_weights = convolution_weights(draw, 1 / 16, 1, 1, 128, 800)
    conv3_weights = convolution_weights(draw, 1 / 2, 5, 1, 1, 1600)
    builder = NeuralNetworkBuilder(
        [
            ("input2", datatypes.Array(1, 128, 43, 1)),
            ("input1", datatypes.Array(1, 800, 43, 1)),
        ],
        [("output", datatypes.Array(1, 800, 39, 1))],
        disable_rank5_shape_mapping=True,
        use_float_arraytype=True,
    )
    one_by_one = {"height": 1, "width": 1, "stride_height": 1, "stride_width": 1}
    builder.add_convolution(
        name="conv1", input_name="input1", output_name="conv1_output",
        kernel_channels=800, output_channels=800, **one_by_one,
        border_mode="valid", groups=1, **conv1_weights,
    )  # fmt: skip
    builder.add_convolution(
        name="conv2", input_name="input2", output_name="conv2_output",
        kernel_channels=128, output_channels=800, **one_by_one,
        border_mode="valid", groups=1, **conv2_weights,
    )  # fmt: skip
    builder.add_concat_nd("concat", ["conv1_output", "conv2_output"], "concat_output", axis=-3)
    builder.add_convolution(
        name="conv3", input_name="concat_output", output_name="output",
        kernel_channels=1, output_channels=1600, height=5, width=1,
        stride_height=1, stride_width=1,
        border_mode="valid", groups=1600, **conv3_weights,
    )  # fmt: skip
    return builder.spec


if __name__ == "__main__":
    save_spec(build(), str(Path(__file__).with_name("Block.mlmodel")))
