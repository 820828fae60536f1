"""What a listing shows, and no more."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from reporter.measure import listing as reading
from reporter.understand.listing import (
    NOT_COMPARABLE,
    is_rounded_to_float16,
    on_float16_grid,
    statements,
    table,
)


@pytest.fixture
def read(tmp_path):
    def load(text, shape):
        path = tmp_path / "l.txt"
        path.write_text(text)
        return reading.load(path, shape)

    return load


@pytest.fixture
def thread(samples):
    return reading.load(samples / "thread-720810.txt", (1, 1600, 39, 1))


def test_the_thread(thread):
    where, ane, cpu, gpu, rounded, unknown = statements(thread)
    assert where.startswith("All eleven rows lie in channel 322, positions 10 to 20")
    assert ane == "The ANE value is constant there (0.2047119) and lies on the float16 grid."
    assert cpu == "0 of 11 CPU values lie on the float16 grid, at the precision printed."
    assert gpu == "11 of 11 GPU values lie on the float16 grid, at the precision printed."
    assert rounded == "Every GPU value is the CPU value rounded to float16."
    assert (
        unknown == "11 of 62,400 values are listed; nothing is known of the other 1,599 channels."
    )


def test_the_threads_facts_by_another_way(thread):
    """The same, from the file's numbers alone, so that the sentences are about something."""
    cpu, gpu, ane = (np.array(thread.column(u), np.float64) for u in ("cpu", "gpu", "ane"))
    assert [f"{x:.7g}" for x in np.float16(cpu).astype(float)] == [f"{x:.7g}" for x in gpu]
    assert {f"{x:.7g}" for x in np.float16(ane).astype(float)} == {"0.2047119"}
    assert [line.index // 39 for line in thread.lines] == [322] * 11
    assert [line.index % 39 for line in thread.lines] == list(range(10, 21))


def test_the_threads_table(thread):
    found = table(thread)
    assert found.columns == ("Reference", "CPU", "GPU", "ANE")
    assert found.axes == ("n", "c", "h", "w")
    assert found.rows[0] is found.rows[-1] is None
    rows = found.rows[1:-1]
    assert [row.index for row in rows] == list(range(12568, 12579))
    assert rows[3].values == ("", "-21.68019", "-21.6875", "0.2047119")  # as written
    assert rows[3].position == (0, 322, 13, 0)
    assert "neither inputs nor weights" in NOT_COMPARABLE


@pytest.mark.parametrize(
    ("indices", "gaps"),
    [([0, 1], [3]), ([10, 11], [0]), ([0, 11], [2]), ([4], [0, 2]), (range(12), []),
     ([1, 2, 5], [0, 4, 6]), ([5, 2, 1], [0, 4, 6])],
)  # fmt: skip
def test_gaps_stand_where_rows_are_missing(read, indices, gaps):
    """In [1, 3, 2, 2]; a gap at the start or the end only if there are rows before or after."""
    found = table(read("Index ANE\n" + "".join(f"{i} {i}.5\n" for i in indices), (1, 3, 2, 2)))
    kinds = [None if row is None else row.index for row in found.rows]
    assert [i for i in kinds if i is not None] == sorted(indices)
    want = [None] * (min(indices) > 0)
    for here, after in zip(sorted(indices), [*sorted(indices)[1:], 12], strict=True):
        want += [here] + [None] * (after != here + 1)
    assert kinds == want
    assert all(row.values[:3] == ("", "", "") for row in found.rows if row)


def test_other_columns(read):
    found = read("Index ANE\n3 1.5\n4 1.5\n", (1, 3, 2, 2))
    assert statements(found) == [
        "The two rows lie in 2 channels: 0, 1.",
        "The ANE value is constant there (1.5) and lies on the float16 grid.",
        "2 of 12 values are listed; nothing is known of the other 1 channels.",
    ]
    swapped = read("Index GPU CPU\n4 0.1000 0.1000\n5 0.3333 0.3333\n", (1, 3, 2, 2))
    said = statements(swapped)
    assert said[0] == "All two rows lie in channel 1, positions 0 to 1 of its 4."
    assert "GPU" in said[1]
    assert "CPU" in said[2]


def test_where_rows_lie(read):
    one = statements(read("Index CPU\n7 1.25\n", (1, 3, 2, 2)))
    assert one[0] == "The only row lies in channel 1, position 3 of its 4."
    flat = statements(read("Index CPU\n7 1.25\n2 1.5\n", (5, 2)))
    assert flat[0] == "The two rows lie between index 2 and 7."
    assert flat[-1] == "2 of 10 values are listed; nothing is known of the others."
    batch = statements(read("Index CPU\n14 1.25\n13 1.5\n", (2, 3, 2, 2)))
    assert batch[0] == "All two rows lie in channel 1/0, positions 1 to 2 of its 4."
    assert batch[-1].endswith("nothing is known of the other 5 channels.")
    many = "".join(f"{i} {i}.5\n" for i in range(0, 40, 4))
    assert statements(read("Index CPU\n" + many, (1, 10, 2, 2)))[0] == (
        "The ten rows lie in 10 channels: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more."
    )


def test_what_is_known_is_not_called_unknown(read):
    only = statements(read("Index CPU\n1 1.5\n2 2.5\n", (1, 1, 2, 2)))
    assert only[-1] == "2 of 4 values are listed; nothing is known of the others."
    whole = statements(read("Index CPU\n0 1.5\n1 2.5\n", (1, 2, 1, 1)))
    assert whole[-1] == "All 2 values are listed."


def test_nothing_is_called_constant_that_varies(read):
    varies = statements(read("Index ANE\n0 0.2047119\n1 0.2047120\n", (1, 3, 2, 2)))
    assert not any("constant" in line for line in varies)
    written = statements(read("Index ANE\n0 0.5\n1 5e-1\n2 .50\n", (1, 3, 2, 2)))
    assert any("constant there (0.5)" in line for line in written)
    zeros = statements(read("Index ANE\n0 0.0\n1 -0.0\n", (1, 3, 2, 2)))
    assert any("constant" in line for line in zeros)
    single = statements(read("Index ANE\n0 0.5\n", (1, 3, 2, 2)))
    assert not any("constant" in line for line in single)


def test_constant_nan(read):
    said = statements(read("Index CPU ANE\n0 1.5 nan\n1 2.5 NaN\n", (1, 3, 2, 2)))
    assert "The ANE value is nan in every row." in said
    assert not any("ANE values lie on" in line for line in said)


def column(cpu, gpu):
    rows = "".join(f"{i} {c} {g}\n" for i, (c, g) in enumerate(zip(cpu, gpu, strict=True)))
    return "Index CPU GPU\n" + rows


VALUES = [-22.3491, 21.533, 0.00123456, 1234.56, 22.5078, -22.51, 0.1, 3.141592, -7e-6]


def written(form, values):
    return [form(x) for x in values]


@pytest.mark.parametrize(
    "form",
    [
        lambda x: f"{x:.7g}",  # as the thread has it: trailing zeros are lost
        lambda x: f"{x:.9g}",
        lambda x: f"{x:.6f}",
        lambda x: f"{x:.9e}",
    ],
)
def test_every_value_rounded_is_said_whatever_the_format(read, form):
    cpu = np.float32(VALUES)
    gpu = np.float16(cpu).astype(np.float64)
    found = read(column(written(form, cpu), written(form, gpu)), (1, 3, 3, 1))
    assert "Every GPU value is the CPU value rounded to float16." in statements(found)
    assert any(line.startswith("9 of 9 GPU values lie on") for line in statements(found))


@pytest.mark.parametrize("form", [str, lambda x: f"{float(x):.5g}"])
def test_half_precision_in_its_own_digits(read, form):
    """Columns of other precisions: float32 of nine digits beside float16 in five, or shortest."""
    cpu = np.float32(VALUES)
    gpu = written(form, np.float16(cpu))
    found = read(column(written("{:.9g}".format, cpu), gpu), (1, 3, 3, 1))
    assert "Every GPU value is the CPU value rounded to float16." in statements(found)
    assert any(line.startswith("9 of 9 GPU values lie on") for line in statements(found))


@pytest.mark.parametrize("place", range(len(VALUES)))
@pytest.mark.parametrize("way", [np.inf, -np.inf])
@pytest.mark.parametrize("form", [lambda x: f"{x:.7g}", lambda x: f"{x:.9g}"])
def test_one_ulp_off_is_not_called_rounded(read, place, way, form):
    cpu = np.float32(VALUES)
    gpu = np.float16(cpu)
    gpu[place] = np.nextafter(gpu[place], np.float16(way))
    text = column(written(form, cpu), written(form, gpu.astype(np.float64)))
    said = statements(read(text, (1, 3, 3, 1)))
    assert "8 of 9 GPU values are the CPU value so rounded." in said
    assert not any(line.startswith("Every GPU") for line in said)


def test_a_short_number_in_a_long_column_is_exact(read):
    """-22.5 below -22.34375 has lost its zeros; it is not any number from -22.55 to -22.45."""
    said = statements(
        read(column(["-22.51000", "-22.34912"], ["-22.5", "-22.34375"]), (1, 1, 4, 1))
    )
    assert "1 of 2 GPU values are the CPU value so rounded." in said


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0.2047119", True), ("0.2047118", False), ("0.2047120", False),
        ("0.204711914", True), ("0.204711915", False), ("0.2047", True),
        ("0.1000000", False), ("0.09997559", True), ("-22.34375", True), ("-22.34374", False),
        ("65504", True), ("65503", False), ("100000", False), ("2049", False), ("2050", True),
        ("0", True), ("-0.0", True), ("5.9604645e-08", True), ("1e-30", False),
        ("inf", True), ("nan", True),
    ],
)  # fmt: skip
def test_the_grid(text, want):
    assert on_float16_grid(text) is want


