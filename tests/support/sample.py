"""samples/Block.mlmodel with inputs, and a search of its faults that is done once."""

from __future__ import annotations

from pathlib import Path

from devices import ACCUMULATORS, Block

import migrate
from reporter.measure.inputs import seeded
from reporter.understand import explanation
from reporter.understand.reference import Referee

PATH = Path(__file__).resolve().parents[2] / "samples" / "Block.mlmodel"


class Sample:
    """The model, the inputs of two predictions, and a device of each accumulator."""

    def __init__(self, seed=3, previous=8):
        self.path, self.referee = PATH, Referee(PATH)
        self.inputs, self.before = seeded(PATH, seed), seeded(PATH, previous)
        self.bounds = self.referee.compute(dict(self.inputs)).envelopes
        self.devices = [Block(PATH, add) for add in ACCUMULATORS.values()]

    def explained(self, output, **options):
        return explanation.explain(
            self.referee.net, dict(self.inputs), {"output": output}, self.bounds,
            previous=dict(self.before), **options,
        )  # fmt: skip


class Kept:
    """Counterfactuals whose search is done once: what is tried does not depend on the measured.

    It stands in the place of the class, for calls with the same inputs.
    """

    def __init__(self, net, inputs, *, previous=None, output="output"):
        self.real = migrate.Counterfactuals(net, inputs, previous=previous)
        self.healthy, self.left_out = self.real.healthy, self.real.left_out
        self.order = self.real.possible([output])
        self.tried = list(self.real.search(self.order))

    def __call__(self, *args, **options):
        return self

    def possible(self, wrong, right=()):
        return self.real.possible(wrong, right)

    def search(self, faults):
        assert faults == self.order
        return iter(self.tried)
