"""Rearrangements are numpy's, and relations say what they are."""

from __future__ import annotations

import numpy as np
import pytest

from migrate.variation.relation import Rearrangement, Relation, blocks


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ([0, 1, 2, 5, 6], ((0, 3), (5, 7))),
        ([4], ((4, 5),)),
        ([3, 2, 1], ((3, 4), (2, 3), (1, 2))),
        ([], ()),
    ],
)
def test_blocks_are_runs(index, expected):
    assert blocks(np.array(index, int)) == expected


def test_axes_come_before_blocks_and_the_rank_last():
    x = np.arange(24).reshape(2, 3, 4)
    found = Rearrangement(axes=(2, 1, 0), blocks=((1, 3), (0, 1)), axis=0, rank=4)(x)
    assert np.array_equal(found, x.transpose(2, 1, 0)[[1, 2, 0]][None])
    assert np.array_equal(Rearrangement(rank=1)(np.ones((1, 1, 3))), np.ones(3))
    assert np.array_equal(Rearrangement()(x), x)


def test_a_relation_is_said_in_words():
    assert str(Relation()) == "equal"
    assert str(Relation("equal up to", "a shift")) == "equal up to a shift"
    assert str(Relation("another model", "without x")) == "another model"


def test_what_is_shown_beside_the_outputs_is_not_restored():
    relation = Relation(shows={"y": "y"})
    assert list(relation.restored({"out": np.ones(1), "y": np.ones(1)})) == ["out"]
