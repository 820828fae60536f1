#!/bin/sh
# Everything that must hold before a change lands. BIN is the environment's bin folder.
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
"$BIN/ruff" check .
"$BIN/ruff" format --check .
"$BIN/mypy"
"$BIN/lint-imports"
"$BIN/anereport" --help > /dev/null
# two processes, and one thread in each: more would wait for each other;
# files are begun in the order of tests/support/longest.py
OMP_NUM_THREADS=1 "$BIN/python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q
