"""The zip's bytes: the same for the same content, whoever wrote it, when and where."""

from __future__ import annotations

import json
import os
import time
import zipfile
from hashlib import sha256

import pytest
from small_reports import nothing

from reporter.measure.identity import ModelIdentity
from reporter.measure.listing import Listing
from reporter.measure.record import Device, Record
from reporter.write.files.outputs import OutputError
from reporter.write.zipped.archive import PIECE, latest, named, oversize, pack, zip_moment, zip_name
from reporter.write.zipped.zip_manifest import ZipManifest, of

CONTENT = {"b.txt": b"b" * 5000, "a.txt": b"a", "sub/c.bin": bytes(99), "Z.txt": b"z", "ü": b"u"}
DATE = "2024-02-29T23:59:31Z"


def filled(folder, when):
    for name, content in CONTENT.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (when, when))
    return folder


def packed(folder, target, names=tuple(CONTENT), date=DATE):
    report = nothing()
    files = {name: folder / name for name in names}
    pack(files, target, date, lambda members: of(report, members))
    return target


def test_two_zips_of_the_same_content_are_the_same_bytes(tmp_path):
    one = filled(tmp_path / "one", time.time())
    other = filled(tmp_path / "other", 86_400 * 4000)
    (other / "a.txt").chmod(0o600)
    first = packed(one, tmp_path / "1.zip").read_bytes()
    assert packed(other, tmp_path / "2.zip", reversed(CONTENT)).read_bytes() == first


def test_members_stand_in_the_order_of_their_names_and_the_manifest_last(tmp_path):
    with zipfile.ZipFile(packed(filled(tmp_path / "one", 0), tmp_path / "1.zip")) as archive:
        assert archive.testzip() is None
        names = ["Z.txt", "a.txt", "b.txt", "sub/c.bin", "ü"]
        assert archive.namelist() == [*names, "manifest.json"]
        assert {name: archive.read(name) for name in names} == CONTENT
        for entry in archive.infolist():
            assert entry.date_time == (2024, 2, 29, 23, 59, 30)  # a zip has even seconds
            assert (entry.create_system, entry.external_attr) == (3, 0o100644 << 16)
            assert entry.compress_type == zipfile.ZIP_DEFLATED
            assert (entry.extra, entry.comment) == (b"", b"")
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["members"] == [
        {"name": n, "size": len(CONTENT[n]), "sha256": sha256(CONTENT[n]).hexdigest()}
        for n in names
    ]


def test_an_empty_folder_is_a_member_too(tmp_path):
    (tmp_path / "one/p.mlpackage/weights").mkdir(parents=True)
    (tmp_path / "one/p.mlpackage/model").write_bytes(b"m")
    names = named(tmp_path / "one")
    assert list(names) == ["p.mlpackage/model", "p.mlpackage/weights/"]
    with zipfile.ZipFile(packed(tmp_path / "one", tmp_path / "1.zip", names)) as archive:
        assert archive.namelist() == [*names, "manifest.json"]
        assert archive.getinfo("p.mlpackage/weights/").external_attr == 0o40755 << 16
        archive.extractall(tmp_path / "out")
    assert (tmp_path / "out/p.mlpackage/weights").is_dir()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a b/ü.json", "a b/ü.json"),
        ("a\\b.mlmodel", "a_b.mlmodel"),
        ("c:x.mlmodel", "c_x.mlmodel"),
        ("records/c:x", "records/c:x"),
        (b"m\xff.mlmodel".decode("utf-8", "surrogateescape"), "m_udcff.mlmodel"),
    ],
)
def test_a_name_in_a_zip_is_one_that_every_system_reads_alike(name, told):
    assert zip_name(name) == told


def test_two_files_of_one_name_in_the_zip_are_refused(tmp_path):
    (tmp_path / "a\\b").touch()
    assert list(named(tmp_path)) == ["a_b"]
    (tmp_path / "a_b").touch()
    with pytest.raises(OutputError, match="have one name in a zip: rename one"):
        named(tmp_path)


