"""Faults that a pasted listing leaves, against the faulty outputs of a device in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from devices import ACCUMULATORS, Block, single_faults
from packages import affine, saved
from sample import Kept

from reporter.measure.inputs import seeded
from reporter.measure.listing import Line, Listing, load
from reporter.understand.listed_faults import Left, faults, said, sentences
from reporter.understand.reference import Referee

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
SHAPE = (1, 1600, 39, 1)
ROWS = range(12568, 12579)  # of the thread: channel 322, positions 10 to 20
VARYING = np.round(-22 + np.random.RandomState(0).randn(11), 5)
LOST = {"bias-only@conv3", "input-zeroed@conv3", "zeroed@concat", "input-zeroed@concat"}
HALF = {"branch-dropped:0@concat", "bias-only@conv1", "zeroed@conv1", "input-zeroed@conv1"}


@pytest.fixture(scope="module")
def referee():
    return Referee(SAMPLES / "Block.mlmodel")


@pytest.fixture(scope="module")
def tries(referee):
    return Kept(referee.net, dict(seeded(referee.model)))


@pytest.fixture(scope="module")
def outputs(referee):
    """The flat output of the device with each fault, "" for none; without stale data."""
    device, inputs = Block(referee.model, ACCUMULATORS["chunks"]), seeded(referee.model)
    names = ["", *(one for one in single_faults() if not one.startswith("stale"))]
    return {name: device.run(inputs, name).ravel() for name in names}


def listing(ane, cpu=VARYING, rows=ROWS, shape=SHAPE, units=("cpu", "ane")):
    pairs = zip(np.broadcast_to(cpu, len(rows)), np.broadcast_to(ane, len(rows)), strict=True)
    lines = [Line(i, (str(a), str(b))) for i, (a, b) in zip(rows, pairs, strict=True)]
    return Listing(units, tuple(lines), shape)


def kind(values, healthy):
    """What kind of rows these are, written out again."""
    if np.abs(values - healthy).max() < 0.01 * np.abs(healthy).max():
        return "right"
    if (values == 0).all():
        return "zero"
    return "constant" if np.ptp(values) < 0.01 * np.ptp(healthy) else "other"


def kinds(outputs, first, last):
    part = slice(first, last + 1)
    return {name: kind(y[part], outputs[""][part]) for name, y in outputs.items() if name}


def flat(left):
    return {fault for _, names in left.classes for fault in names}


def test_the_rows_of_the_thread(referee):
    """The candidates that the structure alone leaves, and the rows to print next."""
    rows = load(SAMPLES / "thread-720810.txt", SHAPE)
    which, then = said(rows, referee)
    assert which.startswith("8 of 40 single faults make constant rows of these, as the ANE has")
    assert "bias-only@conv3" in which
    assert "no residual is computed: the listing carries neither inputs nor weights" in which
    assert then.startswith("print rows ")
    assert "constant rows leave bias-only@conv3" in then
    assert "right rows leave branch-dropped:0@concat" in then


@pytest.mark.parametrize("ane", [0.2047119, -3.0])
def test_constant_rows_leave_what_makes_rows_constant(tries, outputs, ane):
    left = faults(listing(ane), "output", tries)
    at_the_rows = kinds(outputs, ROWS[0], ROWS[-1])
    expected = {name for name, found in at_the_rows.items() if found == "constant"}
    assert expected == LOST | HALF
    assert (left.kind, left.tried, left.count) == ("constant", 40, 8)
    assert flat(left) == expected


@pytest.mark.parametrize(
    ("ane", "word"),
    [(0.2047119, "constant"), (0.0, "zero"), (2 * VARYING, "other"), (-VARYING, "other")],
)
def test_what_is_left_makes_such_rows_and_the_next_ones_tell_it_apart(tries, outputs, ane, word):
    left = faults(listing(ane), "output", tries)
    assert left.kind == word
    assert flat(left) == {
        name for name, found in kinds(outputs, ROWS[0], ROWS[-1]).items() if found == word
    }
    following = kinds(outputs, left.first, left.last)
    for found, names in left.classes:
        assert {following[name] for name in names} == {found}
    largest = max(len(names) for _, names in left.classes)
    for start in range(ROWS[0] % 39, 1600 * 39, 39 * 40):  # no others are better
        there = kinds(outputs, start, start + 10)
        split = [sum(there[n] == k for n in flat(left)) for k in set(there.values())]
        assert largest <= max(split)


def test_the_rows_to_print_next_lie_inside_of_one_channel(tries):
    for start in (12568, 12577, 0, 62389):
        rows = range(start, start + 11)
        left = faults(listing(0.25, rows=rows), "output", tries)
        assert left.last - left.first == 10
        assert left.first // 39 == left.last // 39
        assert left.first >= 0
        assert left.last < 62400
    at_its_end = faults(listing(0.25, cpu=VARYING[:4], rows=range(12593, 12597)), "output", tries)
    assert at_its_end.first // 39 == at_its_end.last // 39


def test_rows_that_are_right_leave_nothing(tries, referee):
    near = VARYING.astype(np.float16).astype(float)
    for ane in (VARYING, near):
        assert faults(listing(ane), "output", tries) is None
        assert said(listing(ane), referee) == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_rows_that_are_not_finite(tries, referee, value):
    left = faults(listing([value] * 11), "output", tries)
    assert (left.kind, left.count) == ("not finite", 0)
    (sentence,) = said(listing([value] * 11), referee)
    assert sentence == (
        "none of the 40 single faults tried makes not finite rows of these: the structure alone "
        "explains nothing"
    )
    assert faults(listing(["1"] * 10 + [value]), "output", tries).kind == "not finite"


def test_a_single_row_is_constant_to_nobody(tries, outputs):
    """One number may be anything but right or zero."""
    rows = [12568]
    left = faults(listing([0.2], cpu=[-23.0], rows=rows), "output", tries)
    wanted = {
        name
        for name, y in outputs.items()
        if name and y[12568] != 0 and abs(y[12568] / outputs[""][12568] - 1) > 2.0**-7
    }
    assert left.kind == "other"
    assert flat(left) == wanted
    zero = faults(listing([0.0], cpu=[-23.0], rows=rows), "output", tries)
    assert flat(zero) == {name for name, y in outputs.items() if name and y[12568] == 0}


def test_one_unit_alone_has_nothing_to_be_set_against(referee, tries):
    alone = Listing(("ane",), (Line(3, ("1.5",)),), SHAPE)
    assert said(alone, referee) == []
    with pytest.raises(ValueError, match="one unit has nothing to be set against"):
        faults(alone, "output", tries)


def test_the_units_in_doubt(referee):
    """The Neural Engine, else the GPU, against the CPU, else the GPU."""
    for units, suspect in [
        (("cpu", "gpu", "ane"), "ANE"), (("ane", "gpu"), "ANE"), (("gpu", "cpu"), "GPU"),
    ]:  # fmt: skip
        values = {"cpu": VARYING, "gpu": VARYING, suspect.lower(): [0.2] * 11}
        lines = [Line(i, tuple(str(values[u][k]) for u in units)) for k, i in enumerate(ROWS)]
        assert f"as the {suspect} has them" in said(Listing(units, tuple(lines), SHAPE), referee)[0]


def test_an_output_of_another_size_is_said(referee):
    (sentence,) = said(listing(0.2, rows=range(11), shape=(1, 800, 39, 1)), referee)
    assert sentence == "no fault can be tried: no output of the model has 31,200 values"


@pytest.mark.parametrize("shape", [(62400,), (1600, 39), (1, 62400)])
def test_ranks_below_three_have_no_channels(tries, outputs, shape):
    left = faults(listing(0.2, shape=shape), "output", tries)
    assert flat(left) == LOST | HALF
    following = kinds(outputs, left.first, left.last)
    for found, names in left.classes:
        assert {following[name] for name in names} == {found}


def test_rows_in_any_order_and_of_several_channels(tries):
    rows = [*ROWS][::-1]
    assert flat(faults(listing(0.2, rows=rows), "output", tries)) == LOST | HALF
    both = [*ROWS[:6], *range(1000 * 39, 1000 * 39 + 5)]
    left = faults(listing(0.2, rows=both), "output", tries)
    assert not flat(left) & HALF  # the channels of conv2 would be right


def test_without_a_network_nothing_is_tried(tmp_path):
    assert said(listing(0.2), None) == []
    program = Referee(saved(affine("fp16"), tmp_path / "a.mlpackage"))
    assert said(listing(0.2, rows=range(6), cpu=np.arange(6.0), shape=(2, 3)), program) == []


def test_a_network_that_cannot_be_run_again_is_said(one_layer, tmp_path):
    path = tmp_path / "r.mlmodel"
    spec = one_layer("randomNormalLike", [(2, 3)])
    path.write_bytes(spec.SerializeToString())
    (sentence,) = said(listing(0.2, rows=range(3), cpu=[1, 2, 3], shape=(2, 3)), Referee(path))
    assert sentence.startswith("no fault can be tried: layer 'tested' (randomNormalLike) draws")


def test_small_outputs(one_layer, tmp_path):
    """Fewer values than rows are suggested, and a single one."""
    for shape in ((2, 3), (1,), (1, 2, 1, 1)):
        size = int(np.prod(shape))
        path = tmp_path / "s.mlmodel"
        spec = one_layer("activation", [shape], fill=lambda p: p.ReLU.SetInParent())
        path.write_bytes(spec.SerializeToString())
        rows = listing(0.0, cpu=np.arange(1.0, size + 1), rows=range(size), shape=shape)
        first, *more = said(rows, Referee(path))
        assert "make zero rows of these" in first or first.startswith("none of the ")
        assert all("print rows" in one for one in more)


# --- sentences


def test_sentences():
    left = Left("constant", 1234, (("zero", ("a@x",)), ("right", tuple("bcdefgh"))), 5000, 5010)
    assert sentences(left, "gpu") == [
        "8 of 1,234 single faults make constant rows of these, as the GPU has them: a@x, b, c, d, "
        "e, f and 2 more (no residual is computed: the listing carries neither inputs nor weights)",
        "print rows 5,000 to 5,010 next: zero rows leave a@x; right rows leave b, c, d, e, f, g "
        "and 1 more",
    ]
    assert left.count == 8


def test_what_no_rows_tell_apart_asks_for_none():
    (sentence,) = sentences(Left("zero", 9, (("zero", ("a@x", "b@y")),), 0, 10), "ane")
    assert "print rows" not in sentence
