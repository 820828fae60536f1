"""Which operations of an ML Program carry each layer, and what became of the layers that have none.

    constant    its result is the same for each input: it was computed in the conversion
    dead        no output depends on it
    fused       operations of other layers have its weights, or give what the layers behind it give
    lost        none of these: what comes behind it is not what it was

Layers inside of branches and loops are mapped, but not missed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrate.constants import is_constant
from migrate.dataflow import joined, layers
from migrate.features import output_blobs
from migrate.layers.control import Flow as ControlFlow
from migrate.mil.program import every_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migrate.dataflow import Flow
    from migrate.module import Interpreter, Model
    from migrate.network import Layer

END = "the outputs"  # stands among the paths of layers
ABSORBING = {"gelu", "instance_norm", "layer_norm", "reduce_mean", "silu"}  # several layers in one
MOVES = {"cast", "identity"}  # they alone carry no layer


@dataclass(frozen=True)
class Carried:
    """Operations by the paths of layers, names and types."""

    operations: dict[str, list[tuple[str, str]]]

    def has(self, path: str) -> bool:
        """Tell whether an operation carries a layer."""
        return any(kind not in MOVES for _, kind in self.operations.get(path, ()))


class Layout:
    """The layers of a module by their paths: what they are called, and what follows what."""

    def __init__(self, net: Model) -> None:
        self.modules = dict(layers(net))
        self._traced = {_as_traced(path): path for path in self.modules}
        self.stages: dict[str, Interpreter] = _stages(net)
        self.layers: dict[str, Layer] = {}
        for path, module in net.named_modules():
            for op in getattr(module, "ops", ()):
                self.layers[joined(path, op.child)] = op.layer
        self.followers: dict[str, list[str]] = defaultdict(list)
        self._connect(net)

    @property
    def top(self) -> list[str]:
        """The layers that are in no branch and no loop, in order."""
        return [
            f"{p}.{op.child}" if p else op.child for p, s in self.stages.items() for op in s.ops
        ]

    def describe(self, path: str) -> str:
        """Return what a user knows a layer as."""
        stage = next((s for p, s in self.stages.items() if p and path.startswith(f"{p}.")), None)
        stages = list(self.stages.values())
        of = f" of stage {stages.index(stage) + 1}" if stage else ""
        if path in self.layers:
            return f"layer '{self.layers[path].name}'{of}"
        if "entrances." in path:
            inputs = (stage or stages[0]).network.inputs
            return f"the preprocessing of '{inputs[int(path.rpartition('.')[2])].name}'{of}"
        return "the model"

    def name(self, path: str) -> str:
        """Return a layer's own name."""
        return self.layers[path].name if path in self.layers else self.describe(path)

    def home(self, scope: Sequence[str]) -> list[str]:
        """Return the layers that an operation of these modules may be of, the likeliest first."""
        tops = [".".join(scope[:n]) for n in range(len(scope), 0, -1)]
        top = next((self._traced[path] for path in tops if path in self._traced), "")
        if not isinstance(self.modules.get(top), ControlFlow):
            return [top]
        inside = [p for p in self.layers if p.startswith(f"{top}.") and p.split(".")[-1] in scope]
        return [*sorted(inside, key=lambda p: -scope.index(p.split(".")[-1])), top]

    def alive(self) -> set[str]:
        """Return the layers that an output depends on."""
        found: set[str] = set()
        before: dict[str, list[str]] = defaultdict(list)
        for path, following in self.followers.items():
            for follower in following:
                before[follower].append(path)
        waiting = [END]
        while waiting:
            for path in before[waiting.pop()]:
                if path not in found:
                    found.add(path)
                    waiting.append(path)
        return found

    def _connect(self, net: Model) -> None:
        """Find out which layers read what a layer writes."""
        table: dict[str, str] = {}
        for path, stage in self.stages.items():
            writers = {f.name: table.get(f.name, "") for f in stage.network.inputs}
            for op in stage.ops:
                own = joined(path, op.child)
                for blob in op.layer.inputs:
                    self.followers[writers.get(blob, "")].append(own)
                writers.update(dict.fromkeys(op.layer.outputs, own))
            table |= {f.name: writers.get(b, "") for f, b in output_blobs(stage.network)}
        for feature in net.network.outputs:
            for writer in {table[feature.name]} if feature.name in table else set(table.values()):
                self.followers[writer].append(END)


def _as_traced(path: str) -> str:
    """Return what a trace calls a module: lists of modules are not called, and so not named."""
    return ".".join(name for name in path.split(".") if name not in ("entrances", "stages"))


def _stages(net: Any) -> dict[str, Interpreter]:
    if net.network.stages:
        return {f"stages.{i}": stage for i, stage in enumerate(net.stages)}
    return {"": net}


def carried(function: Any, scopes: dict[str, list[str]], layout: Layout) -> Carried:
    """Return the operations that carry each layer."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for operation in every_operation(function):
        if not is_constant(operation) and operation.outputs[0].name in scopes:
            path = layout.home(scopes[operation.outputs[0].name])[0]
            found[path].append((operation.name, operation.op_type))
    return Carried(found)


def missing(layout: Layout, carriers: Carried) -> list[str]:
    """Return the layers that no operation carries, those in branches and loops aside."""
    return [path for path in layout.top if not carriers.has(path)]


def reasons(
    layout: Layout, absent: Iterable[str], flow: Flow, fused: dict[str, str]
) -> dict[str, str]:
    """Return why layers are missing, as far as it is known without running the program."""
    computed = {node.layer for node in flow.nodes if node.value is None}
    alive = layout.alive()
    found = {}
    for path in absent:
        if path not in alive:
            found[path] = "no output depends on it"
        elif path not in computed and not isinstance(layout.modules[path], ControlFlow):
            found[path] = "computed in the conversion: the same for each input"
        elif path in fused:
            found[path] = f"fused into '{fused[path]}'"
    return found


def behind(layout: Layout, path: str, carriers: Carried) -> list[str]:
    """Return the nearest layers behind one that operations carry; END for the outputs."""
    found: dict[str, None] = {}
    waiting, seen = [path], {path}
    while waiting:
        for follower in layout.followers[waiting.pop()]:
            if follower == END or carriers.has(follower):
                found[follower] = None
            elif follower not in seen:
                seen.add(follower)
                waiting.append(follower)
    return list(found)


def absorbing(layout: Layout, users: Iterable[str], carriers: Carried) -> str:
    """Return the operation that stands for several layers, one of which computes with a number."""
    for user in users:
        for path in [user, *(behind(layout, user, carriers) if not carriers.has(user) else ())]:
            for name, kind in carriers.operations.get(path, ()):
                if kind in ABSORBING:
                    return f"rewritten: part of operation '{name}' ({kind})"
    return ""


def settled(
    layout: Layout, path: str, carriers: Carried, agrees: Callable[[str], bool], depth: int = 3
) -> bool:
    """Tell whether all that comes behind a layer without operations is what it should be."""
    return all(
        agrees(follower)
        or (
            follower != END and depth > 1 and settled(layout, follower, carriers, agrees, depth - 1)
        )
        for follower in behind(layout, path, carriers)
    )
