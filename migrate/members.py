"""The members of a written module: what they are called, how they are made, what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from migrate import names
from migrate.module import Block, Interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping


def named(net: nn.Module, paths: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return a name for each path of a member, and the layers' names where these had to change.

    What holds a layer's weights is named as the layer; what else it has, after the layer.
    """
    roots = _roots(net)
    owner = {path: max((r for r in roots if f"{path}.".startswith(f"{r}.")), key=len)
             for path in paths}  # fmt: skip
    used = list(dict.fromkeys(owner.values()))
    labels = names.numbered(roots[root] for root in used)
    reserved = {*dir(nn.Module()), "training"}
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
            found.update({f"{member}.{k}": t.numpy() for k, t in value.state_dict().items()})
        else:
            found[member] = value.detach().numpy()
    return found
