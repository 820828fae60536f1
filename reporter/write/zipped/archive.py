"""The zip of a report: the same content gives the same bytes, and a manifest says what it holds.

No clock is in it: members are dated as the report's latest record. The bytes are those of one
release of zlib; another may compress the same content to others.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from reporter.measure.record import Record
from reporter.write.files.outputs import OutputError
from reporter.write.zipped import zip_manifest
from reporter.write.zipped.zip_manifest import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from reporter.measure.listing import Listing
    from reporter.write.report.report import Report
    from reporter.write.zipped.zip_manifest import ZipManifest

Moment = tuple[int, int, int, int, int, int]

EPOCH: Moment = (1980, 1, 1, 0, 0, 0)  # a zip file's own beginning of time
END: Moment = (2107, 12, 31, 23, 59, 58)  # and its end
LEVEL = 9  # of compression
PIECE = 1 << 20  # bytes that are read at a time
UNIX = 3  # the system whose permissions a member has, wherever it is made
LARGEST = 3  # members that are named where a zip is too large


def pack(
    files: Mapping[str, Path],
    target: Path,
    date: str,
    manifest: Callable[[tuple[Member, ...]], ZipManifest],
) -> None:
    """Write files, in the order of their names, into a zip.

    `manifest` gives the manifest of these members, which comes last; `date` is ISO 8601. A name
    that ends in / is that of an empty folder: some packages cannot be read without theirs.
    """
    members = []
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in sorted(files.items()):
            if name.endswith("/"):
                members.append(_add(archive, name, io.BytesIO(), 0, date))
                continue
            with path.open("rb") as stream:
                members.append(_add(archive, name, stream, path.stat().st_size, date))
        text = zip_manifest.dumps(manifest(tuple(members))).encode()
        _add(archive, zip_manifest.FILE, io.BytesIO(text), len(text), date)


def _add(archive: zipfile.ZipFile, name: str, content: BinaryIO, size: int, date: str) -> Member:
    """Write a member piece by piece, for it may be large; return what the manifest says of it."""
    entry = zipfile.ZipInfo(name, zip_moment(date))
    mode = stat.S_IFDIR | 0o755 if name.endswith("/") else stat.S_IFREG | 0o644
    entry.create_system, entry.external_attr = UNIX, mode << 16
    entry.compress_type, entry._compresslevel = zipfile.ZIP_DEFLATED, LEVEL  # type: ignore[attr-defined]
    entry.file_size, digest = size, hashlib.sha256()
    with archive.open(entry, "w") as target:
        while piece := content.read(PIECE):
            digest.update(piece)
            target.write(piece)
    return Member(name, size, digest.hexdigest())


def named(folder: Path) -> dict[str, Path]:
    """Return the files and the empty folders below a folder, by their names in a zip."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and any(path.iterdir()):
            continue
        name = zip_name(path.relative_to(folder).as_posix()) + "/" * path.is_dir()
        if name in found:
            raise OutputError(f"{found[name]} and {path} have one name in a zip: rename one")
        found[name] = path
    return found


def zip_name(name: str) -> str:
    """Return what a file is called in a zip: UTF-8 that no system reads as another folder."""
    told = name.encode("utf-8", "backslashreplace").decode().replace("\\", "_")
    return re.sub("^([A-Za-z]):", r"\1_", told)


def latest(results: Iterable[Record | Listing]) -> str:
    """Return the date of the latest record, as ISO 8601 in UTC; nothing if none says it."""
    dates = [_moment(result.date) for result in results if isinstance(result, Record)]
    found = [date for date in dates if date is not None]
    return max(found).strftime("%Y-%m-%dT%H:%M:%SZ") if found else ""


def zip_moment(date: str) -> Moment:
    """Return a date as a zip has it: in UTC, none before 1980 and none after 2107."""
    moment = _moment(date)
    if moment is None:
        return EPOCH
    found = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return min(max(found, EPOCH), END)


def _moment(date: str) -> datetime | None:
    """Return an ISO 8601 date in UTC, which is also what is meant where it names no zone."""
    try:
        found = datetime.fromisoformat(date.strip().replace("Z", "+00:00"))
        given = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
        return given.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def oversize(zipped: Path, report: Report) -> str:
    """Return a sentence on a report's zip that is over its limit, and what is largest in it."""
    size, limit = zipped.stat().st_size, report.size_limit
    if size <= limit * 1e6:
        return ""
    with zipfile.ZipFile(zipped) as archive:
        members = sorted(archive.infolist(), key=lambda m: m.compress_size, reverse=True)
    named = ", ".join(f"{m.filename} {m.compress_size / 1e6:.2f} MB" for m in members[:LARGEST])
    without = "leave the weights out with --without-weights, or "
    advice = f"{'' if report.without_weights else without}give fewer records"
    return (
        f"{zipped.name} has {size / 1e6:.2f} MB, over the {limit:g} MB of --size-limit "
        f"({named}): {advice}"
    )
