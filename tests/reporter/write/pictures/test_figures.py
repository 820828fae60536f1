from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from sketches import parsed, sketches_of, words

from reporter.measure.identity import ModelIdentity
from reporter.understand.comparison import Comparison, UnitResult
from reporter.understand.divergence import Table
from reporter.understand.explanation import Candidate, Explanation
from reporter.write.pictures import figures
from reporter.write.report.model_facts import FeatureFact, LayerFact, ModelFacts
from reporter.write.report.report import Report
from reporter.write.repro import Repro

HOSTILE = "</svg>\u202e<script>`|" * 600
IDENTITY = ModelIdentity(
    name="T.mlmodel", kind="neuralNetwork", spec_version=4, sha256="0" * 64,
    sha256_without_metadata="0" * 64, size=9,
)  # fmt: skip
ZEROS = np.zeros((1, 4, 3, 1))


def compared(output="y", evidence="measured", **calls):
    """Return a comparison in which each unit gave zeros, this much off at channel 1, position 2."""
    arrays = {}
    for unit, wrong in calls.items():
        array = ZEROS.copy()
        array[0, 1, 2, 0] = wrong
        arrays[unit] = [array]
    return Comparison(
        output, ZEROS.shape, "r.json", "a Mac", evidence, "seed-0", "computed here",
        tuple(UnitResult(unit, evidence) for unit in calls), Table((), (), ()),
        sketches=sketches_of(arrays, ZEROS),
    )  # fmt: skip


def report(*comparisons, suspects=(), layers=("a", "b"), simulated=False):
    facts = ModelFacts(
        IDENTITY,
        (FeatureFact("x", "input", "multiArray", "float32", (1,), (1,)),
         FeatureFact("y", "output", "multiArray", "float32", (1,), (1,))),
        tuple(LayerFact(n, "relu", (p,), (n,), (1, 4)) for p, n in pairwise(("x", *layers))),
        (),
    )  # fmt: skip
    found = tuple(Candidate(tuple(faults), "Be late.", residual) for faults, residual in suspects)
    explanation = Explanation(
        "seed-0", "ane", found, healthy=99.0, tried=5, possible=5, left_out=0, limit=8.0
    )
    return Report(
        title="t", summary="s", simulated=simulated, model=facts, devices=(),
        comparisons=comparisons, tolerance=0.01, missing=(), repro=Repro("", "anereport", ""),
        software=(), explanations=(explanation,) if suspects else (),
    )  # fmt: skip


def test_each_unit_has_a_picture_of_each_kind():
    (found,) = figures.of_outputs(report(compared(cpu=0.0, gpu=1.0, ane=50.0, all=2.0)))
    assert found.title == "Output 'y' (1x4x3x1, input seed-0, r.json)"
    assert [[words(f.svg)[0] for f in row] for row in found.rows] == [
        [f"{unit}: {what}" for unit in ("CPU", "GPU", "ANE", "ALL")]
        for what in ("errors", "against the reference", "channels")
    ]


def test_captions_say_the_main_numbers():
    (found,) = figures.of_outputs(report(compared(cpu=0.0, gpu=1.0, ane=50.0)))
    errors, pairs, channels = ([f.caption for f in row] for row in found.rows)
    assert errors == [
        "CPU: every value is the reference.",
        "GPU: no value is off by more than 8 times what rounding explains; the worst, 1 times, is "
        "at (n,c,h,w) = (0,1,2,0).",
        "ANE: 1 of 12 values are off by more than 8 times what rounding explains; the worst, 50 "
        "times, is at (n,c,h,w) = (0,1,2,0).",
    ]
    assert pairs[2] == (
        "ANE: 12 values against the reference, equal on the dashed line; singly: the farthest 1 "
        "beyond the limit; outside of the frame, as arrows: 1."
    )
    rmse = np.sqrt(50**2 / 3)
    assert channels[2] == (
        "ANE: 1 of 4 channels are off by more than the limit of 8 times what rounding explains; "
        f"the worst is channel 1, {rmse:.3g} times."
    )


