"""Signatures: what kind of wrong an output is, by detectors of the patterns that reports describe.

A signature says what the numbers match, never which stage is responsible. The order of `TABLE` is
the priority: the first match is the headline. Only an output that rounding does not explain is
looked at, apart from what calls, placement and rounding itself say.
"""

from __future__ import annotations

from reporter.understand.signatures.evidence import Evidence, Signature
from reporter.understand.signatures.table import CODES, signatures

__all__ = ["CODES", "Evidence", "Signature", "signatures"]
