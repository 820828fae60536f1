"""Scripts are run here each time, and not once for all tests as elsewhere."""

from __future__ import annotations

import pytest

from reporter.write.repro import running


@pytest.fixture(autouse=True)
def _every_script_runs(monkeypatch):
    monkeypatch.setattr(running, "_ran", running._ran.__wrapped__)
