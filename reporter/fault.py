"""A fault of our own, as a Markdown bug report about ourselves."""

from __future__ import annotations

import platform
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def bug_report(error: BaseException, arguments: Sequence[str]) -> str:
    """Return what to file about anereport: versions, command and traceback, folders removed."""
    from reporter.environment import versions
    from reporter.write.privacy.redact import redact

    own = versions().get("anereport", "(not installed)")
    trace = "".join(traceback.format_exception(error)).replace("```", "'''")
    return redact(
        "anereport failed, by a fault of its own. Please report it with this text:\n\n"
        f"### anereport {own}, Python {platform.python_version()}, "
        f"{platform.system()}\n\n"
        f"    anereport {' '.join(arguments)}\n\n"
        f"```\n{trace.rstrip()}\n```"
    )
