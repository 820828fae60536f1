"""Did the newer backend help? What two sides of the experiment prove, and what they do not.

                         NeuralNetwork on the Neural Engine
    the other model      right                      wrong
    right, proven        nothing to avoid           avoids the bug
    right                nothing to avoid           right, but not proven
    wrong                worse                      does not avoid it, or worse
    not measured         nothing to avoid           not measured

Right and wrong are by what rounding explains of each side (`sides`). Proven is: float16, planned
whole on the Neural Engine, and not the same bits as on the CPU, which must be measured and right on
both sides. Records are compared of one device and system build, of the same inputs, and simulated
ones with simulated ones only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reporter.understand.sides import Outcome, Side
from reporter.understand.wording import some

if TYPE_CHECKING:
    from collections.abc import Sequence

Word = Literal[
    "avoids the bug",
    "does not avoid it",
    "worse",
    "nothing to avoid: the NeuralNetwork was right on this device",
    "right, but not proven to run on the Neural Engine",
    "not measured",
]
AVOIDS: Word = "avoids the bug"
SAME: Word = "does not avoid it"
WORSE: Word = "worse"
NOTHING: Word = "nothing to avoid: the NeuralNetwork was right on this device"
UNPROVEN: Word = "right, but not proven to run on the Neural Engine"
UNMEASURED: Word = "not measured"
OFF = ("wrong", "failed")
MUCH = 2.0  # times as far off is worse
NAMED = 5  # operations planned elsewhere that are named


@dataclass(frozen=True)
class Verdict:
    """What is known of one variant on one device, with its evidence."""

    variant: str
    word: Word
    reasons: tuple[str, ...]  # sentences
    device: str = ""
    evidence: str = ""  # "measured" or "simulated"
    before: Side | None = None
    after: Side | None = None
    commands: tuple[str, ...] = ()  # that measure what is missing

    @property
    def simulated(self) -> bool:
        """Whether its numbers come from the simulator."""
        return self.evidence == "simulated"


def judge(
    before: Side | None, after: Side | None, single: bool = False
) -> tuple[Word, tuple[str, ...]]:
    """Return the verdict on the model of `after`, and the sentences that it rests on.

    `before` is the NeuralNetwork's side; `single` says that `after` computes in float32 alone.
    """
    word, reasons = _judged(before, after, single)
    notes = [note for side in (before, after) if side for note in _notes(side)]
    return word, tuple(dict.fromkeys((*reasons, *notes)))


def _judged(before: Side | None, after: Side | None, single: bool) -> tuple[Word, tuple[str, ...]]:
    if before is None or not _measured(before.ane):
        return UNMEASURED, ("the NeuralNetwork is not measured on the Neural Engine",)
    if before.cpu.state in OFF:
        return UNMEASURED, (
            f"the NeuralNetwork {_words(before.cpu)} on the CPU as well: what these results show "
            "is no fault of the Neural Engine",
        )
    if before.ane.state == "right":
        if after and _off(after):
            return WORSE, (f"the NeuralNetwork {_words(before.ane)}", _where(after))
        return NOTHING, (f"the NeuralNetwork {_words(before.ane)} on the Neural Engine",)
    said = f"the NeuralNetwork {_words(before.ane)} on the Neural Engine"
    if after is None or not _measured(after.ane):
        return UNMEASURED, (said, "the other model is not measured on the Neural Engine")
    if _off(after):
        return (WORSE if _worse(before, after) else SAME), (said, _where(after))
    doubts = _doubts(before, after, single)
    fact = f"{after.model} {_words(after.ane)} on the Neural Engine's compute unit"
    if doubts:
        return UNPROVEN, (said, fact, *doubts)
    return AVOIDS, (said, fact, _planned(after))


def _measured(outcome: Outcome) -> bool:
    return outcome.state != "not measured"


def _off(side: Side) -> bool:
    return side.ane.state in OFF or side.cpu.state in OFF


def _worse(before: Side, after: Side) -> bool:
    """Tell whether another output is wrong, or a unit that was right, or the same far more so."""
    newly = set(after.wrong) - set(before.wrong)
    if after.ane.state == "wrong" and newly and before.ane.state == "wrong":
        return True
    if after.cpu.state in OFF and before.cpu.state == "right":
        return True
    return after.ane.state == "wrong" and after.ane.ratio > MUCH * before.ane.ratio


def _doubts(before: Side, after: Side, single: bool) -> list[str]:
    """Return why it is not proven that the Neural Engine gave the right numbers."""
    if single:
        return [f"{after.model} computes in float32, which never runs on the Neural Engine"]
    found = [
        f"{side.model} is not measured on the CPU"
        for side in (before, after)
        if not _measured(side.cpu)
    ]
    if after.placement is None:
        found.append(
            "its record holds no compute plan (macOS 14.4 and iOS 17.4 have one), so where it ran "
            "is not known"
        )
    elif not after.placement.whole:
        found.append(_planned(after))
    if after.identical:
        found.append("the same bits as on the CPU are no proof of the Neural Engine")
    return found + _at_cold_start(after)


def _where(after: Side) -> str:
    unit, outcome = ("Neural Engine", after.ane)
    if after.ane.state not in OFF:
        unit, outcome = ("CPU", after.cpu)
    return f"{after.model} {_words(outcome)} on the {unit}"


def _words(outcome: Outcome) -> str:
    if outcome.state == "failed":
        return f"failed ({outcome.detail})"
    output = f", output '{outcome.output}'" if outcome.output else ""
    return f"is {outcome.state} ({outcome.ratio:.3g} times what rounding explains{output})"


def _planned(side: Side) -> str:
    placement = side.placement
    if placement is None:
        return f"{side.model} has no compute plan"
    text = (
        f"{placement.planned} of {placement.total} operations of {side.model} are planned on the "
        "Neural Engine"
    )
    if not placement.elsewhere:
        return text
    return f"{text}; elsewhere {some(placement.elsewhere, NAMED)}"


def _at_cold_start(side: Side) -> list[str]:
    return [f"{side.model} {side.cold}"] if side.cold else []


def _notes(side: Side) -> list[str]:
    found = []
    if side.identical:
        found.append(
            f"{side.model} gave the same bits on the CPU and the Neural Engine's compute unit: a "
            "sign that the Neural Engine was not used"
        )
    found += _at_cold_start(side)
    if side.overflows:
        found.append(
            f"{side.model} overflows float16 by itself ({some(side.overflows, NAMED)}): what is "
            "infinite or far off behind that is no fault of the hardware"
        )
    return found


def sides(verdicts: Sequence[Verdict]) -> list[tuple[str, list[Side]]]:
    """Return the sides that verdicts rest on, each once, by the place of their records."""
    found: dict[str, list[Side]] = {}
    for verdict in verdicts:
        place = f"{verdict.evidence} on {verdict.device}"
        for side in (verdict.before, verdict.after):
            if side and side not in found.setdefault(place, []):
                found[place].append(side)
    return list(found.items())
