"""Progress of long work: an object passed in, silent unless the command line shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told what begins."""

    def step(self, text: str) -> None:
        """Say what begins now."""


class Silent:
    """The default: nothing is shown."""

    def step(self, text: str) -> None:
        """Show nothing."""
