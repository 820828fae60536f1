"""A claimed size of 2**31 is a sentence that names layer and field: nothing is allocated for it."""

from __future__ import annotations

import pytest

import migrate
from migrate.errors import ModelError

B = 2**31
CLAIMS = [
    ("fillStatic", [], {"targetShape": [B]}, "targetShape"),
    ("fillStatic", [], {"targetShape": [2**16, 2**15]}, "targetShape claims a size of 65536x32768"),
    ("broadcastToStatic", [(1,)], {"targetShape": [B]}, "targetShape"),
    ("reshapeStatic", [(4,)], {"targetShape": [B]}, "targetShape"),
    ("reshape", [(1, 1, 4, 1, 1)], {"targetShape": [B, 1, 1]}, "targetShape"),
    ("randomNormalStatic", [], {"outputShape": [B], "stdDev": 1.0}, "outputShape"),
    ("randomUniformStatic", [], {"outputShape": [B], "maxVal": 1.0}, "outputShape"),
    ("randomBernoulliStatic", [], {"outputShape": [B], "prob": 0.5}, "outputShape"),
    ("categoricalDistribution", [(2, 3)], {"numSamples": B, "isLogits": True}, "numSamples"),
    ("tile", [(2,)], {"reps": [B]}, "reps"),
    ("oneHot", [(2,)], {"oneHotVectorSize": B, "onValue": 1.0}, "oneHotVectorSize"),
    ("topK", [(4,)], {"K": B}, "K"),
    ("splitND", [(4,)], {"numSplits": B}, "numSplits"),
    ("constantPad", [(2,)], {"padAmounts": [0, B]}, "padAmounts"),
    ("rangeStatic", [], {"endValue": 3e9, "stepSizeValue": 1.0}, "endValue 3e\\+09"),
    ("rangeStatic", [], {"endValue": float("inf"), "stepSizeValue": 1.0}, "endValue inf"),
    ("upsample", [(1, 1, 2, 2)], {"scalingFactor": [B, 1]}, "scalingFactor"),
    ("resizeBilinear", [(1, 1, 2, 2)], {"targetSize": [B, 1]}, "targetSize"),
    ("cropResize", [(1, 1, 1, 4, 4), (1, 1, 4, 1, 1)], {"targetSize": [B, B]}, "targetSize"),
    ("pooling", [(1, 1, 4, 4)], {"kernelSize": [B, B]}, "kernelSize"),
    ("lrn", [(1, 3, 2, 2)], {"localSize": B, "alpha": 1.0, "beta": 1.0}, "localSize"),
    ("sequenceRepeat", [(1, 1, 4, 1, 1)], {"nRepetitions": B}, "nRepetitions"),
    ("loadConstantND", [], {"shape": [B]}, "shape"),
    ("loadConstant", [], {"shape": [B, 1, 1]}, "data holds 0 values"),
    ("innerProduct", [(4,)], {"inputChannels": 4, "outputChannels": B}, "weights holds 0 values"),
    ("batchnorm", [(1, 3, 2, 2)], {"channels": B}, "gamma holds 0 values"),
]


@pytest.mark.parametrize(("kind", "shapes", "fields", "words"), CLAIMS)
def test_a_layer_that_claims_too_much(one_layer, kind, shapes, fields, words):
    outputs = 2 if kind in ("topK", "splitND") else 1
    spec = one_layer(kind, shapes, outputs=outputs, **fields)
    with pytest.raises(ModelError, match=rf"layer 'tested' \({kind}\), 1 of 1: {words}"):
        migrate.to_torch(spec)


@pytest.mark.parametrize("shape", [(B,), (2**16, 2**15)])
def test_an_input_that_claims_too_much(one_layer, shape):
    spec = one_layer("copy", [shape])
    with pytest.raises(ModelError, match="feature 'in0' claims a size of"):
        migrate.default_shape(migrate.read(spec).inputs[0])
    with pytest.raises(ModelError, match="feature 'in0' claims a size of"):
        migrate.to_mlprogram(spec)


def test_a_negative_dimension(one_layer):
    with pytest.raises(ModelError, match="feature 'in0' is declared with the shape 2x-3"):
        migrate.to_torch(one_layer("copy", [(2, -3)]))
