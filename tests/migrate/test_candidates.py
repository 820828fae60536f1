"""Whose a parameter is, by its path."""

from __future__ import annotations

import pytest

from migrate.candidates import owner

LAYERS = {"conv", "conv.inner", "conv_2", "branch.0.conv"}


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("conv", "conv"),
        ("conv.weight", "conv"),
        ("conv.inner.linear.bias", "conv.inner"),
        ("conv_2.weight", "conv_2"),
        ("conv_20.weight", ""),
        ("branch.0.conv.conv.weight", "branch.0.conv"),
        ("branch.1.conv.weight", ""),
        ("_precision", ""),
        ("", ""),
    ],
)
def test_a_path_belongs_to_the_innermost_layer_around_it(path, layer):
    assert owner(path, LAYERS) == layer
