"""An ML Program as coremltools' loader parses it: the operations of its one function."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from migrate.coreml import coremltools
from migrate.errors import ModelError, UnsupportedError
from migrate.limits import largest
from migrate.mil.registry import ops
from migrate.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = Path("Data", "com.apple.CoreML", "weights")


class Program(NamedTuple):
    """The description of an ML Program, and its function."""

    description: Any
    function: Any  # coremltools' `Function`: inputs, operations, outputs


def load(model: Any) -> Program:
    """Return the program of an `MLModel` or an .mlpackage path.

    Raises ModelError for what is no ML Program or lacks its weights, UnsupportedError for one with
    states, several functions, or operations that are not known, which are listed at once.
    """
    spec = program_spec(model)
    _refuse_unknown(spec)
    return Program(spec.description, _function(model, spec))


def program_spec(model: Any) -> Any:
    """Return the spec of an ML Program of one function without states; an error for any other."""
    spec = load_spec(model)
    if spec.WhichOneof("Type") != "mlProgram":
        raise ModelError(f"{name_of(model)} is not an ML Program")
    functions = list(spec.mlProgram.functions)
    if functions != ["main"]:
        raise UnsupportedError(
            f"{name_of(model)} has {len(functions)} functions ({', '.join(sorted(functions))}); "
            "one named main can be evaluated"
        )
    if spec.description.state:
        names = ", ".join(repr(state.name) for state in spec.description.state)
        raise UnsupportedError(f"{name_of(model)} keeps states ({names}); they are not evaluated")
    return spec


def _refuse_unknown(spec: Any) -> None:
    used: dict[str, None] = {}
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            used.update(dict.fromkeys(o.type for o in every_operation(block)))
    unknown = [name for name in used if name != "const" and name not in ops()]
    if unknown:
        raise UnsupportedError(f"operations that are not known: {', '.join(sorted(unknown))}")


def every_operation(block: Any) -> Iterator[Any]:
    """Yield the operations of a block, those of inner blocks after the one that holds them."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from every_operation(inner)


def _function(model: Any, spec: Any) -> Any:
    coremltools()
    from coremltools.converters.mil.frontend.milproto.load import load as parse

    folder = weights_folder(model)
    try:
        with _constants_affordable():
            program = parse(spec, spec.specificationVersion, str(folder))
    except ModelError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        names_weights = b"weight.bin" in spec.SerializeToString()
        if names_weights and not (folder / "weight.bin").exists():
            why = f"{folder}/weight.bin is missing"
        elif "out of bounds" in why:
            why = f"{folder}/weight.bin ends before the weights that the program reads from it"
        raise ModelError(f"{name_of(model)} cannot be read: {why}") from error
    return program.functions["main"]


@contextmanager
def _constants_affordable() -> Iterator[None]:
    """Let coremltools compute no constant of too many elements while it parses."""
    from coremltools.converters.mil.mil import Operation, types

    compute = Operation._auto_val

    def checked(operation: Any, output_types: Any) -> Any:
        for kind in output_types if operation.op_type != "const" else ():
            sizes = (
                [n for n in kind.get_shape() if isinstance(n, int)] if types.is_tensor(kind) else []
            )
            if math.prod(sizes) > largest():
                raise ModelError(
                    f"operation {operation.name!r} ({operation.op_type}) has the shape "
                    f"{'x'.join(map(str, sizes))}, the largest is {largest():,}"
                )
        return compute(operation, output_types)

    Operation._auto_val = checked
    try:
        yield
    finally:
        Operation._auto_val = compute


def weights_folder(model: Any) -> Path:
    """Return the folder that the weights of an .mlpackage path or an `MLModel` lie in."""
    if isinstance(model, (str, Path)):
        return Path(model) / WEIGHTS
    return Path(model.weights_dir or "")


def name_of(model: Any) -> str:
    """Return what an error calls the model."""
    return str(model) if isinstance(model, (str, Path)) else "the model"
