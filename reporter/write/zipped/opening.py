"""A zip that somebody else made, read without trusting it: plain files, each of its own place.

What is refused could leave the folder, overwrite another member, or be far larger than it says.
"""

from __future__ import annotations

import copy
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from migrate import AnereportError

if TYPE_CHECKING:
    from pathlib import Path

MOST = 4_000_000_000  # bytes that all members may have, chosen here
SMALL, TIMES = 500_000_000, 100  # bytes that any zip may unpack to, and times its size beyond them
MEMBERS = 10_000  # that there may be, chosen here
CHUNK = 1 << 20  # bytes that are read at once
END = b"PK\x05\x06"  # the record that ends a zip
END_SIZE = 22  # bytes of it, without a comment
ENCRYPTED = 0x1 | 0x40  # bits of a member's flags
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DOS_FOLDER = 0x10
BROKEN = (  # what zipfile raises of bytes that are no zip
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, OSError, OverflowError,
)  # fmt: skip


class ZipError(AnereportError):
    """A zip that cannot be read, or that nobody should unpack."""


def unpack(zipped: Path, folder: Path) -> dict[str, Path]:
    """Write the members of a zip into a folder and return where each is, by name and in order.

    Raises ZipError in a sentence that names the first member that is refused.
    """
    try:
        size = zipped.stat().st_size
        with zipped.open("rb") as stream:
            stream.seek(max(size - END_SIZE, 0))
            end = stream.read()
    except OSError as error:
        raise ZipError(f"cannot read {zipped}: {error.strerror}") from error
    try:
        with zipfile.ZipFile(zipped) as archive:
            _check(archive, zipped, end, min(MOST, SMALL + TIMES * size))
            return {m.filename: _written(archive, m, folder) for m in archive.infolist()}
    except BROKEN as error:
        raise ZipError(f"{zipped} is no zip that can be read: {error}: get it again") from error


def _check(archive: zipfile.ZipFile, zipped: Path, end: bytes, most: int) -> None:
    """Raise ZipError for what the directory of a zip shows before anything is unpacked."""
    members = archive.infolist()
    if not end.startswith(END) or not end.endswith(b"\0\0"):
        raise ZipError(f"{zipped} has bytes after its end: get it again")
    if min((m.header_offset for m in members), default=0) > 0:
        raise ZipError(f"{zipped} has bytes before its first member: get it again")
    if len(members) > MEMBERS:
        raise ZipError(f"{zipped} has {len(members):,} members, over {MEMBERS:,}: not unpacked")
    total = sum(m.file_size for m in members)
    if total > most:
        largest = max(members, key=lambda m: m.file_size).filename
        raise ZipError(
            f"{zipped} would unpack to {total:,} bytes, over {most:,}, most of it "
            f"{largest!r}: not unpacked"
        )
    for member in members:
        for refusal, says in REFUSALS.items():
            if refusal(member):
                raise ZipError(f"{zipped}: member {member.orig_filename!r} {says}: not unpacked")
    _check_names(members, zipped)
    _check_places(members, zipped)


def _leaves(member: zipfile.ZipInfo) -> bool:
    return ".." in member.filename.split("/")


def _absolute(member: zipfile.ZipInfo) -> bool:
    return member.filename.startswith("/") or bool(re.match("[A-Za-z]:", member.filename))


def _backslash(member: zipfile.ZipInfo) -> bool:
    return "\\" in member.filename


def _odd(member: zipfile.ZipInfo) -> bool:
    name = member.orig_filename
    return name != member.filename or str(PurePosixPath(name)) != name.removesuffix("/")


def _special(member: zipfile.ZipInfo) -> bool:
    kind, folder = stat.S_IFMT(member.external_attr >> 16), member.external_attr & DOS_FOLDER
    if member.is_dir():
        return kind not in (0, stat.S_IFDIR) or member.file_size > 0
    return kind not in (0, stat.S_IFREG) or folder > 0


def _link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def _encrypted(member: zipfile.ZipInfo) -> bool:
    return bool(member.flag_bits & ENCRYPTED)


def _unknown_method(member: zipfile.ZipInfo) -> bool:
    return member.compress_type not in METHODS


REFUSALS: dict[Callable[[zipfile.ZipInfo], bool], str] = {
    _absolute: "has an absolute path",
    _leaves: "leaves the folder by '..'",
    _backslash: "has a backslash in its path",
    _odd: "has a path that is not plain",
    _link: "is a symbolic link",
    _special: "is no regular file, and no empty folder",
    _encrypted: "is encrypted",
    _unknown_method: "is compressed in an unknown way",
}


def _check_names(members: list[zipfile.ZipInfo], zipped: Path) -> None:
    """Raise ZipError where two members would be one file on some file system."""
    taken: dict[str, str] = {}
    for member in members:
        name = member.filename
        if (other := taken.get(_key(name))) is not None:
            raise ZipError(f"{zipped}: members {other!r} and {name!r} are one file: not unpacked")
        taken[_key(name)] = name
    for name in taken.values():
        for above in list(PurePosixPath(name).parents)[:-1]:
            if str(above) and (other := taken.get(_key(str(above)))) is not None:
                raise ZipError(f"{zipped}: member {other!r} is a file and a folder: not unpacked")


def _key(name: str) -> str:
    """Return what a name is on a file system that folds case and Unicode's forms."""
    folded = unicodedata.normalize("NFD", name.removesuffix("/")).casefold()
    return unicodedata.normalize("NFC", folded)


def _check_places(members: list[zipfile.ZipInfo], zipped: Path) -> None:
    """Raise ZipError where two members have bytes in common."""
    ordered = sorted(members, key=lambda m: m.header_offset)
    for one, following in pairwise(ordered):
        if one.header_offset + one.compress_size >= following.header_offset:
            names = f"{one.filename!r} and {following.filename!r}"
            raise ZipError(f"{zipped}: members {names} share bytes: not unpacked")


def _written(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    """Write one member, no more than a byte beyond what it claims."""
    target = folder.joinpath(*member.filename.removesuffix("/").split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.is_dir():
        target.mkdir()
        return target
    claimed, size = member.file_size, 0
    more = copy.copy(member)
    more.file_size += CHUNK  # else zipfile stops at the claim, and never sees what is beyond
    with archive.open(more) as source, target.open("xb") as stream:
        while chunk := source.read(min(CHUNK, claimed + 1 - size)):
            size += len(chunk)
            stream.write(chunk)
    if size != claimed:
        claim = f"not the {claimed:,} bytes that it claims"
        raise ZipError(f"member {member.filename!r} of {archive.filename} has {claim}: not read")
    return target
