"""Features of the model on their way in and out: arrays, images, labels.

What `predict` takes and gives is what `MLModel.predict` does; the module itself takes tensors of
the declared shapes, images as (1, C, H, W) with values 0 to 255 in the feature's declared order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from migrate import shapes
from migrate.errors import InputError, ModelError
from migrate.network import default_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.network import Feature, Network


class Scaler(nn.Module):
    """NeuralNetworkImageScaler: channelScale * x plus a bias per channel."""

    def __init__(self, message: Any, feature: Feature) -> None:
        super().__init__()
        rgb = [message.redBias, message.greenBias, message.blueBias]
        bias = {"RGB": rgb, "BGR": rgb[::-1]}.get(feature.color, [message.grayBias])
        self.scale = nn.Buffer(torch.tensor(message.channelScale, dtype=torch.float32))
        self.bias = nn.Buffer(torch.tensor(bias, dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled image."""
        return x * self.scale + self.bias


class MeanImage(nn.Module):
    """NeuralNetworkMeanImage: subtracts an image of the feature's own size."""

    def __init__(self, message: Any, feature: Feature) -> None:
        super().__init__()
        mean = np.asarray(message.meanImage, np.float32)
        if mean.size != np.prod(feature.shape):
            raise ModelError(
                f"the mean image of input '{feature.name}' holds {mean.size} values, "
                f"expected {np.prod(feature.shape)}"
            )
        self.mean = nn.Buffer(torch.tensor(mean.reshape(feature.shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the difference."""
        return x - self.mean


class Entrance(nn.Module):
    """From a feature's tensor to its blob: image preprocessing, then the rank mapping."""

    def __init__(self, feature: Feature, network: Network) -> None:
        super().__init__()
        rank5 = network.rank5_images if feature.kind == "image" else network.rank5_arrays
        self.preprocess = nn.Sequential(*_preprocessing(feature, network))
        self.to_blob = shapes.enter(feature, rank5, network.legacy)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blob that the layers read."""
        return self.to_blob(self.preprocess(x))


def _preprocessing(feature: Feature, network: Network) -> list[nn.Module]:
    """Return the steps for this image, in order; a step without a name is for the only image."""
    steps: list[nn.Module] = []
    for step in network.preprocessing:
        if feature.kind == "image" and step.featureName in (feature.name, ""):
            kind = step.WhichOneof("preprocessor")
            if kind == "scaler":
                steps.append(Scaler(step.scaler, feature))
            elif kind == "meanImage":
                steps.append(MeanImage(step.meanImage, feature))
    return steps


def output_blobs(network: Network) -> list[tuple[Feature, str]]:
    """Return the outputs that are tensors, each with the blob it is read from.

    Of a classifier that is the probabilities' blob, in the place of the dictionary; the predicted
    label is computed from it by `to_outputs`.
    """
    if not network.labels:
        return [(feature, feature.name) for feature in network.outputs]
    blob = network.probabilities or network.layers[-1].outputs[0]
    return [
        (feature, blob if feature.kind == "dictionary" else feature.name)
        for feature in network.outputs
        if feature.name != network.predicted_feature
    ]


def to_outputs(network: Network, values: Sequence[Tensor]) -> dict[str, Any]:
    """Return the outputs as `MLModel.predict` gives them."""
    outputs: dict[str, Any] = {}
    for (feature, _), value in zip(output_blobs(network), values, strict=True):
        if feature.kind == "dictionary" and network.labels:
            probabilities = value.flatten().tolist()
            outputs[feature.name] = dict(zip(network.labels, probabilities, strict=False))
            best = network.labels[int(np.argmax(probabilities))]
            outputs[network.predicted_feature] = best
        elif feature.kind == "image":
            outputs[feature.name] = _to_image(value, feature)
        else:
            outputs[feature.name] = _to_array(value, feature)
    return outputs


def _to_array(value: Tensor, feature: Feature) -> np.ndarray[Any, Any]:
    dtypes = {"int32": np.int32, "float16": np.float16}
    array = value.detach().cpu().numpy()
    return array.astype(dtypes[feature.dtype]) if feature.dtype in dtypes else array


def to_pil(array: Any, feature: Feature) -> Any:
    """Return (1, C, H, W) or (C, H, W) values of 0 to 255, in the feature's order, as a PIL image."""
    return _to_image(torch.as_tensor(np.asarray(array)), feature)


def _to_image(value: Tensor, feature: Feature) -> Any:
    from PIL import Image

    pixels = value.detach().reshape(tuple(value.shape[-3:])).float().round().clamp(0, 255)
    array = pixels.to(torch.uint8).numpy()
    if feature.color.startswith("GRAYSCALE"):
        return Image.fromarray(array[0])
    ordered = array[::-1] if feature.color == "BGR" else array
    return Image.fromarray(np.ascontiguousarray(ordered.transpose(1, 2, 0)))


def to_tensor(feature: Feature, inputs: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """Return the feature's tensor from the caller's inputs; absent optional ones are filled."""
    if feature.name not in inputs:
        if feature.optional:
            return torch.full(default_shape(feature), feature.default or 0.0, dtype=dtype)
        raise InputError(f"input '{feature.name}' is missing")
    value = inputs[feature.name]
    if feature.kind == "image":
        return torch.as_tensor(_image_array(feature, value), dtype=dtype)
    try:
        array = np.asarray(value)
        tensor = torch.from_numpy(np.array(array, dtype=np.float64)).to(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"input '{feature.name}' is not an array of numbers") from error
    return _fit(feature, tensor)


def refuse_unknown(network: Network, inputs: dict[str, Any]) -> None:
    """Raise InputError if the caller gave an input that the model does not have."""
    known = {feature.name for feature in network.inputs}
    extra = [name for name in inputs if name not in known]
    if extra:
        raise InputError(f"the model has no input '{extra[0]}'; it has {', '.join(sorted(known))}")


def _fit(feature: Feature, x: Tensor) -> Tensor:
    """Drop leading ones that the declared shape does not have, and check what is declared."""
    rank = len(feature.shape)
    while rank and x.ndim > rank and x.shape[0] == 1:
        x = x.squeeze(0)
    return x


def _image_array(feature: Feature, value: Any) -> np.ndarray[Any, Any]:
    """Return (1, C, H, W) from a PIL image or an array, channels in the feature's order."""
    if hasattr(value, "convert"):
        gray = feature.color.startswith("GRAYSCALE")
        array = np.asarray(value.convert("L" if gray else "RGB"), np.float32)
        array = array[..., ::-1] if feature.color == "BGR" else array
        return _channels_first(feature, array)
    return _channels_first(feature, np.asarray(value, np.float32))


def _channels_first(feature: Feature, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    channels = feature.shape[1]
    if array.ndim == 2 and channels == 1:
        array = array[None]
    elif array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] != channels and array.shape[2] == channels:
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or array.shape[0] != channels:
        raise InputError(
            f"input '{feature.name}' is an image of {channels} channels; "
            f"got an array of shape {'x'.join(map(str, array.shape))}"
        )
    return np.ascontiguousarray(array[None])
