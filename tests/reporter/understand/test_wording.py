from __future__ import annotations

import math

import pytest

from reporter.understand.wording import clipped, counted, joined, printable, several, some


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.123"), (999.4, "999"), (999.6, "1,000"), (2568.7, "2,569"), (61677, "61,677"),
     (1.25e7, "1.25e+07"), (math.inf, "inf")],
)  # fmt: skip
def test_a_number_of_a_sentence(value, text):
    assert counted(value) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 layers"), (1, "1 layer"), (2, "2 layers"), (2569, "2,569 layers")]
)
def test_how_many_there_are(number, text):
    assert several(number, "layer") == text


@pytest.mark.parametrize(
    ("names", "text"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")]
)
def test_all_names(names, text):
    assert joined(list(names)) == text


@pytest.mark.parametrize(("names", "text"), [("", ""), ("ab", "a; b"), ("abc", "a; b and 1 more")])
def test_the_first_names(names, text):
    assert some(list(names), 2, "; ") == text


@pytest.mark.parametrize(("longest", "text"), [(5, "layer"), (4, "l..."), (9, "layer")])
def test_a_text_of_so_many_characters(longest, text):
    assert clipped("layer", longest) == text


def test_a_name_is_one_line():
    assert printable("a\nb\u2028\x1bc") == "a b  c"
