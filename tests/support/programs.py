"""Small ML Programs, built with coremltools' builder and evaluated by us."""

from __future__ import annotations

import contextlib
import io
import warnings

from migrate import evaluate
from migrate.coreml import coremltools

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def evaluated(build, *, target="iOS17", half=False, **inputs):
    """The outputs of the program that `build` makes of these inputs, each operation kept."""
    kinds = {"f": types.fp32, "i": types.int32}
    specs = [mb.TensorSpec(a.shape, kinds[a.dtype.kind]) for a in inputs.values()]
    version = getattr(ct.target, target)
    options = {} if half else {"pass_pipeline": ct.PassPipeline.EMPTY}
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        program = mb.program(input_specs=specs, opset_version=version)(build)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=version,
            skip_model_load=True,
            **options,
        )
        return evaluate(model, inputs)
