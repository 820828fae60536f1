"""Small ML Programs, evaluated by us: of coremltools' builder, and of layers side by side."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import migrate
from migrate import evaluate
from migrate.coreml import coremltools, proto
from migrate.mil.registry import ops
from migrate.mlprogram import scope

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


@contextlib.contextmanager
def quiet():
    """Keep coremltools' progress bars and warnings out of the tests."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def evaluated(build, target="iOS17", *, half=False, **inputs):
    """The outputs of the program that `build` makes of these inputs, each operation kept."""
    kinds = {"f": types.fp32, "i": types.int32}
    specs = [mb.TensorSpec(a.shape, kinds[a.dtype.kind]) for a in inputs.values()]
    version = getattr(ct.target, target)
    options = {} if half else {"pass_pipeline": ct.PassPipeline.EMPTY}
    with quiet():
        program = mb.program(input_specs=specs, opset_version=version)(build)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=version,
            skip_model_load=True,
            **options,
        )
        return evaluate(model, inputs)


def outputs_of(build, target="iOS17", *, half=False, **inputs):
    """The same as a list, in the program's order."""
    return list(evaluated(build, target, half=half, **inputs).values())


def compute(name, **arguments):
    """What the function of one operation gives, called directly."""
    return ops()[name].compute(**arguments)


class Case(NamedTuple):
    """A layer to convert: its inputs, of which some may be `stored` in the network instead."""

    kind: str
    inputs: Sequence[Any]
    operation: str  # of MIL, which carries the layer
    outputs: int
    stored: Sequence[int]
    fill: Callable[[Any], None]
    fields: dict[str, Any]


def case(kind, inputs, operation="", *, outputs=1, stored=(), fill=lambda params: None, **fields):
    """A layer with these fields, and what `fill` sets beside them."""
    return Case(kind, inputs, operation, outputs, stored, fill, fields)


def side_by_side(cases, rank5=False):
    """A network with these layers beside each other, and the inputs that it takes."""
    spec = proto("Model_pb2").Model(specificationVersion=1 if rank5 else 4)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    given = {}
    for number, case in enumerate(cases):
        names = [f"in_{number}_{i}" for i in range(len(case.inputs))]
        for i, (name, value) in enumerate(zip(names, case.inputs, strict=True)):
            if i in case.stored:
                layer = spec.neuralNetwork.layers.add(name=name, output=[name]).loadConstantND
                layer.shape.extend(np.shape(value))
                layer.data.floatValue.extend(np.ravel(value))
            else:
                given[name] = np.asarray(value, np.float32)
                array = spec.description.input.add(name=name).type.multiArrayType
                array.shape.extend(np.shape(value))
                array.dataType = array.FLOAT32
        results = [f"out_{number}_{i}" for i in range(case.outputs)]
        layer = spec.neuralNetwork.layers.add(name=f"case_{number}", input=names, output=results)
        params = getattr(layer, case.kind)
        params.SetInParent()
        for field, value in case.fields.items():
            if isinstance(value, (list, tuple)):
                getattr(params, field).extend(value)
            else:
                setattr(params, field, value)
        case.fill(params)
        for name in results:
            array = spec.description.output.add(name=name).type.multiArrayType
            array.dataType = array.FLOAT32
    return spec, given


def run_program(case, target="iOS18"):
    """The first output of a layer as an ML Program."""
    spec, given = side_by_side([case])
    return migrate.evaluate(migrate.to_mlprogram(spec, "fp32", target), given)["out_0_0"]


def differences(cases, target, precision="fp32", tolerance=1e-6, rank5=False):
    """What is wrong with cases {name: Case} as one ML Program, by name: {} if nothing is.

    Its outputs must be those of the torch module, whose own tests have an independent oracle; and
    one operation of the kind that a case names must carry its layer.
    """
    spec, given = side_by_side(cases.values(), rank5)
    program = migrate.to_mlprogram(spec, precision, target)
    want, got = migrate.to_torch(spec).predict(given), migrate.evaluate(program, given)
    kinds = operations(program)
    wrong = {}
    for number, (name, layer) in enumerate(cases.items()):
        found = [kind for kind, modules in kinds if f"case_{number}" in modules]
        if layer.operation and found.count(layer.operation) != 1:
            wrong[name] = f"it is carried by {found}"
        for i in range(layer.outputs):
            a, b = (side[f"out_{number}_{i}"] for side in (got, want))
            if not same(a, b, tolerance):
                wrong[name] = f"output {i} is {a.tolist()}, of torch {b.tolist()}"
    return wrong


def same(a, b, tolerance):
    """Whether two arrays are of one shape and equal within a tolerance, nan where nan is."""
    with np.errstate(invalid="ignore"):
        return a.shape == b.shape and np.allclose(a, b, tolerance, tolerance, equal_nan=True)


def operations(program):
    """The kind of each operation of a program, and the modules that it comes from."""
    found = program._mil_program.functions["main"].operations
    return [(op.op_type, scope(op)) for op in found if op.op_type != "const"]
