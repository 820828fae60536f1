"""The page in headless Chromium: nothing is logged, and nothing is asked for."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from small_block import inputs, small_block

from reporter.measure import simulate
from reporter.measure.record import dumps
from reporter.write import create

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


def opened(page, folder):
    """Return what a page logs, and which requests it makes."""
    log = folder / "net.json"
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--enable-logging=stderr", f"--log-net-log={log}", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    logged = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    own = '"network_isolation_key":"file://'
    asked = [line for line in log.read_text().splitlines() if own in line]
    return done.stdout, logged, asked


def test_a_report_logs_nothing_and_loads_nothing(tmp_path):
    model = tmp_path / "m.mlmodel"
    model.write_bytes(small_block().SerializeToString())
    record = tmp_path / "r.json"
    record.write_text(dumps(simulate.simulate(model, "bias-only@three", inputs())))
    create.create(model, tmp_path / "report", create.Options(records=(record,)))
    shown, logged, asked = opened(tmp_path / "report" / "report.html", tmp_path)
    assert shown.count("<svg") > 9
    assert (logged, asked) == ([], [])


def test_a_page_that_does_either_would_be_seen(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://example.invalid/"><script>console.log("here")</script>')
    _, logged, asked = opened(page, tmp_path)
    assert len(logged) == 1
    assert "http://example.invalid/" in asked[0]
