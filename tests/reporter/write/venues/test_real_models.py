"""Every page of a real model, with results that the simulator made: the limits hold."""

from __future__ import annotations

import re

import pytest
from markdown_pages import parsed, tables

from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create


@pytest.mark.parametrize("name", ["mnist_cnn", "hand_squeezenet"])
def test_the_pages_of_a_model_keep_their_limits(shared_models, tmp_path, monkeypatch, name):
    unrun = repro.Repro("print(1)\n", "anereport", "not executed in this test", "", True)
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: unrun)
    model = shared_models / f"{name}.mlmodel"
    (tmp_path / "r.json").write_text(dumps(simulate(model, "none")))
    options = Options([tmp_path / "r.json"], bounds=Bounds(budget=0))
    report = create(model, tmp_path / "out", options)
    pages = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.*") if
             path.suffix in (".md", ".txt", ".html")}  # fmt: skip
    assert len(pages["forum.md"]) <= 7000
    assert len(re.findall(r"^```$", pages["forum.md"], re.MULTILINE)) % 2 == 0
    warnings = re.findall(r"^WARNING: (.*)$", pages["feedback.txt"], re.MULTILINE)
    assert warnings == ["no result here is wrong on the Neural Engine: nothing to file yet"]
    found = dict(zip(("unit", "cpu", "gpu", "ane"), tables(pages["report.md"])[0][1], strict=True))
    for result in report.comparisons[0].units:
        assert found[result.unit][2] == f"{result.metrics.max_abs:.3g}"
    headings = [t for t in parsed(pages["github.md"]) if t.type == "heading_open"]
    assert len(headings) == 5
    assert pages["report.html"].count("<h2>Details</h2>") == 1
