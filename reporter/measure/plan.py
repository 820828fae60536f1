"""Where Core ML anticipates that operations run: `MLComputePlan`. Not yet run on hardware.

It is a plan (macOS 14.4 and later), not a trace: nothing public says what really ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from reporter.measure.record import Plan, PlannedOperation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Unit = Literal["cpu", "gpu", "ane", ""]

DEVICES: dict[str, Unit] = {  # classes of coremltools.models.compute_device
    "MLCPUComputeDevice": "cpu",
    "MLGPUComputeDevice": "gpu",
    "MLNeuralEngineComputeDevice": "ane",
}


def plan(compiled: Path, units: Any) -> Plan | None:
    """Return the plan of an .mlmodelc for a `ComputeUnit`; None where there is none to have.

    A plan is beside the point of a prediction: whatever stands in its way is no error.
    """
    try:
        from coremltools.models.compute_plan import MLComputePlan

        found = MLComputePlan.load_from_path(str(compiled), units)
        return Plan(operations=tuple(_of_structure(found, found.model_structure)))
    except Exception:  # an older system, or what coremltools raises natively
        return None


def _of_structure(found: Any, structure: Any) -> Iterator[PlannedOperation]:
    """Yield the operations of a program, the layers of a network, or of a pipeline all parts'."""
    if structure.program is not None:
        for function in structure.program.functions.values():
            yield from _of_block(found, function.block)
    elif structure.neuralnetwork is not None:
        for layer in structure.neuralnetwork.layers:
            usage = found.get_compute_device_usage_for_neuralnetwork_layer(layer)
            yield PlannedOperation(name=layer.name, kind=layer.type, planned=_planned(usage))
    elif structure.pipeline is not None:
        for _, part in structure.pipeline.sub_models:
            yield from _of_structure(found, part)


def _of_block(found: Any, block: Any) -> Iterator[PlannedOperation]:
    for operation in block.operations:
        name = operation.outputs[0].name if operation.outputs else operation.operator_name
        usage = found.get_compute_device_usage_for_mlprogram_operation(operation)
        yield PlannedOperation(name=name, kind=operation.operator_name, planned=_planned(usage))
        for inner in operation.blocks:
            yield from _of_block(found, inner)


def _planned(usage: Any) -> Unit:
    """Return where an operation is preferred to run; nothing if that could not be determined."""
    if usage is None:
        return ""
    return DEVICES.get(type(usage.preferred_compute_device).__name__, "")
