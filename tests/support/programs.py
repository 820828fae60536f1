"""Small ML Programs, built with coremltools' builder and evaluated by us."""

from __future__ import annotations

import contextlib
import io
import warnings

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.mil.registry import ops

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
