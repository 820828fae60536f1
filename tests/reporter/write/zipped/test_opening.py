"""Zips that nobody should unpack, built by hand, and what is said of each."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.write.zipped import opening
from reporter.write.zipped.opening import ZipError, unpack

LINK, PIPE, FOLDER = stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFDIR | 0o755


def made(path, *members):
    """Write a zip of (name, content) or (name, content, changes of the ZipInfo)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *changes in members:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.compress_type = zipfile.ZIP_DEFLATED
            for change in changes:
                for field, value in change.items():
                    setattr(entry, field, value)
            archive.writestr(entry, content)
    return path


def test_an_empty_folder_is_made_and_one_that_holds_bytes_refused(tmp_path):
    mode = {"external_attr": FOLDER << 16}
    zipped = made(tmp_path / "z.zip", ("a/b/", b"", mode), ("c/", b"", {"external_attr": 0x10}))
    (tmp_path / "out").mkdir()
    assert list(unpack(zipped, tmp_path / "out")) == ["a/b/", "c/"]
    assert list((tmp_path / "out/a").iterdir()) == [tmp_path / "out/a/b"]
    assert (tmp_path / "out/c").is_dir()
    zipped = made(tmp_path / "y.zip", ("evil/", b"bytes", mode))
    assert "member 'evil/' is no regular file, and no" in refused(zipped, tmp_path / "other")
    zipped = made(tmp_path / "x.zip", ("evil/", b"", {"external_attr": LINK << 16}))
    assert "member 'evil/' is a symbolic link" in refused(zipped, tmp_path / "other")


