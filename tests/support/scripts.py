"""Generated scripts, run as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys


def run_clean(script, folder):
    """Run a script in a folder, where no variable points to this project."""
    (folder / "it.py").write_text(script, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")}
    return subprocess.run(
        [sys.executable, "it.py"],
        cwd=folder, env=kept, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
