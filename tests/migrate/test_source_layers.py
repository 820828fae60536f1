"""The source of single layers, recorded at one size and run at others, without this project."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import migrate


def edges(message, *amounts):
    for start, end in amounts:
        message.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)


def filled(**sizes):
    """Fill these weights with seeded values, as many as their size."""

    def fill(p):
        for field, size in sizes.items():
            values = np.random.RandomState(size).randn(size).astype(np.float32)
            getattr(p, field).floatValue.extend(values)

    return fill


def convolution(*, padding="valid", amounts=((0, 0), (0, 0)), mode=0, deconvolution=False, **more):
    def fill(p):
        p.outputChannels, p.kernelChannels, p.hasBias, p.isDeconvolution = 4, 3, True, deconvolution
        p.kernelSize.extend([3, 2])
        for field, values in more.items():
            getattr(p, field).extend(values)
        if padding == "valid":
            p.valid.SetInParent()
            edges(p.valid.paddingAmounts, *amounts)
        else:
            p.same.asymmetryMode = mode
        filled(weights=72, bias=4)(p)

    return fill


def pooling(kind, *, padding="valid", amounts=((0, 0), (0, 0)), exclude=False, mode=0):
    def fill(p):
        p.type, p.avgPoolExcludePadding = kind, exclude
        p.kernelSize.extend([3, 2])
        p.stride.extend([2, 2])
        if padding == "includeLastPixel":
            p.includeLastPixel.paddingAmounts.extend(amounts)
        elif padding == "same":
            p.same.asymmetryMode = mode
        else:
            p.valid.SetInParent()
            edges(p.valid.paddingAmounts, *amounts)

    return fill


def with_fields(oneof, **fields):
    def fill(p):
        for field, value in fields.items():
            setattr(getattr(p, oneof), field, value)

    return fill


IMAGE, OTHER = (2, 3, 8, 9), (1, 3, 11, 7)
# kind, shapes of the recording, shapes of another call, fields, a function that fills the message
CASES = [
    ("convolution", [IMAGE], [OTHER], {}, convolution(amounts=((1, 0), (2, 1)))),
    ("convolution", [IMAGE], [OTHER], {}, convolution(padding="same", stride=[2, 3])),
    ("convolution", [IMAGE], [OTHER], {}, convolution(padding="same", mode=1,
                                                      dilationFactor=[2, 2])),
    ("convolution", [IMAGE], [OTHER], {}, convolution(padding="same", mode=1, stride=[2, 2],
                                                      deconvolution=True)),
    ("convolution", [IMAGE], [OTHER], {}, convolution(amounts=((1, 0), (0, 1)), stride=[2, 1],
                                                      deconvolution=True)),
    ("convolution", [IMAGE], [OTHER], {}, convolution(outputShape=[17, 15], stride=[2, 2],
                                                      deconvolution=True)),
    ("pooling", [IMAGE], [OTHER], {}, pooling(0, padding="same")),
    ("pooling", [IMAGE], [OTHER], {}, pooling(0, amounts=((1, 0), (0, 1)))),
    ("pooling", [IMAGE], [OTHER], {}, pooling(1, padding="same", exclude=True, mode=1)),
    ("pooling", [IMAGE], [OTHER], {}, pooling(1, padding="includeLastPixel", amounts=(1, 1))),
    ("pooling", [IMAGE], [OTHER], {}, pooling(0, padding="includeLastPixel", amounts=(0, 0))),
    ("pooling", [IMAGE], [OTHER], {}, pooling(2, amounts=((1, 1), (0, 1)))),
    ("pooling", [IMAGE], [OTHER], {"globalPooling": True}, pooling(1)),
    ("upsample", [IMAGE], [OTHER], {"scalingFactor": [2, 3]}, None),
    ("upsample", [IMAGE], [OTHER], {"scalingFactor": [2, 2], "mode": 1}, None),
    ("upsample", [IMAGE], [OTHER], {"fractionalScalingFactor": [1.5, 2.3]}, None),
    ("upsample", [IMAGE], [OTHER], {"fractionalScalingFactor": [1.5, 2.3], "mode": 1,
                                    "linearUpsampleMode": 2}, None),
    ("resizeBilinear", [IMAGE], [OTHER], {"targetSize": [5, 6]},
     with_fields("mode", samplingMethod=2)),
    ("resizeBilinear", [IMAGE], [OTHER], {"targetSize": [5, 1]},
     with_fields("mode", samplingMethod=1)),
    ("crop", [IMAGE], [OTHER], {}, lambda p: edges(p.cropAmounts, (1, 2), (0, 3))),
    ("crop", [IMAGE, (1, 3, 4, 5)], [OTHER, (1, 3, 6, 3)], {"offset": [2, 1]}, None),
    ("padding", [IMAGE], [OTHER], {}, lambda p: (edges(p.paddingAmounts, (1, 2), (0, 3)),
                                                 p.reflection.SetInParent())),
    ("reorganizeData", [(1, 8, 4, 6)], [(2, 12, 2, 4)], {"blockSize": 2, "mode": 0}, None),
    ("reorganizeData", [(1, 8, 4, 6)], [(2, 12, 2, 4)], {"blockSize": 2, "mode": 1}, None),
    ("slice", [IMAGE], [OTHER], {"startIndex": 1, "endIndex": -1, "stride": 2, "axis": 2}, None),
    ("softmax", [IMAGE], [OTHER], {}, None),
    ("average", [IMAGE, (1, 3, 1, 1)], [OTHER, (1, 3, 1, 1)], {}, None),
    ("min", [IMAGE, IMAGE, IMAGE], [OTHER, OTHER, OTHER], {}, None),
    ("dot", [IMAGE, IMAGE], [OTHER, OTHER], {"cosineSimilarity": True}, None),
    ("reduce", [IMAGE], [OTHER], {"mode": 6, "axis": 1}, None),
    ("reduce", [IMAGE], [OTHER], {"mode": 9, "axis": 2}, None),
    ("flatten", [IMAGE], [OTHER], {"mode": 1}, None),
    ("permute", [IMAGE], [OTHER], {"axis": [0, 3, 1, 2]}, None),
    ("permute", [IMAGE], [OTHER], {"axis": [2, 0, 1, 3]}, None),
    ("sequenceRepeat", [IMAGE], [OTHER], {"nRepetitions": 3}, None),
    ("mvn", [IMAGE], [OTHER], {"acrossChannels": True, "normalizeVariance": True}, None),
    ("l2normalize", [IMAGE], [OTHER], {"epsilon": 0.1}, None),
    ("lrn", [IMAGE], [OTHER], {"alpha": 0.3, "beta": 0.7, "localSize": 3, "k": 0.5}, None),
    ("embedding", [(2, 1, 1, 1)], [(5, 1, 1, 1)],
     {"inputDim": 7, "outputChannels": 4, "hasBias": True}, filled(weights=28, bias=4)),
    ("innerProduct", [(2, 3, 2, 2)], [(4, 3, 2, 2)],
     {"inputChannels": 12, "outputChannels": 5, "hasBias": True}, filled(weights=60, bias=5)),
    ("cos", [(2, 3)], [(4, 1)], {}, None),
    ("tan", [(2, 3)], [(4, 1)], {}, None),
    ("acos", [(2, 3)], [(4, 1)], {}, None),
    ("atanh", [(2, 3)], [(4, 1)], {}, None),
    ("getShape", [(2, 3)], [(4, 1)], {}, None),
    ("reshape", [IMAGE], [(5, 3, 8, 9)], {"targetShape": [9, 8, 3], "mode": 1}, None),
    ("rankPreservingReshape", [(2, 6)], [(3, 4)], {"targetShape": [0, -1]}, None),
    ("flattenTo2D", [(2, 3, 4)], [(5, 1, 2)], {"axis": 2}, None),
    ("expandDims", [(2, 3)], [(4, 1)], {"axes": [0, -1]}, None),
    ("broadcastToLike", [(1, 3), (2, 3)], [(1, 3), (5, 3)], {}, None),
    ("reshapeLike", [(2, 6), (3, 4)], [(2, 10), (4, 5)], {}, None),
    ("fillLike", [(2, 3)], [(4, 1)], {"value": 0.1}, None),
    ("oneHot", [(2, 3)], [(4, 1)], {"oneHotVectorSize": 4, "axis": -1, "onValue": 2.0}, None),
    ("cumSum", [(2, 3)], [(4, 5)], {"axis": 1, "reverse": True, "excludeFinalSum": True}, None),
    ("topK", [(2, 6)], [(4, 8)], {"axis": 1, "K": 3}, None),
    ("slidingWindows", [(2, 6)], [(4, 9)], {"axis": 1, "windowSize": 3, "step": 2}, None),
    ("scatterND", [(4, 3), (2, 1), (2, 3)], [(6, 2), (3, 1), (3, 2)], {"mode": 1}, None),
    ("constantPad", [(2, 3)], [(4, 1)], {"padAmounts": [1, 0, 2, 3], "value": -0.5}, None),
    ("constantPad", [(2, 3)], [(4, 1)],
     {"padAmounts": [0, 6, 5, 0], "padToGivenOutputSizeMode": True}, None),
    ("matrixBandPart", [(3, 3)], [(4, 6)], {"numLower": 1, "numUpper": 0}, None),
    ("cropResize", [(1, 1, 3, 8, 9), (2, 1, 4, 1, 1)], [(1, 1, 3, 5, 6), (3, 1, 4, 1, 1)],
     {"targetSize": [3, 2], "spatialScale": 0.5}, with_fields("boxIndicesMode", boxMode=1)),
]  # fmt: skip
OUTPUTS = {"topK": 2}
# numbers that are no short floats: their text is shorter than their digits
UNARY = {"scale": 0.3, "shift": 0.7}
CONSTANTS = [
    *(("activation", {}, with_fields(kind, alpha=0.1)) for kind in
      ("leakyReLU", "thresholdedReLU", "ELU", "linear")),
    *(("activation", {}, with_fields(kind, alpha=0.1, beta=0.7)) for kind in
      ("linear", "scaledTanh", "sigmoidHard")),
    *(("unary", {"type": kind, "alpha": 0.37, "epsilon": 0.2, **UNARY}, None) for kind in range(8)),
    ("clampedReLU", {"alpha": 0.1, "beta": 0.7}, None),
    ("add", {"alpha": 0.1}, None),
    ("multiply", {"alpha": 0.1}, None),
    ("clip", {"minVal": 0.3, "maxVal": 0.7}, None),
    ("lessThan", {"alpha": 0.3}, None),
    ("fillLike", {"value": 0.1}, None),
    ("mvn", {"epsilon": 0.1, "normalizeVariance": True}, None),
    ("lrn", {"alpha": 0.3, "beta": 0.7, "localSize": 3, "k": 0.1}, None),
    ("reduce", {"mode": 4, "epsilon": 0.1}, None),
    ("batchnorm", {"channels": 3, "epsilon": 0.1},
     lambda p: (filled(gamma=3, beta=3, mean=3)(p), p.variance.floatValue.extend([0.1, 0.5, 2]))),
    ("layerNormalization", {"normalizedShape": [40], "eps": 0.1}, filled(gamma=40, beta=40)),
    ("randomNormalLike", {"mean": 0.1, "stdDev": 0.7, "seed": 3}, None),
    ("randomUniformLike", {"minVal": 0.1, "maxVal": 0.7, "seed": 3}, None),
]  # fmt: skip


def inputs_of(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator) for shape in shapes]


def test_layers_at_another_size_than_they_were_recorded_at(one_layer, differences_outside):
    cases = []
    for kind, shapes, others, fields, fill in CASES:
        spec = one_layer(kind, shapes, outputs=OUTPUTS.get(kind, 1), fill=fill, **fields)
        calls = [inputs_of(shapes, 0), inputs_of(others, 1)]
        cases.append((spec, calls))
    found = differences_outside(cases)
    assert [(case[0], why) for case, why in zip(CASES, found, strict=True) if why] == []


def test_short_texts_of_constants_give_the_same_bits(one_layer, differences_outside):
    """Also where torch computes with the constant in float64, as it does for powers."""
    shape = (2, 3, 30, 40)
    specs = [one_layer(kind, [shape], fill=fill, **fields) for kind, fields, fill in CONSTANTS]
    generator = torch.Generator().manual_seed(0)
    call = [torch.randn(shape, generator=generator)]
    found = differences_outside([(spec, [call]) for spec in specs])
    assert [(case[:2], why) for case, why in zip(CONSTANTS, found, strict=True) if why] == []


@pytest.mark.parametrize("parts", [1, 3])
def test_a_split_into_its_outputs(one_layer, differences_outside, parts):
    spec = one_layer("split", [(1, 6, 2, 2)], outputs=parts, nOutputs=parts)
    calls = [inputs_of([shape], 0) for shape in [(1, 6, 2, 2), (2, 12, 3, 1)]]
    assert differences_outside([(spec, calls)]) == [None]


def test_under_the_rank_5_mapping_a_batch_may_lead(one_layer, differences_outside):
    specs = [
        one_layer("softmax", [(3, 4, 5)], rank5=True),
        one_layer("flatten", [(3, 4, 5)], rank5=True),
        one_layer("scale", [(3,)], rank5=True, shapeScale=[3], fill=filled(scale=3)),
    ]
    calls = [[[torch.rand(2, *f.shape)] for f in migrate.read(spec).inputs] for spec in specs]
    assert differences_outside(list(zip(specs, calls, strict=True))) == [None] * 3


def test_seeded_random_layers_draw_the_same(one_layer, differences_outside):
    specs = [
        one_layer("randomNormalStatic", [(1,)], outputShape=[2, 3], seed=5, stdDev=2.0, mean=1.0),
        one_layer("randomUniformLike", [(2, 3)], seed=5, minVal=-1.0, maxVal=3.0),
        one_layer("randomBernoulliLike", [(2, 3)], seed=-1, prob=0.4),
        one_layer("categoricalDistribution", [(2, 3)], numSamples=4, seed=1, temperature=0.5),
    ]
    calls = [[inputs_of([f.shape for f in migrate.read(spec).inputs], 0)] for spec in specs]
    assert differences_outside(list(zip(specs, calls, strict=True))) == [None] * 4
