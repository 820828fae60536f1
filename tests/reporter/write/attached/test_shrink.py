"""A report with the model's shrink: found beside it, in words, its smallest network bundled."""

from __future__ import annotations

import shutil
import zipfile

import pytest
from rule_devices import concat_into_depthwise, joined_spec, never
from shrinks import Shrink

from migrate import AnereportError
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.report.questions import questions

FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A shrink of a model that fails with more than 4 channels in all."""
    folder = tmp_path_factory.mktemp("made")
    one = Shrink(folder, joined_spec(3, 2))
    one.finish(concat_into_depthwise(4))
    one.out.rename(folder / "m-shrink")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder; the repro script is left unrun."""
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(folder, **more):
    options = Options(bounds=Bounds(budget=0), force=True, **more)
    return create(folder / "m.mlmodel", folder / "out", options)


@pytest.fixture
def copied(ended, here):
    shutil.copytree(ended, here, dirs_exist_ok=True)
    return here


def test_another_folder_can_be_named(copied):
    (copied / "m-shrink").rename(copied / "small")
    assert report(copied).shrunk is None
    assert report(copied, shrink=copied / "small").shrunk.file == "shrink/smallest.mlmodel"
    with pytest.raises(AnereportError, match=r"holds no shrink\.json"):
        report(copied, shrink=copied)


def test_what_a_shrink_has_found_is_not_said_to_be_missing(copied):
    assert not any("smallest part" in m.what for m in report(copied).missing)
    shutil.rmtree(copied / "m-shrink")
    assert any("smallest part" in m.what for m in report(copied).missing)


def test_the_smallest_network_is_bundled_and_every_row_of_the_table_said(copied):
    found = report(copied)
    assert found.shrunk.evidence == "measured"
    smallest = (copied / "m-shrink" / "smallest.mlmodel").read_bytes()
    assert found.shrunk.file == "shrink/smallest.mlmodel"
    assert found.shrunk.size == len(smallest)
    assert (copied / "out" / "shrink" / "smallest.mlmodel").read_bytes() == smallest
    with zipfile.ZipFile(copied / "out" / "m-report.zip") as archive:
        assert archive.read("shrink/smallest.mlmodel") == smallest
        assert "shrink/shrink.json" in archive.namelist()
    said = " ".join(found.shrunk.sentences)
    assert "fails at 5" in said
    assert "right at 4" in said
    assert said.endswith("they do not identify the responsible stage.")
    for name in ("report.md", "report.html", "forum.md", "feedback.txt"):
        text = (copied / "out" / name).read_text()
        assert "shrink/smallest.mlmodel" in text
        assert f"{len(smallest):,} bytes" in text
    for name in ("report.md", "report.html"):
        assert "fails at 5" in (copied / "out" / name).read_text()


def test_a_shrink_that_goes_on_says_how_and_bundles_no_network(here):
    one = Shrink(here, joined_spec(3, 2))
    one.read(one.measure(concat_into_depthwise(4)))
    one.out.rename(here / "m-shrink")
    found = report(here)
    assert found.shrunk.sentences[0].startswith("The smallest that fails so far is ")
    assert found.shrunk.command == "anereport variants m.mlmodel --shrink --out m-shrink"
    assert (found.shrunk.file, found.shrunk.size) == ("", 0)
    assert [p.name for p in (here / "out" / "shrink").iterdir()] == ["shrink.json"]
    assert found.shrunk.command in [q.command for q in questions(found)]


def test_a_shrink_in_which_nothing_fails_is_no_answer(here):
    one = Shrink(here, joined_spec(3, 2))
    one.read(one.measure(never))
    one.out.rename(here / "m-shrink")
    found = report(here)
    assert found.shrunk is None
    assert "Shrunk on" not in (here / "out" / "report.md").read_text()


def test_a_simulated_shrink_makes_the_report_a_simulated_one(copied):
    state = copied / "m-shrink" / "shrink.json"
    state.write_text(state.read_text().replace('"measured"', '"simulated"'))
    found = report(copied)
    assert found.simulated
    text = (copied / "out" / "report.md").read_text()
    assert "> **SIMULATED.**" in text
    assert "- SIMULATED: Shrunk on" in text


@pytest.mark.parametrize("why", ["another model", "begin the shrink again", "no such"])
def test_a_shrink_that_is_not_as_it_was_is_left_aside_with_the_reason(copied, why):
    smallest = copied / "m-shrink" / "smallest.mlmodel"
    if why == "another model":
        model = joined_spec(3, 1).SerializeToString(deterministic=True)
        (copied / "m.mlmodel").write_bytes(model)
    elif why == "no such":
        smallest.unlink()
    else:
        shutil.copy(copied / "m.mlmodel", smallest)
    found = report(copied)
    assert found.shrunk is None
    (aside,) = [f for f in found.model.findings if f.startswith("the shrink beside the model is")]
    expected = "begin the shrink again" if why == "no such" else why
    assert expected in aside
    assert not (copied / "out" / "shrink").exists()
