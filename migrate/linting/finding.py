"""What lint says: a finding of a rule, at a place of the model."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")
NO_REPORT = "no report known"


@dataclass(frozen=True)
class Place:
    """What a finding is about, as a user knows it, and how far down the model it stands."""

    where: str  # "layer 'conv3'", "output 'output'", each with " of stage 2" in a pipeline
    order: int


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    An error is wrong by the specification itself. A warning is a pattern that was reported to give
    wrong numbers, or that float16 cannot hold. Nothing here was measured on a device.
    """

    severity: str  # one of SEVERITIES
    rule: str
    where: str
    reason: str  # one sentence, without the place in front and a full stop
    source: str  # the address of the public report, or NO_REPORT

    def __str__(self) -> str:
        return f"{self.severity}: {self.rule}: {self.where}: {self.reason} ({self.source})"
