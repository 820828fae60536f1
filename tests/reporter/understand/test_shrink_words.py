"""A shrink in words: each row of the table says what was measured, and no more."""

from __future__ import annotations

import pytest

from migrate import Reduction
from reporter.understand.shrink_words import row, staying, words
from reporter.understand.shrunk import Row


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            Row(kind="channels", name="c", fails=(1025, 1600), right=(800, 1024)),
            "Channels of 'c': fails at 1,025, 1,600; right at 1,024, 800 (all 2 that were tried "
            "from 1,025 up).",
        ),
        (
            Row(kind="height", name="", fails=(9,), right=()),
            "Height of the inputs: fails at 9.",
        ),
        (
            Row(kind="width", name="", fails=(3, 9), right=(5,), neither=(4,)),
            "Width of the inputs: fails at 3, 9; right at 5; undecided at 4: not in order, so "
            "nothing is said of what lies between.",
        ),
        (
            Row(kind="weights", name="", fails=(0, 3), right=(2,)),
            "Seed of the weights: fails at 0, the model's own; right at 2.",
        ),
        (
            Row(kind="bypass", name="relu", fails=(1,), right=(0,)),
            "Layer 'relu': it is right without it.",
        ),
        (
            Row(kind="start", name="", fails=(2,), right=(1,)),
            "Last layers kept: fails at 2; right at 1.",
        ),
    ],
)  # fmt: skip
def test_a_row_says_what_was_tried(given, said):
    assert row(given) == said


def test_a_long_row_names_some_and_counts_the_rest():
    said = row(Row(kind="height", name="", fails=tuple(range(1, 31)), right=()))
    assert "11, 12 and 18 more (all 30 that were tried from 1 up)" in said


def test_reductions_are_said_one_after_the_other():
    found = (Reduction("end", "", 1), Reduction("given", "l", 0), Reduction("channels", "b", 1234),
             Reduction("kernel width", "l", 2), Reduction("weights", "", 1))  # fmt: skip
    assert words(found) == (
        "only the first layer, 'l' left away, its output an input, 1,234 channels of 'b', "
        "kernel width 2 of 'l', weights seeded by 1"
    )
    assert words(()) == "the model itself"
    assert words((Reduction("start", "", 1), Reduction("channels", "b", 1))) == (
        "only the last layer, 1 channel of 'b'"
    )
    assert words((Reduction("start", "", 2),)) == "only the last 2 layers"


def test_of_many_reasons_some_are_said():
    assert list(staying(["the height stays: x"])) == ["The height stays: x."]
    assert list(staying(["a"] * 9))[-1] == "3 more things stay as they are."
