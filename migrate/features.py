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
from migrate.feature_types import default_shape
from migrate.tracing import is_traced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.feature_types import Feature
    from migrate.network import Network


NUMBERS = {"double": float, "int64": int}  # features of a single number, as regressors have


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
        self.name = feature.name
        self.mean = nn.Buffer(torch.tensor(mean.reshape(feature.shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the difference."""
        try:
            return x - self.mean
        except RuntimeError as error:
            raise ModelError(
                f"the mean image of input {self.name!r} fits only images of its own size"
            ) from error


class Entrance(nn.Module):
    """From a feature's tensor to its blob: image preprocessing, then the rank mapping."""

    def __init__(self, feature: Feature, network: Network) -> None:
        super().__init__()
        rank5 = network.rank5_images if feature.kind == "image" else network.rank5_arrays
        self.preprocess = nn.Sequential(*_preprocessing(feature, network))
        self.to_blob = shapes.enter(feature, rank5, network.legacy, network.sequential)

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


def tensor_outputs(network: Network) -> list[Feature]:
    """Return the outputs that the module gives as tensors.

    Of a classifier that are the probabilities, in the place of the dictionary, or of the label if
    there is no dictionary; the predicted label is computed from them by `to_outputs`.
    """
    classes = class_features(network)
    label = network.predicted_feature if network.labels else None
    return [f for f in network.outputs if f in classes or f.name != label]


def output_blobs(network: Network) -> list[tuple[Feature, str]]:
    """Return the outputs that are tensors, each with the blob it is read from."""
    classes = class_features(network)
    written = [blob for layer in network.layers for blob in layer.outputs]
    blob = network.probabilities or (written[-1] if written else "")
    meant = stand_ins(network)
    return [
        (feature, blob if feature in classes else meant.get(feature.name, feature.name))
        for feature in tensor_outputs(network)
    ]


def stand_ins(network: Network) -> dict[str, str]:
    """Return the blob that is meant by an output which no layer writes, as some files have it.

    Where one output and one blob are left over, they belong together; otherwise it is a ModelError.
    """
    given = {feature.name for feature in network.inputs}
    written = dict.fromkeys(blob for layer in network.layers for blob in layer.outputs)
    ends = {f.name for f in network.outputs if f not in class_features(network)}
    ends -= {network.predicted_feature} if network.labels else set()
    missing = sorted(ends - given - set(written))
    if not missing:
        return {}
    read = {blob for layer in network.layers for blob in layer.inputs}
    loose = [blob for blob in written if blob not in read and blob not in ends]
    if len(missing) > 1 or len(loose) != 1 or network.labels:
        raise ModelError(f"output {missing[0]!r} is written by no layer")
    return {missing[0]: loose[0]}


def class_features(network: Network) -> list[Feature]:
    """Return the output that holds a classifier's scores: its dictionary, or else its label."""
    if not network.labels:
        return []
    return [f for f in network.outputs if f.kind == "dictionary"] or [
        f for f in network.outputs if f.name == network.predicted_feature
    ]


def to_outputs(network: Network, values: Sequence[Tensor], exact: bool = False) -> dict[str, Any]:
    """Return the outputs as `MLModel.predict` gives them; `exact` arrays are not cast."""
    outputs: dict[str, Any] = {}
    for feature, value in zip(tensor_outputs(network), values, strict=True):
        if feature in class_features(network):
            outputs.update(_classification(network, feature, value.flatten().tolist()))
        elif feature.kind == "image":
            outputs[feature.name] = _to_image(value, feature)
        elif feature.kind in NUMBERS:
            outputs[feature.name] = _to_number(value, feature)
        else:
            outputs[feature.name] = to_array(value, "" if exact else feature.dtype)
    return outputs


def _to_number(value: Tensor, feature: Feature) -> float | int:
    if value.numel() != 1:
        raise ModelError(
            f"output {feature.name!r} is one number, the model gives {_product(value.shape)}"
        )
    try:
        return NUMBERS[feature.kind](value.item())
    except (ValueError, OverflowError) as error:
        raise ModelError(
            f"output {feature.name!r} is an integer, the model gives {value.item()}"
        ) from error


def _classification(network: Network, feature: Feature, scores: list[float]) -> dict[str, Any]:
    if len(scores) != len(network.labels):
        raise ModelError(f"the model has {len(network.labels)} labels and {len(scores)} scores")
    best = {network.predicted_feature: network.labels[int(np.argmax(scores))]}
    if feature.kind != "dictionary":
        return best
    return {feature.name: dict(zip(network.labels, scores, strict=True)), **best}


def to_array(value: Tensor, dtype: str) -> np.ndarray[Any, Any]:
    """Return a tensor as an array, of float16, float64 or int32 if that is named."""
    dtypes = {"int32": np.int32, "float16": np.float16, "float64": np.float64}
    array = value.detach().cpu().numpy()
    return array.astype(dtypes[dtype]) if dtype in dtypes else array


def to_pil(array: Any, feature: Feature) -> Any:
    """Return (1, C, H, W) or (C, H, W) values in the feature's channel order as a PIL image."""
    return _to_image(torch.as_tensor(np.asarray(array)), feature)


def _to_image(value: Tensor, feature: Feature) -> Any:
    from PIL import Image

    channels = 1 if feature.color.startswith("GRAYSCALE") else 3
    if value.ndim < 3 or value.shape[-3] != channels or value[..., 0, 0].numel() != channels:
        raise ModelError(
            f"output {feature.name!r} is an image of {channels} channels, "
            f"the model gives {_product(value.shape) or 'a scalar'}"
        )
    pixels = value.detach().cpu().reshape(tuple(value.shape[-3:])).float()
    if feature.color == "GRAYSCALE_FLOAT16":
        return Image.fromarray(pixels[0].numpy())
    array = pixels.round().clamp(0, 255).to(torch.uint8).numpy()
    if feature.color == "GRAYSCALE":
        return Image.fromarray(array[0])
    ordered = array[::-1] if feature.color == "BGR" else array
    return Image.fromarray(np.ascontiguousarray(ordered.transpose(1, 2, 0)))


def to_tensor(feature: Feature, inputs: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """Return the feature's tensor from the caller's inputs; absent optional ones are filled."""
    if feature.name not in inputs:
        if feature.optional:
            return admitted(feature, None, dtype)
        raise InputError(f"input '{feature.name}' is missing")
    value = inputs[feature.name]
    image = feature.kind == "image"
    try:
        array = np.asarray(_from_pil(feature, value) if image else value)
    except (TypeError, ValueError) as error:
        raise InputError(f"input {feature.name!r} is not an array of numbers") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"input {feature.name!r} is not an array of numbers")
    tensor = torch.from_numpy(np.array(array, dtype=np.float64)).to(dtype)
    return _fit(feature, _channels_first(feature, tensor) if image else tensor)


def refuse_unknown(described: Sequence[Feature], inputs: dict[str, Any]) -> None:
    """Raise InputError if the caller gave an input that the model does not have."""
    known = {feature.name for feature in described}
    extra = [name for name in inputs if name not in known]
    if extra:
        raise InputError(f"the model has no input '{extra[0]}'; it has {', '.join(sorted(known))}")


def _fit(feature: Feature, x: Tensor) -> Tensor:
    """Drop leading ones that the declared shape does not have, and check what is declared."""
    rank = len(feature.shape)
    x = x.reshape(1) if x.ndim == 0 else x
    while rank and x.ndim > rank and x.shape[0] == 1:
        x = x.squeeze(0)
    return _checked(feature, x)


def _checked(feature: Feature, x: Tensor) -> Tensor:
    try:
        shapes.check_shape(x, feature.name, shapes.allowed(feature))
    except ValueError as error:
        raise InputError(str(error)) from error
    return x


def admitted(feature: Feature, x: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return an input as the module takes it: one left out is filled, a flexible one checked."""
    if x is None:
        return torch.full(default_shape(feature), feature.default or 0.0, dtype=dtype)
    return x if is_traced(x) or not feature.flexible else _checked(feature, x)


def passed_on(feature: Feature, x: Tensor) -> Tensor:
    """Return an output as the next stage of a pipeline gets it; an image has whole values."""
    if feature.kind != "image" or feature.color == "GRAYSCALE_FLOAT16":
        return x
    return x.round().clamp(0, 255)


def _product(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _from_pil(feature: Feature, value: Any) -> Any:
    """Return a PIL image as (C, H, W) or (H, W), channels in the feature's order."""
    if not hasattr(value, "convert"):
        return value
    modes = {"GRAYSCALE": "L", "GRAYSCALE_FLOAT16": "F"}
    array = np.asarray(value.convert(modes.get(feature.color, "RGB")))
    array = array[..., ::-1] if feature.color == "BGR" else array
    return array.transpose(2, 0, 1) if array.ndim == 3 else array


def _channels_first(feature: Feature, x: Tensor) -> Tensor:
    """Return (1, C, H, W) from any of (H, W), (H, W, C), (C, H, W), or one of them in a batch."""
    channels = feature.shape[1]
    image = x[0] if x.ndim == 4 and x.shape[0] == 1 else x
    image = image[None] if image.ndim == 2 and channels == 1 else image
    if image.ndim == 3 and image.shape[0] != channels and image.shape[2] == channels:
        image = image.permute(2, 0, 1)
    if image.ndim != 3 or image.shape[0] != channels:
        raise InputError(
            f"input {feature.name!r} is an image of {channels} channels; "
            f"got an array of shape {_product(x.shape)}"
        )
    return image[None].contiguous()
