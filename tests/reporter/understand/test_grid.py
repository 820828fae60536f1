from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.understand.grid import Axis, graded, reduced


@given(st.integers(1, 400), st.integers(1, 400))
def test_the_parts_of_an_axis_cover_every_index_once_and_are_nearly_equal(size, most):
    axis = Axis("c", size, min(size, most))
    spans = [axis.span(part) for part in range(axis.parts)]
    assert [i for a, b in spans for i in range(a, b + 1)] == list(range(size))
    assert axis.starts == [a for a, _ in spans]
    assert len({b - a for a, b in spans}) <= 2
    for part, (a, b) in enumerate(spans):
        assert axis.part(a) == axis.part(b) == part


@given(st.integers(1, 50), st.integers(1, 60), st.integers(1, 7), st.integers(1, 9))
def test_a_cell_holds_the_largest_of_its_elements(rows, columns, down, across):
    matrix = np.random.RandomState(rows * 61 + columns).rand(rows, columns)
    one, other = Axis("", rows, min(down, rows)), Axis("", columns, min(across, columns))
    found = reduced(matrix, one, other)
    assert found.shape == (one.parts, other.parts)
    for y in range(one.parts):
        for x in range(other.parts):
            (a, b), (c, d) = one.span(y), other.span(x)
            assert found[y, x] == matrix[a : b + 1, c : d + 1].max()


@pytest.mark.parametrize(
    ("number", "letter"),
    [(0.0, "."), (5e-324, "a"), (2.0, "a"), (2.0000001, "b"), (8.0, "b"), (9.0, "c"),
     (1.7e308, "d"), (24.0, "c"), (24.1, "d"), (np.inf, "!")],
)  # fmt: skip
def test_a_step_is_the_largest_number_of_its_letter(number, letter):
    assert graded(np.array([[number]]), (2.0, 8.0, 24.0)).rows == (letter,)


def test_rows_of_a_grid_are_the_rows_of_the_matrix():
    assert graded(np.array([[0, 1, 2], [3, 0, 9]]), (1.0, 2.0)).rows == (".ab", "c.c")


def test_the_letters_beyond_a_step_are_those_of_larger_numbers():
    grid = graded(np.array([[1.0]]), (2.0, 8.0, 24.0))
    assert grid.letters_beyond(8.0) == "cd!"
    assert grid.letters_beyond(24.0) == "d!"
