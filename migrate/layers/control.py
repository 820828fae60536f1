"""Copying, and control flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrate.registry import layer

if TYPE_CHECKING:
    from migrate.registry import Step


@layer("copy")
def copy(p: Any) -> Step:
    """Return the input; the only layer that may write a blob again."""
    return lambda x: x.clone()
