"""What the constants of a layer may be: its weights, and what rewriting makes of them.

    as it is         the weight, for the argument that it is in torch
    computed         what the module itself computes from weights alone
    folded           a product's weight and bias with the scales and shifts behind it in them
    gates in order   of recurrent layers, as MIL has them; of two biases the sum

Each is computed in float64, with the size of what was added up, which bounds what float32 may lose.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn
from torch.nn import functional as F

from migrate.affine import affine, chains
from migrate.dataflow import Flow, Node, layers
from migrate.layers.gru import GRU, mil_gru_order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from migrate.module import Model

    Array = NDArray[Any]
    Values = Callable[[], tuple[Array, Array]]

PRODUCT = {1: "weight", 2: "bias"}
MATMUL = {0: "weight", 1: "weight"}
OF_FUNCTIONS: dict[str, dict[int, str]] = {
    "conv1d": PRODUCT, "conv2d": PRODUCT, "conv3d": PRODUCT,
    "conv_transpose1d": PRODUCT, "conv_transpose2d": PRODUCT, "conv_transpose3d": PRODUCT,
    "linear": PRODUCT, "matmul": MATMUL, "__matmul__": MATMUL, "bmm": MATMUL, "mm": MATMUL,
    "layer_norm": {2: "gamma", 3: "beta"}, "group_norm": {2: "gamma", 3: "beta"},
    "instance_norm": {3: "gamma", 4: "beta"}, "prelu": {1: "slope"},
}  # fmt: skip
F_BATCH_NORM = {1: "mean", 2: "variance", 3: "gamma", 4: "beta"}
BATCH_NORM = {1: "gamma", 2: "beta", 3: "mean", 4: "variance"}
BY_NAME = {"weight": "gamma", "running_mean": "mean", "running_var": "variance", "bias": "beta"}
AS_IT_WAS = {"atleast_1d", "clone", "contiguous", "cpu", "detach"}
ACCEPTED: dict[str, set[str]] = {  # roles in torch for a role in MIL
    "gamma": {"gamma", "factor"},
    "factor": {"gamma", "factor"},
    "beta": {"beta", "term"},
    "term": {"beta", "term", "bias"},
    "bias": {"bias", "term", "beta"},
    "slope": {"slope", "factor"},
}


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a constant of a layer may be, in one role."""

    role: str
    weights: frozenset[str]  # that it is made from
    layers: frozenset[str]  # that it stands for
    values: Values
    how: str = ""  # it was rewritten; "" for the weight as it is
    count: int = 0  # of values, where it is known without computing them

    def fits(self, role: str) -> bool:
        """Tell whether it may be a constant of this role."""
        return role == "" or self.role in ACCEPTED.get(role, {role})


def candidates(net: Model, flow: Flow) -> dict[str, list[Candidate]]:
    """Return the candidates by the paths of layers."""
    found: dict[str, list[Candidate]] = defaultdict(list)
    paths = {path for path, _ in layers(net)}
    for path, tensor in (*net.named_parameters(), *net.named_buffers()):
        if tensor.numel():
            layer = owner(path, paths)
            node = Node(layer, path, value=tensor)
            found[layer].append(_of_node("", node, layer))
    for path, module in layers(net):
        found[path] += _recurrent(path, module)
    for layer, node in flow.captured:
        found[layer].append(_of_node("", node, layer))
    for node in flow.nodes:
        if node.value is not None and node.weights:
            found[node.layer].append(_of_node("", node, node.layer))
        found[node.layer] += _given(node)
        for layer, candidate in _folded(node):
            found[layer].append(candidate)
    return found


def owner(path: str, paths: Collection[str]) -> str:
    """Return the layer that a module or parameter belongs to."""
    while path and path not in paths:
        path = path.rpartition(".")[0]
    return path


def _of_node(role: str, node: Node, layer: str) -> Candidate:
    computed = _computed(node)
    return Candidate(
        role,
        node.weights,
        frozenset([layer, node.layer]),
        partial(_exactly if computed else _stored, node),
        f"computed: {computed}" if computed else "",
        0 if node.value is None else node.value.numel(),
    )


def _stored(node: Node) -> tuple[Array, Array]:
    assert node.value is not None
    values: Array = node.value.detach().numpy()
    return values, values


def _exactly(node: Node) -> tuple[Array, Array]:
    """Return what a constant is in float64, and its size, with how far off float32 is."""
    exact, (near, _) = node.exact().numpy(), _stored(node)
    off = np.abs(exact.astype(np.float64) - near)
    return exact, np.abs(exact) + np.nan_to_num(off.max(initial=0.0)) * 2.0**24


