"""The pasted listing: which texts are one, and which line is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from reporter.measure import listing
from reporter.measure.record import RecordError

SHAPE = (1, 4, 5, 2)


@pytest.fixture
def read(tmp_path):
    def load(text, shape=SHAPE):
        path = tmp_path / "l.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = listing.load(path, shape)
        assert listing.is_listing(path)
        return found

    return load


def rows(found):
    return [(line.index, *line.values) for line in found.lines]


def test_the_threads_file(samples):
    found = listing.load(samples / "thread-720810.txt", (1, 1600, 39, 1))
    assert found.units == ("cpu", "gpu", "ane")
    assert [line.index for line in found.lines] == list(range(12568, 12579))
    assert set(found.column("ane")) == {"0.2047119"}
    assert found.column("gpu")[3] == "-21.6875"  # as it was written
    assert found.position(12568) == (0, 322, 10, 0)


@pytest.mark.parametrize(
    "text",
    [
        "Index CPU GPU ANE\n...\n7 1.50 2 3e-4\n…\n9 -1 .5 nan\n...\n",
        "index,cpu,gpu,ane\n7,1.50,2,3e-4\n9,-1,.5,nan\n",
        "| Index | CPU | GPU | ANE |\n|------:|:---:|-----|---|\n| 7 | 1.50 | 2 | 3e-4 |\n"
        "| ... | | | |\n| 9 | -1 | .5 | nan |\n",
        "Index\tCPU\tGPU\tANE\r\n7\t1.50\t2\t3e-4\r\n\r\n9\t-1\t.5\tnan\r\n",
        b"\xef\xbb\xbfIndex;CPU;GPU;ANE\n7;1.50;2;3e-4\n9;-1;.5;nan",
        "My results, see below:\n\n  INDEX   cpu  Gpu  ANE\n 7 1.50 2 3e-4 \n9 -1 .5 nan",
    ],
)
def test_separators_gaps_and_what_stands_before(read, text):
    found = read(text)
    assert found.units == ("cpu", "gpu", "ane")
    assert rows(found) == [(7, "1.50", "2", "3e-4"), (9, "-1", ".5", "nan")]


@pytest.mark.parametrize("head", ["ANE CPU", "ANE", "GPU ANE CPU", "all cpu"])
def test_other_columns_and_orders(read, head):
    units = tuple(head.lower().split())
    values = tuple(str(i + 0.5) for i in range(len(units)))
    found = read(f"Index {head}\n3 {' '.join(values)}")
    assert found.units == units
    for unit, value in zip(units, values, strict=True):
        assert found.column(unit) == (value,)


@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 4, 5, 2), (2, 1, 3, 2, 2)])
def test_decoding_is_that_of_numpy(shape):
    for index in range(np.prod(shape)):
        assert listing.decode(index, shape) == np.unravel_index(index, shape)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("Which seems like the ANE got stuck", 3),
        ("2 1", 3),
        ("2 1 2 3", 3),
        ("-2 1 2", 3),
        ("2.0 1 2", 3),
        ("² 1 2", 3),
        ("9" * 5000 + " 1 2", 3),
        ("2 1 x", 3),
        ("2 1 0x10", 3),
        ("2 1 1_0", 3),
        ("2 1 \u0661", 3),
        ("2 1 --", 3),
        ("Index CPU GPU", 3),
        ("2 1 2 # note", 3),
        (b"2 1 \xff", 3),
    ],
)
def test_a_row_that_is_none(read, row, line):
    row = row if isinstance(row, bytes) else row.encode()
    with pytest.raises(RecordError) as caught:
        read(b"Index CPU GPU\n1 1 1\n" + row + b"\n3 3 3\n")
    assert f"l.txt, line {line}: expected an index and 2 numbers, found '" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "Index CPU\n", "Index CPU\n...\n", "1 2\n", "Index\n1\n", "Index CPU CPU\n1 2 2\n",
     "Index CPU TPU\n1 2 3\n", "CPU Index\n1 2\n"],
)  # fmt: skip
def test_no_table(read, text):
    with pytest.raises(RecordError, match="holds no table that begins with 'Index CPU GPU ANE'"):
        read(text)


def test_a_wrong_shape(read):
    assert rows(read("Index CPU\n39 1")) == [(39, "1")]
    with pytest.raises(RecordError) as caught:
        read("Index CPU\n39 1\n40 1")
    message = str(caught.value)
    assert "index 40 lies outside shape 1x4x5x2, which has 40 elements" in message
    assert "--shape" in message


def test_an_index_twice(read):
    with pytest.raises(RecordError, match="index 5 is listed twice"):
        read("Index CPU\n5 1\n6 2\n05 1")


def test_is_listing(tmp_path, samples):
    path = tmp_path / "l.txt"
    for text, want in [("Index CPU\n", True), ('{"schema": 1}', False), ("", False),
                       ("The Index CPU\n", False)]:  # fmt: skip
        path.write_text(text)
        assert listing.is_listing(path) is want
    assert not listing.is_listing(tmp_path)
    assert not listing.is_listing(tmp_path / "none")
    assert not listing.is_listing(samples / "Block.mlmodel")
