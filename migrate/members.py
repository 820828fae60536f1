"""The members of a written module: what they are called, how they are made, what they hold."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from migrate import names
from migrate.block import Block
from migrate.errors import UnsupportedError
from migrate.layers.padding import shortest
from migrate.module import Interpreter
from migrate.printing import Printer

if TYPE_CHECKING:
    from collections.abc import Mapping

# arguments for which one number stands for the same along every axis
PER_AXIS = ("kernel_size", "stride", "padding", "output_padding", "dilation")
FEW = 4  # values that are written out
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

ARRAYS = (
    torch.float16, torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16,
    torch.int32, torch.int64,
)  # fmt: skip


def named(net: nn.Module, paths: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return a name for each path of a member, and the layers' names where these had to change.

    What holds a layer's weights is named as the layer; what else it has, after the layer.
    """
    roots = _roots(net)
    owner = {path: max((r for r in roots if f"{path}.".startswith(f"{r}.")), key=len)
             for path in paths}  # fmt: skip
    used = list(dict.fromkeys(owner.values()))
    labels = names.numbered(roots[root] for root in used)
    reserved = {*dir(nn.Module()), "training", "file", "allow_pickle"}  # the last of np.savez
    stems = names.identifiers(labels, reserved)
    taken = reserved | set(stems.values())
    chosen, layers = {}, {}
    for root, label in zip(used, labels, strict=True):
        parts = [path for path in paths if owner[path] == root]
        heavy = [path for path in parts if _has_weights(at(net, path))]
        main = heavy[0] if len(heavy) == 1 else parts[0] if len(parts) == 1 else ""
        for path in parts:
            last = path.rpartition(".")[2]
            stem = stems[label]
            chosen[path] = stem if path == main else names.fresh(f"{stem}_{last}", taken)
        if stems[label] != roots[root]:
            layers[stems[label]] = roots[root]
    return chosen, layers


def _roots(net: nn.Module) -> dict[str, str]:
    """Return the paths of the layers and inputs, each with Core ML's name of it."""
    roots = {}
    for path, module in net.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, Block):
            roots.update({f"{prefix}{op.child}": op.layer.name or op.layer.kind
                          for op in module.ops})  # fmt: skip
        if isinstance(module, Interpreter):
            inputs = enumerate(module.network.inputs)
            roots.update({f"{prefix}entrances.{i}": feature.name for i, feature in inputs})
    return roots


def at(net: nn.Module, path: str) -> Any:
    """Return the module, parameter or buffer at a path."""
    value: Any = net
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, nn.ParameterList) else getattr(value, name)
    return value


def _has_weights(value: Any) -> bool:
    return not isinstance(value, nn.Module) or bool(value.state_dict())


def weights(net: nn.Module, members: Mapping[str, str]) -> dict[str, Any]:
    """Return the arrays of members, by the names that they have in the written module's state."""
    found = {}
    for member, path in members.items():
        value = at(net, path)
        if isinstance(value, nn.Module):
            state = value.state_dict()
            found.update({f"{member}.{key}": _array(tensor) for key, tensor in state.items()})
        else:
            found[member] = _array(value)
    return found


def _array(tensor: Tensor) -> Any:
    if tensor.dtype not in ARRAYS:
        raise UnsupportedError(f"weights of {tensor.dtype} cannot be written")
    return tensor.detach().numpy()


def constructor(module: nn.Module) -> str:
    """Return the call that makes a stock module, without what is its default."""
    name = f"nn.{type(module).__name__}"
    if isinstance(module, nn.RNNBase):
        relu = ", nonlinearity='relu'" if module.mode == "RNN_RELU" else ""
        return f"{name}({module.extra_repr()}{relu})"
    parts = []
    for key, parameter in inspect.signature(type(module).__init__).parameters.items():
        if key in ("self", "device", "dtype") or key[0] == "_" or parameter.kind in VARIADIC:
            continue
        if not hasattr(module, key) and parameter.default is None:
            continue
        if not hasattr(module, key):
            raise UnsupportedError(f"torch's {name} does not say what it was made of ({key})")
        value: Any = getattr(module, key)
        value = value is not None if key == "bias" and not isinstance(value, bool) else value
        one_axis = isinstance(value, tuple) and (key in PER_AXIS or len(value) == 1)
        value = shortest(value) if one_axis else value
        if parameter.default is inspect.Parameter.empty:
            parts.append(_literal(value))
        elif _literal(value) != _literal(parameter.default):
            parts.append(f"{key}={_literal(value)}")
    (dtype, *others) = {p.dtype for p in module.parameters()} or {torch.float32}
    if others:
        raise UnsupportedError(f"torch's {name} has weights of several types")
    parts += [f"dtype={dtype}"] if dtype != torch.float32 else []
    return f"{name}({', '.join(parts)})"


def _literal(value: Any) -> str:
    return Printer().text(value)


def holder(tensor: Tensor) -> str:
    """Return the call that makes a parameter or buffer like the tensor, with its values if few."""
    kind = "nn.Parameter" if isinstance(tensor, nn.Parameter) else "nn.Buffer"
    dtype = "" if tensor.dtype == torch.float32 else f", dtype={tensor.dtype}"
    if tensor.numel() > FEW:
        return f"{kind}(torch.empty({_literal(list(tensor.shape))[1:-1]}{dtype}))"
    values = tensor.tolist() if tensor.dim() < 2 else tensor.flatten().tolist()
    printer = Printer(exact=tensor.dtype == torch.float64)
    shape = f".reshape({_literal(list(tensor.shape))[1:-1]})" if tensor.dim() > 1 else ""
    return f"{kind}(torch.tensor({printer.text(values)}{dtype}){shape})"