def test_a_value_beyond_the_limit_in_a_channel_within_it_is_explained():
    (found,) = figures.of_outputs(report(compared(ane=9.0)))
    assert found.rows[0][0].caption.endswith("no channel as a whole is, which is what the limit is "
                                             "for.")  # fmt: skip


def test_what_is_not_finite_is_counted():
    (found,) = figures.of_outputs(report(compared(ane=np.nan)))
    errors, pairs, channels = (row[0].caption for row in found.rows)
    assert (
        "1 are NaN or infinite where the reference is not, the first at (n,c,h,w) = (0,1,2,0)"
        in (errors)
    )
    assert "not finite and not drawn: 1" in pairs
    assert channels.endswith("channel 1, ∞ times; a cross is an infinite one.")


def test_what_is_simulated_says_so_in_each_picture_and_caption():
    (found,) = figures.of_outputs(report(compared(evidence="simulated", ane=50.0)))
    for row in found.rows:
        assert words(row[0].svg)[0].startswith("SIMULATED ANE: ")
        assert row[0].caption.startswith("SIMULATED. ANE: ")


def test_an_output_of_one_channel_has_no_picture_of_channels():
    one = np.zeros((1, 1, 3, 2))
    c = dataclasses.replace(compared(), shape=one.shape, sketches=sketches_of({"ane": [one]}, one))
    assert len(figures.of_outputs(report(c))[0].rows) == 2


def test_the_three_worst_outputs_alone_keep_their_sketches():
    given = [compared(o, ane=9.0) for o in ("none", "a", "a", "b", "c", "d", "b")]
    given[0] = dataclasses.replace(given[0], sketches=())
    kept = figures.chosen(given)
    assert [bool(c.sketches) for c in kept] == [False, True, False, True, True, False, False]
    assert [dataclasses.replace(c, sketches=()) for c in kept] == [
        dataclasses.replace(c, sketches=()) for c in given
    ]
    assert [f.title[8] for f in figures.of_outputs(report(*kept))] == ["a", "b", "c"]


def test_the_layers_of_faults_that_explain_it_are_marked():
    suspects = [(["bias-only@b", "zeroed@b", "branch-dropped:1@a@1"], 0.5), (["stale@a"], 8.5)]
    found = figures.of_network(report(suspects=suspects, simulated=True, layers=("a", "b", "a@1")))
    assert "suspect: bias-only +1" in words(found.svg)
    assert "suspect: branch-dropped:1" in words(found.svg)
    assert "suspect: stale" not in words(found.svg)
    assert found.caption == (
        "SIMULATED. 3 layers, inputs above. Suspect, with a thick border: bias-only@b, zeroed@b, "
        "branch-dropped:1@a@1 gives these numbers, which does not identify the responsible stage."
    )


def test_a_network_without_suspects_is_drawn_plain():
    found = figures.of_network(report())
    assert found.caption == "2 layers, inputs above."
    assert "suspect" not in found.svg.lower()


def test_a_model_without_layers_has_no_drawing():
    assert figures.of_network(report(layers=())) is None
    assert figures.of_outputs(report(dataclasses.replace(compared(), sketches=()))) == ()


@pytest.mark.parametrize("label", [(), tuple(f"{i}{HOSTILE}" for i in range(12))])
def test_hostile_names_break_no_picture_and_are_cut(label):
    flat = np.zeros(12)
    c = dataclasses.replace(
        compared(HOSTILE), source=HOSTILE, input=HOSTILE, shape=flat.shape,
        sketches=sketches_of({"ane": [flat + 50]}, flat, labels=label),
    )  # fmt: skip
    made = report(c, suspects=[([f"stale@{HOSTILE}"], 0.5)], layers=(HOSTILE,))
    (output,) = figures.of_outputs(made)
    network = figures.of_network(made)
    for figure in (*(f for row in output.rows for f in row), network):
        parsed(figure.svg)
        assert len(figure.caption) < 500
        assert "\u202e" not in figure.caption + figure.svg + output.title
    assert len(output.title) < 300
    assert "suspect: stale" in words(network.svg)
