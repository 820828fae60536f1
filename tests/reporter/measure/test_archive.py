"""Archives of arrays: what numpy writes is read, what a header only claims is never allocated."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from reporter.measure import archive

ARRAYS = {
    "a::x": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(24, dtype=np.int64).reshape(2, 3, 4)),
    "scalar": np.float64(2.5),
    "nothing": np.zeros((0, 3), np.float16),
    "words": np.array(["a", "bc"]),
    "big endian": np.arange(3, dtype=">f4"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_wrote(save):
    stream = io.BytesIO()
    save(stream, **ARRAYS)
    stream.seek(0)
    found = archive.read(stream)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def member(shape, content=b"", descr="<f4", version=b"\x01\x00"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + content


def archived(content, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        made.writestr("x.npy", content)
    return stream


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (member("(2**40,)"), "Cannot parse header|malformed"),
        (member(f"({2**40},)"), f"x.npy holds 0 bytes, {2**40} of float32 needs {2**42}"),
        (member(f"({2**40}, 0)", b"abcd"), f"x.npy holds 4 bytes, {2**40}x0 of float32 needs 0"),
        (member("(-1, -1)", b"abcd"), "x.npy holds 4 bytes, -1x-1 of float32 needs 4"),
        (member("(2,)", b"abcd"), "x.npy holds 4 bytes, 2 of float32 needs 8"),
        (member("()", b"abcd12"), "x.npy holds 6 bytes, scalar of float32 needs 4"),
        (member("(1,)", b"12345678", "|O"), "x.npy holds Python objects, which are never loaded"),
        (member("(1,)", b"abcd", version=b"\x07\x00"), "x.npy is of a version that is not known"),
        (b"hello", "magic"),
    ],
)
def test_what_a_header_only_claims(content, words):
    with pytest.raises(ValueError, match=words):
        archive.read(archived(content))


def test_an_archive_that_unpacks_to_much(monkeypatch):
    monkeypatch.setattr(archive, "MOST", 2**20)
    small = archived(member(f"({2**18},)", bytes(2**20)), zipfile.ZIP_DEFLATED)
    assert small.tell() < 5_000
    with pytest.raises(
        ValueError, match=r"its arrays have 1,048,6\d\d bytes, the most that are read"
    ):
        archive.read(small)