def test_another_content_is_another_zip(tmp_path):
    folder = filled(tmp_path / "one", 0)
    before = packed(folder, tmp_path / "1.zip", ["a.txt"]).read_bytes()
    (folder / "a.txt").write_bytes(b"A")
    assert packed(folder, tmp_path / "2.zip", ["a.txt"]).read_bytes() != before


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("2026-11-28T09:11:06Z", (2026, 11, 28, 9, 11, 6)),
        ("2026-11-28T09:11:06.75+09:30", (2026, 11, 27, 23, 41, 6)),
        ("2026-11-28T23:11:06-05:00", (2026, 11, 29, 4, 11, 6)),
        ("2026-11-28 09:11:06", (2026, 11, 28, 9, 11, 6)),
        (" 2026-11-28 ", (2026, 11, 28, 0, 0, 0)),
        ("1979-12-31T23:59:59Z", (1980, 1, 1, 0, 0, 0)),
        ("2108-01-01T00:00:00Z", (2107, 12, 31, 23, 59, 58)),
        ("0001-01-01T00:00:00+09:00", (1980, 1, 1, 0, 0, 0)),
        ("9999-12-31T23:59:59-09:00", (1980, 1, 1, 0, 0, 0)),
        ("", (1980, 1, 1, 0, 0, 0)),
        ("yesterday", (1980, 1, 1, 0, 0, 0)),
        ("2026-02-30", (1980, 1, 1, 0, 0, 0)),
    ],
)
def test_a_date_is_what_a_zip_can_hold_of_it(date, moment):
    assert zip_moment(date) == moment


def test_the_local_zone_does_not_matter(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert zip_moment("2026-11-28T09:11:06") == (2026, 11, 28, 9, 11, 6)
    finally:
        monkeypatch.undo()
        time.tzset()


def record(date):
    identity = ModelIdentity(
        name="m", kind="neuralNetwork", spec_version=4, size=1, sha256="",
        sha256_without_metadata="",
    )  # fmt: skip
    return Record(
        evidence="simulated", model=identity, device=Device(), date=date, inputs={}, runs=()
    )


@pytest.mark.parametrize(
    ("dates", "last"),
    [
        ((), ""),
        (("", "soon"), ""),
        (("2024-05-01T10:00:00Z", "2024-05-01T12:00:00+03:00"), "2024-05-01T10:00:00Z"),
        (("2024-05-01T10:00:00Z", "", "2024-05-01T12:00:00-03:00"), "2024-05-01T15:00:00Z"),
        (("2024-05-01", "2023-12-31T23:59:59Z"), "2024-05-01T00:00:00Z"),
    ],
)
def test_the_latest_date_is_that_of_a_moment_whatever_its_zone(dates, last):
    assert latest(map(record, dates)) == last


def test_a_listing_has_no_date():
    listing = Listing(("cpu",), (), (2,))
    assert latest([listing]) == ""
    assert latest([listing, record("2024-05-01")]) == "2024-05-01T00:00:00Z"


def large(tmp_path, **changes):
    for name, size in (("m.mlmodel", 30_000), ("r.json", 9_000), ("s.json", 4_000), ("t", 99)):
        (tmp_path / name).write_bytes(os.urandom(size))  # which compresses to its own size
    zipped = packed(tmp_path, tmp_path / "m-report.zip", ["m.mlmodel", "r.json", "s.json", "t"])
    return oversize(zipped, nothing(**changes))


def test_a_zip_within_the_limit_is_nothing_to_speak_of(tmp_path):
    assert large(tmp_path) == ""
    assert large(tmp_path, size_limit=0.05) == ""


def test_a_zip_over_the_limit_is_said_with_what_is_largest_in_it(tmp_path):
    assert large(tmp_path, size_limit=0.02) == (
        "m-report.zip has 0.04 MB, over the 0.02 MB of --size-limit (m.mlmodel 0.03 MB, "
        "r.json 0.01 MB, s.json 0.00 MB): leave the weights out with --without-weights, or give "
        "fewer records"
    )


def test_without_weights_there_are_none_to_leave_out(tmp_path):
    said = large(tmp_path, size_limit=0.01, without_weights=True)
    assert said.endswith("): give fewer records")


def test_the_manifest_says_what_the_report_says():
    found = of(nothing(without_weights=True), ())
    assert isinstance(found, ZipManifest)
    assert (found.report, found.weights) == ("anereport.report/2", False)
    assert found.model == nothing().model.identity


def test_a_file_of_several_pieces_is_whole_and_its_digest_with_it(tmp_path):
    content = bytes(range(256)) * (2 * PIECE // 256) + b"the end"
    (tmp_path / "large").write_bytes(content)
    target = packed(tmp_path, tmp_path / "1.zip", names=("large",))
    with zipfile.ZipFile(target) as archive:
        assert archive.read("large") == content
        (listed,) = json.loads(archive.read("manifest.json"))["members"]
    assert listed == {
        "name": "large",
        "size": 2 * PIECE + 7,
        "sha256": sha256(content).hexdigest(),
    }
