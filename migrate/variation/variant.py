"""A variant of a network, the draft that it is made from, and why one was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrate.errors import ModelError
from migrate.variation.relation import Relation

if TYPE_CHECKING:
    from migrate.module import Model

Edit = Callable[[Any], None]  # changes a Model_pb2.Model in place; ModelError where it cannot


class EditError(ModelError):
    """An edit that this network does not allow."""


@dataclass(frozen=True)
class Draft:
    """An edit that is not made yet.

    `line` says what the variant tests, "Whether QUESTION: EDIT.": the question names no layer, and
    the edit alone says what is done, for a reader of what came of it.
    """

    name: str  # of the variant, beside its kind: mostly a layer's; any text
    line: str
    edit: Edit = field(repr=False)
    same: Relation = field(default_factory=Relation)
    layers: tuple[str, ...] = ()  # that are edited


@dataclass(frozen=True)
class Variant:
    """An edited network: it loads, it runs, and it is to the original what `same` says."""

    name: str  # of letters, digits, dashes and underscores; no two are the same
    kind: str
    line: str
    spec: Any = field(repr=False)  # a Model_pb2.Model
    same: Relation
    layers: tuple[str, ...]
    net: Model = field(repr=False)  # the variant in torch, float64
    inputs: Mapping[str, Any] = field(repr=False)  # that it was proved on, by feature
    outputs: Mapping[str, Any] = field(repr=False)  # what `net` gave for them: float64 arrays


@dataclass(frozen=True)
class LeftOut:
    """A variant, or several of a kind, that were not made, and why, in a sentence."""

    kind: str
    reason: str
    name: str = ""  # of the one variant that is meant
    line: str = ""
