"""Core ML NeuralNetworks as PyTorch modules and ML Programs, on any system.

Nothing heavy is imported until a name is used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrate.comparisons import output_numbers
    from migrate.coreml import coremltools, proto
    from migrate.counterfactuals import Counterfactuals, Tried
    from migrate.coverage import layer_table
    from migrate.customs import custom_layers, load_custom
    from migrate.declared import Mismatch, corrected, differ_otherwise, mismatches, output_shapes
    from migrate.envelope import Envelope, channels, envelopes
    from migrate.envelope import K as ENVELOPE_K
    from migrate.errors import AnereportError, InputError, ModelError, UnsupportedError
    from migrate.evaluation import evaluate
    from migrate.exactness import LARGEST_EXACT, InexactError, certify, require_whole
    from migrate.faults import FAULTS, Fault, FaultError, fault
    from migrate.feature_types import Feature, default_shape
    from migrate.features import stand_ins, to_pil
    from migrate.foreign import what_it_is
    from migrate.linting import Finding, lint
    from migrate.mlprogram import Conversion, ConversionError, convert, to_mlprogram
    from migrate.module import Interpreter, Model, to_torch
    from migrate.network import Layer, Network, read
    from migrate.options import PRECISIONS, TARGETS, OptionError, Options
    from migrate.overview import Operation, ProgramOverview, describe_program
    from migrate.package import save
    from migrate.program_envelope import program_envelopes
    from migrate.rounding import Rounding, rounded
    from migrate.shrinking import SEEDS, Knob, Reducible, Reduction, Reductions
    from migrate.source import to_source
    from migrate.spec import load_spec
    from migrate.variation import LeftOut, Rearrangement, Relation, Variant, each_variant, variants
    from migrate.variation import kinds as variant_kinds
    from migrate.verification import LayerMap, Verification, verify
    from migrate.weights import count as weight_count

_HOMES = {
    "FAULTS": "faults",
    "InexactError": "exactness",
    "LARGEST_EXACT": "exactness",
    "certify": "exactness",
    "require_whole": "exactness",
    "AnereportError": "errors",
    "ENVELOPE_K": "envelope.K",
    "Envelope": "envelope",
    "Rounding": "rounding",
    "channels": "envelope",
    "envelopes": "envelope",
    "rounded": "rounding",
    "Counterfactuals": "counterfactuals",
    "Fault": "faults",
    "FaultError": "faults",
    "Tried": "counterfactuals",
    "Feature": "feature_types",
    "Finding": "linting",
    "InputError": "errors",
    "Interpreter": "module",
    "Layer": "network",
    "Mismatch": "declared",
    "Model": "module",
    "ModelError": "errors",
    "Network": "network",
    "UnsupportedError": "errors",
    "Conversion": "mlprogram",
    "ConversionError": "mlprogram",
    "OptionError": "options",
    "Options": "options",
    "Operation": "overview",
    "PRECISIONS": "options",
    "ProgramOverview": "overview",
    "TARGETS": "options",
    "convert": "mlprogram",
    "coremltools": "coreml",
    "corrected": "declared",
    "custom_layers": "customs",
    "default_shape": "feature_types",
    "describe_program": "overview",
    "differ_otherwise": "declared",
    "evaluate": "evaluation",
    "fault": "faults",
    "layer_table": "coverage",
    "lint": "linting",
    "load_custom": "customs",
    "load_spec": "spec",
    "mismatches": "declared",
    "output_numbers": "comparisons",
    "output_shapes": "declared",
    "program_envelopes": "program_envelope",
    "proto": "coreml",
    "read": "network",
    "save": "package",
    "stand_ins": "features",
    "to_mlprogram": "mlprogram",
    "to_pil": "features",
    "to_source": "source",
    "to_torch": "module",
    "LeftOut": "variation",
    "Rearrangement": "variation",
    "SEEDS": "shrinking",
    "Knob": "shrinking",
    "Reducible": "shrinking",
    "Reduction": "shrinking",
    "Reductions": "shrinking",
    "Relation": "variation",
    "Variant": "variation",
    "each_variant": "variation",
    "variant_kinds": "variation.kinds",
    "variants": "variation",
    "LayerMap": "verification",
    "Verification": "verification",
    "verify": "verification",
    "weight_count": "weights.count",
    "what_it_is": "foreign",
}
__all__ = [
    "ENVELOPE_K",
    "FAULTS",
    "LARGEST_EXACT",
    "PRECISIONS",
    "SEEDS",
    "TARGETS",
    "AnereportError",
    "Conversion",
    "ConversionError",
    "Counterfactuals",
    "Envelope",
    "Fault",
    "FaultError",
    "Feature",
    "Finding",
    "InexactError",
    "InputError",
    "Interpreter",
    "Knob",
    "Layer",
    "LayerMap",
    "LeftOut",
    "Mismatch",
    "Model",
    "ModelError",
    "Network",
    "Operation",
    "OptionError",
    "Options",
    "ProgramOverview",
    "Rearrangement",
    "Reducible",
    "Reduction",
    "Reductions",
    "Relation",
    "Rounding",
    "Tried",
    "UnsupportedError",
    "Variant",
    "Verification",
    "certify",
    "channels",
    "convert",
    "coremltools",
    "corrected",
    "custom_layers",
    "default_shape",
    "describe_program",
    "differ_otherwise",
    "each_variant",
    "envelopes",
    "evaluate",
    "fault",
    "layer_table",
    "lint",
    "load_custom",
    "load_spec",
    "mismatches",
    "output_numbers",
    "output_shapes",
    "program_envelopes",
    "proto",
    "read",
    "require_whole",
    "rounded",
    "save",
    "stand_ins",
    "to_mlprogram",
    "to_pil",
    "to_source",
    "to_torch",
    "variant_kinds",
    "variants",
    "verify",
    "weight_count",
    "what_it_is",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(".")
    return getattr(importlib.import_module(f"migrate.{module}"), attribute or name)
