from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from migrate import Feature, ModelError, shapes

SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=5).map(tuple)


def array(*shape):
    return Feature("x", "multiArray", shape)


@given(shape=SHAPES, rank=st.integers(1, 6))
def test_at_rank(shape, rank):
    x = torch.rand(shape)
    y = shapes.at_rank(x, rank)
    assert y.shape == (1,) * (rank - len(shape)) + shape
    assert torch.equal(y.flatten(), x.flatten())


def test_rank5():
    assert shapes.rank5(torch.ones(2, 3)).shape == (1, 1, 1, 2, 3)
    assert shapes.rank5(torch.ones(2, 1, 1, 1, 3)).shape == (2, 1, 1, 1, 3)


def test_same_rank():
    found = shapes.same_rank(torch.ones(2), torch.ones(2, 3, 4), torch.ones(1, 2))
    assert [tuple(x.shape) for x in found] == [(1, 1, 2), (2, 3, 4), (1, 1, 2)]


@pytest.mark.parametrize(
    "shape", [(5,), (4, 5), (3, 4, 5), (2, 3, 4, 5), (2, 1, 3, 4, 5), (2, 1, 2, 3, 4, 5)]
)
def test_as_batch(shape):
    """The step sees rank 4, and the result has the rank that the input had."""
    ranks = []

    def step(x, factor):
        ranks.append(x.ndim)
        return x[..., ::2] * factor

    x = torch.rand(shape)
    y = shapes.as_batch(step, x, torch.tensor(2.0))
    assert ranks == [4]
    assert torch.equal(y, x[..., ::2] * 2)


def test_as_batch_leaves_the_channels_to_the_step():
    y = shapes.as_batch(lambda x: x.sum(1, keepdim=True), torch.ones(2, 3, 4, 5, 6))
    assert torch.equal(y, torch.full((2, 3, 1, 5, 6), 4.0))


@pytest.mark.parametrize(
    ("declared", "given", "blob"),
    [
        ((7,), (7,), (1, 7, 1, 1)),
        ((3, 4, 5), (3, 4, 5), (1, 3, 4, 5)),
        ((3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((3, 4, 5), (6, 2, 3, 4, 5), (6, 2, 3, 4, 5)),
        ((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((6, 2, 3, 4, 5), (6, 2, 3, 4, 5), (6, 2, 3, 4, 5)),
        # "At runtime, the first two dimensions (Seq or Batch) can be presented as well"
        ((7,), (2, 7), (2, 7, 1, 1)),
        ((7,), (6, 2, 7), (6, 2, 7, 1, 1)),
        ((7,), (6, 2, 7, 1, 1), (6, 2, 7, 1, 1)),
    ],
)
@pytest.mark.parametrize(("legacy", "sequential"), [(True, False), (True, True), (False, True)])
def test_enter_with_the_rank_5_mapping(declared, given, blob, legacy, sequential):
    """Old layers that know no Seq start at rank 4 if there is none, others at rank 5."""
    x = torch.rand(given)
    y = shapes.enter(array(*declared), True, legacy, sequential)(x)
    fixed = len(declared) == 4  # there Seq is declared not to be
    at_5 = not legacy or (sequential and not fixed)
    assert y.shape == ((1,) * (5 - len(blob)) + blob if at_5 else blob)
    assert torch.equal(y.flatten(), x.flatten())


@pytest.mark.parametrize("shape", [(7,), (2, 3), (3, 4, 5), (1, 1, 2, 3, 4)])
def test_the_exact_mapping_changes_nothing(shape):
    x = torch.rand(shape)
    for function in (
        shapes.enter(array(*shape), False, True, False),
        shapes.leave(array(*shape), False),
        shapes.leave(array(), False),
    ):
        assert function(x).shape == shape
        assert torch.equal(function(x), x)


def test_no_output_has_rank_0():
    assert shapes.leave(array(), False)(torch.tensor(3.0)).shape == (1,)


def test_rank_2_has_no_place_in_the_rank_5_mapping():
    with pytest.raises(ModelError, match="input 'x' is declared with 2 dimensions"):
        shapes.enter(array(2, 3), True, True, False)


def test_images_enter():
    image = Feature("x", "image", (1, 3, 4, 5), color="RGB")
    x = torch.rand(1, 3, 4, 5)
    assert shapes.enter(image, True, True, True)(x).shape == (1, 3, 4, 5)
    assert shapes.enter(image, True, False, True)(x).shape == (1, 1, 3, 4, 5)
    assert shapes.enter(image, False, False, True)(x).shape == (1, 3, 4, 5)


@pytest.mark.parametrize(
    ("declared", "blob", "given"),
    [
        ((7,), (1, 7, 1, 1), (7,)),
        ((7,), (1, 1, 7, 1, 1), (7,)),
        ((8,), (1, 2, 2, 2), (8,)),
        ((7,), (4, 1, 7, 1, 1), (4, 1, 7)),
        ((3, 4, 5), (1, 3, 4, 5), (3, 4, 5)),
        ((3, 4, 5), (1, 1, 3, 4, 5), (3, 4, 5)),
        ((3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((1, 3, 4, 5), (1, 1, 3, 4, 5), (1, 3, 4, 5)),
        ((1, 1, 3, 4, 5), (1, 1, 3, 4, 5), (1, 1, 3, 4, 5)),
        ((), (1, 3, 4, 5), (3, 4, 5)),
        ((), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((), (2, 1, 3, 4, 5), (2, 1, 3, 4, 5)),
    ],
)
def test_leave_with_the_rank_5_mapping(declared, blob, given):
    """The output has the declared rank; what is not 1 is never dropped."""
    x = torch.rand(blob)
    y = shapes.leave(array(*declared), True)(x)
    assert y.shape == given
    assert torch.equal(y.flatten(), x.flatten())
