"""The post of Block holds everything that is needed to build the model again."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reporter.understand.understood import Bounds
from reporter.write.create import Options, create
from reporter.write.venues import forum

BLOCK = Path(__file__).parents[4] / "samples" / "Block.mlmodel"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    options = Options(bounds=Bounds(budget=0))
    report = create(BLOCK, folder / "out", options)
    return report, (folder / "out" / "forum.md").read_text()


def script(post):
    """Cut out the fence that is a program."""
    found = re.search(r"^```\n(import .*?)^```$", post, re.MULTILINE | re.DOTALL)
    return found[1]


def test_the_script_cut_out_of_the_post_builds_the_same_file(made, tmp_path):
    report, post = made
    assert forum.text(report) == post
    (tmp_path / "post.py").write_text(script(post))
    done = subprocess.run(
        [sys.executable, "post.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    built = hashlib.sha256((tmp_path / "repro.mlmodel").read_bytes()).hexdigest()
    own = hashlib.sha256(BLOCK.read_bytes()).hexdigest()
    assert done.stdout.strip() == built == own
    assert f"It prints the sha256 of the file, {own}." in post


def test_it_is_within_the_limit_with_all_of_its_parts(made):
    _, post = made
    assert len(post) <= 7000
    assert "Left out here" not in post


def test_the_script_stays_at_the_least_limit_that_holds_it(made):
    report, post = made
    shorter = forum.text(dataclasses.replace(report, forum_limit=forum.LEAST))
    assert script(shorter) == script(post)
