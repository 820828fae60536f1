"""Small NeuralNetworks to migrate, and records of what they and their ML Programs gave."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from dataclasses import replace

import numpy as np

import migrate
from migrate.coreml import coremltools, proto
from reporter.measure import record
from reporter.measure.record import Device, Failure, Plan, PlannedOperation, Run, Tensor
from reporter.measure.simulate import simulate, values
from reporter.write.privacy.redact import redact

ct = coremltools()
FLOAT32 = 65568
KERNEL = np.float32([[1 / 3, -0.7], [0.9, 0.11], [-1.3, 0.47]])
DEVICE = Device(label="my phone", build="20C65", identifier="iPhone14,2")


def spec_of(name="x", output="y", declared=(), kernel=KERNEL, dtype=FLOAT32):
    """A convolution and a ReLU: (1, 2, 2, 3) to (1, 3, 2, 3)."""
    spec = proto("Model_pb2").Model(specificationVersion=4)
    network = spec.neuralNetwork
    network.arrayInputShapeMapping = 1
    layer = network.layers.add(name="convolution", input=[name], output=["between"])
    convolution = layer.convolution
    convolution.outputChannels, convolution.kernelChannels, convolution.nGroups = 3, 2, 1
    convolution.kernelSize.extend([1, 1])
    convolution.valid.SetInParent()
    convolution.weights.floatValue.extend(kernel.ravel())
    convolution.hasBias = True
    convolution.bias.floatValue.extend([0.1, -0.2, 0.3])
    layer = network.layers.add(name="relu", input=["between"], output=[output])
    layer.activation.leakyReLU.alpha = 0.3
    given = spec.description.input.add(name=name).type.multiArrayType
    given.shape.extend([1, 2, 2, 3])
    given.dataType = dtype
    made = spec.description.output.add(name=output).type.multiArrayType
    made.shape.extend(declared)
    made.dataType = FLOAT32
    return spec


def written(path, spec):
    """The path that a spec has been written to."""
    path.write_bytes(spec.SerializeToString(deterministic=True))
    return path


def model(path, **options):
    """The path of such a network."""
    return written(path, spec_of(**options))


def overflowing(path):
    """The path of a network with a blob that float16 makes infinite, and with it the output."""
    spec = spec_of()
    network = spec.neuralNetwork
    for name, alpha in (("larger", 1e6), ("smaller", 1e-3)):
        layer = network.layers.add(name=name, input=[network.layers[-1].output[0]], output=[name])
        layer.activation.linear.alpha = alpha
    spec.description.output[0].name = "smaller"
    return written(path, spec)


def broken(program, by=0.5):
    """The program with another weight in its first convolution."""
    from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource

    mb = ct.converters.mil.Builder
    pymil = program._mil_program
    main = pymil.functions["main"]
    operation = next(op for op in main.operations if op.op_type == "conv")
    old = operation.inputs["weight"]
    source = ScopeInfo(ScopeSource.COREMLTOOLS_GRAPH_PASS, ["tamper"])
    with main, mb.scope(source):
        new = mb.const(val=old.val + old.val.dtype.type(by), name="tampered", before_op=operation)
        main.replace_uses_of_var_after_op(
            anchor_op=new.op, end_op=operation, old_var=old, new_var=new, no_check_var_types=True
        )
    target = f"iOS{program.get_spec().specificationVersion + 9}"
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return ct.convert(
            pymil, convert_to="mlprogram", pass_pipeline=ct.PassPipeline.EMPTY,
            minimum_deployment_target=getattr(ct.target, target), skip_model_load=True,
        )  # fmt: skip


def breaking(wanted, by=0.5):
    """A `migrate.convert` whose programs are broken if their options are `wanted`."""
    real = migrate.convert

    def convert(net, source, options, sha256):
        done = real(net, source, options, sha256)
        return replace(done, program=broken(done.program, by)) if wanted(options) else done

    return convert


def no_conversion(*arguments):
    """In place of `migrate.convert`, where nothing may be converted again."""
    raise AssertionError("something was converted")


def measured(found, **device):
    """A simulated record as a device would have written it."""
    update = {"evidence": "measured", "device": DEVICE.model_copy(update=device)}
    return found.model_copy(update=update)


def changed(found, unit, change):
    """A record with other runs of a unit: `change` is a function of each."""
    runs = tuple(change(run) if run.unit == unit else run for run in found.runs)
    return found.model_copy(update={"runs": runs})


def gives(found, unit, **outputs):
    """A record in which a unit gives other outputs."""
    return changed(found, unit, lambda run: run.model_copy(update={"outputs": values(outputs)}))


def fails(found, unit, stage="predict", message="it died"):
    """A record in which a unit failed."""
    failure = Failure(stage=stage, message=message)
    return changed(found, unit, lambda r: Run(unit=r.unit, input=r.input, failure=failure))


def without(found, *units):
    """A record without the runs of some units."""
    runs = tuple(run for run in found.runs if run.unit not in units)
    return found.model_copy(update={"runs": runs})


def plan(*operations):
    """A plan of (name, kind, unit) operations."""
    return Plan(
        operations=[PlannedOperation(name=n, kind=k, planned=unit) for n, k, unit in operations]
    )


WHOLE = plan(("in", "ios16.cast", "cpu"), ("c", "ios16.conv", "ane"), ("out", "cast", "cpu"))
PARTIAL = plan(("c", "ios16.conv", "ane"), ("relu", "ios16.leaky_relu", "cpu"))


def planned(found, given=WHOLE, unit="ane"):
    """A record whose runs of a unit hold a plan."""
    return changed(found, unit, lambda run: run.model_copy(update={"plan": given}))


def with_inputs(found, **inputs):
    """A record of other inputs, which keeps its outputs."""
    (name,) = found.inputs
    tensors = {key: Tensor.of(np.asarray(value)) for key, value in inputs.items()}
    return found.model_copy(update={"inputs": {name: tensors}})


def put(path, found):
    """The path that a record has been written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.dumps(found), encoding="utf-8")
    return path


def both(source, package, fault="bias-only@convolution"):
    """Records, as measured, of a network that is wrong on the ANE, and of a program that is not."""
    before, after = simulate(source, fault), simulate(package, "none")
    return measured(before), planned(measured(after))


def strict(text):
    """What a JSON text holds; a bare NaN or Infinity is refused."""

    def refuse(constant):
        raise AssertionError(f"a bare {constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def as_kept(migration):
    """A migration as its file has it: its commands name no folder of this machine."""
    verdicts = tuple(
        replace(v, commands=tuple(map(redact, v.commands))) for v in migration.verdicts
    )
    return migration.model_copy(update={"verdicts": verdicts})
