"""Variants of a NeuralNetwork: the edits that a person would try by hand, each proved in torch.

    model --Original.of--> Original --registry--> Drafts --prove--> Variant, or LeftOut with why

A function per edit, registered by `@variant("kind")`; a file per family:

    of_layers          a layer left away, an identity before or behind one
    of_concatenations  the other layer type, inputs in another order
    of_convolutions    the one behind a concatenation in two
    of_channels        padded to multiples of 32 and 64
    of_layout          the longer axis last
    of_interface       declared shapes, float16 and float32 features, spec versions
    of_cuts            prefixes, and blobs as further outputs
"""

from __future__ import annotations

from migrate.variation.making import each_variant, variants
from migrate.variation.registry import kinds
from migrate.variation.relation import Rearrangement, Relation
from migrate.variation.variant import LeftOut, Variant

__all__ = [
    "LeftOut", "Rearrangement", "Relation", "Variant", "each_variant", "kinds", "variants",
]  # fmt: skip
