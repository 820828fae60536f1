"""The features of an ML Program, so that it stands in for the NeuralNetwork it was made from.

`input_types` and `output_types` are what coremltools is told, and `limits` says in a sentence each
what an ML Program cannot have. `classification` and `description` do what coremltools does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from migrate.coreml import coremltools
from migrate.errors import UnsupportedError
from migrate.feature_types import default_shape
from migrate.features import NUMBERS, class_features, tensor_outputs
from migrate.names import mil_name
from migrate.network import RECURRENT
from migrate.options import FIRST_WITH_HALVES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrate.feature_types import Feature
    from migrate.network import Network
    from migrate.options import Options

HIGHEST_RANK = 5  # of any tensor in an ML Program
ZEROS_BEYOND_THE_EDGE = 16  # the first iOS release whose crop_resize has them
SEVERAL_ENUMERATED = 18  # the first iOS release in which several inputs may have enumerated shapes


def input_types(network: Network, options: Options) -> list[Any]:
    """Return coremltools' type of each input."""
    ct = coremltools()
    found, names = [], program_names(network).inputs
    for feature in network.inputs:
        name, shape = names[feature.name], _shape(feature, network, options)
        if feature.kind == "image":
            layout = _layout(feature, options)
            found.append(ct.ImageType(name=name, shape=shape, color_layout=layout))
        else:
            found.append(ct.TensorType(name=name, shape=shape, dtype=_dtype(feature, options)))
    return found


def output_types(network: Network, options: Options) -> list[Any]:
    """Return coremltools' type of each output that is a tensor."""
    ct = coremltools()
    return [
        ct.ImageType(name=name, color_layout=_layout(f, options))
        if f.kind == "image"
        else ct.TensorType(name=name, dtype=_dtype(f, options))
        for f, name in zip(tensor_outputs(network), tensor_names(network), strict=True)
    ]


class Names(NamedTuple):
    """What the ML Program calls features, by their names in the NeuralNetwork."""

    inputs: dict[str, str]
    outputs: dict[str, str]


def program_names(network: Network) -> Names:
    """Return the features' names in the ML Program, where no two that differ have the same."""
    inputs = _distinct([f.name for f in network.inputs], set(), "_input")
    same = {name: inputs[name] for name in network.passed_through()}
    others = [f.name for f in network.outputs if f.name not in same]
    return Names(inputs, same | _distinct(others, set(inputs.values()), "_output"))


def _distinct(names: Sequence[str], others: set[str], suffix: str) -> dict[str, str]:
    """Return a name for each that is none of the others; those that can be kept are."""
    kept = {name: name for name in names if mil_name(name) == name and name not in others}
    found, taken = dict(kept), others | set(kept)
    for name in names:
        if name not in kept:
            found[name] = _free(mil_name(name), taken, suffix)
            taken.add(found[name])
    return found


def _free(name: str, taken: set[str], suffix: str) -> str:
    return _free(name + suffix, taken, suffix) if name in taken else name


def tensor_names(network: Network) -> list[str]:
    """Return the names of the outputs that are tensors; a classifier's scores become another."""
    names, classes = program_names(network), class_features(network)
    taken = {*names.inputs.values(), *names.outputs.values()}
    found = [(names.outputs[f.name], f in classes) for f in tensor_outputs(network)]
    return [_free(f"{name}_scores", taken, "_") if scores else name for name, scores in found]


def _dtype(feature: Feature, options: Options) -> type:
    if feature.dtype == "int32":
        return np.int32
    declared = "fp16" if feature.dtype == "float16" else "fp32"
    halves = (options.features or declared) == "fp16" and options.release >= FIRST_WITH_HALVES
    return np.float16 if halves else np.float32


def _layout(feature: Feature, options: Options) -> Any:
    if feature.color.endswith("FLOAT16") and options.release < FIRST_WITH_HALVES:
        raise UnsupportedError(
            f"'{feature.name}' is a float16 image; it needs iOS16, the target is {options.target}"
        )
    return getattr(coremltools().colorlayout, feature.color)


