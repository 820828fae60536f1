"""Progress of long work: an object passed in, silent unless the command line shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how much is to come, and what begins."""

    def expect(self, steps: int) -> None:
        """Say that so many steps, or so many more, are to come."""

    def step(self, text: str) -> None:
        """Say what begins now."""


class Silent:
    """The default: nothing is shown."""

    def expect(self, steps: int) -> None:
        """Show nothing."""

    def step(self, text: str) -> None:
        """Show nothing."""
