from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from small_reports import measured, nothing

from reporter.write.report.questions import questions
from reporter.write.venues.fitting import LAST_TO_GO, answers, fitted, with_answers

PARTS = {"head": "H" * 20, "notes": "N" * 30, "table": "T" * 40, "script": "S" * 50}
CALLED = {"notes": "notes", "script": "the script", "table": "most rows"}


def shown(text):
    return {name for name in PARTS if name[0].upper() * 4 in text}


def test_what_fits_is_whole_and_nothing_is_said():
    text = fitted(PARTS, CALLED, {}, 1000)
    assert text == "\n\n".join(PARTS.values()) + "\n"
    assert fitted(PARTS, CALLED, {}, len(text)) == text


def test_one_character_too_many_is_too_many():
    whole = fitted(PARTS, CALLED, {}, 1000)
    assert "Left out" in fitted(PARTS, CALLED, {}, len(whole) - 1)


def test_what_is_wanted_least_goes_first_and_is_named():
    parts = {**PARTS, "notes": "N" * 90}
    text = fitted(parts, CALLED, {}, 180)
    assert shown(text) == {"head", "table", "script"}
    assert text.endswith("\n\nLeft out here, and in report.md: notes.\n")
    assert len(text) <= 180


def test_a_part_that_never_fits_takes_no_other_with_it():
    text = fitted({**PARTS, "script": "S" * 900}, CALLED, {}, 180)
    assert shown(text) == {"head", "notes", "table"}
    assert "in report.md: the script." in text


def test_a_shorter_form_stands_in_its_place():
    text = fitted({**PARTS, "table": "T" * 900}, CALLED, {"table": "short"}, 220)
    assert text.split("\n\n")[2] == "short"
    assert "most rows" in text.rsplit("\n\n", 1)[1]


def test_empty_parts_leave_no_gap_and_are_not_said_to_be_left_out():
    text = fitted({"head": "H" * 90, "notes": " \n", "table": "T" * 90}, CALLED, {}, 150)
    assert text == "H" * 90 + "\n\nLeft out here, and in report.md: most rows.\n"


@given(
    sizes=st.lists(st.integers(0, 300), min_size=4, max_size=4),
    limit=st.integers(120, 900),
)
def test_it_keeps_the_limit_and_what_it_leaves_out_would_not_fit(sizes, limit):
    given = dict(zip(PARTS, [min(sizes[0], 30), *sizes[1:]], strict=True))
    parts = {name: name[0].upper() * size for name, size in given.items()}
    text = fitted(parts, CALLED, {}, limit)
    assert len(text) <= limit
    body, _, said = text.partition("Left out here")
    for name, called in CALLED.items():
        assert (parts[name] in body) or called in said
    if parts["script"] and len(parts["head"] + parts["table"] + parts["script"]) + 80 < limit:
        assert parts["script"] in body


def test_what_is_left_out_twice_under_one_name_is_said_once():
    text = fitted(PARTS, dict.fromkeys(CALLED, "much"), {}, 70)
    assert text == f"{'H' * 20}\n\nLeft out here, and in report.md: much.\n"


def test_answers_go_one_by_one_from_the_last_asked_and_three_stay_longest():
    told = {
        "first?": "f" * 30,
        LAST_TO_GO[2]: "g" * 30,
        "second?": "s" * 30,
        LAST_TO_GO[0]: "d" * 30,
    }
    parts = {"head": "H" * 30, "asked": "", "tail": "T" * 30}
    called = {"asked": "answers"}
    whole = with_answers(parts, told, called, 1000)
    assert whole == "\n\n".join(x * 30 for x in "HfgsdT") + "\n"
    for kept in ("gd", "g", ""):  # at 191 characters for all, the sentence takes more than one
        expected = "\n\n".join(x * 30 for x in f"H{kept}T")
        expected += "\n\nLeft out here, and in report.md: answers.\n"
        assert with_answers(parts, told, called, len(expected)) == expected
        assert (
            with_answers(parts, told, called, min(len(whole) - 1, len(expected) + 31)) == expected
        )


def test_a_part_whose_name_begins_with_short_gives_way_to_nothing_and_stands_for_another():
    parts = {"table": "T" * 90, "short_table": "few", "tail": "x"}
    assert with_answers(parts, {}, {"table": "rows", "asked": "answers"}, 60) == (
        "few\n\nx\n\nLeft out here, and in report.md: rows.\n"
    )
    assert "few" not in with_answers(parts, {}, {"table": "rows", "asked": "answers"}, 99)


def test_the_answers_are_those_that_are_known_and_the_last_to_go_are_asked():
    assert set(LAST_TO_GO) <= {q.asked for q in questions(measured())}
    assert answers(nothing()) == {}
    told = answers(measured(last_good="iOS `13`"))[LAST_TO_GO[2]]
    assert told == rf"{LAST_TO_GO[2]} iOS \x6013\x60 (stated by the user)."
