"""A whole model as statements: its inputs, its networks one after another, and what it returns."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from migrate import features, members, names, shapes
from migrate.errors import ModelError, UnsupportedError
from migrate.examples import examples
from migrate.feature_types import default_shape
from migrate.helpers import NAMES as HELPERS
from migrate.module import Interpreter
from migrate.printing import MEMBER, VARIABLE, string
from migrate.program import Program
from migrate.recording import Recorder
from migrate.statements import Line, Statement, all_reads, every, inline, lines, live, names_of

if TYPE_CHECKING:
    from torch import Tensor

    from migrate.feature_types import Feature
    from migrate.module import Model

# What the text uses, and variables that are hard to tell from digits.
RESERVED = {
    "self", "range", "int", "tuple", "float", "super", "load", "_", "torch", "nn", "F", "np",
    "Path", "math", "partial", "l", "O", "I",
}  # fmt: skip
SECOND_TRIES = 4  # inputs of another size
PATIENCE = 60.0  # seconds for inputs on which the model can be run
VARIABLES = re.compile(f"{VARIABLE}(\\w+){VARIABLE}")
MEMBERS = re.compile(f"{MEMBER}([\\w.]+){MEMBER}")
ASSIGNED_ITSELF = re.compile(r"\s*(\w+) = \1")


@dataclass
class Transcript:
    """The statements of a model and what they need; names are final."""

    parameters: list[str]
    body: list[str]
    members: dict[str, str]  # a member's name to its path in the recorded module
    blobs: dict[str, str]  # a variable's name to the blob's, or feature's
    layers: dict[str, str]  # the start of a member's name to the layer's, if it is another
    helpers: list[Any]
    imports: set[str]
    shapes: dict[str, Any]  # a constant's name to the shapes that an input allows


def transcribe(net: Model) -> Transcript:
    """Record the module on example inputs; raises what stood in the way of the first ones."""
    errors = []
    until = monotonic() + PATIENCE
    for inputs in examples(net.network):
        try:
            transcript = _Recording(net).run(inputs)
        except ModelError as error:  # other inputs may fit
            errors.append(error)
            if monotonic() > until:
                break
        else:
            _require_the_same(transcript, inputs, net)
            return transcript
    raise errors[0]


def _require_the_same(transcript: Transcript, inputs: dict[str, Tensor], net: Model) -> None:
    """Refuse a module of which other inputs that it allows give another text."""
    sizes = [x.shape for x in inputs.values()]
    others = (o for o in examples(net.network) if [x.shape for x in o.values()] != sizes)
    varies = any(feature.flexible for feature in net.network.inputs)
    for other in itertools.islice(others, SECOND_TRIES) if varies else ():
        with suppress(ModelError):  # the network does not run on these
            if _Recording(net).run(other).body == transcript.body:
                return
            raise UnsupportedError(
                "model.py cannot follow the network, which does something else for inputs of "
                "other sizes"
            )


class _Recording:
    """One attempt to record a model."""

    def __init__(self, net: Model) -> None:
        self.net = net
        self.stages: list[Any] = list(getattr(net, "stages", [net]))  # of a pipeline
        networks = [stage.network for stage in self.stages]
        flows = any(layer.blocks for n in networks for layer in n.layers)
        vary = net.network.computes_sizes or any(
            _varies(f, networks[0].rank5_arrays) for f in net.network.inputs
        )
        self.recorder = Recorder(net, sizes_vary=vary, fold=not flows)
        self.core = _core_names(net, self.stages)
        unique = names.numbered(self.core.values())
        chosen = names.identifiers(unique, reserved=RESERVED | HELPERS)
        variables = {key: chosen[name] for key, name in zip(self.core, unique, strict=True)}
        self.program = Program(self.recorder, variables, RESERVED | HELPERS)
        self.shapes: dict[str, Any] = {}
        self.parameters: dict[str, str] = {}  # names, with those of the blobs that they become
        self.entered = 0  # how many statements belong to the inputs

    def run(self, inputs: dict[str, Tensor]) -> Transcript:
        """Record the model on these inputs."""
        table = dict(inputs)
        with self.recorder.recording():
            self._admit(table)
            for scope, stage in enumerate(self.stages):
                outputs = self._stage(stage, scope, table)
                if stage is self.net:
                    break
                given = features.tensor_outputs(stage.network)
                for feature, value in zip(given, outputs, strict=True):
                    passed = {("output", feature.name): features.passed_on(feature, value)}
                    table.update(self.program.assign(passed))
            else:
                wanted = features.tensor_outputs(self.net.network)
                outputs = [table[feature.name] for feature in wanted]
            result = ", ".join(self.program.text(value) for value in outputs)
        return self._finish(result)

    def _admit(self, table: dict[str, Tensor]) -> None:
        """Name the parameters; fill optional ones, check flexible ones."""
        for feature in self.net.network.inputs:
            name = self.program.variables["input", feature.name]
            self.parameters[name] = self.program.variables.get((0, feature.name), "")
            self.recorder.name(table[feature.name], name)
            parameter = self.program.text(table[feature.name])
            if feature.optional:
                default = self.program.printer.text(feature.default or 0.0)
                fill = f"torch.full({default_shape(feature)}, {default})"
                self.program.printer.imports.add("torch")
                self.program.say(f"{parameter} = {fill} if {parameter} is None else {parameter}")
            if feature.flexible:
                constant = names.fresh(f"{name.upper()}_SHAPES", self.program.taken)
                self.shapes[constant] = shapes.allowed(feature)
                check = self.program.printer.function(shapes.check_shape)
                self.program.say(f"{check}({parameter}, {string(feature.name)}, {constant})")

    def _stage(self, stage: Interpreter, scope: int, table: dict[str, Tensor]) -> list[Tensor]:
        blobs: dict[str, Tensor] = {}
        for feature, entrance in zip(stage.network.inputs, stage.entrances, strict=True):
            x = table.get(feature.name)
            if x is None:
                x = features.admitted(feature, None, torch.float32)
            blobs.update(self.program.assign({(scope, feature.name): entrance(x)}))
        self.entered = self.entered or len(self.program.statements)
        self.program.block(stage, blobs, scope)
        return [leave(blobs[blob]) for blob, leave in stage.exits]

    def _finish(self, result: str) -> Transcript:
        read = set(VARIABLES.findall(result))
        statements = inline(live(self.program.statements, read), self.program.bases)
        final = self._final_names(statements, read)
        text = "\n".join(lines(statements, all_reads(statements) | read))
        text = _returning(text, result, all_reads(statements))
        seen = set(VARIABLES.findall(text))
        blobs = {final.get(v, v): self.core[k] for v, k in self.program.keys.items() if v in seen}
        text = VARIABLES.sub(lambda match: final.get(match[1], match[1]), text)
        chosen, layers = members.named(self.net, list(dict.fromkeys(MEMBERS.findall(text))))
        text = MEMBERS.sub(lambda match: chosen[match[1]], text)
        return Transcript(
            parameters=list(self.parameters),
            body=[line for line in text.splitlines() if not ASSIGNED_ITSELF.fullmatch(line)],
            members={name: path for path, name in chosen.items()},
            blobs=blobs,
            layers=layers,
            helpers=[h for n, h in self.program.printer.helpers.items() if _occurs(n, text)],
            imports={name for name in self.program.printer.imports if _occurs(name, text)},
            shapes=self.shapes,
        )

    def _final_names(self, statements: list[Statement], read: set[str]) -> dict[str, str]:
        """Return better names: of a blob that is its input prepared, or whose view is not used."""
        at_entrance = {id(s) for s in every(self.program.statements[: self.entered])}
        behind = all_reads([s for s in statements if id(s) not in at_entrance]) | read
        final = {b: p for p, b in self.parameters.items() if b and p not in behind}
        simple = [s for s in every(statements) if isinstance(s, Line)]
        assigned = {name for line in simple for name in names_of(line.targets)}
        for base, blob in self.program.bases.items():
            if blob not in assigned:
                final[base] = final.get(blob, blob)
        return final


def _returning(text: str, result: str, read: set[str]) -> str:
    """Return the text with its `return`, which takes the place of a last assignment to it."""
    before, _, last = text.rpartition("\n")
    target, equals, value = last.partition(" = ")
    if equals and target == result and not read & set(VARIABLES.findall(target)):
        return f"{before}\nreturn {value}".lstrip("\n")
    return f"{text}\nreturn {result}".lstrip("\n")


def _occurs(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){name}\b", text))


def _varies(feature: Feature, leading: bool) -> bool:
    """Tell whether an input may have other sizes than its default ones."""
    open_sizes = feature.flexible or min(feature.shape, default=0) < 1
    return open_sizes or (leading and feature.kind == "multiArray")


def _core_names(net: Model, stages: list[Any]) -> dict[Any, str]:
    """Return Core ML's name of everything that is a variable, by its key."""
    core: dict[Any, str] = {("input", f.name): f.name for f in net.network.inputs}
    for scope, stage in enumerate(stages):
        blobs = [f.name for f in stage.network.inputs]
        blobs += [blob for layer in stage.network.all_layers() for blob in layer.outputs]
        core.update({(scope, blob): blob for blob in blobs})
    if stages[0] is not net:
        outputs = [f for stage in stages for f in features.tensor_outputs(stage.network)]
        core.update({("output", f.name): f.name for f in outputs})
    return core
