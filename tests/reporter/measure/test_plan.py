"""Plans from stand-ins for coremltools' objects, with the fields that its 9.0 source gives them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Some

import pytest

from migrate.coreml import coremltools
from reporter.measure import plan as planning
from reporter.measure.record import PlannedOperation, Run

coremltools()
from coremltools.models import compute_device, compute_plan  # noqa: E402  after the quiet import

COMPILED = Path("m.mlmodelc")


def usage(name):
    cls = getattr(compute_device, name)
    return Some(preferred_compute_device=object.__new__(cls), supported_compute_devices=[])


CPU, GPU, ANE = map(usage, ("MLCPUComputeDevice", "MLGPUComputeDevice",
                            "MLNeuralEngineComputeDevice"))  # fmt: skip


def operation(name, kind, use, blocks=()):
    outputs = [Some(name=name)] if name else []
    return Some(operator_name=kind, outputs=outputs, blocks=list(blocks), use=use)


def network(*layers):
    found = [Some(name=name, type=kind, use=use) for name, kind, use in layers]
    return Some(program=None, pipeline=None, neuralnetwork=Some(layers=found))


def program(*operations):
    block = Some(operations=list(operations))
    return Some(program=Some(functions={"main": Some(block=block)}), neuralnetwork=None,
                pipeline=None)  # fmt: skip


@pytest.fixture
def planned(monkeypatch):
    """Return the plan of a structure, and check what it was asked with."""

    def made(structure):
        found = Some(
            model_structure=structure,
            get_compute_device_usage_for_mlprogram_operation=lambda o: o.use,
            get_compute_device_usage_for_neuralnetwork_layer=lambda layer: layer.use,
        )

        def load(path, units):
            assert (path, units) == ("m.mlmodelc", "CPU_AND_NE")
            return found

        monkeypatch.setattr(compute_plan.MLComputePlan, "load_from_path", load)
        return planning.plan(COMPILED, "CPU_AND_NE")

    return made


def rows(plan):
    return [(o.name, o.kind, o.planned) for o in plan.operations]


def test_operations_of_a_program(planned):
    inner = Some(operations=[operation("in_branch", "ios16.add", GPU)])
    found = planned(program(
        operation("w", "const", None), operation("y", "ios16.conv", ANE),
        operation("z", "ios16.cond", CPU, [inner]), operation("", "print", None),
    ))  # fmt: skip
    assert rows(found) == [
        ("w", "const", ""), ("y", "ios16.conv", "ane"), ("z", "ios16.cond", "cpu"),
        ("in_branch", "ios16.add", "gpu"), ("print", "print", ""),
    ]  # fmt: skip


def test_layers_of_a_network_and_of_a_pipelines_parts(planned):
    first, second = network(("a", "convolution", ANE)), network(("b", "softmax", None))
    assert rows(planned(first)) == [("a", "convolution", "ane")]
    parts = Some(sub_models=[("first", first), ("second", second)])
    pipeline = Some(program=None, neuralnetwork=None, pipeline=parts)
    assert rows(planned(pipeline)) == [("a", "convolution", "ane"), ("b", "softmax", "")]


def test_a_device_that_is_not_known_is_not_guessed(planned):
    odd = Some(preferred_compute_device=object(), supported_compute_devices=[])
    assert rows(planned(network(("a", "add", odd)))) == [("a", "add", "")]


def test_without_a_plan_there_is_none(monkeypatch):
    """On this system coremltools has no plans, which is what older ones say too."""
    assert planning.plan(COMPILED, "CPU_AND_NE") is None

    def refuse(path, units):
        raise ValueError("not supported")

    monkeypatch.setattr(compute_plan.MLComputePlan, "load_from_path", refuse)
    assert planning.plan(COMPILED, "CPU_AND_NE") is None


def test_a_plan_is_kept_in_a_run():
    text = '{"unit": "ane", "input": "i", "outputs": {}, "plan": {"operations": [%s]}}'
    one = '{"name": "y", "kind": "ios16.conv", "planned": "ane"}, {"name": "z", "kind": "cast"}'
    run = Run.model_validate_json(text % one)
    assert run.plan.operations == (
        PlannedOperation(name="y", kind="ios16.conv", planned="ane"),
        PlannedOperation(name="z", kind="cast"),
    )
    assert Run.model_validate_json(run.model_dump_json(exclude_none=True)) == run
