"""Packages: the same bytes in every process, and still what coremltools reads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import migrate

SCRIPT = """
import sys
from pathlib import Path
import migrate
program = migrate.to_mlprogram(sys.argv[1], precision="fp16")
migrate.save(program, Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The sample, converted in two processes whose hashes of strings differ."""
    model = Path(__file__).resolve().parents[2] / "samples" / "Block.mlmodel"
    folder = tmp_path_factory.mktemp("packages")
    paths = [folder / f"{seed}.mlpackage" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        command = [sys.executable, "-c", SCRIPT, str(model), str(path)]
        subprocess.run(command, env={"PYTHONHASHSEED": str(seed)}, check=True, capture_output=True)
    return paths


def digests(path):
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }


def test_two_processes_write_the_same_bytes(packages):
    one, other = map(digests, packages)
    assert len(one) == 3
    assert one == other


def test_a_package_is_read_again_without_a_date(packages):
    spec = migrate.load_spec(packages[0])
    assert spec.WhichOneof("Type") == "mlProgram"
    assert not [key for key in spec.description.metadata.userDefined if "date" in key]
    inputs = {"input1": np.ones((1, 800, 43, 1)), "input2": np.ones((1, 128, 43, 1))}
    assert migrate.evaluate(packages[0], inputs)["output"].shape == (1, 1600, 39, 1)
