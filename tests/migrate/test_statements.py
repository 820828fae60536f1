from __future__ import annotations

import copy
import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.statements import Compound, Line, all_reads, every, inline, lines, live, names_of


def line(text, targets=(), **options):
    """Return a line whose lower-case letters are variables, with what it reads."""
    reads = set(re.findall(r"\b[a-z]\b", text))
    return Line(re.sub(r"\b([a-z])\b", "\0\\1\0", text), reads, targets, **options)


def said(text):
    return line(text, keep=True)


def text_of(statements, result=()):
    read = all_reads(statements) | set(result)
    return re.sub("\0", "", "\n".join(lines(statements, read)))


def run(statements, result):
    """Return the values of these variables, and what `log` was called with."""
    logged = []
    scope = {"log": logged.append, **{name: i + 2 for i, name in enumerate("pqr")}}
    exec(text_of(statements, result), scope)
    return [scope.get(name) for name in result], logged


@st.composite
def programs(draw, depth=2):
    """Return a program of variables that are assigned once, and names that it assigned."""
    unused = iter("abcdefghijklmno")
    known = list("pqr")

    def assignment():
        reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        name = next(unused)
        known.append(name)
        return line(" + ".join(reads), name, atom=len(reads) == 1)

    def unpacking():
        a, b = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        first, second, third = next(unused), next(unused), next(unused)
        known.extend([first, second, third])
        return line(f"({a}, ({b}, {a} * 2))", (first, (second, third)))

    def log():
        return line(f"log({draw(st.sampled_from(known))})", keep=True)

    def branch():
        condition = draw(st.sampled_from(known))
        before = list(known)
        bodies = []
        for _ in range(2):
            known[:] = before
            bodies.append([log() for _ in range(draw(st.integers(0, 1)))] + [assignment()])
        known[:] = before
        headers = f"if \0{condition}\0 % 2:", "else:"
        return Compound(list(zip(headers, bodies, strict=True)), {condition})

    kinds = [assignment, assignment, log, unpacking, branch]
    statements = [draw(st.sampled_from(kinds))() for _ in range(draw(st.integers(1, 5)))]
    return statements, draw(st.lists(st.sampled_from(known), unique=True, max_size=2))


@settings(max_examples=200)
@given(programs())
def test_what_is_not_live_changes_nothing(program):
    statements, result = program
    kept = live(copy.deepcopy(statements), set(result))
    assert run(kept, result) == run(statements, result)


@settings(max_examples=200)
@given(programs())
def test_what_is_live_is_read_or_kept(program):
    statements, result = program
    kept = live(statements, set(result))
    read = all_reads(kept) | set(result)
    for statement in every(kept):
        if isinstance(statement, Line):
            assert statement.keep or read & set(names_of(statement.targets))
        else:
            assert any(body for _, body in statement.parts)
            assert all(body for _, body in statement.parts[1:])


def test_a_chain_that_ends_nowhere_goes_as_a_whole():
    chain = [line("p", "a"), line("a + 1", "b"), line("b + 1", "c")]
    assert live(chain, {"p"}) == []
    assert live(chain, {"b"}) == chain[:2]
    loop = Compound([("for _ in range(3):", [line("a + 1", "a")])])
    assert live([chain[0], loop], {"a"}) == [chain[0], loop]


def test_a_branch_that_writes_nothing_is_no_branch():
    branch = Compound([("if p:", [line("q", "a")]), ("else:", [line("r", "b")])], {"p"})
    assert live([branch], set()) == []
    assert text_of(live([branch], {"a"})) == "if p:\n    a = q"
    assert text_of(live([branch], {"b"}), "b") == "if p:\n    pass\nelse:\n    b = r"


def test_live_leaves_what_it_was_given():
    branch = Compound([("if p:", [line("q", "a"), said("log(p)")])], {"p"})
    before = copy.deepcopy([branch])
    live([branch], set())
    assert [branch] == before


