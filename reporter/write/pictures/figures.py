"""The pictures of a report, in the order of the page, each with its caption."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reporter.measure.listing import decode
from reporter.understand.divergence import axes
from reporter.understand.listing import NAMES
from reporter.understand.wording import printable, some
from reporter.write.pictures import channels, error_map, network, scatter
from reporter.write.pictures.frame import fitted, number
from reporter.write.pictures.graph import graph, shortened
from reporter.write.rendering import extent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reporter.understand.comparison import Comparison
    from reporter.understand.sketch import Sketch
    from reporter.write.report.report import Report

OUTPUTS = 3  # the worst, which are drawn
LONGEST = 80  # characters of a name
NAMED = 4  # faults that a caption names
MEANING = "gives these numbers, which does not identify the responsible stage"


@dataclass(frozen=True)
class Figure:
    """A picture, SVG text, and what it says in words."""

    svg: str
    caption: str


@dataclass(frozen=True)
class OfOutput:
    """The pictures of one output: a row of units for each kind of picture."""

    title: str
    rows: tuple[tuple[Figure, ...], ...]


def chosen(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return comparisons, the worst first, with the sketches of the worst few outputs alone."""
    worst: dict[str, int] = {}
    for i, compared in enumerate(comparisons):
        if compared.sketches and len(worst) < OUTPUTS:
            worst.setdefault(compared.output, i)
    return tuple(
        c if worst.get(c.output) == i else replace(c, sketches=())
        for i, c in enumerate(comparisons)
    )


def of_outputs(report: Report) -> tuple[OfOutput, ...]:
    """Return the pictures of the outputs that have them."""
    return tuple(_of_output(c) for c in report.comparisons if c.sketches)


def of_network(report: Report) -> Figure | None:
    """Return the drawing of the layers, the suspects marked; None if there are no layers."""
    if not report.model.layers:
        return None
    suspects = _suspects(report)
    words = {layer: f"suspect: {_short(faults)}" for layer, faults in suspects.items()}
    whole = graph(report.model)
    shown = shortened(whole, words)
    how = "SIMULATED. " if report.simulated and suspects else ""
    caption = f"{how}{sum(n.kind == 'layer' for n in whole.nodes):,} layers, inputs above."
    if suspects:
        faults = [f"{fault}@{_name(layer)}" for layer, found in suspects.items() for fault in found]
        caption += f" Suspect, with a thick border: {some(faults, NAMED)} {MEANING}."
    title = f"{'SIMULATED: t' if how else 'T'}he network"
    return Figure(network.draw(shown, words, title, caption), caption)


def _suspects(report: Report) -> dict[str, tuple[str, ...]]:
    """Return for each layer the faults in it that explain what was measured."""
    found: dict[str, dict[str, None]] = {}
    for explanation in report.explanations:
        for candidate in explanation.found:
            for text in candidate.faults:
                fault, _, layer = text.partition("@")
                found.setdefault(layer, {})[fault] = None
    return {layer: tuple(faults) for layer, faults in found.items()}


def _short(faults: Sequence[str]) -> str:
    return faults[0] + (f" +{len(faults) - 1}" if faults[1:] else "")


def _of_output(compared: Comparison) -> OfOutput:
    names = _name(f"input {compared.input}"), _name(compared.source)
    where = ", ".join(filter(None, [extent(compared.shape), *names]))
    kinds: tuple[Callable[[Comparison, Sketch], Figure], ...] = _error_map, _scatter, _channels
    if compared.sketches[0].assessment.channels == 1:
        kinds = kinds[:-1]
    rows = tuple(tuple(kind(compared, s) for s in compared.sketches) for kind in kinds)
    return OfOutput(f"Output '{_name(compared.output)}' ({where})", rows)


def _error_map(compared: Comparison, sketch: Sketch) -> Figure:
    errors, total = sketch.errors, _total(sketch)
    where = f"label '{_name(errors.label)}'" if errors.label else _place(errors.at, compared.shape)
    beyond = f"{errors.beyond:,} of {total:,} values are" if errors.beyond else "no value is"
    says = f"{beyond} off by more than {number(sketch.limit)} times what rounding explains"
    if errors.broken:
        broken = f"{errors.broken:,} are NaN or infinite where the reference is not"
        says += f"; {broken}, the first at {where}"
    elif errors.worst:
        says += f"; the worst, {number(errors.worst)} times, is at {where}"
    else:
        says = "every value is the reference"
    if errors.beyond and not sketch.assessment.beyond:
        says += "; no channel as a whole is, which is what the limit is for"
    title, caption = _words(compared, sketch, "errors", says)
    return Figure(error_map.draw(sketch, title, caption), caption)


def _scatter(compared: Comparison, sketch: Sketch) -> Figure:
    pairs = sketch.scatter
    says = f"{_total(sketch):,} values against {compared.against}, equal on the dashed line"
    if pairs.points:
        says += f"; singly: the farthest {len(pairs.points):,} beyond the limit"
    if pairs.outside:
        says += f"; outside of the frame, as arrows: {pairs.outside:,}"
    if pairs.broken:
        says += f"; not finite and not drawn: {pairs.broken:,}"
    title, caption = _words(compared, sketch, "against the reference", says)
    return Figure(scatter.draw(sketch, title, caption), caption)


def _channels(compared: Comparison, sketch: Sketch) -> Figure:
    known = sketch.assessment
    says = (
        f"{known.beyond:,} of {known.channels:,} channels are off by more than the limit of "
        f"{number(sketch.limit)} times what rounding explains; the worst is channel "
        f"{known.channel:,}, {number(known.ratio)} times"
    )
    says += "; a cross is an infinite one" if known.ratio == math.inf else ""
    title, caption = _words(compared, sketch, "channels", says)
    return Figure(channels.draw(sketch, title, caption), caption)


def _words(compared: Comparison, sketch: Sketch, what: str, says: str) -> tuple[str, str]:
    """Return a picture's title and its caption, both of which tell what is simulated."""
    unit = NAMES[sketch.unit] + (f" ({sketch.run})" if sketch.run else "")
    title = f"{'SIMULATED ' if compared.simulated else ''}{unit}: {what}"
    return title, f"{'SIMULATED. ' if compared.simulated else ''}{unit}: {says}."


def _name(name: str) -> str:
    return fitted(printable(name), LONGEST)


def _total(sketch: Sketch) -> int:
    return sketch.errors.down.size * sketch.errors.across.size


def _place(index: int, shape: tuple[int, ...]) -> str:
    position = ",".join(map(str, decode(index, shape)))
    return f"({','.join(axes(len(shape)))}) = ({position})" if position else "the only value"
