"""Known incidents: public reports whose trigger the model has and whose symptom the output shows.

`incidents.json` is dated data; nothing of it was reproduced here. A match looks like a report, and
is never said to be it. Kinds are those of layers and of ML Program operations:

    activation:softplus      a NeuralNetwork's layer and what its parameters say
    convolution:depthwise    as many groups as channels, more than one
    convolution:oblong       a kernel of two sizes and a stride
    conv                     an operation of an ML Program
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate import Network, ProgramOverview

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from migrate import Feature, Layer
    from reporter.understand.signatures import Signature

DATA = Path(__file__).with_name("incidents.json")
PADDED = 32  # float16 numbers of the 64 bytes that rows are padded to
BESIDE = ("cast", "constexpr_affine_dequantize", "constexpr_lut_to_dense")  # between operations


@dataclass(frozen=True)
class Trigger:
    """What a model must have: every condition that is given."""

    kinds: tuple[tuple[str, ...], ...] = ()  # of each group, one must be there
    follows: tuple[tuple[str, ...], ...] = ()  # the same, each reading the one before
    channels_above: int = 0  # where the first of `follows` hands on to the second
    width_below: int = 0  # of an output's last axis
    width_from: int = 0  # of an input's last axis
    padded_rows: bool = False  # an output's rows are no multiple of 64 bytes in float16
    output_dtype: str = ""
    flexible: bool = False  # an input of several sizes
    format: str = ""  # "neuralnetwork" or "mlprogram"


@dataclass(frozen=True)
class Incident:
    """A public report, and what it takes to look like it."""

    id: str
    title: str
    codes: tuple[str, ...]  # of signatures, any of which is its symptom
    trigger: Trigger
    devices: str
    first: str  # seen, as year, month and day as far as known
    last: str
    url: str  # empty where the source has no address of its own
    source: str  # how far it was verified

    @property
    def says(self) -> str:
        """The sentence that a report may carry, and no more than it."""
        return f"looks like {self.id}"


@dataclass(frozen=True)
class _Step:
    """A layer or operation: the kinds that it counts as, what it reads, how many channels."""

    kinds: frozenset[str]
    inputs: frozenset[str]
    outputs: frozenset[str]
    channels: int


@dataclass(frozen=True)
class _Facts:
    steps: tuple[_Step, ...]
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    format: str


@cache
def incidents() -> tuple[Incident, ...]:
    """Return the table."""
    rows = json.loads(DATA.read_text(encoding="utf-8"))["incidents"]
    return tuple(_incident(row) for row in rows)


def known(model: Network | ProgramOverview, signatures: Iterable[Signature]) -> list[Incident]:
    """Return the incidents that a model's output looks like, in the order of its signatures.

    Of an ML Program, an operation counts as reading the one before it in the order of execution.
    """
    facts = _of_network(model) if isinstance(model, Network) else _of_program(model)
    codes = [signature.code for signature in signatures]
    found = [
        (min(codes.index(code) for code in incident.codes if code in codes), incident)
        for incident in incidents()
        if set(incident.codes) & set(codes) and _triggered(facts, incident.trigger)
    ]
    return [incident for _, incident in sorted(found, key=lambda pair: pair[0])]


def _incident(row: dict[str, Any]) -> Incident:
    trigger: dict[str, Any] = {
        name: tuple(map(tuple, value)) if name in ("kinds", "follows") else value
        for name, value in row["trigger"].items()
    }
    return Incident(**{**row, "codes": tuple(row["codes"]), "trigger": Trigger(**trigger)})


def _triggered(facts: _Facts, trigger: Trigger) -> bool:
    there = frozenset(kind for step in facts.steps for kind in step.kinds)
    return (
        all(there.intersection(group) for group in trigger.kinds)
        and (not trigger.follows or _follows(facts.steps, trigger))
        and _features_match(facts, trigger)
        and trigger.format in ("", facts.format)
    )


def _features_match(facts: _Facts, trigger: Trigger) -> bool:
    outs = [f.shape[-1] for f in facts.outputs if f.shape and f.shape[-1] > 0]
    ins = [f.shape[-1] for f in facts.inputs if f.shape]
    return (
        (not trigger.width_below or any(n < trigger.width_below for n in outs))
        and (not trigger.width_from or any(n >= trigger.width_from for n in ins))
        and (not trigger.padded_rows or any(n % PADDED for n in outs))
        and (not trigger.flexible or any(f.flexible for f in facts.inputs))
        and (not trigger.output_dtype or trigger.output_dtype in [f.dtype for f in facts.outputs])
    )


def _follows(steps: Sequence[_Step], trigger: Trigger) -> bool:
    """Tell whether steps of the kinds named read each other, one after the other."""
    first, *rest = trigger.follows
    ends = [s for s in steps if s.kinds.intersection(first)]
    ends = [s for s in ends if s.channels > trigger.channels_above or not trigger.channels_above]
    for group in rest:
        blobs = frozenset(blob for step in ends for blob in step.outputs)
        ends = [s for s in steps if s.kinds.intersection(group) and s.inputs & blobs]
    return bool(ends)


def _of_network(network: Network) -> _Facts:
    steps = tuple(
        _Step(
            frozenset(_kinds(layer)),
            frozenset(layer.inputs),
            frozenset(layer.outputs),
            int(getattr(layer.params, "outputChannels", 0)),
        )
        for layer in network.all_layers()
    )
    return _Facts(steps, network.inputs, network.outputs, "neuralnetwork")


def _kinds(layer: Layer) -> Iterator[str]:
    """Yield the kind of a layer, and what its parameters make of it."""
    kind, params = layer.kind, layer.params
    yield kind
    if kind == "activation":
        yield f"activation:{params.WhichOneof('NonlinearityType')}"
    elif kind == "reorganizeData":
        yield f"reorganizeData:{params.ReorganizationType.Name(params.mode)}"
    elif kind == "unary":
        yield f"unary:{params.Operation.Name(params.type)}"
    elif kind == "pooling":
        yield f"pooling:{params.PoolingType.Name(params.type)}"
    elif kind == "convolution":
        if 1 < params.nGroups == params.outputChannels:
            yield "convolution:depthwise"
        if len(set(params.kernelSize)) > 1 and any(n > 1 for n in params.stride):
            yield "convolution:oblong"


def _of_program(program: ProgramOverview) -> _Facts:
    operations = [o for o in program.operations if o.kind not in BESIDE]
    beside = [o for o in program.operations if o.kind in BESIDE]
    steps = [
        _Step(
            frozenset({operation.kind}),
            frozenset({str(i - 1)}),
            frozenset({str(i)}),
            operation.shape[1] if operation.shape and len(operation.shape) > 1 else 0,
        )
        for i, operation in enumerate(operations)
    ]
    steps += [_Step(frozenset({o.kind}), frozenset(), frozenset(), 0) for o in beside]
    return _Facts(tuple(steps), program.inputs, program.outputs, "mlprogram")