def _shape(feature: Feature, network: Network, options: Options) -> Any:
    ct = coremltools()
    default = default_shape(feature)
    if len(feature.shapes) > 1:
        if options.release >= SEVERAL_ENUMERATED or len(_enumerated(network)) == 1:
            return ct.EnumeratedShapes(feature.shapes, default=default)
        bounds = tuple((min(sizes), max(sizes)) for sizes in zip(*feature.shapes, strict=True))
    elif feature.ranges:
        bounds = feature.ranges
    else:
        return default
    return ct.Shape(
        tuple(
            low
            if low == high
            else ct.RangeDim(max(low, 1), _upper(high, size, options), default=size)
            for (low, high), size in zip(bounds, default, strict=True)
        )
    )


def _upper(high: int, size: int, options: Options) -> int:
    return high if high > 0 else max(options.max_size, size)


def _own_bounds(feature: Feature, options: Options) -> list[int]:
    """Return the largest sizes of the dimensions that the NeuralNetwork has none for."""
    rows = zip(feature.ranges, default_shape(feature), strict=False)
    return [_upper(high, size, options) for (_, high), size in rows if high <= 0]


def _enumerated(network: Network) -> list[Feature]:
    return [feature for feature in network.inputs if len(feature.shapes) > 1]


def limits(network: Network, options: Options) -> list[str]:
    """Return a sentence for each thing of the interface that the ML Program cannot have."""
    features = (*network.inputs, *network.outputs)
    pairs = [pair for names in program_names(network) for pair in names.items()]
    found = [_renamed(*pair) for pair in pairs if pair[0] != pair[1]]
    doubles = [f.name for f in features if f.dtype == "float64"]
    if doubles and options.features != "fp16":
        found.append(
            f"{_named(doubles)}: DOUBLE becomes FLOAT32, the widest an ML Program's features have"
        )
    halves = [f.name for f in features if f.dtype == "float16"]
    if halves and options.release < FIRST_WITH_HALVES:
        found.append(f"{_named(halves)}: FLOAT16 becomes FLOAT32 before iOS 16")
    found += [
        f"input '{f.name}' has no largest size, an ML Program must have one: "
        f"{', '.join(map(str, bounds))} (--max-size)"
        for f in network.inputs
        if (bounds := _own_bounds(f, options))
    ]
    several = _enumerated(network)
    if len(several) > 1 and options.release < SEVERAL_ENUMERATED:
        found.append(
            f"{_named([f.name for f in several])}: below iOS 18 only one input may have enumerated "
            "shapes, so each takes the range from its smallest to its largest"
        )
    found += [
        f"input '{f.name}' is optional, which an image of an ML Program cannot be"
        for f in network.inputs
        if f.optional and f.kind == "image"
    ]
    if network.kind.endswith("Regressor"):
        found.append("ML Programs have no regressors: the value is an output like any other")
    numbers = [f.name for f in tensor_outputs(network) if f.kind in NUMBERS]
    if numbers and not network.labels:
        found.append(f"{_named(numbers)}: a number becomes an array of one element")
    found += [
        f"layer '{layer.name}' (cropResize): beyond the image's edge an ML Program gives 0 from "
        "iOS 16 on, the NeuralNetwork its last pixel"
        for layer in network.all_layers()
        if layer.kind == "cropResize" and options.release >= ZEROS_BEYOND_THE_EDGE
    ]
    found += [
        f"input '{f.name}' takes sequences as [Seq, Batch, ...] at run time; "
        "the ML Program takes its declared shape alone"
        for f in network.inputs
        if network.rank5_arrays and f.kind == "multiArray" and len(f.shape) in (1, 3)
        and any(layer.kind in RECURRENT for layer in network.all_layers())
    ]  # fmt: skip
    return found


def _renamed(before: str, after: str) -> str:
    """Return why a feature has another name."""
    if mil_name(before) == before:
        return f"output '{before}' is called '{after}': no output may have an input's name"
    return (
        f"'{before}' is called '{after}': names in an ML Program are letters, digits and "
        "underscores, and no words of its language"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in dict.fromkeys(names))


def check_ranks(network: Network) -> None:
    """Raise UnsupportedError for features of a higher rank than an ML Program's may have."""
    features = (*network.inputs, *network.outputs)
    high = [f for f in features if len(f.shape) > HIGHEST_RANK]
    if high:
        found = ", ".join(f"'{f.name}' has {len(f.shape)}" for f in high)
        raise UnsupportedError(f"an ML Program's tensors have at most 5 dimensions; {found}")
