"""Healthy float16 devices in numpy, of several accumulators, and networks that they run.

Weights, inputs, products, partial sums and blobs are float16. The simulator of the project sums in
float32 and rounds at the ends of layers alone: none of these accumulates as it does.
"""

from __future__ import annotations

import numpy as np
from networks import network

from migrate.coreml import proto


def half(x):
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float16)


def serial(terms):
    """One term after the other."""
    total = np.zeros(terms.shape[1:], np.float16)
    for term in terms:
        total += term
    return total


def pairwise(terms):
    """A tree of sums of two."""
    while len(terms) > 1:
        odd = terms[-1:] if len(terms) % 2 else terms[:0]
        even = len(terms) - len(odd)
        terms = np.concatenate([terms[0:even:2] + terms[1:even:2], odd])
    return terms[0]


def lanes(terms):
    """Four sums of every fourth term, added at the end."""
    return serial(np.stack([serial(terms[i::4]) for i in range(min(4, len(terms)))]))


def chunks(terms):
    """Seven terms at once exactly, then one chunk after the other."""
    parts = [half(terms[i : i + 7].sum(0, dtype=np.float64)) for i in range(0, len(terms), 7)]
    return serial(np.stack(parts))


ACCUMULATORS = {one.__name__: one for one in (serial, pairwise, lanes, chunks)}


def products(weights, columns, bias, accumulate):
    """The sums (O, P) of weights (O, K) and columns (K, P), and a bias (O,) at the end."""
    terms = half(weights).T[:, :, None] * half(columns)[:, None, :]
    return half(accumulate(terms) + half(bias)[:, None])


def columns(x, kernel):
    """The windows (C * kH * kW, H' * W') of x (C, H, W)."""
    found = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return np.moveaxis(found, (3, 4), (1, 2)).reshape(x.shape[0] * kernel[0] * kernel[1], -1)


