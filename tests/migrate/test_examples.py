from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate import Feature, ModelError
from migrate.examples import LARGEST_SIZE, MOST, OPEN_SIZE, examples
from migrate.network import Network


def array(name, *shape, shapes=(), bounds=()):
    return Feature(name, "multiArray", shape, shapes=shapes, bounds=bounds)


def network(*inputs):
    return Network("neuralNetwork", 4, inputs, (), (), rank5_arrays=False, rank5_images=False)


def tried(*inputs):
    return list(examples(network(*inputs)))


FIXED = array("x", 2, 3)
LISTED = array("x", 2, 3, shapes=((2, 3), (4, 5)))
RANGED = array("x", 2, 3, bounds=((1, 7), (3, -1)))
OPEN = array("x", -1, 3, bounds=((0, -1), (3, 3)))


def is_allowed(feature, shape):
    if feature.bounds:
        ends = zip(shape, feature.bounds, strict=True)
        return all(low <= n and (high < 0 or n <= high) for n, (low, high) in ends)
    return shape in (feature.shapes or (feature.shape,))


@pytest.mark.parametrize("feature", [FIXED, LISTED, RANGED, OPEN])
def test_every_try_has_an_allowed_shape(feature):
    found = tried(feature, array("y", 2))
    assert 0 < len(found) <= MOST
    for inputs in found:
        assert list(inputs) == ["x", "y"]
        assert is_allowed(feature, tuple(inputs["x"].shape))
        assert inputs["y"].shape == (2,)
        for x in inputs.values():
            assert x.dtype == torch.float32


def test_vectors_hold_shapes_of_other_inputs():
    vectors = [inputs["y"].tolist() for inputs in tried(FIXED, array("y", 3))]
    assert [1, 2, 3] in vectors
    assert [1, 1, 6] in vectors
    assert all(inputs["x"].unique().numel() == 1 for inputs in tried(FIXED, array("y", 3)))


@pytest.mark.parametrize("feature", [FIXED, LISTED, RANGED])
def test_zeros_of_the_default_shape_are_tried_first_then_ones(feature):
    first, second = tried(feature)[:2]
    assert torch.equal(first["x"], torch.zeros(2, 3))
    assert torch.equal(second["x"], torch.ones(2, 3))


def sizes(*inputs):
    return {tuple(tuple(x.shape) for x in row.values()) for row in tried(*inputs)}


def test_other_shapes_are_tried_where_they_are_allowed():
    assert sizes(FIXED) == {((2, 3),)}
    assert sizes(LISTED) == {((2, 3),), ((4, 5),)}
    assert ((7, OPEN_SIZE),) in sizes(RANGED)
    assert {n for ((n, _),) in sizes(OPEN)} >= {64, OPEN_SIZE}
    assert ((5, 6), (5, 6)) in sizes(RANGED, array("y", 5, 6))


def test_a_shape_of_another_input_is_tried_early():
    """Two inputs of one size, of which the description names only one."""
    found = tried(RANGED, array("y", 5, 6))[:12]
    assert {tuple(inputs["x"].shape) for inputs in found} >= {(2, 3), (5, 6), (7, OPEN_SIZE)}


def test_numbers_that_are_sizes_or_indices_are_tried_in_every_combination():
    found = tried(array("x", 5, 100), array("y", LARGEST_SIZE))
    pairs = {tuple(x.flatten()[0].item() for x in inputs.values()) for inputs in found}
    assert pairs == set(itertools.product([0.0, 1.0, 2.0, 5.0, float(LARGEST_SIZE)], repeat=2))


def test_many_inputs_are_not_tried_for_ever():
    inputs = [array(f"x{i}", 2, 3, 4, 5) for i in range(12)]
    assert len(tried(*inputs)) == MOST


def test_the_tries_are_the_same_each_time():
    first, second = tried(RANGED, LISTED), tried(RANGED, LISTED)
    assert all(
        torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a
    )


def test_a_network_without_inputs_has_examples_of_nothing():
    assert tried()[0] == {}


def test_examples_are_made_one_by_one():
    """A feature of many elements is not held six hundred times."""
    assert next(examples(network(array("x", 10_000, 1_000))))["x"].numel() == 10**7


def test_a_claimed_size_is_refused():
    with pytest.raises(ModelError, match="claims a size"):
        tried(array("x", 2**20, 2**20))


BOUNDS = st.tuples(st.integers(1, 6), st.integers(-1, 9)).map(
    lambda ends: (ends[0], ends[1] if ends[1] < 0 else max(ends))
)


@settings(max_examples=30)
@given(bounds=st.lists(BOUNDS, min_size=1, max_size=3), other=st.lists(BOUNDS, max_size=3))
def test_any_bounds_are_kept_and_both_ends_are_reached(bounds, other):
    shapes = [tuple(low for low, _ in ends) for ends in (bounds, other)]
    inputs = [
        array(name, *shape, bounds=tuple(ends))
        for name, shape, ends in zip("xy", shapes, (bounds, other), strict=True)
    ]
    rows = list(itertools.islice(examples(network(*inputs)), 60))
    found = {tuple(row["x"].shape) for row in rows}
    assert all(is_allowed(inputs[0], shape) for shape in found)
    assert shapes[0] in found
    assert tuple(high if high > 0 else OPEN_SIZE for _, high in bounds) in found
