"""What tells that the Neural Engine was not used."""

from __future__ import annotations

import numpy as np
import pytest

from reporter.measure.identity import ModelIdentity
from reporter.measure.record import Device, Plan, PlannedOperation, Record, Run
from reporter.measure.tensor import values
from reporter.understand.unused import COPIED, NOT_PLANNED, copied, unused

MODEL = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, sha256="0", size=1,
    sha256_without_metadata="1",
)  # fmt: skip
THIRD = np.float32([1 / 3, 2.0])


def run(unit, array, plan=None):
    return Run(unit=unit, input="seed-0", outputs=values({"y": array}), plan=plan)


def planned(*units):
    return Plan(operations=tuple(
        PlannedOperation(name=f"{i}", kind="convolution", planned=u) for i, u in enumerate(units)
    ))  # fmt: skip


def record(runs, evidence="measured", **device):
    return Record(
        evidence=evidence, model=MODEL, device=Device(**device), inputs={"seed-0": {}}, runs=runs
    )


def why(runs, **facts):
    return unused([record(runs, **facts)], [runs])


def test_the_cpus_bits_tell_unless_float16_comes_to_them_too():
    assert copied([[run("cpu", THIRD), run("ane", THIRD)]])
    halves = THIRD.astype(np.float16).astype(np.float32)
    assert not copied([[run("cpu", halves), run("ane", halves)]])
    assert not copied([[run("cpu", THIRD), run("ane", halves)]])
    assert not copied([[run("cpu", THIRD)]])
    assert not copied([])
    one = [run("cpu", THIRD), run("ane", THIRD)]
    other = [run("cpu", THIRD), run("ane", halves)]
    assert not copied([one, other])


def test_a_plan_tells_only_if_nothing_is_planned_there():
    right = THIRD.astype(np.float16).astype(np.float32)
    for units, said in (
        (("cpu", "gpu"), NOT_PLANNED), (("cpu", "ane"), ""), (("ane", "ane"), ""), ((), ""),
    ):  # fmt: skip
        assert why([run("cpu", THIRD), run("ane", right, planned(*units))]) == said


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ({"system": "macOS", "virtual": True}, "A virtual machine"),
        ({"system": "macOS", "translated": True}, "Rosetta"),
        ({"system": "macOS", "chip": "Intel(R) Core(TM) i7"}, "Intel"),
        ({"system": "macOS", "version": "12.6"}, "macOS 12.6"),
    ],
)
def test_a_machine_without_a_neural_engine_tells(device, words):
    found = why([run("ane", THIRD)], **device)
    assert words in found
    assert not found.endswith(".")


def test_a_machine_that_is_not_known_tells_nothing():
    assert why([run("ane", THIRD)]) == ""
    assert why([run("ane", THIRD)], system="macOS", chip="Apple M2", version="14.5") == ""
    assert why([run("ane", THIRD)], system="macOS", version="13.1") == ""  # no plan can be had


def test_nothing_is_said_of_a_simulator():
    both = [run("cpu", THIRD), run("ane", THIRD, planned("cpu"))]
    assert why(both) == NOT_PLANNED
    assert why([both[0], run("ane", THIRD)]) == COPIED
    assert why(both, evidence="simulated") == ""