def refused(zipped, folder):
    """Return the sentence on a zip of which nothing may lie in the folder afterwards."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(ZipError) as caught:
        unpack(zipped, folder)
    assert not list(folder.iterdir())
    assert not list(folder.parent.glob("*evil*"))
    return str(caught.value)


def patched(path, **fields):
    """Change fields of the last member, in the directory of a zip and before the member itself."""
    places = {"flags": (8, 6, "<H"), "method": (10, 8, "<H"), "crc": (16, 14, "<I"),
              "size": (24, 22, "<I")}  # fmt: skip
    content = bytearray(path.read_bytes())
    directory, local = content.rindex(b"PK\1\2"), content.rindex(b"PK\3\4")
    for name, value in fields.items():
        central, before, form = places[name]
        struct.pack_into(form, content, directory + central, value)
        struct.pack_into(form, content, local + before, value)
    path.write_bytes(content)
    return path


def test_plain_files_are_unpacked_each_in_its_place(tmp_path):
    zipped = made(tmp_path / "z.zip", ("a.txt", b"a" * 5000), ("sub/deep/b", b""), ("ü.json", b"u"))
    (tmp_path / "out").mkdir()
    found = unpack(zipped, tmp_path / "out")
    assert list(found) == ["a.txt", "sub/deep/b", "ü.json"]
    assert found["a.txt"].read_bytes() == b"a" * 5000
    assert found["sub/deep/b"] == tmp_path / "out/sub/deep/b"
    assert found["ü.json"].read_bytes() == b"u"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/evil", "has an absolute path"),
        ("//host/evil", "has an absolute path"),
        ("C:/evil", "has an absolute path"),
        ("c:evil", "has an absolute path"),
        ("../evil", "leaves the folder by '..'"),
        ("a/../../evil", "leaves the folder by '..'"),
        ("a/..", "leaves the folder by '..'"),
        ("..\\evil", "has a backslash in its path"),
        ("a\\b", "has a backslash in its path"),
        ("./evil", "has a path that is not plain"),
        ("a//evil", "has a path that is not plain"),
        ("a/./evil", "has a path that is not plain"),
        ("a\0.txt", "has a path that is not plain"),
    ],
)
def test_a_member_of_such_a_path_is_refused_by_name(tmp_path, name, said):
    zipped = made(tmp_path / "z.zip", ("good.txt", b"good"), (name, b""))
    assert refused(zipped, tmp_path / "out") == (f"{zipped}: member {name!r} {said}: not unpacked")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (LINK, "is a symbolic link"),
        (PIPE, "is no regular file"),
        (FOLDER, "is no regular file"),
        (stat.S_IFCHR, "is no regular file"),
        (stat.S_IFSOCK, "is no regular file"),
    ],
)
@pytest.mark.parametrize("system", [0, 3])
def test_what_is_no_regular_file_is_refused(tmp_path, mode, said, system):
    changes = {"external_attr": mode << 16, "create_system": system}
    zipped = made(tmp_path / "z.zip", ("evil", b"/etc/passwd", changes))
    assert f"member 'evil' {said}" in refused(zipped, tmp_path / "out")


def test_a_folder_of_dos_is_refused(tmp_path):
    zipped = made(tmp_path / "z.zip", ("evil", b"", {"external_attr": 0x10, "create_system": 0}))
    assert "member 'evil' is no regular file" in refused(zipped, tmp_path / "out")


@pytest.mark.parametrize("mode", [0, 0o644, stat.S_IFREG | 0o600])
def test_a_regular_file_may_have_any_permissions_or_none(tmp_path, mode):
    zipped = made(tmp_path / "z.zip", ("a", b"a", {"external_attr": mode << 16}))
    (tmp_path / "out").mkdir()
    assert list(unpack(zipped, tmp_path / "out")) == ["a"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a"),
        ("a", "A"),
        ("a", "a/"),
        ("A/", "a/"),
        ("straße", "STRASSE"),
        ("\u00e9", "e\u0301"),
        ("x/\u00c9", "X/e\u0301"),
    ],
)
def test_two_names_of_one_file_are_refused(tmp_path, one, other):
    zipped = made(tmp_path / "z.zip", (one, b""), (other, b""))
    said = refused(zipped, tmp_path / "out")
    assert f"members {one!r} and {other!r} are one file" in said


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "A"), ("x/y", "x/y/z/w")])
def test_a_file_that_is_a_folder_too_is_refused(tmp_path, names):
    zipped = made(tmp_path / "z.zip", *((name, b"1") for name in names))
    assert "is a file and a folder" in refused(zipped, tmp_path / "out")


def test_a_member_larger_than_it_claims_is_refused(tmp_path):
    content = b"a" * 40_000
    zipped = made(tmp_path / "z.zip", ("a", content))
    # as long as zipfile stops at the claim, this one is whole, and its checksum right
    patched(zipped, size=1000, crc=zlib.crc32(content[:1000]))
    assert zipfile.ZipFile(zipped).read("a") == content[:1000]
    (tmp_path / "out").mkdir()
    with pytest.raises(ZipError, match=r"member 'a' of .* has not the 1,000 bytes that it claims"):
        unpack(zipped, tmp_path / "out")


def test_a_member_that_goes_on_for_gigabytes_is_not_written_beyond_its_claim(tmp_path):
    content = bytes(50_000_000)
    zipped = made(tmp_path / "z.zip", ("a", content))
    patched(zipped, size=2_000_000, crc=zlib.crc32(content))
    (tmp_path / "out").mkdir()
    with pytest.raises(ZipError, match="has not the 2,000,000 bytes that it claims"):
        unpack(zipped, tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_size == 2_000_001


def test_a_member_smaller_than_it_claims_is_refused(tmp_path):
    zipped = patched(made(tmp_path / "z.zip", ("a", b"a" * 4000)), size=4001)
    (tmp_path / "out").mkdir()
    with pytest.raises(ZipError, match=r"member 'a' of .* has not the 4,001 bytes that it claims"):
        unpack(zipped, tmp_path / "out")


def test_a_zip_that_claims_more_than_the_limit_is_not_unpacked(tmp_path):
    zipped = made(tmp_path / "z.zip", ("small", b"1"), ("evil", b"2"))
    patched(zipped, size=4_000_000_001)
    said = refused(zipped, tmp_path / "out")
    most = 500_000_000 + 100 * zipped.stat().st_size
    assert f"would unpack to 4,000,000,002 bytes, over {most:,}, most of it 'evil'" in said


def test_claims_count_together(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MOST", 10)
    zipped = made(tmp_path / "z.zip", ("a", b"1" * 6), ("b", b"2" * 5))
    assert "would unpack to 11 bytes, over 10" in refused(zipped, tmp_path / "out")
    whole = made(tmp_path / "y.zip", ("a", b"1" * 5), ("b", b"2" * 5))
    assert len(unpack(whole, tmp_path / "out")) == 2


def test_a_zip_that_unpacks_to_many_times_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "SMALL", 20_000)
    zeros = tmp_path / "zeros.zip"
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(500_000))
    most = 20_000 + 100 * zeros.stat().st_size
    with pytest.raises(ZipError, match=f"would unpack to 500,000 bytes, over {most:,}, most of"):
        unpack(zeros, tmp_path / "out")
    monkeypatch.setattr(opening, "TIMES", 1000)
    assert unpack(zeros, tmp_path / "out")["zeros"].stat().st_size == 500_000


def test_too_many_members_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MEMBERS", 2)
    zipped = made(tmp_path / "z.zip", *((name, b"") for name in "abc"))
    assert "has 3 members, over 2" in refused(zipped, tmp_path / "out")


def test_members_that_share_bytes_are_refused(tmp_path):
    """The bomb of one member that many entries of the directory point to."""
    zipped = made(tmp_path / "z.zip", ("a", b"1" * 1000), ("b", b"2"))
    content = zipped.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\1\2", start + 1)
    again = content[start:end].replace(b"a", b"c")
    tail = content.rindex(b"PK\5\6")
    size = tail - start + len(again)
    ending = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 3, 3, size, start, 0)
    zipped.write_bytes(content[:end] + again + content[end:tail] + ending)
    assert zipfile.ZipFile(zipped).namelist() == ["a", "c", "b"]
    assert "members 'a' and 'c' share bytes" in refused(zipped, tmp_path / "out")


@pytest.mark.parametrize("flags", [0x1, 0x40])
def test_an_encrypted_member_is_refused(tmp_path, flags):
    zipped = patched(made(tmp_path / "z.zip", ("a", b"a")), flags=flags)
    assert "member 'a' is encrypted" in refused(zipped, tmp_path / "out")


@pytest.mark.parametrize("method", [1, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_an_unknown_compression_is_refused(tmp_path, method):
    zipped = patched(made(tmp_path / "z.zip", ("a", b"a")), method=method)
    assert "member 'a' is compressed in an unknown way" in refused(zipped, tmp_path / "out")


@pytest.mark.parametrize("before", [b"#!/bin/sh\nrm -r ~\n", b"PK\3\4", bytes(9)])
def test_bytes_before_the_first_member_are_refused(tmp_path, before):
    zipped = made(tmp_path / "z.zip", ("a", b"a"))
    zipped.write_bytes(before + zipped.read_bytes())
    assert "has bytes before its first member" in refused(zipped, tmp_path / "out")


@pytest.mark.parametrize("after", [b"\0", b"\0\0", b"more", bytes(70_000)])
def test_bytes_after_the_end_are_refused(tmp_path, after):
    zipped = made(tmp_path / "z.zip", ("a", b"a"))
    zipped.write_bytes(zipped.read_bytes() + after)
    said = refused(zipped, tmp_path / "out")
    assert "has bytes after its end" in said or "no zip that can be read" in said


def test_a_comment_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", b"a")
        archive.comment = b"hidden\0\0"
    assert "has bytes after its end" in refused(tmp_path / "z.zip", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", b"\x1f\x8b" + bytes(50), bytes(99)])
def test_what_is_no_zip_is_said_to_be_none(tmp_path, content):
    (tmp_path / "z.zip").write_bytes(content)
    said = refused(tmp_path / "z.zip", tmp_path / "out")
    assert said.startswith(f"{tmp_path / 'z.zip'} is no zip that can be read: ")


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    assert "cannot read" in refused(tmp_path / "absent.zip", tmp_path / "out")
    assert "cannot read" in refused(tmp_path, tmp_path / "out")


def test_a_wrong_checksum_is_said(tmp_path):
    zipped = patched(made(tmp_path / "z.zip", ("a", b"a")), crc=1)
    (tmp_path / "out").mkdir()
    with pytest.raises(ZipError, match="Bad CRC-32 for file 'a'"):
        unpack(zipped, tmp_path / "out")


CONTENT = {"report.md": b"# report\n" * 40, "records/a.json": b"{}", "m.mlmodel": bytes(range(256))}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.zip"
    return made(path, *CONTENT.items()).read_bytes()


@given(data=st.data())
def test_a_damaged_zip_is_refused_or_unpacks_to_the_same(good, tmp_path_factory, data):
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(content)))
    if data.draw(st.booleans()):
        del content[cut:]
    here = tmp_path_factory.mktemp("damaged")
    (here / "z.zip").write_bytes(content)
    (here / "out").mkdir()
    try:
        found = unpack(here / "z.zip", here / "out")
    except ZipError:
        return
    for path in found.values():
        assert path.is_relative_to(here / "out")
        assert path.read_bytes() in CONTENT.values()