@settings(max_examples=200)
@given(programs(), st.data())
def test_what_is_inlined_computes_the_same(program, data):
    statements, result = program
    assigned = [s.targets for s in statements if isinstance(s, Line) and isinstance(s.targets, str)]
    targets = st.sampled_from(assigned or ["p"])
    names = data.draw(st.dictionaries(targets, targets, max_size=4))
    names = {name: target for name, target in names.items() if name not in result}
    wanted = run(statements, result)
    assert run(inline(statements, names), result) == wanted


INLINED = {
    "a sum": ([line("p + q", "a", atom=False), line("a * 2", "b")], "b = (p + q) * 2"),
    "an atom": ([line("p", "a"), line("a * 2", "b")], "b = p * 2"),
    "read twice": ([line("p", "a"), line("a * a", "b")], "a = p\nb = a * a"),
    "read elsewhere": ([line("p", "a"), line("a * 2", "b"), said("log(a)")],
                       "a = p\nb = a * 2\nlog(a)"),
    "read inside": ([line("p", "a"), line("a * 2", "b"), Compound([("if q:", [said("log(a)")])])],
                    "a = p\nb = a * 2\nif q:\n    log(a)"),
    "read by a header": ([line("p", "a"), line("a * 2", "b"), Compound([("if a:", [])], {"a"})],
                         "a = p\nb = a * 2\nif a:\n    pass"),
    "not read": ([line("p", "a"), line("q * 2", "b")], "a = p\nb = q * 2"),
    "not there": ([line("p", "c"), line("c * 2", "b")], "c = p\nb = c * 2"),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "wanted"), INLINED.values(), ids=INLINED)
def test_what_is_inlined(statements, wanted):
    assert text_of(inline(copy.deepcopy(statements), {"a": "b"})) == wanted


def test_what_was_inlined_is_inlined_with_what_it_holds():
    statements = [line("p + q", "a", atom=False), line("a * 2", "b", atom=False), line("-b", "c")]
    found = inline(statements, {"a": "b", "b": "c"})
    assert text_of(found) == "c = -((p + q) * 2)"
    assert all_reads(found) == {"p", "q"}


def test_every_goes_into_bodies():
    inner, outer, last = said("log(p)"), line("p", "a"), line("q", "b")
    nested = Compound([("if r:", [inner])], {"r"})
    loop = Compound([("while True:", [nested]), ("else:", [])])
    assert [id(s) for s in every([outer, loop, last])] == list(
        map(id, [outer, loop, nested, inner, last])
    )
    assert all_reads([outer, loop, last]) == {"p", "q", "r"}
    assert all_reads([]) == set()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("a", ["a"]), (("a",), ["a"]), (("a", ("b", ("c",))), ["a", "b", "c"]), ((), [])],
)
def test_names_of_a_pattern(pattern, names):
    assert list(names_of(pattern)) == names


TARGETS = [
    ("a", set(), "a = p"), (("a", "b"), {"a", "b"}, "a, b = p"), (("a", "b"), {"b"}, "_, b = p"),
    (("a",), {"a"}, "a, = p"), (("a", ("b", "c")), {"a"}, "a, _ = p"), ((), set(), "p"),
    (("a", ("b", "c")), {"c"}, "_, (_, c) = p"), (("a", ("b",)), {"b"}, "_, (b,) = p"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "read", "text"), TARGETS)
def test_results_that_nobody_reads_have_no_name(pattern, read, text):
    found = list(lines([line("p", pattern)], read))
    assert [re.sub("\0", "", each) for each in found] == [text]


def test_bodies_are_indented():
    loop = Compound([("for i in range(3):", [Compound([("if p:", [said("break")])]), said("q")])])
    shown = partial(lines, [loop], set())
    assert [each.replace("\0", "") for each in shown()] == [
        "for i in range(3):", "    if p:", "        break", "    q",
    ]  # fmt: skip
    assert next(shown("  ")) == "  for i in range(3):"
