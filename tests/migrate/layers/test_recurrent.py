"""Recurrent layers against the proto's equations, one step after the other in numpy."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from programs import case, differences

import migrate
from migrate.coreml import coremltools
from migrate.errors import ModelError

N, H, S, B = 3, 4, 5, 2  # size of inputs and outputs, steps, batch
ACTIVATIONS = {  # with the values that the proto supports
    "linear": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "scaledTanh": lambda x: 1.7159 * np.tanh(2 / 3 * x),
    "sigmoidHard": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
}
GATES = {
    "gru": ("updateGate", "resetGate", "outputGate"),
    "lstm": ("inputGate", "forgetGate", "blockInput", "outputGate"),
}


def clip(x, limit=50.0):
    return np.clip(x, -limit, limit)


class Weights(dict):
    """Random W, R, b and p of every gate by (letter, gate), written to a proto message."""

    def __init__(self, gates, seed=0, scale=0.5):
        rng = np.random.default_rng(seed)
        shapes = {"W": (H, N), "R": (H, H), "b": (H,), "p": (H,)}
        for gate in gates:
            for letter, shape in shapes.items():
                self[letter, gate] = rng.normal(scale=scale, size=shape).astype(np.float32)

    def write(self, message, letters="WRb", without=()):
        names = {"W": "WeightMatrix", "R": "RecursionMatrix", "b": "BiasVector"}
        names["p"] = "PeepholeVector"
        for (letter, gate), value in self.items():
            if letter in letters and gate not in without and (letter, gate) != ("p", "blockInput"):
                field = getattr(message, gate + names[letter])
                field.floatValue.extend(value.ravel())


def sequence(seed=1, steps=S, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=(steps, B, N))


def state(seed):
    return np.random.default_rng(seed).normal(size=(B, H))


def blob(vectors):
    """[Seq, Batch, C] as the proto has it."""
    return np.asarray(vectors)[..., None, None]


def numpy_lstm(x, w, f=ACTIVATIONS["sigmoid"], g=np.tanh, out=np.tanh, h=0.0, c=0.0, **o):
    """Return the outputs of all steps and the final h and c."""
    h, c = np.zeros((B, H)) + h, np.zeros((B, H)) + c
    bias = {gate: w["b", gate] * o.get("biased", True) for gate in GATES["lstm"]}
    bias["forgetGate"] = bias["forgetGate"] + o.get("forget_bias", False)
    peep = {gate: w["p", gate] * o.get("peep", False) for gate in GATES["lstm"]}
    ys = []
    for xt in x:
        z = {k: xt @ w["W", k].T + h @ w["R", k].T + bias[k] for k in GATES["lstm"]}
        i = f(clip(z["inputGate"] + peep["inputGate"] * c))
        keep = f(clip(z["forgetGate"] + peep["forgetGate"] * c))
        keep = 1 - i if o.get("coupled") else keep
        c = clip(c * keep + i * g(clip(z["blockInput"])), o.get("cell_clip", 50.0))
        h = out(c) * f(clip(z["outputGate"] + peep["outputGate"] * c))
        ys.append(h)
    return np.stack(ys), h, c


def fill_lstm(p, w, *, activations=("sigmoid", "tanh", "tanh"), **o):
    p.inputVectorSize, p.outputVectorSize = N, H
    for name in activations:
        getattr(p.activations.add(), name).SetInParent()
    p.params.sequenceOutput = o.get("sequence", True)
    p.params.hasBiasVectors = o.get("biased", True)
    p.params.forgetBias = o.get("forget_bias", False)
    p.params.hasPeepholeVectors = o.get("peep", False)
    p.params.coupledInputAndForgetGate = o.get("coupled", False)
    p.params.cellClipThreshold = o.get("cell_clip", 0)
    p.reverseInput = o.get("reverse", False)
    letters = "WR" + "b" * o.get("biased", True) + "p" * o.get("peep", False)
    w.write(p.weightParams, letters, o.get("without", ()))


OPTIONS = [
    {},
    {"biased": False},
    {"biased": False, "forget_bias": True},
    {"forget_bias": True},
    {"peep": True},
    {"coupled": True},
    {"coupled": True, "without": ("forgetGate",), "peep": True, "forget_bias": True},
    {"cell_clip": 0.25},
    {"cell_clip": 500.0},
    {"peep": True, "coupled": True, "cell_clip": 0.125, "forget_bias": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("given", [False, True], ids=["from_zero", "given_states"])
def test_lstm(run_layer, options, given):
    w, x = Weights(GATES["lstm"]), sequence()
    states = {"h": state(2), "c": state(3)} if given else {}
    ys, h, c = numpy_lstm(x, w, **options, **states)
    inputs = [blob(x), *(blob(s[None]) for s in states.values())]
    got = run_layer(
        "uniDirectionalLSTM", inputs, outputs=3, fill=lambda p: fill_lstm(p, w, **options)
    )
    for value, expected in zip(got, (ys, h[None], c[None]), strict=True):
        np.testing.assert_allclose(value, blob(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("explicit", [False, True])
def test_lstm_with_every_activation(run_layer, name, position, explicit):
    names = ["sigmoid", "tanh", "tanh"]
    names[position] = name
    w, x = Weights(GATES["lstm"]), sequence()
    f, g, out = (ACTIVATIONS[n] for n in names)

    def fill(p):
        fill_lstm(p, w, activations=names)
        values = {"linear": (1, 0), "scaledTanh": (1.7159, 2 / 3), "sigmoidHard": (0.2, 0.5)}
        if explicit and name in values:
            message = getattr(p.activations[position], name)
            message.alpha, message.beta = values[name]

    got = run_layer("uniDirectionalLSTM", [blob(x)], fill=fill)
    np.testing.assert_allclose(got, blob(numpy_lstm(x, w, f, g, out)[0]), rtol=1e-6, atol=1e-7)


def test_an_activation_takes_its_own_alpha_and_beta(run_layer):
    w, x = Weights(GATES["lstm"]), sequence()

    def fill(p):
        fill_lstm(p, w, activations=("sigmoid", "linear", "tanh"))
        p.activations[1].linear.alpha, p.activations[1].linear.beta = 2.0, 0.5

    expected = numpy_lstm(x, w, g=lambda v: 2 * v + 0.5)[0]
    np.testing.assert_allclose(
        run_layer("uniDirectionalLSTM", [blob(x)], fill=fill), blob(expected)
    )


@pytest.mark.parametrize("options", [{}, {"peep": True}], ids=["torch", "by_hand"])
def test_reversed_lstm_keeps_the_order_of_its_computation(run_layer, options):
    w, x = Weights(GATES["lstm"]), sequence()
    ys, h, c = numpy_lstm(x[::-1], w, h=state(2), c=state(3), **options)
    for sequence_output in (True, False):
        y = ys if sequence_output else h[None]
        fill = {"reverse": True, "sequence": sequence_output, **options}
        got = run_layer(
            "uniDirectionalLSTM",
            [blob(x), blob(state(2)[None]), blob(state(3)[None])],
            outputs=3,
            fill=lambda p, fill=fill: fill_lstm(p, w, **fill),
        )
        for value, expected in zip(got, (y, h[None], c[None]), strict=True):
            np.testing.assert_allclose(value, blob(expected), rtol=1e-9, atol=1e-12)


def test_pre_activations_are_clipped_at_50(run_layer):
    w, x = Weights(GATES["lstm"], scale=20.0), sequence(scale=3.0)
    expected = numpy_lstm(x, w, g=lambda v: v, out=lambda v: v, cell_clip=1e4)[0]
    names = ("sigmoid", "linear", "linear")
    got = run_layer(
        "uniDirectionalLSTM",
        [blob(x)],
        fill=lambda p: fill_lstm(p, w, activations=names, cell_clip=1e4),
    )
    np.testing.assert_allclose(got, blob(expected), rtol=1e-9)
    assert np.abs(got).max() > 60  # the final activation is not clipped


def counting_cell(w):
    """Make every cell count up while x[0] > 0, and down while x[0] < 0."""
    for key in w:
        w[key][:] = 0
    w["b", "inputGate"][:] = w["b", "forgetGate"][:] = w["b", "outputGate"][:] = 100
    w["W", "blockInput"][:, 0] = 100
    return w


@pytest.mark.parametrize(("up", "start"), [(60, 0.0), (3, 49.0)])
def test_the_cell_clip_of_torchs_own_configuration(run_layer, up, start):
    w = counting_cell(Weights(GATES["lstm"]))
    x = np.zeros((up + 48, B, N))
    x[:, :, 0] = np.repeat([1.0, -1.0], [up, 48])[:, None]
    states = [np.zeros((B, H)), np.full((B, H), start)]
    got = run_layer(
        "uniDirectionalLSTM",
        [blob(x), *(blob(s[None]) for s in states)],
        outputs=3,
        fill=lambda p: fill_lstm(p, w),
    )
    np.testing.assert_allclose(got[2], 2.0)  # 50 - 48; without the clip it would be 12, or 4
    np.testing.assert_allclose(got[0][-1], np.tanh(2.0))


def fill_both(p, forward, backward, **options):
    names = options.pop("activations", ("sigmoid", "tanh", "tanh"))
    p.inputVectorSize, p.outputVectorSize = N, H
    for field in (p.activationsForwardLSTM, p.activationsBackwardLSTM):
        for name in names:
            getattr(field.add(), name).SetInParent()
    p.params.sequenceOutput = options.get("sequence", True)
    p.params.hasBiasVectors = True
    p.params.hasPeepholeVectors = options.get("peep", False)
    p.params.cellClipThreshold = options.get("cell_clip", 0)
    for w in (forward, backward):
        w.write(p.weightParams.add(), "WRbp" if options.get("peep") else "WRb")


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("sequence_output", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"peep": True, "cell_clip": 0.125}], ids=["torch", "by_hand"]
)
def test_bidirectional_lstm(run_layer, given, sequence_output, options):
    forward, backward = Weights(GATES["lstm"], 7), Weights(GATES["lstm"], 8)
    x, states = sequence(), [state(n) * given for n in range(4)]
    yf, hf, cf = numpy_lstm(x, forward, h=states[0], c=states[1], **options)
    yb, hb, cb = numpy_lstm(x[::-1], backward, h=states[2], c=states[3], **options)
    y = np.concatenate([yf, yb[::-1]], -1)
    y = y if sequence_output else np.concatenate([yf[-1:], yb[-1:]], -1)
    got = run_layer(
        "biDirectionalLSTM",
        [blob(x), *(blob(s[None]) for s in states if given)],
        outputs=5,
        fill=lambda p: fill_both(p, forward, backward, sequence=sequence_output, **options),
    )
    for value, expected in zip(got, (y, hf[None], cf[None], hb[None], cb[None]), strict=True):
        np.testing.assert_allclose(value, blob(expected), rtol=1e-9, atol=1e-12)


def numpy_gru(x, w, f=ACTIVATIONS["sigmoid"], g=np.tanh, h=0.0, biased=True):
    h, (z_, r_, o_) = np.zeros((B, H)) + h, GATES["gru"]
    ys = []
    for xt in x:
        z, r = (f(clip(xt @ w["W", k].T + h @ w["R", k].T + w["b", k] * biased)) for k in (z_, r_))
        o = g(clip(xt @ w["W", o_].T + (h * r) @ w["R", o_].T + w["b", o_] * biased))
        h = (1 - z) * o + z * h
        ys.append(h)
    return np.stack(ys), h


def fill_gru(p, w, *, activations=("sigmoid", "tanh"), **o):
    p.inputVectorSize, p.outputVectorSize = N, H
    for name in activations:
        getattr(p.activations.add(), name).SetInParent()
    p.sequenceOutput, p.hasBiasVectors = o.get("sequence", True), o.get("biased", True)
    p.reverseInput = o.get("reverse", False)
    w.write(p, "WRb" if o.get("biased", True) else "WR")


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sequence_output", [False, True])
def test_gru(run_layer, given, biased, reverse, sequence_output):
    w, x = Weights(GATES["gru"]), sequence()
    ys, h = numpy_gru(x[::-1] if reverse else x, w, h=state(2) * given, biased=biased)
    options = {"biased": biased, "reverse": reverse, "sequence": sequence_output}
    got = run_layer(
        "gru",
        [blob(x)] + [blob(state(2)[None])] * given,
        outputs=2,
        fill=lambda p: fill_gru(p, w, **options),
    )
    for value, expected in zip(got, (ys if sequence_output else h[None], h[None]), strict=True):
        np.testing.assert_allclose(value, blob(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("position", range(2))
def test_gru_with_every_activation(run_layer, name, position):
    names = ["sigmoid", "tanh"]
    names[position] = name
    w, x = Weights(GATES["gru"], scale=10.0), sequence(scale=3.0)  # the clip at 50 is reached
    expected = numpy_gru(x, w, *(ACTIVATIONS[n] for n in names))[0]
    got = run_layer("gru", [blob(x)], fill=lambda p: fill_gru(p, w, activations=names))
    np.testing.assert_allclose(got, blob(expected), rtol=1e-5, atol=1e-5)


def fill_simple(p, w, name="tanh", **o):
    p.inputVectorSize, p.outputVectorSize = N, H
    getattr(p.activation, name).SetInParent()
    p.sequenceOutput, p.hasBiasVector = o.get("sequence", True), o.get("biased", True)
    p.reverseInput = o.get("reverse", False)
    p.weightMatrix.floatValue.extend(w["W", ""].ravel())
    p.recursionMatrix.floatValue.extend(w["R", ""].ravel())
    p.biasVector.floatValue.extend(w["b", ""].ravel())


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("scale", [0.5, 20.0])
@pytest.mark.parametrize(
    "options",
    [{}, {"biased": False}, {"reverse": True}, {"reverse": True, "sequence": False}],
    ids=lambda o: "-".join(o) or "plain",
)
def test_simple_recurrent(run_layer, name, scale, options):
    w, x, h = Weights([""], scale=scale), sequence(), state(2)
    ys = []
    for xt in x[::-1] if options.get("reverse") else x:
        bias = w["b", ""] * options.get("biased", True)
        h = ACTIVATIONS[name](clip(xt @ w["W", ""].T + h @ w["R", ""].T + bias))
        ys.append(h)
    got = run_layer(
        "simpleRecurrent",
        [blob(x), blob(state(2)[None])],
        outputs=2,
        fill=lambda p: fill_simple(p, w, name, **options),
    )
    ys = np.stack(ys) if options.get("sequence", True) else h[None]
    np.testing.assert_allclose(got[0], blob(ys), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[1], blob(h[None]), rtol=1e-5, atol=1e-5)


def test_the_state_that_coremltools_writes_for_a_simple_recurrent_layer(run_layer):
    w, x = Weights([""]), sequence()
    fill = {"outputs": 2, "fill": lambda p: fill_simple(p, w)}
    usual = run_layer("simpleRecurrent", [blob(x), blob(state(2)[None])], **fill)
    other = run_layer("simpleRecurrent", [blob(x), state(2)[:, :, None, None, None]], **fill)
    np.testing.assert_array_equal(usual[0], other[0])


def test_height_and_width_count_as_batch(run_layer):
    w = Weights(GATES["lstm"])
    x = np.random.default_rng(4).normal(size=(S, 1, N, 2, 3))
    got = run_layer("uniDirectionalLSTM", [x], fill=lambda p: fill_lstm(p, w))
    assert got.shape == (S, 1, H, 2, 3)
    for row, column in np.ndindex(2, 3):
        alone = np.repeat(x[:, :, :, row, column], B, 1)
        expected = numpy_lstm(alone, w)[0][:, :1]
        np.testing.assert_allclose(got[:, :, :, row, column], expected, rtol=1e-9, atol=1e-12)


def test_under_the_rank_5_mapping_a_vector_is_one_step(run_layer):
    w, x = Weights(GATES["lstm"]), np.random.default_rng(4).normal(size=N)
    states = [state(2)[0], state(3)[0]]
    got = run_layer(
        "uniDirectionalLSTM",
        [x, *states],
        outputs=3,
        rank5=True,
        fill=lambda p: fill_lstm(p, w, sequence=False),
    )
    expected = numpy_lstm(np.tile(x, (1, B, 1)), w, h=states[0], c=states[1])
    for value, wanted in zip(got, expected, strict=True):
        assert value.shape == (H, 1, 1)
        np.testing.assert_allclose(value.ravel(), wanted.reshape(-1, H)[0], rtol=1e-9)


def test_rank_5_mapping_with_a_sequence(one_layer):
    w, x = Weights(GATES["lstm"]), sequence()
    spec = one_layer("uniDirectionalLSTM", [(N,)], rank5=True, fill=lambda p: fill_lstm(p, w))
    got = migrate.to_torch(spec).double()(torch.from_numpy(blob(x)))
    np.testing.assert_allclose(got.numpy(), blob(numpy_lstm(x, w)[0]), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("states", [False, True])
def test_what_coremltools_converts_from_torch(bidirectional, states):
    ct = coremltools()
    torch.manual_seed(0)
    net = torch.nn.LSTM(N, H, bidirectional=bidirectional).eval()
    x = torch.randn(S, B, N)
    shape = (1 + bidirectional, B, H)
    given = (torch.randn(shape), torch.randn(shape)) if states else ()

    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, *given):
            y, (h, c) = self.net(x, given or None)
            return y, h, c

    values = {"x": x, **dict(zip(("h", "c"), given, strict=False))}
    spec = ct.convert(
        torch.jit.trace(Named(), tuple(values.values()), check_trace=False),
        convert_to="neuralnetwork",
        inputs=[ct.TensorType(name=name, shape=tuple(v.shape)) for name, v in values.items()],
        outputs=[ct.TensorType(name=name) for name in ("y", "hn", "cn")],
    ).get_spec()
    got = migrate.to_torch(spec).predict({name: v.numpy() for name, v in values.items()})
    with torch.no_grad():
        expected = Named()(*values.values())
    for name, wanted in zip(("y", "hn", "cn"), expected, strict=True):
        np.testing.assert_allclose(got[name], wanted.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_lstm_is_one_operation_of_any_length(one_layer):
    w = Weights(GATES["lstm"])
    spec = one_layer("uniDirectionalLSTM", [(S, B, N, 1, 1)], fill=lambda p: fill_lstm(p, w))
    net = migrate.to_torch(spec)
    traced = torch.jit.trace(net, torch.zeros(70, B, N, 1, 1))
    assert str(traced.inlined_graph).count("aten::lstm") == 1
    x = sequence()
    got = traced(torch.from_numpy(blob(x)).float()).detach().numpy()
    np.testing.assert_allclose(got, blob(numpy_lstm(x, w)[0]), rtol=1e-4, atol=1e-5)


def change(fill, **fields):
    def changed(p):
        fill(p)
        for path, value in fields.items():
            *parents, last = path.split("__")
            target = p
            for name in parents:
                target = getattr(target, name)
            if value is None:
                target.ClearField(last)
            else:
                setattr(target, last, value)

    return changed


def lstm(p):
    fill_lstm(p, Weights(GATES["lstm"]))


def both(p):
    fill_both(p, Weights(GATES["lstm"]), Weights(GATES["lstm"]))


def gru(p):
    fill_gru(p, Weights(GATES["gru"]))


def simple(p):
    fill_simple(p, Weights([""]))


def of_softsign(p):
    fill_simple(p, Weights([""]), "softsign")


def of_one_direction(p):
    both(p)
    del p.weightParams[1]


@pytest.mark.parametrize(
    ("kind", "fill", "why"),
    [
        ("simpleRecurrent", of_softsign, "activation is softsign; recurrent layers know linear"),
        ("simpleRecurrent", change(simple, activation=None), "activation is not set"),
        ("simpleRecurrent", change(simple, weightMatrix=None), "weightMatrix holds 0 values"),
        ("simpleRecurrent", change(simple, recursionMatrix=None), "recursionMatrix holds 0"),
        ("simpleRecurrent", change(simple, biasVector=None), "biasVector holds 0 values"),
        ("simpleRecurrent", change(simple, outputVectorSize=0), "outputVectorSize must be posit"),
        ("gru", change(gru, activations=None), "activations has 0 entries, expected 2"),
        ("gru", change(gru, inputVectorSize=9), "updateGateWeightMatrix holds 12 values, exp"),
        ("gru", change(gru, resetGateBiasVector=None), "resetGateBiasVector holds 0 values"),
        ("uniDirectionalLSTM", change(lstm, activations=None), "activations has 0 entr.* 3"),
        ("uniDirectionalLSTM", change(lstm, inputVectorSize=0), "inputVectorSize must be pos"),
        ("uniDirectionalLSTM", change(lstm, params__cellClipThreshold=-1.0), "cellClipThreshold"),
        (
            "uniDirectionalLSTM",
            change(lstm, params__hasPeepholeVectors=True),
            "inputGatePeepholeVector holds 0 values, expected 4",
        ),
        (
            "uniDirectionalLSTM",
            change(lstm, weightParams__forgetGateRecursionMatrix=None),
            "forgetGateRecursionMatrix holds 0 values",
        ),
        ("biDirectionalLSTM", of_one_direction, "weightParams has 1 entries, expected 2"),
        (
            "biDirectionalLSTM",
            change(both, activationsBackwardLSTM=None),
            "activationsBackwardLSTM has 0 entries",
        ),
    ],
)
def test_bad_parameters_are_named(one_layer, kind, fill, why):
    with pytest.raises(ModelError, match=f"layer 'tested' .*{why}"):
        migrate.to_torch(one_layer(kind, [(S, B, N, 1, 1)], fill=fill))


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ([(S, B, N, 1, 1), (1, B, H, 1, 1)], "expected 1 input or 3, found 2"),
        ([(S, B, N + 1, 1, 1)], "cannot be applied to inputs of shape 5x2x4x1x1"),
        ([(S, B, N, 1, 1), (1, 1, H, 1, 1), (1, 1, H, 1, 1)], "Expected hidden"),
    ],
)
def test_inputs_that_do_not_fit_are_a_sentence(run_layer, shapes, why):
    with pytest.raises(ModelError, match=why):
        run_layer("uniDirectionalLSTM", [np.zeros(shape) for shape in shapes], fill=lstm)


def test_an_empty_sequence_is_a_sentence(one_layer):
    net = migrate.to_torch(one_layer("uniDirectionalLSTM", [(S, B, N, 1, 1)], fill=lstm))
    with pytest.raises(ModelError, match=r"layer 'tested' .*sequence length to be larger than 0"):
        net(torch.zeros(0, B, N, 1, 1))


# as an ML Program

STATES = [blob(state(n)[None]) for n in range(4)]


def of_lstm(*states, operation="lstm", **options):
    w = Weights(GATES["lstm"])
    fill = partial(fill_lstm, w=w, **options)
    inputs = [blob(sequence()), *states]
    return case("uniDirectionalLSTM", inputs, operation, outputs=3, fill=fill)


def of_both(*states, **options):
    forward, backward = Weights(GATES["lstm"], 7), Weights(GATES["lstm"], 8)
    fill = partial(fill_both, forward=forward, backward=backward, **options)
    return case("biDirectionalLSTM", [blob(sequence()), *states], "lstm", outputs=5, fill=fill)


def of_gru(*states, operation="gru", **options):
    fill = partial(fill_gru, w=Weights(GATES["gru"]), **options)
    return case("gru", [blob(sequence()), *states], operation, outputs=2, fill=fill)


def of_simple(*states, operation="rnn", **options):
    fill = partial(fill_simple, w=Weights([""]), **options)
    return case("simpleRecurrent", [blob(sequence()), *states], operation, outputs=2, fill=fill)


PROGRAMS = {
    "lstm": of_lstm(),
    "lstm, given states": of_lstm(*STATES[:2]),
    "lstm, last output": of_lstm(sequence=False),
    "lstm, reversed": of_lstm(*STATES[:2], reverse=True, sequence=False),
    "lstm, no biases": of_lstm(biased=False),
    "lstm, only the bias of the forget gate": of_lstm(biased=False, forget_bias=True),
    "lstm, peepholes": of_lstm(*STATES[:2], peep=True),
    "lstm, small clip": of_lstm(cell_clip=0.125, forget_bias=True),
    "lstm, other activations": of_lstm(activations=("sigmoidHard", "ReLU", "sigmoid")),
    "lstm, linear": of_lstm(*STATES[:2], activations=("sigmoid", "linear", "tanh"), reverse=True),
    "both": of_both(),
    "both, given states": of_both(*STATES),
    "both, last output": of_both(*STATES, sequence=False),
    "both, peepholes and a small clip": of_both(*STATES, peep=True, cell_clip=0.125),
    "both, other activations": of_both(activations=("sigmoidHard", "ReLU", "linear")),
    "gru": of_gru(),
    "gru, given state": of_gru(STATES[0]),
    "gru, no biases, reversed": of_gru(STATES[0], biased=False, reverse=True),
    "gru, last output": of_gru(sequence=False),
    "gru, other activations": of_gru(activations=("sigmoidHard", "ReLU")),
    "gru, linear": of_gru(STATES[0], activations=("tanh", "linear")),
    "simple": of_simple(),
    "simple, given state": of_simple(STATES[0], reverse=True),
    "simple, last output": of_simple(sequence=False, biased=False),
    **{f: of_simple(STATES[0], name=f) for f in ("linear", "sigmoid", "ReLU", "sigmoidHard")},
}  # fmt: skip
BY_HAND = {  # what no operation of MIL has
    "coupled": of_lstm(coupled=True, peep=True, operation=""),
    "lstm, scaled tanh": of_lstm(activations=("sigmoid", "scaledTanh", "tanh"), operation=""),
    "gru, scaled tanh": of_gru(activations=("sigmoid", "scaledTanh"), operation=""),
    "simple, scaled tanh": of_simple(name="scaledTanh", operation=""),
}


def test_as_an_ml_program():
    assert differences(PROGRAMS, "iOS18", tolerance=1e-5) == {}


def test_as_an_ml_program_of_halves():
    """On iOS15, whose recurrent operations are of float32 alone."""
    cases = {name: PROGRAMS[name] for name in ("lstm", "both, given states", "gru", "ReLU")}
    assert differences(cases, "iOS15", "fp16", tolerance=1e-2) == {}


def test_what_no_operation_of_mil_has_as_an_ml_program():
    assert differences(BY_HAND, "iOS17", tolerance=1e-5) == {}
