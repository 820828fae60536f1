"""Transforms and coordinates against torch, and results that coremltools documents."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from programs import compute, outputs_of, quiet
from torch.nn import functional as F

from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.random.RandomState(0).randint(-32, 32, (2, 3, 4, 5)).astype(np.float32) / 8


FIXED = {"padding_value": 0.0, "align_corners": True, "padding_mode": "constant"}


@pytest.mark.parametrize(("size", "images"), [((3, 6), 1), ((1, 2), 2)])
def test_affine_is_torch_s(size, images):
    matrix = np.random.RandomState(1).randn(images, 6).astype(np.float32) / 2

    def build(x, matrix):
        return mb.affine(
            x=x,
            transform_matrix=matrix,
            output_height=size[0],
            output_width=size[1],
            sampling_mode="bilinear",
            coordinates_mode="normalized_minus_one_to_one",
            **FIXED,
        )

    theta = torch.from_numpy(matrix).reshape(-1, 2, 3).expand(2, -1, -1)
    with quiet():  # torch warns of a single row
        places = F.affine_grid(theta, [2, 3, *size], align_corners=True)
    expected = F.grid_sample(torch.from_numpy(X), places, align_corners=True)
    np.testing.assert_allclose(outputs_of(build, x=X, matrix=matrix)[0], expected, atol=1e-5)


@pytest.mark.parametrize("change", ["sampling_mode", "padding_mode", "coordinates_mode"])
def test_affine_refuses_what_mil_does_not_support(change):
    arguments = {"sampling_mode": "bilinear", "coordinates_mode": "normalized_minus_one_to_one"}
    arguments = {**FIXED, **arguments, change: "nearest"}
    size = {"output_height": 1, "output_width": 1}
    x, matrix = torch.zeros(1, 1, 2, 2), torch.zeros(1, 6)
    with pytest.raises(ValueError, match=r"'nearest'.* are not what MIL supports"):
        compute("affine", x=x, transform_matrix=matrix, **size, **arguments)


TORCH = {
    "constant": "zeros",
    "border": "border",
    "reflection": "reflection",
    "symmetric": "reflection",
}


@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", TORCH)
@pytest.mark.parametrize("coordinates", ["unnormalized", "minus_one_to_one", "zero_to_one"])
@pytest.mark.parametrize("align", [True, False])
def test_resample_is_torch_s_wherever_it_has_the_mode(sampling, padding, coordinates, align):
    # torch ties what is reflected to the meaning of the coordinates, so these are made for it
    ties = {"reflection": True, "symmetric": False}.get(padding, align)
    pixels = torch.rand(2, 6, 7, 2, generator=torch.Generator().manual_seed(3)) * 24 - 9
    size = torch.tensor([5, 4])
    places = 2 * pixels / (size - 1) - 1 if ties else (2 * pixels + 1) / size - 1
    unit = pixels / (size - 1) if align else (pixels + 0.5) / size
    given = {"unnormalized": pixels, "minus_one_to_one": 2 * unit - 1, "zero_to_one": unit}
    mode = coordinates if coordinates == "unnormalized" else f"normalized_{coordinates}"
    result = compute(
        "resample",
        x=torch.from_numpy(X),
        coordinates=given[coordinates],
        sampling_mode=sampling,
        padding_mode=padding,
        padding_value=0.0,
        coordinates_mode=mode,
        align_corners=align,
    )
    x, kind = torch.from_numpy(X), TORCH[padding]
    expected = F.grid_sample(x, places, mode=sampling, padding_mode=kind, align_corners=ties)
    np.testing.assert_allclose(result, expected, atol=2e-5)


SEEN = [  # coremltools' tests of Core ML
    ("bilinear", "constant", 6.17, "normalized_minus_one_to_one", True, [8.585, 6.17, 27.5, 6.17]),
    ("nearest", "border", -1.0, "unnormalized", False, [11, 11, 11, 44]),
    ("bilinear", "reflection", -1.0, "normalized_zero_to_one", True, [22, 36.3, 11, 34.1]),
    ("nearest", "symmetric", -1.0, "normalized_zero_to_one", False, [22, 33, 11, 33]),
]


@pytest.mark.parametrize("half", [False, True])
def test_resample_gives_what_core_ml_has_been_seen_to_give(half):
    def build(x, places):
        return tuple(
            mb.resample(
                x=x,
                coordinates=places,
                sampling_mode=sampling,
                padding_mode=padding,
                padding_value=value,
                coordinates_mode=coordinates,
                align_corners=align,
            )
            for sampling, padding, value, coordinates, align, _ in SEEN
        )

    x = np.array([11, 22, 33, 44], np.float32).reshape(1, 1, 2, 2)
    places = np.array([-1, -2, -3.7, -1, 0, 0, 3.5, 1.2], np.float32).reshape(1, 2, 2, 2)
    results = outputs_of(build, half=half, x=x, places=places)
    for result, (*_, expected) in zip(results, SEEN, strict=True):
        np.testing.assert_allclose(result.ravel(), expected, rtol=2e-3 if half else 1e-5)


def test_places_may_be_integers_and_an_image_one_pixel():
    x = np.full((1, 1, 1, 1), 3, np.float32)

    def build(x, places):
        return mb.resample(
            x=x,
            coordinates=places,
            sampling_mode="bilinear",
            padding_mode="reflection",
            padding_value=0.0,
            coordinates_mode="unnormalized",
            align_corners=True,
        )

    places = np.array(list(itertools.product([-1, 2], repeat=2)), np.int32).reshape(1, 2, 2, 2)
    np.testing.assert_array_equal(
        outputs_of(build, x=x, places=places)[0], np.full((1, 1, 2, 2), 3)
    )


@pytest.mark.parametrize("option", ["sampling_mode", "padding_mode", "coordinates_mode"])
def test_resample_refuses_modes_that_are_not_known(option):
    arguments = {
        "sampling_mode": "nearest",
        "padding_mode": "border",
        "coordinates_mode": "unnormalized",
        "padding_value": 0.0,
        "align_corners": True,
        option: "cubic",
    }
    places = torch.zeros(1, 1, 1, 2)
    with pytest.raises(ValueError, match=f"{option} 'cubic' is not known"):
        compute("resample", x=torch.zeros(1, 1, 2, 2), coordinates=places, **arguments)


@pytest.mark.parametrize("far", [1e30, -1e30, float("inf")])
def test_what_is_far_beyond_the_image_is_the_padding(far):
    result = compute(
        "resample",
        x=torch.ones(1, 1, 2, 2),
        coordinates=torch.tensor([far, 0.0]).reshape(1, 1, 1, 2),
        sampling_mode="bilinear",
        padding_mode="constant",
        padding_value=4.0,
        coordinates_mode="unnormalized",
        align_corners=True,
    )
    assert result.item() == 4
