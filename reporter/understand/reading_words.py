"""A reading in sentences: what replaces "What I tried so far" in a report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from reporter.understand.reading import chance
from reporter.understand.variant_set import CUT, PROGRAM, TAP, WITHOUT
from reporter.understand.wording import several, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reporter.understand.judged import Judged, Word
    from reporter.understand.reading import Reading

NAMED = 12  # variants in one sentence
RULES = 3  # that the variants do not tell apart
CAVEAT = (
    "Variants show what a divergence goes with on this device; they do not identify the "
    "responsible stage."
)


def sentences(reading: Reading) -> tuple[str, ...]:
    """Return what a reading says, the model itself first and what is not measured last."""
    found = [*_model(reading), *_edits(reading), *_rules(reading), *_needed(reading)]
    found += smallest(reading)
    found += [*_inside(reading), *_apart(reading)]
    if reading.smallest or reading.failing:
        found.append(CAVEAT)
    return (*found, *_missing(reading), *_records(reading))


def brief(reading: Reading) -> tuple[str, ...]:
    """Return what a reading says where there is room for few sentences."""
    found = list(_model(reading))
    vanishing = ways_first(reading)
    if vanishing:
        found.append(f"The divergence vanishes with {_names(vanishing)}.")
    if reading.failing:
        found.append(f"It stays with {_names(reading.failing)}.")
    found += list(_rules(reading))[:1]
    found += smallest(reading)
    return tuple(found)


def ways_first(reading: Reading) -> list[Judged]:
    """Return the edits that make the divergence vanish, those that are the same network first."""
    return sorted(reading.vanishing, key=lambda v: not _same_network(v))


def _same_network(v: Judged) -> bool:
    return v.member.relation is not None and v.member.relation.same_network


def _model(reading: Reading) -> Iterator[str]:
    model, place = reading.model, reading.place
    name = model.member.name
    where = f"{place.evidence.upper()} on {place}: " if place else ""
    if model.word in ("fails", "does not run"):
        yield f"{where}{name} {_extent(model)}, and is right on the CPU."
    elif model.word == "right":
        yield (
            f"{where}{name} itself is right, {_repeats(model)}{_doubts(model)}: there is no "
            "divergence that an edit could make vanish."
        )
    elif model.word in ("not measured", "set aside"):
        why = f" ({model.reason})" if model.reason else ""
        yield (
            f"{where}{name} itself is {model.word}{why}, so that no edit can be said to make "
            "a divergence vanish."
        )
    else:
        yield f"{where}{name} itself: {_otherwise(model)}."


def _edits(reading: Reading) -> Iterator[str]:
    for v in reading.vanishing:
        how = f"{_repeats(v)}{_doubts(v)}"
        yield f"The divergence vanishes with '{v.member.name}' ({how}): {_what(v)}"
    if reading.diverges and not reading.vanishing and reading.failing:
        yield "No edit that was measured makes the divergence vanish."
    yield from _ways_around(reading)
    blind = [v for v in reading.vanishing if not v.planned]
    if blind and reading.place and reading.place.evidence == "measured":
        yield (
            "No compute plan (macOS 14.4 and iOS 17.4 have one) says where these ran: "
            f"{_names(blind)}."
        )
    for v in reading.undecided:
        share = chance(reading.model, v)
        yield (
            f"'{v.member.name}' is right, {_repeats(v)}, which is no proof: a model that fails as "
            f"often as {reading.model.member.name} is so by chance in {share:.0%} of cases."
        )
    for v in reading.doubted:
        how = f"{_repeats(v)}{_doubts(v)}"
        yield f"'{v.member.name}' is right, which is no proof ({how}): {_what(v)}"
    if reading.failing:
        also = "These fail:" if reading.model.word != reading.failure else "It also fails for"
        yield f"{also} {_names(reading.failing)}."
    if not reading.diverges and reading.sound:
        yield f"Right: {_names(reading.sound)}."


def _ways_around(reading: Reading) -> Iterator[str]:
    """Name the edits that leave the network the same, proven to run there or not."""
    same = [v for v in reading.vanishing if _same_network(v)]
    measured = reading.place is not None and reading.place.evidence == "measured"
    proven = [v for v in same if measured and v.planned and not v.doubts]
    for said, variants in (
        ("Ways around it on this device, as they are the same network", proven),
        (
            "The same network, and ways around it if they ran on the Neural Engine, which is not "
            "proven",
            [v for v in same if v not in proven],
        ),
    ):
        if variants:
            names = [f"{v.member.name} ({v.member.relation})" for v in variants]
            yield f"{said}: {_listed(names)}."


def _rules(reading: Reading) -> Iterator[str]:
    found = reading.rules
    if not found:
        if reading.smallest and reading.model.word != "flaky" and reading.with_word("right"):
            yield "No trait that was tried separates what fails from what is right."
        return
    yield f"As far as the variants tell, it {found[0]}."
    if len(found) > 1:
        others = "; or it ".join(str(rule) for rule in found[1:RULES])
        left = len(found) - RULES
        more = f"; and {left} more" if left > 0 else ""
        yield f"They do not tell that from these: it {others}{more}."


def _needed(reading: Reading) -> Iterator[str]:
    """Say which layers can be left away, each alone, and the divergence stays."""
    without = [v for v in reading.failing if v.member.kind == WITHOUT]
    needed = [v for v in reading.vanishing if v.member.kind == WITHOUT]
    still = dict.fromkeys(layer for v in without for layer in v.member.layers)
    gone = dict.fromkeys(layer for v in needed for layer in v.member.layers if layer not in still)
    for said, layers in (("vanishes", gone), ("stays", still)):
        if layers:
            yield f"It {said} if one of these layers alone is left away: {_listed(list(layers))}."


def smallest(reading: Reading) -> Iterator[str]:
    """Yield what the smallest variant that fails is."""
    least = reading.smallest
    if least is None:
        return
    layers, weights = least.size
    size = f"{several(layers, 'layer')}, {several(weights, 'weight')}"
    if least is reading.model:
        if reading.failing:
            yield f"No smaller variant fails: the smallest failing set is the model ({size})."
        return
    yield f"The smallest that still fails is '{least.member.name}' ({size}): {_what(least)}"


def _inside(reading: Reading) -> Iterator[str]:
    """Say where taps show the divergence, the output being wrong still."""
    taps = [v for v in reading.with_word("fails") if v.member.kind == TAP]
    for said, word in (("wrong already", "fails"), ("right", "right")):
        blobs = [f"'{blob}' ({v.member.name})" for v in taps for blob, w in v.blobs.items()
                 if w == word]  # fmt: skip
        if blobs:
            yield f"With the final output still wrong, {said}: {_listed(blobs)}."
    cuts = [v for v in reading.with_word("fails") if v.member.kind == CUT]
    if cuts:
        yield f"Wrong already where the network ends earlier: {_names(cuts)}."


def _apart(reading: Reading) -> Iterator[str]:
    """Say what is flaky, in conflict, wrong for some inputs, does not run, or is set aside."""
    another: Word = "fails" if reading.failure == "does not run" else "does not run"
    words: tuple[Word, ...] = ("flaky", "in conflict", "some inputs", another)
    said: dict[str, list[Judged]] = {}
    for v in (v for word in words for v in reading.with_word(word)):
        said.setdefault(_otherwise(v), []).append(v)
    for text, variants in said.items():
        yield f"{_names(variants)}: {text}."
    reasons: dict[str, list[Judged]] = {}
    for v in reading.with_word("set aside"):
        reasons.setdefault(v.reason, []).append(v)
    for reason, variants in reasons.items():
        yield f"Set aside: {_names(variants)}: {reason}."


def _otherwise(v: Judged) -> str:
    if v.word == "flaky":
        return f"flaky: wrong in {v.failed} of {len(v.attempts)} repeats ({_share(v)})"
    if v.word == "in conflict":
        sides = [
            _listed([a for a in v.records if a in {x.record for x in v.attempts if x.state == s}])
            for s in ("wrong", "does not run", "right")
        ]
        said = ("wrong", "does not run", "right")
        each = [f"{word} in {names}" for word, names in zip(said, sides, strict=True) if names]
        return f"its records are in conflict, of the same input: {', '.join(each)}"
    if v.word == "some inputs":
        wrong = len({a.input for a in v.attempts if a.state != "right"})
        return f"wrong for {wrong} of {len({a.input for a in v.attempts})} inputs, right for others"
    return f"{_extent(v)}, which is another failure"


def _missing(reading: Reading) -> Iterator[str]:
    absent = [v for v in (reading.model, *reading.variants) if v.word == "not measured"]
    if not absent:
        return
    folder = reading.folder
    command = f"anereport run {shlex.quote(folder)} --out records"
    if len(absent) == 1:
        file = absent[0].member.file
        command = f"anereport run {shlex.quote(f'{folder}/{file}')} --out {shlex.quote(file)}.json"
    yield f"Not measured: {_names(absent)}. To measure: {command}"


def _records(reading: Reading) -> Iterator[str]:
    if reading.strange:
        yield f"Records of none of these models, left aside: {_listed(reading.strange)}."
    if reading.unplaced:
        yield (
            "Records that name no device with its system build, left aside: "
            f"{_listed(reading.unplaced)}."
        )


def _what(v: Judged) -> str:
    """Return what the edit does, which a variant's line says behind its question."""
    line = v.member.line.removeprefix("The same as an ML Program in fp16: ")
    program = "as an ML Program in fp16, " if v.member.kind == PROGRAM else ""
    _, colon, edit = line.partition(": ")
    return program + (edit if colon else line or "the manifest does not say what it is.")


def _extent(v: Judged) -> str:
    """Return what a model that fails did."""
    worst = v.worst
    if worst.state == "does not run":
        return f"does not run on the Neural Engine {_repeats(v)} ({worst.detail})"
    extent = worst.detail or f"{worst.ratio:.3g} times what rounding explains"
    return f"is wrong on the Neural Engine {_repeats(v)} ({extent})"


def _doubts(v: Judged) -> str:
    return f"; but {' and '.join(v.doubts)}" if v.doubts else ""


def _repeats(v: Judged) -> str:
    count = len(v.attempts)
    return "in its one repeat" if count == 1 else f"in each of {count} repeats"


def _share(v: Judged) -> str:
    return f"{v.failed / len(v.attempts):.0%}"


def _names(variants: Sequence[Judged]) -> str:
    return _listed([v.member.name for v in variants])


def _listed(names: Sequence[str]) -> str:
    return some(names, NAMED)