def _computed(node: Node) -> str:
    """Return the functions that a constant was computed by, the last one last."""
    names: dict[str, None] = {}
    waiting, seen = [node], set()
    while waiting:
        at = waiting.pop()
        if at.function is not None and at not in seen:
            seen.add(at)
            names[at.name.strip("_")] = None
            waiting += at.inputs()
    return ", ".join(name for name in reversed(names) if name not in AS_IT_WAS)


def _given(node: Node) -> Iterator[Candidate]:
    """Yield the constants that a call is given."""
    roles = dict(OF_FUNCTIONS.get(node.name, {}))
    if node.name == "batch_norm":
        roles = F_BATCH_NORM if node.function is F.batch_norm else BATCH_NORM
    named = BY_NAME if node.name.endswith("_norm") else {"weight": "weight", "bias": "bias"}
    given = [(roles.get(i, ""), x) for i, x in enumerate(node.args)]
    given += [(named.get(key, ""), x) for key, x in node.kwargs.items()]
    for role, x in given:
        for part in x if isinstance(x, (list, tuple)) else [x]:
            if isinstance(part, Node) and part.value is not None:
                yield _of_node(role, part, node.layer)
    step = affine(node)
    if step is None:
        return
    for role, how, values in step.roles:
        weights = frozenset().union(*(n.weights for n in step.constants))
        layers = frozenset([node.layer, *(n.layer for n in step.constants)])
        computed = [f"computed: {what}" for n in step.constants if (what := _computed(n))]
        how = "; ".join([*computed, how] if how else computed)
        yield Candidate(role, weights, layers, partial(_sized, values), how)


def _sized(values: Callable[[], Array]) -> tuple[Array, Array]:
    found = values()
    return found, np.abs(found)


def _folded(node: Node) -> Iterator[tuple[str, Candidate]]:
    """Yield what scales and shifts that end here make of each other and of the product before."""
    for chain in chains(node):
        for role, values in chain.roles():
            candidate = Candidate(role, chain.weights, chain.layers, values, chain.how)
            for layer in {node.layer, chain.first}:
                yield layer, candidate


def _recurrent(path: str, module: Any) -> Iterator[Candidate]:
    """Yield the weights of a recurrent layer as MIL has them."""
    layers = frozenset([path])
    for name, inner in module.named_modules(prefix=path):
        if isinstance(inner, nn.RNNBase):
            order = _ifoz if isinstance(inner, nn.LSTM) else _as_is
            for way, suffix in (("", ""), ("_back", "_reverse")):
                for role in ("weight_ih", "weight_hh", "bias_ih bias_hh"):
                    names = [f"{part}_l0{suffix}" for part in role.split()]
                    if hasattr(inner, names[0]):
                        tensors = [getattr(inner, n) for n in names]
                        yield Candidate(
                            f"{role.split('_ih bias')[0]}{way}",
                            frozenset(f"{name}.{n}" for n in names),
                            layers,
                            partial(_summed, tensors, order),
                            "the gates in MIL's order" if order is _ifoz else "merged",
                        )
        elif isinstance(inner, GRU):
            roles = {"weight_ih": "weight", "weight_hh": "recursion", "bias": "bias"}
            for role, key in roles.items():
                values = partial(_summed, [getattr(inner, key)], mil_gru_order)
                weights = frozenset([f"{name}.{key}"])
                yield Candidate(role, weights, layers, values, "the gates in MIL's order")
    for i, peephole in enumerate(getattr(module, "peepholes", ())):
        values = partial(_summed, [peephole], _as_is)
        weights = frozenset([f"{path}.peepholes.{i}"])
        yield Candidate(f"peephole{'_back' * i}", weights, layers, values)


def _summed(tensors: list[Any], order: Callable[[Any], Any]) -> tuple[Array, Array]:
    arrays = [order(tensor.detach().numpy()) for tensor in tensors]
    if len(arrays) == 1:
        return arrays[0], arrays[0]
    wide = [array.astype(np.float64) for array in arrays]
    return np.sum(wide, axis=0), np.sum(np.abs(wide), axis=0)


def _as_is(weight: Array) -> Array:
    return weight


def _ifoz(weight: Array) -> Array:
    i, f, z, o = np.split(weight, 4)
    return np.concatenate([i, f, o, z])
