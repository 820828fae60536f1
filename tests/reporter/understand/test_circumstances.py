"""What is said of a record beside its numbers: it is incomplete, its device, what was printed."""

from __future__ import annotations

import numpy as np
import pytest

from reporter.measure.identity import ModelIdentity
from reporter.measure.record import Device, Failure, Plan, PlannedOperation, Record, Run
from reporter.measure.simulate import values
from reporter.understand.circumstances import circumstances

IDENTITY = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, size=3,
    sha256="a" * 64, sha256_without_metadata="b" * 64,
)  # fmt: skip
MAC = Device(
    label="desk", system="macOS", version="14.4", build="23E1", identifier="Mac15,3",
    chip="Apple M3",
)  # fmt: skip
X = np.float32([[0.1, 0.7]])
REFUSED = "E5RT: ANECCompile() FAILED (11)"
OTHER = "[espresso] something"


def run(unit, array=X, messages=(), name="seed-0", **more):
    return Run(unit=unit, input=name, outputs=values({"y": array}), messages=messages, **more)


def said(*runs, device=MAC, evidence="measured", stopped="", names=("seed-0",)):
    record = Record(
        evidence=evidence, model=IDENTITY, device=device, runs=runs, stopped=stopped,
        inputs={name: values({"x": X}) for name in names},
    )  # fmt: skip
    return circumstances("r.json", record)


def test_of_a_whole_record_of_a_good_mac_there_is_nothing_to_say():
    found = said(run("cpu"), run("ane"))
    assert (found.source, found.evidence, found.says) == ("r.json", "measured", ())
    assert found.device == (
        "desk, Mac15,3, MacBook Pro (14-inch, Nov 2023), Apple M3, macOS 14.4 (23E1)"
    )


def test_a_phone_whose_record_names_no_product_is_named():
    phone = Device(label="a", system="iOS", version="17.4", identifier="iPhone14,5")
    assert said(run("cpu"), device=phone).device == (
        "a, iPhone14,5, iPhone 13, Apple A15, iOS 17.4"
    )


def test_a_record_that_was_stopped_is_incomplete():
    found = said(run("cpu"), stopped="4 of 13 runs were made before it was stopped")
    assert found.doubts == (
        "the record r.json is incomplete: 4 of 13 runs were made before it was stopped",
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"virtual": True}, ["A virtual machine has no usable Neural Engine"]),
        ({"translated": True}, ["Python runs as an Intel process under Rosetta"]),
        ({"chip": "Intel(R) Core(TM) i7"}, ["A Mac with an Intel processor has no Neural Engine"]),
        ({"virtual": True, "translated": True}, ["Python runs as", "A virtual machine has"]),
        ({"version": "14.0"}, []),  # no compute plan is no such obstacle
        ({"virtual": None, "chip": ""}, []),
        ({"system": "", "virtual": True}, []),  # of a record that names no system
    ],
)
def test_what_stands_in_the_way_is_said_beside_the_device(facts, words):
    found = said(run("cpu"), device=MAC.model_copy(update=facts)).doubts
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert sentence.startswith(word)
        assert sentence.endswith(": no Neural Engine is to be expected there")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"thermal": "serious"}, "the device was hot: its thermal state was serious"),
        ({"thermal": "critical"}, "the device was hot: its thermal state was critical"),
        ({"low_power": True}, "the device was in low-power mode"),
    ],
)
def test_conditions_that_slow_a_device_are_said(facts, words):
    assert said(run("ane"), device=MAC.model_copy(update=facts)).doubts == (words,)
    usual = MAC.model_copy(update={"thermal": "fair", "low_power": False})
    assert said(run("ane"), device=usual).doubts == ()


def test_a_simulator_is_no_device():
    device = Device(label="anereport simulator", system="Linux")
    assert said(run("cpu"), device=device, evidence="simulated").says == ()


def test_a_line_is_quoted_once_with_its_processes_for_each_unit():
    found = said(
        run("gpu", messages=(OTHER,)),
        run("ane", X + 1, messages=(REFUSED, OTHER)),
        run("ane", X + 1, messages=(REFUSED,), start="cold"),
    )
    assert found.printed == (
        f"Apple's compiler or run time printed while the GPU ran: '{OTHER}' (in 1 process)",
        f"Apple's compiler or run time printed while the ANE ran: '{REFUSED}' (in 2 processes), "
        f"'{OTHER}' (in 1 process)",
    )


def test_of_many_lines_the_first_are_quoted():
    (printed,) = said(run("ane", X + 1, messages=tuple(f"E5RT {i}" for i in range(5)))).printed
    assert printed.endswith("'E5RT 2' (in 1 process), and 2 more lines")
    assert "E5RT 3" not in printed


def test_lines_of_a_run_that_failed():
    dead = Run(unit="ane", input="seed-0", messages=(REFUSED,),
               failure=Failure(stage="load", message="m"))  # fmt: skip
    assert said(run("cpu"), dead).printed[0].endswith(f"'{REFUSED}' (in 1 process)")


ELSEWHERE = "; and it gave the CPU's bits: it did not run on the Neural Engine"


@pytest.mark.parametrize(
    ("array", "lines", "elsewhere"),
    [
        (X, (REFUSED,), True),
        (X, ("ANECF error",), True),
        (X, (OTHER,), False),  # it is no refusal
        (X.astype(np.float16).astype(np.float32), (REFUSED,), False),  # the GPU's, say
    ],
)
def test_a_refusal_and_the_cpus_bits_are_said_together(array, lines, elsewhere):
    (printed,) = said(run("cpu"), run("ane", array, lines)).printed
    assert printed.endswith(ELSEWHERE) == elsewhere


def test_bits_that_every_unit_would_give_are_no_sign():
    """All of them are numbers of float16."""
    ones = np.ones((1, 2), np.float32)
    (printed,) = said(run("cpu", ones), run("ane", ones, (REFUSED,))).printed
    assert ELSEWHERE not in printed


def test_the_bits_of_every_input_count():
    runs = [
        run("cpu"),
        run("ane", X, (REFUSED,)),
        run("cpu", name="b"),
        run("ane", X + 1, name="b"),
    ]
    (printed,) = said(*runs, names=("seed-0", "b")).printed
    assert ELSEWHERE not in printed


def planned(unit, *places):
    operations = tuple(
        PlannedOperation(name=f"op{i}", kind="convolution", planned=place)
        for i, place in enumerate(places)
    )
    return run(unit, plan=Plan(operations=operations))


def test_the_placement_is_the_least_of_the_neural_engines_plans():
    assert said(run("ane")).placement is None
    assert said(planned("cpu", "cpu")).placement is None
    found = said(planned("ane", "ane", "ane"), planned("ane", "ane", "cpu")).placement
    assert (found.planned, found.total, found.elsewhere) == (1, 2, ("op1",))
