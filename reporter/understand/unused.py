"""What tells that the Neural Engine was not used, so that right numbers say nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reporter.understand.diagnosis import in_float16
from reporter.understand.reference import arrays
from reporter.understand.sides import identical, least, placement
from reporter.understand.unit_result import numeric
from reporter.understand.usable import obstacles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reporter.measure.record import Record, Run

NOT_PLANNED = "nothing of it is planned on the Neural Engine"
COPIED = "it gave the same bits as the CPU, a sign that the Neural Engine was not used"


def unused(records: Sequence[Record], runs: Iterable[Sequence[Run]]) -> str:
    """Return why the Neural Engine was not used in measured records; nothing if nothing tells so.

    `runs` are theirs, input by input. That a part is planned elsewhere does not tell: another part
    is planned there.
    """
    measured = [record for record in records if record.evidence == "measured"]
    if not measured:
        return ""
    for device in (record.device for record in measured if record.device.system):
        for obstacle in obstacles(device):
            if obstacle.prevents != "compute_plan":
                return obstacle.says.removesuffix(".")
    by_input = [list(given) for given in runs]
    planned = [
        placement(run.plan) for given in by_input for run in given if run.unit == "ane" and run.plan
    ]
    found = least(planned)
    if found and found.total and not found.planned:
        return NOT_PLANNED
    return COPIED if copied(by_input) else ""


def copied(by_input: Sequence[Sequence[Run]]) -> bool:
    """Tell whether the ANE gave the CPU's bits, and float16 cannot have come to them."""
    given = [
        values
        for runs in by_input
        for run in runs
        if run.unit == "cpu" and run.outputs
        for values in numeric(arrays(run.outputs)).values()
    ]
    return identical(by_input) and not all(map(in_float16, given))
