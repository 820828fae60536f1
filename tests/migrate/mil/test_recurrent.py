"""Recurrent layers against their equations, one step after the other in numpy, and torch's."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


N, H, S, B = 3, 4, 5, 2  # features, hidden size, steps, batch
NONE = {3: np.zeros(3 * H), 4: np.zeros(4 * H)}
ACTIVATIONS = {
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "sigmoid_hard": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "scaled_tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def floats(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def weights(gates, seed=0, suffix=""):
    """weight_ih and weight_hh of so many gates."""
    shapes = {"weight_ih": (gates * H, N), "weight_hh": (gates * H, H)}
    return {k + suffix: floats(*s, seed=seed + i) for i, (k, s) in enumerate(shapes.items())}


def in_order(x, options):
    return x[::-1] if options.get("direction") == "reverse" else x


def final_or_all(outputs, options):
    return np.stack(outputs) if options.get("output_sequence") else outputs[-1][None]


def rnn(x, initial_h, weight_ih, weight_hh, bias=0, **options):
    function, h, outputs = ACTIVATIONS[options.get("activation", "tanh")], initial_h, []
    for step in in_order(x, options):
        h = function(step @ weight_ih.T + h @ weight_hh.T + bias)
        outputs.append(h)
    return final_or_all(outputs, options), h


def gru(x, initial_h, weight_ih, weight_hh, bias=NONE[3], input_bias=NONE[3], **options):
    inner = ACTIVATIONS[options.get("recurrent_activation", "sigmoid")]
    outer = ACTIVATIONS[options.get("activation", "tanh")]
    wr, wo, wz = np.split(weight_ih, 3)
    ur, uo, uz = np.split(weight_hh, 3)
    br, bo, bz = np.split(bias, 3)
    ir, io_, iz = np.split(input_bias, 3)
    h, outputs = initial_h, []
    for step in in_order(x, options):
        r = inner(step @ wr.T + ir + h @ ur.T + br)
        z = inner(step @ wz.T + iz + h @ uz.T + bz)
        hidden = r * (h @ uo.T + bo) if options.get("reset_after") else (r * h) @ uo.T + bo
        o = outer(step @ wo.T + io_ + hidden)
        h = (1 - z) * o + z * h
        outputs.append(h)
    return final_or_all(outputs, options), h


def lstm_steps(x, h, c, suffix, options):
    names = {"recurrent_activation": "sigmoid", "cell_activation": "tanh", "activation": "tanh"}
    inner, block, outer = (ACTIVATIONS[options.get(k, v)] for k, v in names.items())
    wi, wf, wo, wz = np.split(options["weight_ih" + suffix], 4)
    ui, uf, uo, uz = np.split(options["weight_hh" + suffix], 4)
    bi, bf, bo, bz = np.split(options.get("bias" + suffix, NONE[4]), 4)
    pi, pf, po = np.split(options.get("peephole" + suffix, NONE[3]), 3)
    clip, outputs = options.get("clip", np.inf), []
    for step in x:
        i = inner(step @ wi.T + h @ ui.T + bi + pi * c)
        f = inner(step @ wf.T + h @ uf.T + bf + pf * c)
        c = np.clip(f * c + i * block(step @ wz.T + h @ uz.T + bz), -clip, clip)
        h = inner(step @ wo.T + h @ uo.T + bo + po * c) * outer(c)
        outputs.append(h)
    return outputs, h, c


def lstm(x, initial_h, initial_c, **options):
    if options.get("direction") != "bidirectional":
        outputs, h, c = lstm_steps(in_order(x, options), initial_h, initial_c, "", options)
        return final_or_all(outputs, options), h, c
    ahead, h0, c0 = lstm_steps(x, initial_h[:, :H], initial_c[:, :H], "", options)
    back, h1, c1 = lstm_steps(x[::-1], initial_h[:, H:], initial_c[:, H:], "_back", options)
    h, c = np.concatenate([h0, h1], 1), np.concatenate([c0, c1], 1)
    ys = np.concatenate([np.stack(ahead), np.stack(back[::-1])], -1)
    return (ys if options.get("output_sequence") else h[None]), h, c


BIDIRECTIONAL = {"direction": "bidirectional", **weights(4, 7, "_back")}
PEEPHOLE = {"peephole": floats(3 * H, seed=5)}
BIASES = {"bias": floats(4 * H, seed=3), "bias_back": floats(4 * H, seed=4)}
CASES = [
    (rnn, {}),
    (rnn, {"bias": floats(H, seed=3), "direction": "reverse", "output_sequence": True}),
    *[(rnn, {"activation": name, "output_sequence": True}) for name in ACTIVATIONS],
    (gru, {}),
    (gru, {"bias": floats(3 * H, seed=3), "direction": "reverse", "output_sequence": True}),
    (gru, {"recurrent_activation": "hard_sigmoid", "activation": "relu"}),
    (gru, {"reset_after": True, "bias": floats(3 * H, seed=3), "output_sequence": True}),
    (gru, {"reset_after": True, "bias": floats(3 * H, seed=3), "input_bias": floats(3 * H)}),
    (gru, {"input_bias": floats(3 * H, seed=6)}),
    (lstm, {}),
    (lstm, {"bias": BIASES["bias"], "direction": "reverse", "output_sequence": True}),
    (lstm, {**PEEPHOLE, "output_sequence": True}),
    (lstm, {**PEEPHOLE, "direction": "reverse", "clip": 0.25, "output_sequence": True}),
    (lstm, {"clip": 0.125}),
    *[(lstm, {"recurrent_activation": a, "cell_activation": b, "activation": c})
      for a, b, c in (("hard_sigmoid", "relu", "linear"), ("tanh", "scaled_tanh", "sigmoid"),
                      ("linear", "hard_sigmoid", "scaled_tanh"), ("relu", "linear", "relu"))],
    (lstm, BIDIRECTIONAL),
    (lstm, {**BIDIRECTIONAL, **BIASES, "output_sequence": True}),
    (lstm, {**BIDIRECTIONAL, **BIASES, **PEEPHOLE, "peephole_back": floats(3 * H, seed=6),
            "clip": 0.25, "output_sequence": True}),
]  # fmt: skip
GATES = {rnn: 1, gru: 3, lstm: 4}


def given(function, options):
    """The inputs x and states, and all else."""
    width = 2 * H if options.get("direction") == "bidirectional" else H
    states = ["initial_h", "initial_c"][: 1 + (function is lstm)]
    inputs = {name: floats(B, width, seed=20 + i) for i, name in enumerate(states)}
    return {"x": floats(S, B, N, seed=19), **inputs}, {**weights(GATES[function], 1), **options}


def program(function, options, inputs, half=False):
    """The outputs of a program; reset_after and input_bias came with iOS 18."""
    make = getattr(mb, function.__name__)
    options = {k: np.float32(v) if k == "clip" else v for k, v in options.items()}

    def with_cell(x, initial_h, initial_c):
        return make(x=x, initial_h=initial_h, initial_c=initial_c, name="y", **options)

    def without(x, initial_h):
        return make(x=x, initial_h=initial_h, name="y", **options)

    build = with_cell if function is lstm else without
    target = "iOS18" if {"reset_after", "input_bias"} & options.keys() else "iOS17"
    return list(evaluated(build, target=target, half=half, **inputs).values())


@pytest.mark.parametrize(("function", "options"), CASES)
def test_a_program_follows_the_equations(function, options):
    inputs, rest = given(function, options)
    wanted = function(**inputs, **rest)
    for found, expected in zip(program(function, rest, inputs), wanted, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def halved(arrays):
    return {
        k: v.astype(np.float16).astype(np.float64) if hasattr(v, "dtype") else v
        for k, v in arrays.items()
    }


@pytest.mark.parametrize(("function", "options"), [CASES[1], CASES[10], CASES[-1]])
def test_a_program_of_halves_rounds_its_inputs_weights_and_outputs(function, options):
    inputs, rest = given(function, options)
    wanted = function(**halved(inputs), **halved(rest))
    for found, expected in zip(program(function, rest, inputs, half=True), wanted, strict=True):
        np.testing.assert_allclose(found, expected.astype(np.float16), rtol=2**-10, atol=1e-6)
        assert (found == found.astype(np.float16)).all()


@pytest.mark.parametrize(("function", "options"), CASES)
def test_a_function_with_the_defaults_of_mil(function, options):
    inputs, rest = given(function, options)
    given_ = {**inputs, **rest}
    tensors = {k: torch.from_numpy(v) if hasattr(v, "dtype") else v for k, v in given_.items()}
    results = ops()[function.__name__].compute(**tensors)
    for found, expected in zip(results, function(**given_), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_gru_that_resets_after_the_product_is_that_of_torch():
    module = torch.nn.GRU(N, H)
    x, h = torch.from_numpy(floats(S, B, N)), torch.from_numpy(floats(1, B, H, seed=1))
    order = torch.cat([torch.arange(H), torch.arange(2 * H, 3 * H), torch.arange(H, 2 * H)])
    names = {"weight_ih": "weight_ih", "weight_hh": "weight_hh"}
    names |= {"input_bias": "bias_ih", "bias": "bias_hh"}
    with torch.no_grad():
        arrays = {k: getattr(module, f"{name}_l0")[order] for k, name in names.items()}
        ys, last = ops()["gru"].compute(
            x=x, initial_h=h[0], reset_after=True, output_sequence=True, **arrays
        )
        wanted, final = module(x, h)
    torch.testing.assert_close(ys, wanted)
    torch.testing.assert_close(last, final[0])


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_a_converted_lstm_is_itself(options):
    module = torch.nn.LSTM(N, H, **options)
    x = torch.from_numpy(floats(S, B, N))
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        model = ct.convert(
            torch.jit.trace(First(module).eval(), x),
            inputs=[ct.TensorType(name="x", shape=x.shape)],
            outputs=[ct.TensorType(name="y")],
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
    with torch.no_grad():
        wanted = module(x)[0].numpy()
    np.testing.assert_allclose(evaluate(model, {"x": x.numpy()})["y"], wanted, rtol=1e-5, atol=1e-5)


class First(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)[0]


@pytest.mark.parametrize("function", [rnn, gru, lstm])
@pytest.mark.parametrize(
    ("option", "value"), [("direction", "backward"), ("activation", "softsign")]
)
def test_an_option_that_is_not_known_is_refused(function, option, value):
    inputs, rest = given(function, {})
    tensors = {k: torch.from_numpy(v) for k, v in {**inputs, **rest}.items()}
    with pytest.raises(ValueError, match=f"{option} {value!r} is not known"):
        ops()[function.__name__].compute(**tensors, **{option: value})


def test_both_directions_need_weights_of_both():
    inputs, rest = given(lstm, {})
    tensors = {k: torch.from_numpy(v) for k, v in {**inputs, **rest}.items()}
    with pytest.raises(ValueError, match="needs weight_ih_back and weight_hh_back"):
        ops()["lstm"].compute(**tensors, direction="bidirectional")
