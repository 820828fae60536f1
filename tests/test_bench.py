"""The benchmarks run: small sizes, ratios not judged. `make bench` judges them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"
README = Path(__file__).parents[1] / "README.md"
UNJUDGED = "its largest child, the repro script, / these weights"


@pytest.fixture(scope="module")
def smoke():
    """What the benchmarks print at small sizes: the ratios, and the stages of `create`."""
    before = README.read_bytes()
    command = [sys.executable, str(BENCH / "bench.py"), "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert README.read_bytes() == before  # the table is of full sizes
    lines = done.stdout.splitlines()
    stages = [line for line in lines if re.search(r" \d+ ms ", line)]
    return [line for line in lines if line not in stages], stages


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("table", BENCH / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_sizes(names):
    return {re.sub(r"[\d.,e+]+", "N", name) for name in names}


def test_the_benchmarks_run_at_small_sizes(smoke):
    ratios, stages = smoke
    assert len(ratios) == 17
    assert [line for line in ratios if "at most" not in line] == [ratios[14]]
    assert ratios[14].startswith(UNJUDGED)
    for stage in ("imports", "reading the model", "writing report.html", "packing the zip"):
        assert any(stage in line for line in stages), stage


def test_readme_has_the_table_that_the_command_writes(smoke, table):
    text = README.read_text()
    body = text.split(table.BEGIN)[1].split(table.END)[0]
    cells = re.findall(r"^\| (.*) \| \**([\d.]+)\** \| ([\d.]*) \|$", body, re.MULTILINE)
    rows = [table.Row(name, float(is_), float(most) if most else None) for name, is_, most in cells]
    where = body.strip().splitlines()[-1]
    assert table.replaced(text, table.block(rows, where)) == text
    printed = [re.split(r" {2,}", line)[0] for line in smoke[0]]
    assert without_sizes(row.name for row in rows) == without_sizes(printed)
    assert re.search(r", \d+ cores, \d+ GiB, .*torch .*coremltools .*; \d{4}-\d\d-\d\d\.$", where)


def test_a_table_takes_the_place_of_the_one_before(table):
    before = f"above\n{table.block([table.Row('a / b', 1.0, 2.0)], 'here.')}below\n"
    new = table.block([table.Row("a / b", 3.0, 2.0), table.Row("c / d", 0.5)], "there.")
    after = table.replaced(before, new)
    assert after.startswith(f"above\n{table.BEGIN}")
    assert after.endswith(f"there.\n{table.END}below\n")
    assert "| a / b | **3.00** | 2.00 |\n| c / d | 0.50 |  |\n" in after
    assert "here." not in after.replace("there.", "")
