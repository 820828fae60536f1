"""Ctrl-C while nothing is there yet that would have to be cleaned up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread

STOPPED = 130  # the exit code of what Ctrl-C ends


@contextmanager
def ending_at_once(before: Callable[[], object] = bool) -> Iterator[None]:
    """Let Ctrl-C end the process at once, after a call of `before`.

    That is for imports: they may swallow an exception that comes from nowhere, or crash of it.
    """

    def end(*_: object) -> None:
        with suppress(Exception):
            before()
        with suppress(OSError):  # it is closed
            os.write(2, b"stopped\n")
        os._exit(STOPPED)

    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler or current_thread() is not main_thread():
        yield  # it is ignored, or another program's
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