def test_every_half_lies_on_the_grid_and_its_middles_do_not():
    halves = np.arange(0, 0x7C00, 61, dtype=np.uint16)
    for bits in halves:
        here, after = (np.array([bits + i], np.uint16).view(np.float16)[0] for i in (0, 1))
        assert on_float16_grid(str(Decimal(float(here))))
        if np.isfinite(after):
            middle = Decimal(float(here) + float(after)) / 2
            assert not on_float16_grid(str(middle))


@pytest.mark.parametrize(
    ("exact", "rounded", "want"),
    [
        ("-23.01966", "-23.01562", True),
        ("-23.01966", "-23.03125", False),
        ("70000.25", "inf", True),
        ("-70000.25", "inf", False),
        ("70000.25", "65504", False),
        ("65519", "65504", True),
        ("1.5", "nan", False),
        ("nan", "1.5", False),
        ("nan", "nan", True),
        ("inf", "inf", True),
        ("1e-09", "0", True),
        ("1.00048828125", "1", True),  # a tie goes to the even neighbour
        ("1.00146484375", "1.0019531", True),
        ("1.0004", "1.0009766", False),
        ("1.0005", "1", True),  # cut: both neighbours may be meant
        ("1.0005", "1.0009766", True),
        ("2e3", "1888", True),  # any of 1500 to 2500 may be meant
        ("2e3", "2600", False),
    ],
)
def test_rounding(exact, rounded, want):
    assert is_rounded_to_float16(exact, rounded) is want
