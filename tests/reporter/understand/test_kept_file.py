"""A JSON file that one command keeps and another reads."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from migrate import AnereportError
from reporter.understand import kept_file


class Mine(BaseModel):
    counts: tuple[int, ...]


class MineError(AnereportError):
    pass


def read(path):
    return kept_file.load(path, Mine, "mine/1", MineError, "anereport mine")


def test_what_was_kept_comes_back(tmp_path):
    (tmp_path / "mine.json").write_text('{"schema": "mine/1", "counts": [1, 2], "later": 3}')
    assert read(tmp_path / "mine.json").counts == (1, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot read .*mine.json: Expecting value"),
        (b"\xff", "cannot read .*mine.json: .*utf-8"),
        (b"[" * 100_000, "cannot read .*mine.json"),
        (b"[]", "schema: expected 'mine/1', found None: run anereport mine again"),
        (b'{"schema": "mine/2"}', "expected 'mine/1', found 'mine/2'"),
        (b'{"schema": "mine/1"}', "mine.json: counts: Field required: run anereport mine again"),
        (b'{"schema": "mine/1", "counts": [1, "x"]}', "mine.json: counts.1: Input should be"),
    ],
)
def test_what_is_wrong_with_it_is_one_sentence(tmp_path, content, words):
    (tmp_path / "mine.json").write_bytes(content)
    with pytest.raises(MineError, match=words) as caught:
        read(tmp_path / "mine.json")
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Plain:
    counts: tuple[int, ...]
    ratio: float


def test_a_dataclass_comes_back_too_and_its_faults_name_the_text():
    def read(text):
        return kept_file.loads(text, "a text", Plain, "mine/1", MineError, "anereport mine")

    found = read('{"schema": "mine/1", "counts": [1], "ratio": "-Infinity"}')
    assert found == Plain((1,), float("-inf"))
    with pytest.raises(MineError, match=r"^a text: ratio: Field required: run anereport mine"):
        read('{"schema": "mine/1", "counts": [1]}')


def test_without_the_file_the_command_is_named(tmp_path):
    with pytest.raises(MineError, match=r"holds no mine\.json: write it with anereport mine"):
        read(tmp_path / "mine.json")
