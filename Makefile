# `make demo` runs the main job on the samples, `make test` everything that CI checks.
# Both set up .venv first; it needs Python 3.10 to 3.13.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench fuzz clean
demo: .venv/installed
	rm -rf out/demo
	$(BIN)/anereport migrate samples/Block.mlmodel --out out/demo/Block-mlprogram
	$(BIN)/anereport run samples/Block.mlmodel --simulate bias-only@conv3 --out out/demo/simulated.json
	$(BIN)/anereport create samples/Block.mlmodel --record out/demo/simulated.json --out out/demo/simulated-report
	$(BIN)/anereport explain samples/thread-720810.txt --shape 1,1600,39,1
	$(BIN)/anereport create samples/Block.mlmodel --record samples/thread-720810.txt --shape 1,1600,39,1 --device "iPhone 13" --device "iPhone 14" --out out/demo/Block-report
	@echo "read out/demo/Block-report/report.md"

test: .venv/installed
	BIN=$(BIN) sh tests/check.sh

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv out dist .mypy_cache .pytest_cache .ruff_cache

bench: .venv/installed
	$(BIN)/python tests/bench/bench.py 2>/dev/null

SECONDS ?= 60
fuzz: .venv/installed
	for target in spec results listing program; do OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py $$target --seconds $(SECONDS) || exit 1; done
