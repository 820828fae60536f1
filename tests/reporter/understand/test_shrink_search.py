"""The search alone, over networks that are no more than their knobs."""

from __future__ import annotations

import itertools

import pytest

from migrate import Knob, Reduction
from reporter.understand.shrink_search import Search


class Numbers:
    """Networks that are a number for each knob; `gone` is what a first knob at 0 takes away."""

    def __init__(self, gone=(), **values):
        self.values, self.gone = values, gone

    def ordered(self, reductions):
        return tuple(sorted(reductions, key=lambda r: list(self.values).index(r.kind)))

    def lacks(self, reductions, other):
        return other.kind in self.gone and any(
            (r.kind, r.value) == ("start", 0) for r in reductions
        )

    def settled(self, reductions):
        found = self.ordered(reductions)
        return tuple(r for r in found if not self.lacks(found, r))

    def knobs(self, reductions):
        own = {r.kind: r.value for r in reductions}
        there = [k for k in self.values if not self.lacks(reductions, Reduction(k, "", 0))]
        return tuple(Knob(k, "", own.get(k, self.values[k]), 0) for k in there), ()


def cut(**values):
    return tuple(Reduction(kind, "", value) for kind, value in values.items())


def search(networks, base=(), failing=(), right=(), others=(), makeable=lambda r: True):
    return Search(networks, base, tuple(failing), tuple(right), frozenset(others), makeable)


def shrunk(networks, fails, most=8, size=lambda values: sum(values.values())):
    """Search until nothing is smaller, with a device of a known rule; the base and the rounds."""

    def values(reductions):
        return {**networks.values, **{r.kind: r.value for r in reductions}}

    failing, right, base = [()], [], ()
    for number in itertools.count():
        found = search(networks, base, failing, right)
        round_ = found.smaller(most) or found.last_steps(most)
        if not round_:
            return values(base), number, failing, right
        assert len(round_) <= most
        assert not {*round_} & {*failing, *right}
        for r in round_:
            (failing if fails(values(r)) else right).append(r)
        base = min(failing, key=lambda r: size(values(r)))
    return None


@pytest.mark.parametrize("least", [0, 1, 2, 37, 1024, 1025, 1599, 1600])
def test_any_boundary_is_found_and_both_its_sides_are_measured(least):
    found, rounds, _, right = shrunk(Numbers(a=1600), lambda v: v["a"] >= least)
    assert found["a"] == least
    assert least == 0 or cut(a=least - 1) in right
    assert rounds <= 5


@pytest.mark.parametrize("most", [1, 2, 3, 5, 20])
def test_rounds_of_any_size_come_to_the_same(most):
    found, *_ = shrunk(Numbers(a=200, b=50, c=3), lambda v: v["a"] >= 77 and v["c"] >= 2, most)
    assert found == {"a": 77, "b": 0, "c": 2}


def test_knobs_of_which_only_the_sum_matters_come_to_a_network_that_no_step_makes_smaller():
    networks = Numbers(a=40, b=30)
    found, _, _, right = shrunk(networks, lambda v: v["a"] + v["b"] >= 51)
    assert found["a"] + found["b"] == 51
    steps = [cut(a=found["a"] - 1, b=found["b"]), cut(a=found["a"], b=found["b"] - 1)]
    own = [tuple(r for r in s if r.value < networks.values[r.kind]) for s in steps]
    assert {*own} <= {*right}


def test_what_fails_alone_is_tried_together_first():
    found = search(Numbers(a=9, b=9), cut(a=1), [(), cut(a=1), cut(b=3)]).smaller(4)
    assert found[0] == cut(a=1, b=3)


def test_what_is_below_a_right_one_is_not_tried_before_the_end():
    known = search(Numbers(a=9, b=9), (), [()], [cut(a=5)])
    assert not [r for r in known.smaller(50) if Reduction("a", "", 5) in r or cut(a=4) == r]
    last = search(Numbers(a=6, b=0), cut(b=0), [(), cut(b=0)], [cut(a=5)])
    assert last.smaller(50) == []
    assert last.last_steps(50) == [cut(a=5, b=0)]  # right without b, so it is implied, not measured


def test_a_right_one_above_a_failing_one_is_not_believed():
    known = search(Numbers(a=1200), cut(a=900), [(), cut(a=900)], [cut(a=1000)])
    tried = [r[0].value for r in known.smaller(8)]
    assert tried[0] == 0
    assert max(tried) == 899


def test_a_knob_that_was_taken_away_counts_as_turned():
    networks = Numbers(gone=("inner",), start=1, inner=9, a=9)
    right = cut(inner=0, a=3)
    known = search(networks, cut(start=0), [(), cut(start=0)], [right])
    assert known.below(cut(start=0, a=2), right)
    assert not known.below(cut(a=2), right)
    assert {r[-1].value for r in known.smaller(50)} == {4, 5, 6, 7, 8}


def test_values_that_cannot_be_made_are_passed_over_and_the_least_that_can_is_found():
    def makeable(reductions):
        return all(r.value >= 5 for r in reductions)

    found = search(Numbers(a=43), (), [()], makeable=makeable).smaller(1)
    assert found == [cut(a=5)]


def test_networks_that_are_neither_failing_nor_right_are_not_tried_again():
    found = search(Numbers(a=3), (), [()], others=[cut(a=0), cut(a=1)]).smaller(9)
    assert found == [cut(a=2)]


def test_larger_networks_are_half_way_a_step_above_and_as_it_was():
    found = search(Numbers(a=100, b=7), cut(a=10, b=0), [(), cut(a=10, b=0)]).wider(9)
    assert found == [cut(b=0), cut(a=10), cut(a=55, b=0), cut(a=10, b=4), cut(a=11, b=0),
                     cut(a=10, b=1)]  # fmt: skip
    assert search(Numbers(a=100), cut(a=10), [cut(a=10)]).wider(1) == [()]
