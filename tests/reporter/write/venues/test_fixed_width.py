from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_reports import compared

from reporter.understand.divergence import Row
from reporter.write.venues.fixed_width import aligned, units, values

CELLS = st.text(alphabet="ab1.| `\t\n-\u202eé😀x", max_size=40)


def parsed(table):
    """Return the cells of a table in fixed width: columns are two spaces apart or more."""
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()]


def with_rows(*rows, columns=("Reference", "CPU", "GPU", "ANE")):
    one = compared()
    table = dataclasses.replace(one.table, columns=columns, rows=rows)
    return dataclasses.replace(one, table=table)


def test_a_gap_is_three_dots_and_an_absent_value_a_dash():
    one = with_rows(Row(7, (0, 7), ("", "1", "2", "")), Row(8, (0, 8), ("3", "", "", "4")), None)
    assert parsed(values(one, 99)) == [
        ["Index", "Position", "Reference", "CPU", "GPU", "ANE"],
        ["7", "(0,7)", "-", "1", "2", "-"],
        ["8", "(0,8)", "3", "-", "-", "4"],
        ["..."],
    ]


def test_a_column_that_holds_nothing_is_left_out():
    one = with_rows(Row(7, (0, 7), ("", "1", "", "4")))
    assert parsed(values(one, 99))[0] == ["Index", "Position", "CPU", "ANE"]


@pytest.mark.parametrize(("most", "kept"), [(99, range(9)), (9, range(9)), (3, (3, 4, 5))])
def test_fewer_rows_are_those_in_the_middle_between_gaps(most, kept):
    rows = [Row(i, (0, i), ("1", "1", "1", "1")) for i in range(9)]
    found = [cells[0] for cells in parsed(values(with_rows(None, *rows, None), most))[1:]]
    assert found == ["...", *map(str, kept), "..."]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 10**9), *[st.floats(width=32) for _ in range(4)]),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_the_numbers_are_read_back(rows):
    shown = [Row(i, (0, i), tuple(f"{x:.9g}" for x in found)) for i, *found in rows]
    _, *lines = parsed(values(with_rows(*shown), 99))
    for (index, *found), line in zip(rows, lines, strict=True):
        assert int(line[0]) == index
        assert [f"{float(cell):.9g}" for cell in line[2:]] == [f"{x:.9g}" for x in found]


def test_columns_end_at_the_same_place():
    table = aligned([("a", "long", "b"), ("1", "2", "333"), ("...",)])
    ends = [[m.end() for m in re.finditer(r"\S+", line)] for line in table.splitlines()]
    assert ends[0] == ends[1]
    assert ends[2][0] == 3


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_whatever_a_cell_holds_it_is_one_cell_of_ascii(rows):
    table = aligned(rows)
    assert table.isascii()
    assert "`" not in table
    assert all(c.isprintable() or c == "\n" for c in table)
    lines = table.splitlines()
    assert len(lines) == len(rows)
    assert all(len(cells) == 3 for cells in parsed(table))
    assert max(map(len, lines)) <= 3 * 24 + 4


def test_units_have_their_metrics_and_the_others_what_they_did():
    one = compared()
    failed = dataclasses.replace(one.units[1], unit="all", status="failed in load: no\nsuch `plan`")
    gpu = dataclasses.replace(one.units[1], status=failed.status)
    text = units(dataclasses.replace(one, units=(one.units[0], gpu, one.units[2], failed)), 0.05)
    assert parsed(text) == [
        ["Unit", "Max abs error", "RMSE", "SNR dB", "Beyond 0.05", "x rounding", "Verdict"],
        ["CPU", "0.25", "0.25", "40.0", "0 of 6", "-", "not known"],
        ["ANE", "20", "0.25", "40.0", "1 of 6", "-", "not known"],
        ["GPU, ALL: failed in load: no such \\x60plan\\x60"],
    ]


def test_where_nothing_is_measured_there_is_no_table_of_units():
    one = compared()
    none = tuple(dataclasses.replace(u, metrics=None, status="not measured") for u in one.units)
    assert units(dataclasses.replace(one, units=none), 0.01) == "CPU, GPU, ANE: not measured"
