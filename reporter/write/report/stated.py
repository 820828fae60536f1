"""What the user says of a report beside its results, and may say when it is made again."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from migrate import AnereportError
from reporter.write.report.report_file import shown
from reporter.write.venues import forum

if TYPE_CHECKING:
    from reporter.write.report.report import Report

NUMBER = re.compile(r"FB[0-9]{7,12}")
ADDRESS = re.compile(r"[!-~]{1,2000}")  # printable ASCII without a space


class StatedError(AnereportError):
    """Something that nobody can have been told."""


@dataclass(frozen=True)
class Stated:
    """What is said; what is empty stays as the report has it. Raises AnereportError."""

    feedback: str = ""  # the number that Feedback Assistant gave
    thread: str = ""  # the web address where it is discussed
    last_good: str = ""  # system
    forum_limit: int | None = None  # characters
    size_limit: float | None = None  # MB of the zip

    def __post_init__(self) -> None:
        if self.feedback and not NUMBER.fullmatch(self.feedback):
            raise StatedError(
                "--fb is the number that Feedback Assistant gave, as in FB12345678, "
                f"not '{self.feedback}'"
            )
        if self.thread and not _web_address(self.thread):
            raise StatedError(
                "--thread is the web address of the thread, as in "
                f"https://developer.apple.com/forums/thread/720810, not '{self.thread}'"
            )
        forum.checked(self.forum_limit)
        if self.size_limit is not None and not 0 < self.size_limit < math.inf:
            raise StatedError(
                f"--size-limit is megabytes of the zip, more than 0, not {self.size_limit:g}"
            )

    def into(self, report: Report) -> Report:
        """Return the report with it."""
        said = {name: value for name, value in asdict(self).items() if value}
        return replace(report, **{**said, "last_good": shown(self.last_good) or report.last_good})


def _web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(
            ADDRESS.fullmatch(text) and parts.scheme in ("http", "https") and parts.hostname
        )
    except ValueError:  # a bracket that is no IPv6 address
        return False
