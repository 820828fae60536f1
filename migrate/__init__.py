"""Core ML NeuralNetworks as PyTorch modules and ML Programs, on any system.

Nothing heavy is imported until a name is used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrate.coreml import coremltools, proto
    from migrate.coverage import layer_table
    from migrate.customs import custom_layers, load_custom
    from migrate.declared import Mismatch, mismatches, output_shapes
    from migrate.errors import AnereportError, InputError, ModelError, UnsupportedError
    from migrate.evaluation import evaluate
    from migrate.faults import FAULTS, fault
    from migrate.features import stand_ins, to_pil
    from migrate.mlprogram import check_options, to_mlprogram
    from migrate.module import Interpreter, Model, to_torch
    from migrate.network import Feature, Layer, Network, default_shape, read
    from migrate.package import save
    from migrate.source import to_source
    from migrate.spec import load_spec
    from migrate.weights import count as weight_count

_HOMES = {
    "FAULTS": "faults",
    "AnereportError": "errors",
    "Feature": "network",
    "InputError": "errors",
    "Interpreter": "module",
    "Layer": "network",
    "Mismatch": "declared",
    "Model": "module",
    "ModelError": "errors",
    "Network": "network",
    "UnsupportedError": "errors",
    "check_options": "mlprogram",
    "coremltools": "coreml",
    "custom_layers": "customs",
    "default_shape": "network",
    "evaluate": "evaluation",
    "fault": "faults",
    "layer_table": "coverage",
    "load_custom": "customs",
    "load_spec": "spec",
    "mismatches": "declared",
    "output_shapes": "declared",
    "proto": "coreml",
    "read": "network",
    "save": "package",
    "stand_ins": "features",
    "to_mlprogram": "mlprogram",
    "to_pil": "features",
    "to_source": "source",
    "to_torch": "module",
    "weight_count": "weights.count",
}
__all__ = [
    "FAULTS",
    "AnereportError",
    "Feature",
    "InputError",
    "Interpreter",
    "Layer",
    "Mismatch",
    "Model",
    "ModelError",
    "Network",
    "UnsupportedError",
    "check_options",
    "coremltools",
    "custom_layers",
    "default_shape",
    "evaluate",
    "fault",
    "layer_table",
    "load_custom",
    "load_spec",
    "mismatches",
    "output_shapes",
    "proto",
    "read",
    "save",
    "stand_ins",
    "to_mlprogram",
    "to_pil",
    "to_source",
    "to_torch",
    "weight_count",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(".")
    return getattr(importlib.import_module(f"migrate.{module}"), attribute or name)
