"""Lint: what can be known to be wrong, or was reported to go wrong, from the model file alone.

    read        the network, each layer built by itself, so that one that cannot be hides no other
    run         the layers that can be, on zeros: the shape of each blob
    rules       functions over that (`Scene`), each with a severity and the report it comes from

No rule says what a device does: "reported" is all that is known without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.errors import one_line
from migrate.linting.finding import SEVERITIES, Finding
from migrate.linting.registry import rules

if TYPE_CHECKING:
    from migrate.block import Custom

__all__ = ["Finding", "lint", "rules"]


def lint(model: Any, custom: Custom | None = None) -> tuple[Finding, ...]:
    """Return the findings on a model: errors first, then warnings, each from input to output.

    `model` is what `to_torch` takes, `custom` builders of custom layers by class name. A layer that
    cannot be built or applied is a finding, and so are those that are not looked at. Raises
    ModelError for what is not a NeuralNetwork, or not readable at all.
    """
    from migrate.linting.scene import scenes
    from migrate.network import Network, read

    network = model if isinstance(model, Network) else read(model)
    table = rules()
    found = [
        (SEVERITIES.index(rule.severity), number, place.order, rule, place, reason)
        for number, scene in enumerate(scenes(network, custom or {}))
        for rule in table.values()
        for place, reason in rule.check(scene)
    ]
    found.sort(key=lambda row: row[:3])
    return tuple(
        Finding(rule.severity, rule.name, one_line(place.where), one_line(reason), rule.source)
        for *_, rule, place, reason in found
    )
