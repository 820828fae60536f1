from __future__ import annotations

from pathlib import Path

import pytest

from reporter.measure.paths import typed


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/a/work/Block-variants", "Block-variants"),
        ("/a/work/in/it", "in/it"),
        ("/a/worker/x", "/a/worker/x"),
        ("/b/x", "/b/x"),
        ("x/y", "x/y"),
        ("../x", "../x"),
    ],
)
def test_a_path_is_typed_relative_where_it_lies_in_the_working_folder(monkeypatch, given, shown):
    monkeypatch.setattr(Path, "cwd", lambda: Path("/a/work"))
    assert typed(given) == shown
