"""torch to Core ML by coremltools, and back, or evaluated, by us: networks that people have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import migrate
from migrate.coreml import coremltools

pytestmark = pytest.mark.filterwarnings("ignore")  # coremltools' and torch.jit's own


class Residual(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.skip = nn.Conv2d(channels, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Residual(8, 8, 1), Residual(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 10), nn.Softmax(1),
    )  # fmt: skip


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        mean = F.adaptive_avg_pool2d(x, 1)
        return x * F.hardsigmoid(self.up(F.relu(self.down(mean))))


def mobilenet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU6(),
        nn.Conv2d(24, 24, 5, 2, 2, groups=24), nn.BatchNorm2d(24), Squeeze(24), nn.Hardswish(),
        nn.Conv2d(24, 8, 1), nn.AvgPool2d(2, 1), nn.LeakyReLU(0.1),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 1, 1)
        self.middle = nn.Conv2d(16, 16, 3, 1, 2, dilation=2)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 8, 3, 1, 1)
        self.norm, self.last = nn.InstanceNorm2d(8, affine=True), nn.Conv2d(11, 2, 1)
        self.slope = nn.PReLU(8)

    def forward(self, x):
        one = F.elu(self.down1(x))
        two = F.softplus(self.down2(F.max_pool2d(one, 2)))
        low = torch.sigmoid(self.middle(F.max_pool2d(two, 2)))
        up = F.interpolate(low, scale_factor=2, mode="nearest") + two
        up = self.slope(self.norm(self.up1(torch.cat([self.up2(up), one], 1))))
        return self.last(torch.cat([up, x], 1)), F.interpolate(
            up, scale_factor=2, mode="bilinear", align_corners=True
        )


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.layers = kind(6, 5, **options)
        self.head = nn.Linear(5 * (1 + options.get("bidirectional", False)), 3)

    def forward(self, x):
        y, state = self.layers(x)
        last = state[0] if isinstance(state, tuple) else state
        return self.head(y), last


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.place = nn.Parameter(torch.randn(1, 7, 16))
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return F.log_softmax(self.head(self.layers(x + self.place)).mean(1), -1)


KINDS = {  # what coremltools should have written, so that each case tests what it is for
    "resnet": {"convolution", "add", "pooling", "innerProduct"},
    "mobilenet": {"convolution", "clip", "multiplyBroadcastable"},
    "unet": {"convolution", "upsample", "concat", "batchnorm"},
    "lstm": {"uniDirectionalLSTM"},
    "bidirectional lstm": {"biDirectionalLSTM"},
    "gru": {"loop", "scatter"},
    "rnn": {"simpleRecurrent"},
    "transformer": {"batchedMatmul", "softmaxND", "gelu"},
}
CASES = {
    "resnet": (resnet, (1, 3, 32, 32)),
    "mobilenet": (mobilenet, (2, 3, 33, 31)),
    "unet": (UNet, (1, 3, 16, 24)),
    "lstm": (lambda: Recurrent(nn.LSTM, num_layers=2), (5, 2, 6)),
    "bidirectional lstm": (
        lambda: Recurrent(nn.LSTM, bidirectional=True, batch_first=True),
        (2, 5, 6),
    ),
    "gru": (lambda: Recurrent(nn.GRU, num_layers=2), (5, 1, 6)),
    "rnn": (lambda: Recurrent(nn.RNN, nonlinearity="tanh"), (5, 1, 6)),
    "transformer": (Encoder, (2, 7, 16)),
}


def seeded(make):
    """Return the module in evaluation mode, with weights and statistics that are not defaults."""
    torch.manual_seed(0)
    module = make().eval()
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if name.endswith("running_var"):
            value.data.uniform_(0.5, 2.0)
        elif value.is_floating_point() and value.ndim == 1:
            value.data.uniform_(-0.5, 0.5)
    return module


@pytest.fixture(autouse=True)
def slow_path():
    """The fused attention that torch chooses in evaluation mode cannot be traced."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


