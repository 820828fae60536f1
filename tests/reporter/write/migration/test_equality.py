"""What a page says of a verification."""

from __future__ import annotations

import math

import pytest

from migrate import LayerMap, Verification
from migrate.comparisons import Comparison
from migrate.traced_weights import NEUTRAL, Weight
from reporter.write.migration import equality
from reporter.write.migration.equality import Fate, Worst

FP16, FP32 = "ML Program fp16", "ML Program fp32"


def verification(comparisons=(), weights=(), maps=None):
    return Verification(
        comparisons=tuple(comparisons), not_compared=(), departs=None, weights=tuple(weights),
        ranges=(), maps=maps or {}, errors={}, findings=(),
    )  # fmt: skip


def row(variant, output, ratio, largest=1.0, inputs="normal", within=None):
    within = ratio <= 8 if within is None else within
    return Comparison(inputs, output, variant, largest, largest / 2, ratio, within)


def weight(name, layer="layer 'c'", **became):
    return Weight(layer, name, (2,), "0" * 64, became)


def test_the_worst_of_each_output_and_variant_stays():
    found = equality.worst(
        verification(
            [
                row(FP16, "y", 2.0, 0.25, "normal"),
                row(FP32, "y", 0.5, 0.125, "normal"),
                row(FP16, "z", 1.0, 0.5, "normal"),
                row(FP16, "y", 9.0, 0.125, "integers"),
                row(FP32, "y", 0.25, 4.0, "integers"),
            ]
        )
    )
    assert found[0] == Worst(FP16, "y", 0.25, 9.0, "integers", within=False)
    assert found[2] == Worst(FP16, "z", 0.5, 1.0, "normal", within=True)
    assert [(w.variant, w.output) for w in found] == [(FP16, "y"), (FP32, "y"), (FP16, "z")]


def test_the_largest_error_is_that_over_all_inputs():
    """Whether it comes before or after the worst ratio."""
    rows = [row(FP32, "y", 0.5, 0.125), row(FP32, "y", 0.25, 4.0, "integers")]
    for given in (rows, rows[::-1]):
        (found,) = equality.worst(verification(given))
        assert (found.ratio, found.inputs, found.largest) == (0.5, "normal", 4.0)


def test_what_is_infinite_is_the_worst():
    rows = [row(FP16, "y", r, inputs=str(r)) for r in (1.0, math.inf, 50.0)]
    (found,) = equality.worst(verification(rows))
    assert (found.ratio, found.inputs, found.within) == (math.inf, "inf", False)


def test_of_equal_ones_the_first_stays():
    (found,) = equality.worst(verification([row(FP16, "y", 0.0), row(FP16, "y", 0.0, inputs="n")]))
    assert found.inputs == "normal"


def test_nothing_compared_is_nothing():
    assert equality.worst(verification()) == []
    assert equality.fates(verification()) == []
    assert equality.layers(verification()) is None


def test_fates_are_counted_by_program_and_kind():
    found = equality.fates(
        verification(
            weights=[
                weight("weight", fp16="nearest fp16", fp32="same"),
                weight("bias", fp16="nearest fp16, behind a cast", fp32="same"),
                weight("gamma", "layer 'n'", fp16="rewritten: folded: batch_norm into conv2d"),
                weight("beta", "layer 'n'", fp16=NEUTRAL, fp32=NEUTRAL),
            ]
        )
    )
    assert found == [
        Fate("fp16", "left out", 1, "layer 'n': beta"),
        Fate("fp16", "nearest fp16", 2, "layer 'c': weight"),
        Fate("fp16", "rewritten: folded: batch_norm into conv2d", 1, "layer 'n': gamma"),
        Fate("fp32", "left out", 1, "layer 'n': beta"),
        Fate("fp32", "same", 2, "layer 'c': weight"),
    ]


@pytest.mark.parametrize("fate", ["merged with layer 'a'", "read as a number", "compressed: 4 bit"])
def test_the_names_in_a_fate_are_left_away(fate):
    (found,) = equality.fates(verification(weights=[weight("w", p=fate), weight("v", p=fate)]))
    assert fate.startswith(found.fate)
    assert found.fate in equality.KINDS
    assert found.count == 2


def test_the_map_is_that_of_the_first_program_that_has_one():
    one, two = LayerMap({"c": [("c_op", "conv")]}, {}), LayerMap({"d": [("d", "mul")]}, {})
    empty = LayerMap({}, {"c": "fused"})
    assert equality.layers(verification(maps={"a": empty, "b": one, "c": two})) is one
    assert equality.layers(verification(maps={"a": empty})) is None


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ([("c", "conv"), ("r", "relu")], "c (conv), r (relu)"),
        ([("a", "cast"), ("c", "conv")], "c (conv)"),
        ([("a", "cast"), ("b", "cast")], "a cast"),
    ],
)
def test_operations_in_words(operations, text):
    assert equality.carried(operations) == text
