"""What keeps the check short: the order in which files are begun, and quick collections."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace

from longest import LONGEST, longest_first

TESTS = Path(__file__).parent


def test_the_longest_files_lead_and_the_others_keep_their_order():
    names = ["test_a.py", "test_z.py", "test_b.py", *reversed(LONGEST)]
    items = [SimpleNamespace(path=Path("tests") / name) for name in names]
    longest_first(items)
    assert [item.path.name for item in items] == [*LONGEST, "test_a.py", "test_z.py", "test_b.py"]


def test_each_of_them_is_there():
    assert set(LONGEST) <= {path.name for path in TESTS.rglob("test_*.py")}


def test_the_check_keeps_that_order(request):
    """Both halves: the tests are sorted, and the processes take them as they are sorted."""
    manager = request.config.pluginmanager
    (conftest,) = [p for p in manager.get_plugins() if getattr(p, "longest_first", None)]
    items = [SimpleNamespace(path=Path(name)) for name in ("test_a.py", LONGEST[0])]
    conftest.pytest_collection_modifyitems(items)
    assert items[0].path.name == LONGEST[0]
    assert "--no-loadscope-reorder" in (TESTS / "check.sh").read_text()


def test_what_is_imported_is_out_of_collections():
    assert gc.get_freeze_count() > 100_000
