"""Smaller networks of one NeuralNetwork: what can be made smaller, and the network that then is.

    model --Reducible--> knobs: what can be set, from its value down to the least
    Reductions: knobs and what they are set to, plain data --Reducible.reduced--> a network

A file per family of knobs:

    structure   the first and the last layers, a layer at an end, a layer that can be passed by
    channels    channels that must change together: of an input, of layers, of a concatenation
    kernels     kernels of convolutions and poolings
    sizes       height and width of the inputs
    seeding     pseudo-random weights in the place of the model's own
"""

from __future__ import annotations

from migrate.shrinking.knob import SEEDS, Knob, Reduction, Reductions
from migrate.shrinking.reducible import Reducible

__all__ = ["SEEDS", "Knob", "Reducible", "Reduction", "Reductions"]
