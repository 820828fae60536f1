"""What the app does of itself, run where there is Swift: Core ML, and the device, are stand-ins.

Nothing of this is a measurement, and nothing of Apple's is in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reporter.write.rendering import render

SWIFT = shutil.which("swift") if sys.platform == "linux" else None  # elsewhere the app is built
SUPPORT = Path(__file__).resolve().parents[3] / "support" / "swift"
RULES = (
    "Problem", "DeviceLabel", "Jobs", "Record", "Store", "Journal", "Records", "UnitTrial",
    "Measuring",
)  # fmt: skip
AGAIN = "A run failed while the app was not in front: continue to repeat it."


def rule(name):
    return render(f"runner/{name}.swift", key="", models=1, repeats=2)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was seen after each scene of the story."""
    if SWIFT is None:
        pytest.skip("needs Swift on Linux")
    home = tmp_path_factory.mktemp("home")
    own = "\n".join([(SUPPORT / "Fakes.swift").read_text(), *map(rule, RULES)])
    own = re.sub(r"^import .*$", "", own, flags=re.MULTILINE)
    script = home / "main.swift"
    script.write_text(f"import Foundation\n{own}\n{(SUPPORT / 'Story.swift').read_text()}")
    done = subprocess.run(
        [SWIFT, "-swift-version", "5", str(script)],
        env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def test_a_run_that_fails_while_the_app_is_away_is_made_again(seen):
    """The CPU's two runs are kept; the GPU's are not, and nothing after them is made."""
    assert seen["away"] == f"{AGAIN} | 1100000 | -"
    assert seen["marker"] == "-"
    assert seen["back"] == f"{AGAIN} | 1100000"


def test_a_failure_in_front_is_kept_and_names_no_person(seen):
    assert seen["in front"] == "done | 1111111"
    assert '"stage":"predict"' in seen["message"]
    assert "refused in ~\\/x, of UUID" in seen["message"]
    assert "jane" not in seen["message"]


def test_a_crash_after_the_app_was_away_is_recorded(seen):
    assert seen["crash"] == "0 | 1000000"
    assert seen["left out"] == "it ended"


def test_what_the_system_ends_while_the_app_is_away_is_no_crash(seen):
    assert seen["ended away"] == "- | 1000000"


def test_another_label_makes_no_other_file(seen):
    assert seen["no label"] == "true"
    for label in ("desk", "other desk"):
        assert seen[label] == "1 | true"
        assert seen[f"{label} in it"] == "true"


def test_the_app_hides_folders_of_persons():
    (homes,) = re.findall(r'let homes = #"(.*)"#', rule("Problem"))
    (containers,) = re.findall(r'let containers = "(.*)"', rule("Problem"))
    path = "/var/mobile/Containers/Data/Application/A8098C1A-F86E-11DA-BD1A-00112444BE1E/m.mlmodelc"
    assert re.sub(containers, "UUID", path) == (
        "/var/mobile/Containers/Data/Application/UUID/m.mlmodelc"
    )
    said = "cannot open file:///Users/jane.doe/Library/m, '/home/jane'"
    assert re.sub(homes, "~", said) == "cannot open file://~/Library/m, '~'"
