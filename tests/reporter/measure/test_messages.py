"""Lines of Apple's compiler and run time among what a process prints."""

from __future__ import annotations

import pytest

from reporter.measure.messages import messages

OVERFLOW = (
    "[espresso] [Espresso::ANERuntimeEngine::__forward_segment 3] evaluate[RealTime]WithModel "
    'returned 0; code=5 err=Error Domain=com.apple.appleneuralengine Code=5 "0x2: Program '
    'Inference overflow"'
)


@pytest.mark.parametrize(
    "line",
    [
        OVERFLOW,
        "E5RT encountered an STL exception. msg = MILCompilerForANE error: failed to compile",
        "error: ANECCompile() FAILED",
        "[espresso] [Espresso::handle_ex_plan] exception=ANECF error: failed to load",
        "ANE Evaluation Error = Error Domain=com.apple.appleneuralengine Code=8",
        "ANE Scheduling Error = x",
    ],
)
def test_known_lines_are_found_among_others(line):
    assert messages(f"import warnings\n  {line}\nTraceback: none\n") == (line[:300],)


@pytest.mark.parametrize("printed", ["", "\n", "RuntimeWarning: no model\nPLANE crash", "espresso"])
def test_other_lines_are_not(printed):
    assert messages(printed) == ()


@pytest.mark.parametrize(
    "head",
    [
        "2022-01-06 13:38:42.477512-0800 VideoCartoon[10246:3459755] ",
        "2023-09-27 17:10:10.784 Python[13813:192227] ",
        "2023-09-27 17:10:10.784 +0200 python3.11[1:2] ",
    ],
)
def test_the_same_line_at_another_time_is_the_same(head):
    assert messages(f"{head}{OVERFLOW}\n{OVERFLOW}\n{head}{OVERFLOW}\n") == (OVERFLOW,)


def test_at_most_twenty_lines_of_three_hundred_characters():
    found = messages("\n".join(f"E5RT {i} " + "x" * 1000 for i in range(50)))
    assert [len(line) for line in found] == [300] * 20
    assert found[19].startswith("E5RT 19 ")
