"""Planted faults are named, healthy float16 is not, and nothing of any shape or value crashes."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from planted import PLANTS, SHAPES, Output, codes, planted, rows, ulp

from migrate import ENVELOPE_K, AnereportError
from reporter.understand.signatures import CODES, Evidence, Signature, signatures

SCALES = {1: 1.0, 2: 30.0, 3: 0.02, 4: 1.0, 5: 30.0}
KINDS = {1: "pairwise", 2: "serial", 3: "chunked", 4: "serial", 5: "pairwise"}
ORDER = [
    "L1",
    "L2",
    "N1",
    "Z1",
    "Z2",
    "K2",
    "K1",
    "K3",
    "G1",
    "C1",
    "P1",
    "M1",
    "D1",
    "F1",
    "S1",
    "R1",
    "B0",
    "X0",
]


def test_the_order_of_the_table_is_the_priority():
    assert list(CODES) == ORDER


def test_every_code_but_those_without_a_fault_is_planted():
    assert {code for code, _ in PLANTS} == set(CODES) - {"B0", "X0"}


@pytest.mark.parametrize(("code", "name"), PLANTS)
def test_a_planted_fault_is_the_headline(code, name):
    least, dtype = PLANTS[code, name][1], PLANTS[code, name][2]
    for rank, shape in SHAPES.items():
        if rank >= least:
            for number in {np.float16, np.float32} if dtype is None else {dtype}:
                found = signatures(planted(code, name, shape, SCALES[rank], KINDS[rank], number))
                assert codes(found)[:1] == [code], (shape, number, codes(found))


@pytest.mark.parametrize("kind", ["pairwise", "serial", "chunked"])
@pytest.mark.parametrize("scale", [1e-4, 0.02, 1.0, 30.0])
def test_healthy_outputs_are_within_rounding_and_nothing_else(kind, scale):
    for shape, mean in itertools.product([*SHAPES.values(), (1, 256, 8, 8), (9,)], (0.0, 20.0)):
        output = Output(shape, scale, 1, kind, mean)
        evidence = output.evidence(output.healthy)
        assert (evidence.ratios <= ENVELOPE_K).all()
        assert codes(signatures(evidence)) == ["B0"]


def test_a_ramp_of_healthy_numbers_is_within_rounding():
    exact = np.linspace(-15, 15, 2000).reshape(1, 1, 40, 50)
    evidence = Evidence(exact.astype(np.float16), exact, ulp(np.abs([15.0])))
    assert codes(signatures(evidence)) == ["B0"]


def test_all_matches_are_kept_in_the_order_of_the_table():
    found = codes(signatures(planted("K2", "bias_only", SHAPES[4])))
    assert found[:2] == ["K2", "K1"]
    assert found == sorted(found, key=ORDER.index)


def test_a_signature_says_what_it_matches_and_no_more():
    for (code, name), (_, least, _dtype) in PLANTS.items():
        shape = SHAPES[max(3, least)]
        for one in signatures(planted(code, name, shape)):
            assert isinstance(one, Signature)
            assert "it does not identify the responsible stage." in one.says
            assert "matches" in one.says
            assert one.title
            assert "\n" not in one.says
            assert len(one.says) < 400
            for label, value in one.numbers:
                assert label
                assert type(value) in (float, int, str, bool)


ARRAYS = {
    "normal": lambda r, s: r.normal(size=s),
    "nan": lambda r, s: np.full(s, np.nan),
    "infinite": lambda r, s: np.full(s, -np.inf),
    "some not finite": lambda r, s: r.choice([np.nan, np.inf, -np.inf, 1.0, -2.5], size=s),
    "zero": lambda r, s: np.zeros(s),
    "constant": lambda r, s: np.full(s, 3.0),
    "huge": lambda r, s: r.normal(size=s) * 1e38,
    "tiny": lambda r, s: r.normal(size=s) * 1e-40,
    "beyond float32": lambda r, s: r.normal(size=s) * 1e300,
    "whole": lambda r, s: r.integers(-5, 5, size=s).astype(float),
    "half zero": lambda r, s: np.where(np.arange(np.prod(s, dtype=int)).reshape(s) % 2, 1.5, 0),
}
DTYPES = (np.float64, np.float32, np.float16, np.int32, np.uint8, np.bool_)
ODD = [(), (1,), (0,), (2,), (7,), (3, 4), (0, 4), (2, 3, 4), (1, 0, 4, 4), (1, 5, 4, 4),
       (1, 1, 8, 1, 1), (1, 16, 1, 1)]  # fmt: skip


@pytest.mark.parametrize("shape", ODD, ids=str)
def test_any_values_of_any_shape_and_type_are_answered(shape):
    rng = np.random.default_rng(0)
    makers = enumerate(ARRAYS.values())
    for (number, make), (name, refer) in itertools.product(makers, ARRAYS.items()):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(make(rng, shape)).astype(DTYPES[(number + len(name)) % len(DTYPES)])
        exact = np.asarray(refer(rng, shape), np.float64)
        matrix = rows(exact, shape)
        peaks = np.max(np.abs(matrix), axis=1, initial=0, where=np.isfinite(matrix))
        evidence = Evidence(
            found, exact, ulp(peaks), cpu=found, gpu=exact, repeats=(found, exact, found),
            previous=make(rng, shape), prefilled=refer(rng, shape),
            biases={"a": rng.normal(size=5), "b": np.array([np.nan, 1e9]), "c": np.zeros(0)},
            strides=tuple(range(len(shape))), placement=(0, 3), scores=1,
        )  # fmt: skip
        answer = signatures(evidence)
        assert codes(answer)[-1] == "X0"
        assert len(set(codes(answer))) == len(answer)


def test_nothing_matches_an_output_of_no_elements():
    assert signatures(Evidence(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(1))) == ()


def test_nothing_is_said_of_nan_where_the_reference_is_nan():
    nan = np.full((1, 3, 4, 4), np.nan)
    assert signatures(Evidence(nan, nan, np.ones(3))) == ()


GIVEN = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"found": np.zeros((4, 3))}, "the values array has shape 4x3, the reference has 3x4"),
        ({"found": np.array(["a", "b"])}, "the values array is of <U1, not of numbers"),
        ({"cpu": np.zeros(5)}, "the cpu array has shape 5"),
        ({"repeats": (GIVEN, np.zeros(1))}, "the repeat array has shape 1"),
        ({"previous": np.zeros((2, 2))}, "the previous array has shape 2x2"),
        ({"cold": np.zeros((2, 2))}, "the cold array has shape 2x2"),
        ({"rmse": np.ones(2)}, "one positive number for each of the 1 channels"),
        ({"rmse": np.zeros(1)}, "one positive number"),
        ({"rmse": np.array([np.nan])}, "one positive number"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused_in_a_sentence(changes, words):
    given = {"found": GIVEN, "reference": GIVEN, "rmse": np.ones(1)} | changes
    with pytest.raises(AnereportError, match=words):
        Evidence(**given)


def test_ones_in_the_shape_do_not_matter():
    found = signatures(Evidence(GIVEN[None], GIVEN, np.ones(1), cpu=GIVEN[..., None]))
    assert codes(found) == ["B0"]
