"""Earlier calls, other buffers and other units: what is given beside the output itself."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Output, codes

from reporter.understand.signatures import signatures

SHAPE = (1, 24, 10, 12)


@pytest.fixture
def output():
    return Output(SHAPE, seed=11)


def numbers(found, code):
    return dict(next(one for one in found if one.code == code).numbers)


@pytest.mark.parametrize(("placement", "said"), [((0, 4), True), ((4, 4), False), ((1, 4), False),
                                                 ((0, 0), False), (None, False)])  # fmt: skip
def test_a_plan_without_the_neural_engine(output, placement, said):
    found = codes(signatures(output.evidence(output.healthy, placement=placement)))
    assert found == (["B0", "X0"] if said else ["B0"])


def test_the_bits_of_the_cpu_are_said_after_what_the_output_is(output):
    wrong = np.zeros(SHAPE)
    found = signatures(output.evidence(wrong, cpu=wrong))
    assert codes(found) == ["Z1", "X0"]
    assert numbers(found, "X0")["identical to cpu"] is True


@pytest.mark.parametrize("known", [True, False])
def test_what_is_known_of_the_bits_goes_before_the_arrays(output, known):
    found = codes(signatures(output.evidence(output.healthy, cpu=output.healthy,
                                             identical_to_cpu=known)))  # fmt: skip
    assert found == (["B0", "X0"] if known else ["B0"])


def test_exactly_right_numbers_are_no_sign_of_the_cpu():
    output = Output(SHAPE)
    output.exact = np.round(output.exact * 4)
    found = signatures(output.evidence(output.exact, cpu=output.exact))
    assert codes(found) == ["B0"]


def test_the_cpu_and_the_gpu_are_compared_where_rounding_explains_the_output(output):
    found = signatures(output.evidence(output.healthy, cpu=output.exact, gpu=2 * output.exact))
    given = numbers(found, "B0")
    assert given["cpu envelopes"] == 0
    assert given["gpu envelopes"] > 8


def test_the_previous_output_is_left_in_a_part_of_the_buffer(output):
    before = output.other()
    found = output.healthy.astype(np.float64)
    found[:, 12:] = before[:, 12:]
    answer = signatures(output.evidence(found, previous=before))
    assert {"P1", "S1"} <= set(codes(answer))
    assert numbers(answer, "S1")["share of previous"] == 1


def test_the_share_of_leaked_state_is_found(output):
    before = output.other()
    found = output.healthy + 0.3 * (before - output.exact)
    given = numbers(signatures(output.evidence(found, previous=before)), "S1")
    assert given["share of previous"] == pytest.approx(0.3, abs=0.01)


def test_a_previous_output_that_is_like_this_one_says_nothing(output):
    found = output.healthy + output.noise(40)
    assert codes(signatures(output.evidence(found, previous=output.exact))) == ["D1"]


@pytest.mark.parametrize("before", ["zeros", "a constant", "a multiple"])
@pytest.mark.parametrize("wrong", ["zeros", "a gain", "a multiple"])
def test_a_previous_output_without_a_pattern_of_its_own_says_nothing(output, before, wrong):
    """As after an input of zeros, where every wrong gain is a mixture with the output before."""
    known = {
        "zeros": np.zeros(SHAPE), "a constant": np.full(SHAPE, 0.3), "a gain": 0.7 * output.exact,
        "a multiple": 3 * output.exact + 1,
    }  # fmt: skip
    found = signatures(output.evidence(known[wrong], previous=known[before]))
    assert "S1" not in codes(found)


@pytest.mark.parametrize("right", [(True, False, False), (False, True, True), (True, False, True)])
def test_calls_that_are_right_and_wrong_by_turns(output, right):
    calls = tuple(output.healthy if good else np.zeros(SHAPE) for good in right)
    found = signatures(output.evidence(calls[0], repeats=calls))
    given = numbers(found, "S1")
    assert (given["calls"], given["right"], given["first right"]) == (3, sum(right), right[0])


def test_calls_that_are_wrong_in_different_ways(output):
    calls = (output.other(), output.other())
    found = signatures(output.evidence(calls[0], repeats=calls))
    assert numbers(found, "S1")["right"] == 0
    assert "none right" in found[0].says


def test_calls_that_are_wrong_alike_are_no_state(output):
    wrong = output.other()
    assert codes(signatures(output.evidence(wrong, repeats=(wrong, wrong)))) == ["R1"]


def test_calls_that_differ_within_rounding_are_healthy(output):
    calls = (output.healthy, output.exact, output.healthy)
    assert codes(signatures(output.evidence(output.healthy, repeats=calls))) == ["B0"]


def test_a_cold_start_that_is_right_where_later_calls_are_not(output):
    wrong = output.other()
    found = signatures(output.evidence(wrong, repeats=(wrong, wrong), cold=output.healthy))
    (history,) = (one for one in found if one.code == "S1")
    assert history.title == "Cold start and later calls differ"
    assert numbers(found, "S1")["cold right"] is True
    assert history.says.startswith(
        "Of the same input the cold start is right, and the first later call is off by "
    )


def test_a_cold_start_that_is_wrong_where_later_calls_are_right(output):
    found = signatures(output.evidence(output.healthy, cold=np.full(SHAPE, np.nan)))
    assert set(codes(found)) == {"S1", "B0"}
    assert numbers(found, "S1")["cold right"] is False
    assert "the first later call is right, and the cold start is off by no finite number" in (
        found[0].says
    )


def test_a_cold_start_like_the_later_calls_shows_no_state(output):
    wrong = output.other()
    assert codes(signatures(output.evidence(output.healthy, cold=output.exact))) == ["B0"]
    assert codes(signatures(output.evidence(wrong, cold=wrong))) == ["R1"]


def test_one_call_shows_no_state(output):
    assert codes(signatures(output.evidence(output.healthy, repeats=(np.zeros(SHAPE),)))) == ["B0"]


def test_zeros_in_a_buffer_of_zeros_may_be_either(output):
    found = signatures(output.evidence(np.zeros(SHAPE), prefilled=np.zeros(SHAPE)))
    assert codes(found) == ["Z1", "K3"]
    assert numbers(found, "K3")["whole"] is True


def test_a_buffer_that_was_written_is_no_untouched_one(output):
    found = signatures(output.evidence(output.other(), prefilled=np.full(SHAPE, 7.0)))
    assert codes(found) == ["R1"]
