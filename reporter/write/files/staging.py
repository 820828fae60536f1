"""Where an output is made before it takes its name, and what a run that died left of that.

All of it lies beside the output, hidden, under names that nobody else gives. Whoever makes one
holds a lock on it, which the system takes away from a process that ends in any way. Where there
are no such locks, as on Windows, nothing is cleaned up.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

    Lock = Literal["ours", "theirs", "gone", "unknown"]

TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # by another run's output
OLD = "old-"  # in the name of a folder that holds what is being replaced


@contextmanager
def beside(path: Path, folder: bool) -> Iterator[Path]:
    """Give a new file or folder beside `path`; at the end it is removed, unless it was moved.

    What runs that died left for this `path` is removed too.
    """
    clean(path)
    made = _make(path, folder)
    with locked(made) as lock:
        if lock in ("ours", "unknown"):
            try:
                yield made
            finally:
                _remove(made)
            return
    with beside(path, folder) as again:  # another run took it for a dead one's
        yield again


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold a lock on a file or folder, and tell whose it is.

    It is "theirs" if another process has it, "gone" if `path` is no longer what was locked, and
    "unknown" where there are no locks.
    """
    with ExitStack() as stack:
        yield _lock(path, stack)


def _lock(path: Path, stack: ExitStack) -> Lock:
    """Lock until the stack ends."""
    if sys.platform == "win32":
        return "unknown"
    try:
        handle = os.open(path, os.O_RDONLY)
        stack.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(handle), path.stat())
    except BlockingIOError:
        return "theirs"
    except FileNotFoundError:
        return "gone"
    except OSError:
        return "unknown"
    return "ours" if same else "gone"


@contextmanager
def replaced(path: Path) -> Iterator[None]:
    """Put what is at `path` aside for the block; it comes back if the block fails, else it goes.

    Raises FileExistsError if another run came between: to be tried again.
    """
    aside = _make(path, folder=True, what=OLD)
    with locked(aside) as lock:
        if lock in ("theirs", "gone"):
            _remove(aside)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        try:
            with suppress(FileNotFoundError):
                path.rename(aside / path.name)
            yield
        except BaseException:
            _restore(aside, path)
            _remove(aside)
            raise
        _remove(aside)


def put_back(path: Path) -> None:
    """Bring back what a run that died in the middle of replacing it had put aside."""
    for aside in _left(path, OLD):
        with locked(aside) as lock:
            if lock in ("ours", "unknown"):
                _restore(aside, path)


def _restore(aside: Path, path: Path) -> None:
    """Bring back what was put aside, unless another run's output has its place by now."""
    old = aside / path.name
    if os.path.lexists(old) and not os.path.lexists(path):
        try:
            old.rename(path)
        except OSError as error:
            if error.errno not in TAKEN:
                raise


def clean(path: Path) -> None:
    """Remove what runs that died left of making `path`, once what they put aside is back."""
    put_back(path)
    for one in _left(path):
        with locked(one) as lock:
            if lock == "ours":
                _remove(one)


def _left(path: Path, what: str = "") -> list[Path]:
    """Return what lies beside `path` under the names of this file."""
    with suppress(OSError):
        return [p for p in path.parent.iterdir() if p.name.startswith(_mark(path, what))]
    return []


def _make(path: Path, folder: bool, what: str = "") -> Path:
    prefix = _mark(path, what)
    if folder:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    handle, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _mark(path: Path, what: str) -> str:
    return f".{path.name}.anereport-{what}"
