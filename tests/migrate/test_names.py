from __future__ import annotations

import keyword

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from migrate.names import LONGEST, identifiers, numbered

NAMES = st.one_of(
    st.text(max_size=8),
    st.sampled_from([*keyword.kwlist, "forward", "a/b", "a.b", "a_b", "1", "_", "", "x_2", "x"]),
    st.sampled_from(["__", "__x", "__init__", "_x"]),
    st.text("ab_/2", max_size=4),
    st.integers(LONGEST - 3, LONGEST + 3).map("x".__mul__),
    st.integers(LONGEST - 3, LONGEST + 3).map(lambda n: "1" * n),
    st.text("xy", min_size=LONGEST, max_size=LONGEST + 2),
)
RESERVED = ("forward", "forward_", "x_2", "unnamed", "unnamed_2", "n1")


@given(names=st.lists(NAMES, max_size=30))
@example(names=["x" * 70 + "a", "x" * 70 + "b", "x" * 70 + "c"])
@example(names=["1" * LONGEST])
@example(names=["é", "è", "ê"])
@example(names=["forward", "unnamed", "x_2"])
def test_identifiers(names):
    chosen = identifiers(names, RESERVED)
    assert list(chosen) == list(dict.fromkeys(names))
    assert len(set(chosen.values())) == len(chosen)
    for name, identifier in chosen.items():
        assert identifier.isidentifier()
        assert identifier.isascii()
        assert not keyword.iskeyword(identifier)
        assert identifier not in RESERVED
        assert len(identifier) <= LONGEST + len(f"_{len(names) + 1}")
        plain = name.isidentifier() and name.isascii() and len(name) <= LONGEST
        plain = plain and not name.startswith("__")  # which Python mangles in a class
        if plain and not keyword.iskeyword(name) and name not in RESERVED:
            assert identifier == name
    assert identifiers(names, RESERVED) == chosen


@given(names=st.lists(NAMES, unique=True, max_size=30), more=st.lists(NAMES, max_size=5))
def test_what_comes_later_changes_no_name_that_was_cleaned_before(names, more):
    """Unless a later one is the very identifier that one was cleaned to."""
    before, after = identifiers(names), identifiers([*names, *more])
    assume(not {*more} & {*before.values()} - {*names})
    assert {name: after[name] for name in names} == before


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("conv1", "conv1"),
        ("conv1/relu:0", "conv1_relu_0"),
        ("class", "class_"),
        ("forward", "forward_"),
        ("type", "type__2"),
        ("7", "n7"),
        ("", "unnamed"),
        ("größe", "gr_e"),
        ("_private", "_private"),
    ],
)
def test_what_names_become(name, identifier):
    assert identifiers([name], ["forward", "type", "type_"]) == {name: identifier}


def test_names_that_are_cleaned_alike():
    names = ["a.b", "a/b", "a_b", "a b", "a_b_2"]
    assert identifiers(names) == {
        "a.b": "a_b_3", "a/b": "a_b_4", "a_b": "a_b", "a b": "a_b_5", "a_b_2": "a_b_2",
    }  # fmt: skip


@given(names=st.lists(st.sampled_from(["a", "a_2", "a_3", "a_2_2", "b", ""]), max_size=20))
def test_numbered(names):
    found = numbered(names)
    assert len(set(found)) == len(found) == len(names)
    for i, (name, new) in enumerate(zip(names, found, strict=True)):
        assert new == name or (new.startswith(f"{name}_") and name in names[:i])
        if name not in names[:i]:
            assert new == name


def test_many_alike_take_no_time():
    """Ten thousand layers of one name, or of names without a letter, as some converters give."""
    assert len(set(numbered(["conv"] * 10_000))) == 10_000
    names = [chr(0x4E00 + i) for i in range(10_000)]
    assert len(set(identifiers(names).values())) == 10_000
