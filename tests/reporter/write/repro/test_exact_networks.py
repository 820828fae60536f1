"""Networks of any layers that exact weights allow: each is exact, added up here in float16.

What each layer gives is written out as terms that are added one by one, rounded after each, in an
order and in the reverse of it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from small_block import array

import migrate
from migrate.coreml import proto
from reporter.write.repro import exact
from reporter.write.repro.building import building

KINDS = ("conv", "deconv", "dense", "add", "multiply", "subtract", "scale", "bias", "linear",
         "leaky", "clip", "sum", "matmul", "concat", "pad", "crop", "max", "pool")  # fmt: skip
TRIED = (Phase.generate,)
MAY_HAVE_NONE = (
    "are one and the same, which shows little",
    "numbers whose magnitudes add up to",
    "keep its sums within",
)


def total(terms, reverse):
    """Add up terms, each rounded to float16, one by one."""
    terms = list(terms)
    found = np.zeros((), np.float16)
    for term in terms[::-1] if reverse else terms:
        found = found + np.asarray(term, np.float16)
    return found


def values(weights, *shape):
    return np.array(weights.floatValue, np.float64).reshape(shape)


def convolved(x, p, reverse):
    """Return a convolution of x (C, H, W): a window for each weight, and the bias."""
    groups, (kh, kw), (sh, sw) = p.nGroups, p.kernelSize, p.stride
    dh, dw = p.dilationFactor
    (top, bottom), (left, right) = (
        (b.startEdgeSize, b.endEdgeSize) for b in p.valid.paddingAmounts.borderAmounts
    )
    x = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right)))
    inside, outside = len(x) // groups, p.outputChannels // groups
    w = values(p.weights, p.outputChannels, inside, kh, kw)
    height, width = ((n - (k - 1) * d - 1) // s + 1 for n, k, d, s in
                     zip(x.shape[1:], (kh, kw), (dh, dw), (sh, sw), strict=True))  # fmt: skip
    found = []
    for o in range(p.outputChannels):
        part = x[o // outside * inside :][:inside]
        terms = [
            w[o, c, i, j] * part[c, i * dh :: sh, j * dw :: sw][:height, :width]
            for c in range(inside) for i in range(kh) for j in range(kw)
        ]  # fmt: skip
        found.append(total([*terms, p.bias.floatValue[o]], reverse))
    return np.stack(found)


def deconvolved(x, p, reverse):
    """Return a transposed convolution of x (C, H, W): each weight adds to every s-th element."""
    groups, (kh, kw), (sh, sw) = p.nGroups, p.kernelSize, p.stride
    inside, outside = len(x) // groups, p.outputChannels // groups
    w = values(p.weights, len(x), outside, kh, kw)
    size = (x.shape[1] - 1) * sh + kh, (x.shape[2] - 1) * sw + kw
    found = []
    for o in range(p.outputChannels):
        terms = []
        for c in range(o // outside * inside, (o // outside + 1) * inside):
            for i in range(kh):
                for j in range(kw):
                    term = np.zeros(size)
                    term[i::sh, j::sw][: x.shape[1], : x.shape[2]] = w[c, o % outside, i, j] * x[c]
                    terms.append(term)
        found.append(total([*terms, p.bias.floatValue[o]], reverse))
    return np.stack(found)[:, : p.outputShape[0], : p.outputShape[1]]


def dense(x, p, reverse):
    w = values(p.weights, p.outputChannels, p.inputChannels)
    terms = [w[:, i] * float(v) for i, v in enumerate(x.ravel())]
    return total([*terms, np.array(p.bias.floatValue)], reverse).reshape(-1, 1, 1)


def pooled(x):
    """Return the largest of each 2x2 window."""
    corners = [x[:, i:, j:][:, : x.shape[1] - 1, : x.shape[2] - 1] for i in (0, 1) for j in (0, 1)]
    return np.max(corners, 0)


class Chain:
    """A network that grows by a layer at a time: its spec, and how to compute it by hand."""

    def __init__(self, size):
        self.spec = proto("Model_pb2").Model(specificationVersion=4)
        self.spec.neuralNetwork.arrayInputShapeMapping = 1
        for name in ("x0", "x1"):
            array(self.spec.description.input, name, (1, *size))
        self.sizes, self.by_hand = {"x0": size, "x1": size}, []

    def layer(self, kind, inputs, size, by_hand):
        """Add a layer and return its parameters; `by_hand` takes them, the order and blobs."""
        blob = f"b{len(self.by_hand)}"
        layers = self.spec.neuralNetwork.layers
        layer = layers.add(name=blob, input=inputs, output=[blob])
        getattr(layer, kind).SetInParent()
        self.sizes[blob] = size
        self.by_hand.append((blob, kind, inputs, by_hand))
        return getattr(layer, kind)

    def closed(self):
        (last, *_) = self.by_hand[-1]
        array(self.spec.description.output, last, (1, *self.sizes[last]))
        return self.spec

    def computed(self, spec, blobs, reverse):
        """Return the last blob, by hand, of a spec of these layers with weights of its own."""
        blobs = {name: x[0].astype(np.float16) for name, x in blobs.items()}
        for (blob, kind, inputs, by_hand), layer in zip(
            self.by_hand, spec.neuralNetwork.layers, strict=True
        ):
            xs = [blobs[name] for name in inputs]
            blobs[blob] = np.asarray(by_hand(getattr(layer, kind), reverse, *xs), np.float16)
        return blobs[blob]


def convolution(chain, draw, x, kind):
    """Add a convolution, or a deconvolution of a stated size."""
    c, h, w = chain.sizes[x]
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if c % g == 0]))
    kernel = [draw(st.integers(1, min(n, 3))) for n in (h, w)]
    stride, outputs = [draw(st.integers(1, 2)) for _ in "hw"], groups * draw(st.integers(1, 3))
    if kind == "deconv":
        sizes = [  # the odd pixel is cut off at the end
            (n - 1) * s + k - (k > 1) for n, s, k in zip((h, w), stride, kernel, strict=True)
        ]
        p = chain.layer("convolution", [x], (outputs, *sizes), lambda p, r, x: deconvolved(x, p, r))
        p.isDeconvolution, p.dilationFactor[:], p.outputShape[:] = True, [1, 1], sizes
        count = c * outputs // groups * kernel[0] * kernel[1]
    else:
        pads = [draw(st.integers(0, 1)) for _ in range(4)]
        room = [n + pads[2 * i] + pads[2 * i + 1] for i, n in enumerate((h, w))]
        dilation = [
            draw(st.integers(1, 2)) if 2 * (k - 1) < n else 1
            for k, n in zip(kernel, room, strict=True)
        ]
        sizes = [
            (n - (k - 1) * d - 1) // s + 1
            for n, k, d, s in zip(room, kernel, dilation, stride, strict=True)
        ]
        p = chain.layer("convolution", [x], (outputs, *sizes), lambda p, r, x: convolved(x, p, r))
        p.dilationFactor[:] = dilation
        for start, end in (pads[:2], pads[2:]):
            p.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
        count = outputs * c // groups * kernel[0] * kernel[1]
    p.kernelSize[:], p.stride[:], p.nGroups, p.hasBias = kernel, stride, groups, True
    p.outputChannels, p.kernelChannels = outputs, c if p.isDeconvolution else c // groups
    p.weights.floatValue.extend([0.1] * count)
    p.bias.floatValue.extend([0.1] * outputs)


def added(chain, draw, kind, x):
    """Add a layer of a kind that reads blob x, and perhaps others."""
    c, h, w = size = chain.sizes[x]
    alike = [name for name, other in chain.sizes.items() if other == size]
    other = draw(st.sampled_from(alike))
    number = draw(st.integers(-3, 3))
    if kind in ("conv", "deconv"):
        convolution(chain, draw, x, kind)
    elif kind == "dense":
        flat = chain.layer("flatten", [x], (c * h * w, 1, 1), lambda p, r, x: x.reshape(-1, 1, 1))
        flat.mode = 0
        blob, outputs = chain.by_hand[-1][0], draw(st.integers(2, 6))
        p = chain.layer("innerProduct", [blob], (outputs, 1, 1), lambda p, r, x: dense(x, p, r))
        p.inputChannels, p.outputChannels, p.hasBias = c * h * w, outputs, True
        p.weights.floatValue.extend([0.1] * outputs * c * h * w)
        p.bias.floatValue.extend([0.1] * outputs)
    elif kind == "add":
        chain.layer("add", [x, other, x], size, lambda p, r, *xs: total(xs, r))
    elif kind == "multiply":
        chain.layer("multiply", [x, other], size, lambda p, r, a, b: a * b)
    elif kind == "subtract":
        chain.layer("subtractBroadcastable", [x, other], size, lambda p, r, a, b: a - b)
    elif kind == "max":
        chain.layer("max", [x, other], size, lambda p, r, a, b: np.maximum(a, b))
    elif kind == "concat":
        wide = (2 * c, h, w)
        p = chain.layer("concatND", [x, other], wide, lambda p, r, *xs: np.concatenate(xs))
        p.axis = -3
    elif kind in ("scale", "bias"):
        of_channels(chain, kind, x)
    elif kind == "linear":
        p = chain.layer("activation", [x], size, lambda p, r, x: x * p.linear.alpha + p.linear.beta)
        p.linear.alpha, p.linear.beta = number, 3 * number
    elif kind == "leaky":
        p = chain.layer("activation", [x], size, lambda p, r, x: np.where(x < 0, 2 * x, x))
        p.leakyReLU.alpha = 2
    elif kind == "clip":
        p = chain.layer("clip", [x], size, lambda p, r, x: np.clip(x, p.minVal, p.maxVal))
        p.minVal, p.maxVal = number - 5, number + 30
    elif kind == "sum":
        p = chain.layer("reduceSum", [x], (1, h, w), lambda p, r, x: total(x, r)[None])
        p.axes.append(-3)
        p.keepDims = True
    elif kind == "matmul":
        p = chain.layer("batchedMatmul", [x, other], (c, h, h), multiplied)
        p.transposeB = True
    elif kind == "pad":
        p = chain.layer("padding", [x], (c, h + 1, w + 2), padded)
        p.constant.value = number
        for start, end in ((1, 0), (2, 0)):
            p.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    elif kind == "crop" and h > 1:
        p = chain.layer("crop", [x], (c, h - 1, w), lambda p, r, x: x[:, 1:])
        for start, end in ((1, 0), (0, 0)):
            p.cropAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    elif kind == "pool" and min(h, w) > 1:
        p = chain.layer("pooling", [x], (c, h - 1, w - 1), lambda p, r, x: pooled(x))
        p.valid.SetInParent()
        p.kernelSize[:], p.stride[:] = [2, 2], [1, 1]


def padded(p, reverse, x):
    return np.pad(x, ((0, 0), (1, 0), (2, 0)), constant_values=p.constant.value)


def multiplied(p, reverse, a, b):
    return total((a[:, :, None, k] * b[:, None, :, k] for k in range(a.shape[2])), reverse)


def of_channels(chain, kind, x):
    """Add a layer of a number for each channel: a scale with its bias, or a bias alone."""
    c = chain.sizes[x][0]

    def by_hand(p, reverse, x):
        factor = values(p.scale, c, 1, 1) if kind == "scale" else 1
        return total([x * factor, values(p.bias, c, 1, 1)], reverse)

    p = chain.layer(kind, [x], chain.sizes[x], by_hand)
    p.bias.floatValue.extend([0.1] * c)
    if kind == "scale":
        p.scale.floatValue.extend([0.1] * c)
        p.shapeScale[:], p.shapeBias[:], p.hasBias = [c, 1, 1], [c, 1, 1], True
    else:
        p.shape[:] = [c, 1, 1]


@st.composite
def chains(draw, kinds=KINDS, most=5):
    """Return a network of layers one after another, some of which read an earlier blob too."""
    chain = Chain((draw(st.integers(1, 4)), draw(st.integers(2, 5)), draw(st.integers(2, 5))))
    before = "x0"
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most)):
        added(chain, draw, kind, before)
        before = chain.by_hand[-1][0] if chain.by_hand else before
    return chain if chain.by_hand else draw(chains(kinds, most))


@settings(max_examples=150, deadline=None)
@given(chains())
def test_float16_sums_in_either_order_are_what_the_script_says(chain):
    spec = chain.closed()
    parts = building(spec)
    found = exact.find(spec, parts)
    if found.refused:
        assert any(reason in found.refused for reason in MAY_HAVE_NONE), found.refused
        return
    built, given = exact.spec_of(parts, found.numbers), exact.inputs(migrate.read(spec))
    for reverse in (False, True):
        output = chain.computed(built, given, reverse).astype("<f4") + np.float32(0)
        assert list(found.answers.values()) == [hashlib.sha256(output.tobytes()).hexdigest()]


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_is_always_refused(kind):
    def has_some(chain):
        spec = chain.closed()
        return not exact.find(spec, building(spec)).refused

    assert find(chains((kind,), 2), has_some, settings=settings(max_examples=50, phases=TRIED))
