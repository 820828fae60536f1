"""The benchmarks run: small sizes, ratios not judged. `make bench` judges them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_smoke():
    bench = Path(__file__).parent / "bench" / "bench.py"
    command = [sys.executable, str(bench), "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert len(done.stdout.splitlines()) == 12
    assert all("at most" in line for line in done.stdout.splitlines())
