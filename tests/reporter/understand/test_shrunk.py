"""The file of a shrink: what is read back, and what was edited by hand."""

from __future__ import annotations

import json

import pytest

import migrate
from reporter.measure.identity import ModelIdentity
from reporter.understand import shrunk
from reporter.understand.shrunk import Candidate, Finding, ShrinkError, Shrunk

ME = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, sha256="a", sha256_without_metadata="b",
    size=100,
)  # fmt: skip


def candidate(name, word="", reductions=(), layers=4, weights=10, failed=None, repeats=3):
    if failed is None:
        failed = repeats if word in ("fails", "does not run") else 0
    finding = Finding(word=word, failed=failed, repeats=repeats) if word else None
    return Candidate(
        name=name, file=f"{name}.mlmodel", round=1, reductions=reductions, identity=ME,
        layers=layers, weights=weights, inputs=5, finding=finding,
    )  # fmt: skip


def state(*candidates):
    return Shrunk(
        schema="anereport.shrink/1", source=ME, limit=8.0, rounds=1, candidates=candidates
    )


def channels(value):
    return (migrate.Reduction("channels", "x", value),)


def test_what_was_written_is_read(tmp_path):
    wrote = state(candidate("m", "fails"), candidate("a", reductions=channels(3)))
    (tmp_path / "shrink.json").write_text(shrunk.dumps(wrote))
    assert shrunk.load(tmp_path) == wrote


def test_the_smallest_has_the_fewest_layers_then_weights_and_of_equals_most_was_done_to_it():
    found = state(
        candidate("m", "fails", weights=1),
        candidate("heavy", "fails", channels(3), layers=2, weights=90),
        candidate("light", "fails", channels(2), layers=2, weights=80),
        candidate("again", "fails", (*channels(1), migrate.Reduction("weights", "", 0)), 2, 80),
        candidate("right", "right", channels(1), layers=1),
    )
    assert found.smallest.name == "again"
    assert [c.name for c in found.right] == ["right"]


def test_of_a_model_that_does_not_run_the_networks_that_do_not_run_are_followed():
    found = state(
        candidate("m", "does not run"),
        candidate("a", "fails", channels(3), layers=1),
        candidate("b", "does not run", channels(2), layers=2),
    )
    assert found.smallest.name == "b"


def test_what_is_right_by_chance_is_not_called_right():
    one_of_three = state(
        candidate("m", "flaky", failed=1),
        candidate("few", "right", channels(3), repeats=3),  # by chance in 30% of cases
        candidate("many", "right", channels(2), repeats=9),  # in 2.6%
    )
    assert [c.name for c in one_of_three.right] == ["many"]
    assert one_of_three.smallest is None


def edited(word, failed, repeats):
    def change(content):
        content["candidates"][1]["finding"] = {"word": word, "failed": failed, "repeats": repeats}

    return change


@pytest.mark.parametrize(
    ("word", "failed"),
    [("fails", 3), ("does not run", 3), ("right", 0), ("flaky", 1), ("flaky", 3),
     ("some inputs", 2), ("set aside", 0), ("set aside", 3)],
)  # fmt: skip
def test_a_word_that_its_repeats_can_give_is_read(tmp_path, word, failed):
    """Flaky with all failed: wrong in one repeat, and not run in another."""
    wrote = state(candidate("m", "fails"), candidate("a", word, channels(3), failed=failed))
    (tmp_path / "shrink.json").write_text(shrunk.dumps(wrote))
    assert shrunk.load(tmp_path) == wrote


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(schema="x"), "schema: expected 'anereport.shrink/1', found 'x'"),
        (lambda s: s.update(rounds="many"), "rounds: Input should be a valid integer"),
        (lambda s: s.update(rounds=0), "rounds: Input should be greater than or equal to 1"),
        (lambda s: s.update(candidates=[]), "candidates: "),
        (lambda s: s["candidates"].pop(0), "the first candidate is not the model itself"),
        (lambda s: s["candidates"].append(s["candidates"][1]), "two candidates have one name"),
        (lambda s: s["candidates"][1].update(round=7), "a candidate is of a later round"),
        (lambda s: s["candidates"][0]["finding"].update(failed=9), "more repeats of m failed than"),
        (edited("fails", 0, 3), "'fails', which does not follow from 0 of 3 repeats that failed"),
        (edited("fails", 2, 3), "a has the word 'fails', which does not follow from 2 of 3"),
        (edited("fails", 0, 0), "a has the word 'fails', which does not follow from 0 of 0"),
        (edited("does not run", 0, 3), "a has the word 'does not run', which does not follow"),
        (edited("right", 1, 3), "a has the word 'right', which does not follow from 1 of 3"),
        (edited("right", 0, 0), "a has the word 'right', which does not follow from 0 of 0"),
        (edited("flaky", 0, 3), "a has the word 'flaky', which does not follow from 0 of 3"),
        (edited("some inputs", 0, 3), "a has the word 'some inputs', which does not follow"),
        (lambda s: s["candidates"][0]["finding"].update(word="bad"), "candidates.0.finding.word"),
        (lambda s: s["candidates"][1]["reductions"][0].pop("value"), "reductions.0.value: Field"),
        (lambda s: s.update(surprise=1), "surprise: Extra inputs are not permitted"),
    ],
)
def test_a_state_that_was_edited_by_hand_is_a_sentence(tmp_path, change, said):
    wrote = state(candidate("m", "fails", failed=3), candidate("a", reductions=channels(3)))
    content = json.loads(shrunk.dumps(wrote))
    change(content)
    (tmp_path / "shrink.json").write_text(json.dumps(content))
    with pytest.raises(ShrinkError, match=r"shrink\.json: ") as caught:
        shrunk.load(tmp_path)
    assert said in str(caught.value)
    assert "--force" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "[1]", "null", "\xff"])
def test_a_file_that_is_no_state_is_a_sentence(tmp_path, text):
    (tmp_path / "shrink.json").write_text(text, encoding="latin-1")
    with pytest.raises(ShrinkError, match=r"shrink\.json"):
        shrunk.load(tmp_path)
