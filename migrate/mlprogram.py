"""A NeuralNetwork as an ML Program: the only caller of `coremltools.convert`.

The torch module is traced and converted; `lowering` and `regions` translate what coremltools'
front end does not, `interface` carries the features over. What Core ML does with the result on
Apple hardware is not observed here.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import interface, regions
from migrate.block import Custom
from migrate.classification import align_types, classifier
from migrate.compressed import compress, left_out
from migrate.coreml import coremltools
from migrate.description import describe
from migrate.errors import AnereportError, UnsupportedError
from migrate.examples import runnable
from migrate.features import class_features, tensor_outputs
from migrate.lowering import Lowerer
from migrate.module import Model, to_torch
from migrate.numbers import keeps_float32
from migrate.options import Options
from migrate.passes import misleading, pipeline
from migrate.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator


class ConversionError(AnereportError):
    """coremltools could not turn the torch module into an ML Program."""


@dataclass(frozen=True)
class Conversion:
    """An ML Program, and in a sentence each what could not be carried over to it."""

    program: Any
    limits: tuple[str, ...]


def to_mlprogram(
    model: Any,
    precision: str = "fp16",
    target: str = "iOS16",
    custom: Custom | None = None,
    *,
    features: str = "",
    keep_fp32: Sequence[str] = (),
    max_size: int = Options.max_size,
) -> Any:
    """Return the model as a coremltools `MLModel` of type ML Program, converted but not loaded.

    `model` is a path, a `Model_pb2.Model` or an `MLModel`; `precision` is that of the arithmetic,
    "fp16" or "fp32"; `target` the oldest system that is to run it, "iOS15" to "iOS18" or "macOS12"
    to "macOS15"; `custom` gives builders for custom layers by class name. `features` makes the
    arrays at the interface "fp16" or "fp32" instead of what the model declares; `keep_fp32` names
    layers that stay float32 in an fp16 program; `max_size` bounds dimensions that have no bound.
    Raises UnsupportedError with everything that cannot be expressed, ConversionError where
    coremltools fails.
    """
    options = Options(precision, target, features, tuple(keep_fp32), max_size)
    spec = load_spec(model)
    return convert(to_torch(spec, custom), spec, options, digest(model)).program


def digest(model: Any) -> str:
    """Return the sha256 of a model's file, or of the spec as it would be serialized."""
    if isinstance(model, (str, PathLike)) and Path(model).is_file():
        content = Path(model).read_bytes()
    else:
        content = load_spec(model).SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()


def convert(net: Model, source: Any, options: Options, sha256: str) -> Conversion:
    """Return what `net`, the module of the spec `source`, converts to; see `to_mlprogram`.

    `sha256` is that of the source, which the program carries in its metadata.
    """
    network = net.network
    options.check_layers([layer.name for layer in network.all_layers()])
    interface.check_ranks(network)
    varying = network.computes_sizes or any(f.shapes or f.ranges for f in network.inputs)
    lowerer = Lowerer(varying, options.release)
    in_full: list[str] = []

    def finish(program: Any) -> None:
        _check_ranks(program)
        align_types(network, program)
        in_full.extend(compress(program, net.quantised, options.target))

    without = (*misleading(net), *left_out(net.quantised, options.target))
    with lowerer.translating(), _quiet(), pipeline(finish, without) as passes:
        program = _converted(net, _trace(net, lowerer), options, passes)
        spec = program.get_spec()
        describe(spec, source, network, sha256)
        described = coremltools().models.MLModel(
            spec,
            mil_program=program._mil_program,
            weights_dir=program.weights_dir,
            skip_model_load=True,
        )
    return Conversion(described, (*interface.limits(network, options), *in_full))


def _converted(net: Model, traced: Any, options: Options, passes: Any) -> Any:
    """Return what coremltools makes of the traced module; a failure is a ConversionError."""
    ct, network = coremltools(), net.network
    try:
        return ct.convert(
            traced,
            inputs=interface.input_types(network, options),
            outputs=interface.output_types(network, options),
            classifier_config=classifier(network),
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, options.target),
            compute_precision=_precision(net, options),
            pass_pipeline=passes,
            skip_model_load=True,
        )
    except AnereportError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConversionError(
            f"coremltools could not convert the torch module to an ML Program: {first}"
        ) from error


def _check_ranks(program: Any) -> None:
    """Raise UnsupportedError for operations whose tensors have too many dimensions."""
    high = [
        ".".join(scope(op)) or op.op_type
        for op in program.functions["main"].operations
        if any((out.rank or 0) > interface.HIGHEST_RANK for out in op.outputs)
    ]
    if high:
        raise UnsupportedError(
            f"an ML Program's tensors have at most {interface.HIGHEST_RANK} dimensions; more has "
            f"what comes of {', '.join(dict.fromkeys(high))}"
        )


class Traced(nn.Module):
    """The module with features as an ML Program has them.

    An output that is an input is a copy, for it has another name, or else that input itself.
    """

    def __init__(self, net: Model) -> None:
        super().__init__()
        self.net = net
        network, classes = net.network, class_features(net.network)
        same, places = network.passed_through(), [feature.name for feature in network.inputs]
        self.flat = [feature in classes for feature in tensor_outputs(network)]
        self.given = [
            places.index(feature.name) if feature.name in same else None
            for feature in tensor_outputs(network)
        ]

    def forward(self, *tensors: Tensor) -> Any:
        """Return the outputs, the probabilities of a classifier as a vector."""
        found = self.net(*(x if x.is_floating_point() else x.float() for x in tensors))
        outputs = found if isinstance(found, tuple) else (found,)
        rows = zip(outputs, self.flat, self.given, strict=True)
        results = tuple(
            tensors[given] if given is not None else (y.flatten() if flat else y).clone()
            for y, flat, given in rows
        )
        return results if len(results) > 1 else results[0]


def _trace(net: Model, lowerer: Lowerer) -> Any:
    """Return the traced module; raise UnsupportedError with all that MIL cannot express."""
    for stage in getattr(net, "stages", [net]):
        regions.tell_wanted(stage)
    example = runnable(net)
    inputs = tuple(
        example[f.name].int() if f.dtype == "int32" else example[f.name] for f in net.network.inputs
    )
    with lowerer.listening():
        traced = torch.jit.trace(Traced(net), inputs, check_trace=False)  # type: ignore[no-untyped-call]
    if lowerer.refused:
        raise UnsupportedError("; ".join(dict.fromkeys(lowerer.refused)))
    return traced


def _precision(net: Model, options: Options) -> Any:
    ct = coremltools()
    if options.precision == "fp32":
        return ct.precision.FLOAT32
    names = [n for block in net.modules() for n in getattr(block, "layer_names", {}).items()]
    kept = {child for child, name in names if name in options.keep_fp32}

    def is_kept(op: Any) -> bool:
        passes_on = op.op_type == "identity" and not scope(op) and op.x.op is not None
        return keeps_float32(op) or bool(kept & set(scope(op.x.op if passes_on else op)))

    return ct.transform.FP16ComputePrecision(op_selector=lambda op: not is_kept(op))


def scope(op: Any) -> list[str]:
    """Return the names of the modules that a MIL operation comes from, the outermost first."""
    from coremltools.converters.mil.mil.scope import ScopeSource

    names = [str(name) for name in op.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_NAME, [])]
    return names[1:-1]  # without that of what is traced, and the operation's own


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep coremltools' progress bars and torch's tracer warnings from the user's terminal."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
