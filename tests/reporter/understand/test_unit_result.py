"""What a unit gave for an output, by the runs that it is read from."""

from __future__ import annotations

import numpy as np
import pytest

from reporter.measure.record import Failure, Run
from reporter.measure.simulate import values
from reporter.understand.unit_result import Asked, UnitResult

EXPECTED = np.float64([[1, 2, 3]])


def run(**outputs):
    return Run(unit="ane", input="i", outputs=values(outputs))


DEAD = Run(unit="ane", input="i", failure=Failure(stage="load", message="m"))
GOOD = run(y=np.float32([[1, 2, 5]]))
OTHER = run(z=np.float32([1]))
ODD = run(y=np.float32([[1, 2]]))


def asked(expected=EXPECTED, tolerance=0.01):
    return Asked("y", "measured", expected, tolerance)


def test_nothing_was_run():
    assert asked().result("ane", [], []) == UnitResult("ane", "not measured")
    assert asked().result("ane", [], [GOOD], "a") == UnitResult(
        "ane", "failed (see input a)", elsewhere="a"
    )


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (DEAD, "failed in load: m"),
        (OTHER, "gave no such output"),
        (ODD, "gave an output of another shape: 1x2"),
        (run(y="cat"), "gave no such output"),
    ],
)
def test_what_was_given_in_place_of_an_output(lost, why):
    whole = asked().result("ane", [lost, lost], [])
    assert (whole.status, whole.why, whole.lost, whole.runs) == (why, why, 2, 2)
    assert (whole.metrics, whole.partly) == (None, False)
    partly = asked().result("ane", [lost, GOOD, lost], [])
    assert (partly.status, partly.why, partly.lost, partly.runs) == ("measured", why, 2, 3)
    assert (partly.metrics.max_abs, partly.partly) == (2, True)
    cold = asked().result("ane", [GOOD], [lost])
    assert (cold.cold, cold.lost, cold.partly) == (why, 0, False)


def test_the_tolerance_is_that_of_the_metrics():
    assert [asked(tolerance=t).result("ane", [GOOD], []).metrics.beyond for t in (0.01, 1)] == [
        1,
        0,
    ]


def test_without_a_reference_every_shape_is_right():
    found = asked(None).result("ane", [ODD, DEAD], [])
    assert (found.status, found.metrics, found.lost) == ("measured", None, 1)


def test_the_run_that_is_shown():
    assert asked().shown([DEAD, ODD, GOOD]) is GOOD
    assert asked().shown([DEAD, ODD]) is DEAD
    assert asked().array(DEAD) is None
    np.testing.assert_array_equal(asked().array(ODD), [[1, 2]])
