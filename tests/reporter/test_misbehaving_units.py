"""A unit that misbehaves, from its process to the words of `explain` and of the report."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from misbehaving import REFUSED, model, told

from reporter.measure import measuring, record
from reporter.measure.inputs import Schedule
from reporter.understand.explain import explain
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create

BOUNDS = Bounds(budget=0)
KILLED = "its process was ended by signal 9 (SIGKILL)"
LINE = REFUSED.replace("/Users/jane/Library", "~/...")
QUOTED = f"Apple's compiler or run time printed while the ANE ran: '{LINE}'"
PRINTED = f"{QUOTED} (in 2 processes)"  # the cold start has one of its own
SAME_BITS = (
    "The CPU and the Neural Engine gave the same bits: the Neural Engine was probably not used"
)
EXPLAINED = "; what else was compared is explained by rounding"
SOME = "m.mlmodel fails on the Neural Engine in some runs"
AGREES = "m.mlmodel on the Neural Engine agrees with the reference"
WRONG = "m.mlmodel gives wrong numbers on the Neural Engine"


PATTERN = ("nan", "flaky")  # what has one: not finite, and an offset


class Case(NamedTuple):
    """What the Neural Engine's process does, and what is to be read of it."""

    does: str
    ended: list[str]  # each of its runs, the cold start last: a stage where it failed
    verdict: str  # how the first line begins
    lines: list[str]  # that are said, in `explain` and in the report
    title: str
    seconds: float = 60.0


CASES = {
    "dies in a later repeat": Case(
        "predict:9@3", ["", "", "predict", ""],
        f"failed: in 1 of 3 runs of input seed-0 the ANE failed in predict: {KILLED}{EXPLAINED}",
        [f"In 1 of 3 runs of input seed-0 the ANE failed in predict: {KILLED}"], SOME,
    ),
    "dies at once": Case(
        "load:6", ["load", "load"],
        "failed: output 'y': ANE failed in load: its process was ended by signal 6 (SIGABRT)",
        ["At its cold start on input seed-0 the ANE failed in load: its process was ended by "
         "signal 6 (SIGABRT)"], "m.mlmodel fails on the Neural Engine",
    ),
    "hangs": Case(
        "predict:hang@2", ["", "predict", ""],
        "failed: in 1 of 2 runs of input seed-0 the ANE failed in predict: it did not end within",
        ["In 1 of 2 runs of input seed-0 the ANE failed in predict: it did not end within 2 s"],
        SOME, 2.0,
    ),
    "prints that it was refused": Case(
        "message", ["", "", "", ""], "rounding: output 'y'", [PRINTED], AGREES,
    ),
    "is refused and gives the CPU's bits": Case(
        "refused", ["", "", "", ""], "rounding: output 'y' on the GPU",
        [f"{PRINTED}; and it gave the CPU's bits: it did not run on the Neural Engine", SAME_BITS],
        AGREES,
    ),
    "gives another shape": Case(
        "shape", ["", "", "", ""],
        f"failed: output 'y': ANE gave an output of another shape: 1x2x3x5{EXPLAINED}",
        ["At its cold start on input seed-0 the ANE gave an output of another shape: 1x2x3x5"],
        "m.mlmodel fails on the Neural Engine",
    ),
    "gives NaN": Case(
        "nan", ["", "", "", ""], "diverges: output 'y' on the ANE, 24 of 24 values are NaN",
        ["Rounding explains the CPU, GPU and ALL, and not the ANE"], WRONG,
    ),
    "is flaky": Case(
        "flaky", ["", "", "", ""], "diverges: output 'y' on the ANE, in 2 of 3 runs, ",
        ["Rounding explains the CPU, GPU and ALL, and not the ANE in 2 of 3 runs",
         "The ANE is flaky: 1 of 2 repeats differ in bits from the first call"], WRONG,
    ),
    "gives the CPU's bits": Case(
        "cpu", ["", "", "", ""], "rounding: output 'y' on the GPU", [SAME_BITS], AGREES,
    ),
}  # fmt: skip


class Told(NamedTuple):
    """A record of such a unit, and what is said of it."""

    case: Case
    found: record.Record
    lines: list[str]
    page: str
    post: str


@pytest.fixture(scope="module", params=CASES)
def of(request, tmp_path_factory):
    case, folder = CASES[request.param], tmp_path_factory.mktemp("misbehaving")
    path, results = model(folder / "m.mlmodel"), folder / "r.json"
    with pytest.MonkeyPatch.context() as patch:
        told(patch, folder, ane=case.does)
        schedule = Schedule(seeds=1, repeats=3)
        found = measuring.measure(path, None, schedule, seconds=case.seconds, label="desk")
        unrun = repro.Repro("", "anereport", "x")
        patch.setattr(repro, "execute", lambda script, model, *kinds: unrun)
        results.write_text(record.dumps(found))
        create(path, folder / "out", Options(records=[results], bounds=BOUNDS))
    page, post = ((folder / "out" / name).read_text() for name in ("report.md", "forum.md"))
    return Told(case, found, explain([results], path, bounds=BOUNDS), page, post)


def test_it_ends_as_the_right_entry_of_the_record(of):
    ane = [run for run in of.found.runs if run.unit == "ane"]
    assert [run.failure.stage if run.failure else "" for run in ane] == of.case.ended
    assert [run.start for run in ane] == [*[""] * (len(ane) - 1), "cold"]
    lines = [run.messages for run in ane if run.messages]
    assert lines == ([(LINE,)] * 2 if of.case.does in ("message", "refused") else [])


def test_the_other_units_results_survive(of):
    for unit in ("cpu", "gpu"):
        runs = [run for run in of.found.runs if run.unit == unit]
        assert [run.failure for run in runs] == [None] * 3
    judged = [line for line in of.lines if "times what rounding explains); 0 of 24" in line]
    assert [line.split(":")[0] for line in judged[:2]] == ["  CPU", "  GPU"]
    assert "| CPU | measured | exact |" in of.page
    assert "| GPU | measured | rounding |" in of.page


def test_explain_says_it(of):
    first, *others = of.lines
    assert first.startswith(of.case.verdict)
    for said in of.case.lines:
        assert f"  {said}." in others


def test_the_report_says_it(of):
    assert of.page.startswith(f"# Core ML: {of.case.title}\n")
    assert f"**{escaped(capital(of.case.verdict))}" in of.page
    for said in of.case.lines:
        assert f"{escaped(said)}." in of.page


def test_the_post_says_it(of):
    title, _, pattern = of.post.splitlines()[0].partition(" (")  # the pattern of the numbers
    assert (title, bool(pattern)) == (f"Title: Core ML: {of.case.title}", of.case.does in PATTERN)
    assert f"\n{capital(of.case.verdict)}" in of.post
    if of.case.does in ("message", "refused"):
        assert f"\n{of.case.lines[0]}.\n" in of.post


def capital(text):
    return text[:1].upper() + text[1:]


def escaped(text):
    """The text as Markdown, by what these sentences hold."""
    return text.replace("~", "&#126;")
