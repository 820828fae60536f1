"""The one door to coremltools, which logs on import what our users need not read.

On systems other than macOS every import warns that its native proxies are missing, and newer
torch releases draw a compatibility warning. Neither is a fault, so both are kept from stderr.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


def coremltools() -> ModuleType:
    """Return the coremltools package, imported without its start-up noise."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools

    return coremltools


def proto(name: str) -> Any:
    """Return the generated protobuf module `coremltools.proto.<name>`."""
    coremltools()
    import importlib

    return importlib.import_module(f"coremltools.proto.{name}")