@pytest.mark.parametrize("case", CASES)
def test_there_and_back(case):
    make, shape = CASES[case]
    module = seeded(make)
    ct = coremltools()
    x = torch.rand(shape) * 2 - 1
    with torch.no_grad():
        model = ct.convert(
            torch.jit.trace(module, (x,), check_trace=False),
            convert_to="neuralnetwork",
            inputs=[ct.TensorType(name="x", shape=shape)],
        )
        net = migrate.to_torch(model)
        assert {layer.kind for layer in net.network.all_layers()} >= KINDS[case]
        for x in (torch.rand(shape) * 2 - 1, torch.randn(shape)):
            want = module(x)
            found = net(x)
            assert isinstance(found, tuple) == isinstance(want, tuple)
            wants, founds = (v if isinstance(v, tuple) else (v,) for v in (want, found))
            for one, other in zip(wants, founds, strict=True):
                assert other.shape == one.shape
                scale = one.abs().max().item()
                np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=0, atol=1e-5 * scale)
        assert_close(migrate.to_mlprogram(model, "fp32"), module, x, 1e-5)
        assert_close(migrate.to_mlprogram(model, "fp16"), module, x, 1e-2)


def assert_close(program, module, x, tolerance):
    """The program's outputs are torch's, within a part of their largest value."""
    found = list(migrate.evaluate(program, {"x": x.numpy()}).values())
    with torch.no_grad():
        want = module(x)
    wants = want if isinstance(want, tuple) else (want,)
    for one, other in zip(wants, found, strict=True):
        assert other.shape == one.shape
        scale = one.abs().max().item()
        np.testing.assert_allclose(other, one.numpy(), rtol=0, atol=tolerance * scale)


def ml_program(module, shape, precision, target="iOS16"):
    ct = coremltools()
    floats = {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}
    return ct.convert(
        torch.jit.trace(module, (torch.zeros(shape),), check_trace=False),
        convert_to="mlprogram",
        inputs=[ct.TensorType(name="x", shape=shape)],
        compute_precision=floats[precision],
        minimum_deployment_target=getattr(ct.target, target),
        skip_model_load=True,
    )


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-2)])
@pytest.mark.parametrize("case", CASES)
def test_as_an_ml_program_that_coremltools_made(case, precision, tolerance):
    """The evaluator knows nothing of our converter, nor of what torch computes."""
    make, shape = CASES[case]
    module = seeded(make)
    program = ml_program(module, shape, precision)
    assert_close(program, module, torch.rand(shape) * 2 - 1, tolerance)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("linear", 0.1), ("palettized", 0.2), ("pruned", 0.6)]
)
def test_with_compressed_weights(kind, tolerance):
    """coremltools compresses the weights; what they are worth then, it says by decompressing."""
    ct = coremltools()
    oc = ct.optimize.coreml
    module, shape = seeded(resnet), (1, 3, 32, 32)
    program = ml_program(module, shape, "fp32")
    configs = {
        "linear": (oc.linear_quantize_weights, oc.OpLinearQuantizerConfig(weight_threshold=0)),
        "palettized": (oc.palettize_weights, oc.OpPalettizerConfig(
            nbits=6, mode="uniform", weight_threshold=0)),
        "pruned": (oc.prune_weights, oc.OpMagnitudePrunerConfig(
            target_sparsity=0.3, weight_threshold=0)),
    }  # fmt: skip
    compress, config = configs[kind]
    compressed = compress(program, oc.OptimizationConfig(global_config=config))
    x = {"x": (torch.rand(shape) * 2 - 1).numpy()}
    (found,) = migrate.evaluate(compressed, x).values()
    (plain,) = migrate.evaluate(oc.decompress_weights(compressed), x).values()
    (original,) = migrate.evaluate(program, x).values()
    np.testing.assert_allclose(found, plain, atol=1e-6)
    assert 0 < np.abs(found - original).max() < tolerance