class Chain:
    """A network of convolutions (weights OIHW) or dense layers (OI), ReLU between them."""

    def __init__(self, shape, *weights, seed=0):
        random = np.random.RandomState(seed)
        self.shape = shape
        self.weights = [
            (random.randn(*w) / np.sqrt(np.prod(w[1:]))).astype(np.float32) for w in weights
        ]
        self.biases = [random.randn(w[0]).astype(np.float32) / 4 for w in weights]

    def spec(self):
        rows, blob = [], "x"
        for i, w in enumerate(self.weights):
            last = i == len(self.weights) - 1
            name = "y" if last else f"layer{i}"
            rows.append(("convolution" if w.ndim == 4 else "innerProduct", blob, name, {}))
            if not last:
                rows.append(("activation", name, f"relu{i}", {"ReLU": None}))
                blob = f"relu{i}"
        spec = network({"x": self.shape}, ["y"], *rows)
        layers = [one for one in spec.neuralNetwork.layers if not one.HasField("activation")]
        for layer, w, bias in zip(layers, self.weights, self.biases, strict=True):
            if w.ndim == 4:
                p = layer.convolution
                p.outputChannels, p.kernelChannels, p.nGroups = w.shape[0], w.shape[1], 1
                p.kernelSize.extend(w.shape[2:])
                p.valid.SetInParent()
            else:
                p = layer.innerProduct
                p.outputChannels, p.inputChannels = w.shape
            p.hasBias = True
            p.weights.floatValue.extend(w.ravel())
            p.bias.floatValue.extend(bias)
        return spec

    def run(self, x, accumulate):
        """The output for x, of the shape that Core ML has."""
        y = half(x)
        for i, (w, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = half(np.maximum(y, 0)) if i else y
            y = self._layer(y, w, bias, accumulate)
        return y

    def _layer(self, x, w, bias, accumulate):
        if w.ndim == 2:
            return products(w, x.T, bias, accumulate).T
        kernel = w.shape[2:]
        found = products(w.reshape(len(w), -1), columns(x[0], kernel), bias, accumulate)
        sizes = [n - k + 1 for n, k in zip(x.shape[2:], kernel, strict=True)]
        return found.reshape(1, len(w), *sizes)


class Block:
    """samples/Block.mlmodel: two pointwise convolutions, their concatenation, a depthwise one.

    `run` takes one fault by its text, written out here and not taken from the catalogue; `extra` is
    a function of a layer's name and output for faults that no catalogue has.
    """

    def __init__(self, path, accumulate):
        spec = proto("Model_pb2").Model.FromString(path.read_bytes())
        convolutions = [
            layer.convolution
            for layer in spec.neuralNetwork.layers
            if layer.HasField("convolution")
        ]
        self.weights, self.biases = (
            [np.float32(getattr(c, part).floatValue) for c in convolutions]
            for part in ("weights", "bias")
        )
        self.weights = [
            w.reshape(k) for w, k in zip(self.weights, [(800, 800), (800, 128), (1600, 5)],
                                         strict=True)
        ]  # fmt: skip
        self.accumulate = accumulate
        self.kept = {}

    def run(self, inputs, fault="", previous=None, extra=lambda name, y: y):
        """The output (1, 1600, 39, 1)."""
        stale = self._blobs(previous) if fault.startswith("stale") else {}
        y = self._blobs(inputs, fault, stale, extra)["conv3"]
        return y.astype(np.float32).reshape(1, 1600, 39, 1)

    def _blobs(self, inputs, fault="", stale=None, extra=lambda name, y: y):
        kind, _, layer = fault.partition("@")
        found = {}

        def written(name, y, again, bias=None):
            if name == layer:
                y = stale[name] if kind == "stale" else _changed(kind, y, again, bias)
            found[name] = half(extra(name, y))

        for i, name in enumerate(("conv1", "conv2")):
            x = np.float32(inputs[f"input{i + 1}"]).reshape(-1, 43)
            written(name, self._pointwise(i, x), lambda i=i, x=x, bias=0: self._pointwise(i, x, 0),
                    self.biases[i])  # fmt: skip
        parts = [found["conv1"], found["conv2"]]
        written("concat", np.concatenate(parts), parts)
        w, b = self.weights[2], self.biases[2]
        written(
            "conv3", self._depthwise(found["concat"], w, b),
            lambda bias=b, change=np.asarray: self._depthwise(found["concat"], change(w), bias), b,
        )  # fmt: skip
        return found

    def _pointwise(self, i, x, bias=1):
        key = i, x.tobytes(), bias
        if key not in self.kept:
            b = self.biases[i] * np.float32(bias)
            self.kept[key] = products(self.weights[i], x, b, self.accumulate)
        return self.kept[key].copy()

    def _depthwise(self, x, w, bias):
        terms = np.stack([half(w)[:, k : k + 1] * x[:, k : k + 39] for k in range(5)])
        return half(self.accumulate(terms) + half(bias)[:, None])


def _changed(kind, y, again, bias):
    kind, _, number = kind.partition(":")
    if kind in ("bias-only", "input-zeroed"):
        return np.broadcast_to(half(bias)[:, None], y.shape).copy() if bias is not None else 0 * y
    if kind == "no-bias":
        return again(bias=0 * bias)
    if kind == "kernel-flipped":
        return again(change=lambda w: w[:, ::-1])
    if kind == "groups-misassigned":
        return again(change=lambda w: np.roll(w, -1, axis=0))
    if kind == "rows-padded":  # the width is 1: each value is followed by 31 zeros
        padded = np.zeros((y.size, 32), y.dtype)
        padded[:, 0] = y.ravel()
        return padded.ravel()[: y.size].reshape(y.shape)
    if kind == "channels-truncated":
        return np.where(np.arange(len(y))[:, None] < len(y) // int(number) * int(number), y, 0)
    if kind == "branch-dropped":
        parts = [part * (i != int(number)) for i, part in enumerate(again)]
        return np.concatenate(parts)
    simple = {
        "zeroed": lambda: 0 * y,
        "scale-doubled": lambda: 2 * y,
        "rolled": lambda: np.roll(y, 1, axis=0),
        "branches-duplicated": lambda: np.concatenate([again[0], again[0]]),
        "branches-swapped": lambda: np.concatenate(again[::-1]),
        "branches-interleaved": lambda: np.stack(again, 1).reshape(y.shape),
    }
    return simple[kind]()


def single_faults():
    """The text of every single fault that `Block.run` takes."""
    everywhere = ["zeroed", "input-zeroed", "rows-padded", "scale-doubled", "stale"]
    sums = [*everywhere, "bias-only", "no-bias"]
    truncated = ["channels-truncated:64", "channels-truncated:256"]
    joins = ["branch-dropped:0", "branch-dropped:1", "branches-duplicated", "branches-swapped",
             "branches-interleaved", "rolled"]  # fmt: skip
    kinds = {
        "conv1": [*sums, *truncated],
        "conv2": [*sums, *truncated],
        "concat": [*everywhere, *joins, truncated[1]],
        "conv3": [*sums, "kernel-flipped", "groups-misassigned", truncated[1]],
    }
    return [f"{kind}@{layer}" for layer, found in kinds.items() for kind in found]
