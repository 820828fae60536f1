"""`to_source`: what it writes reads well, and computes the same bits without this project."""

from __future__ import annotations

import itertools
import json
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from torch import nn

import migrate
from migrate import UnsupportedError
from migrate.coreml import coremltools, proto
from migrate.source import WIDTH, class_name

ct = coremltools()
FLOAT32 = 65568


class Python(SingleFileSnapshotExtension):
    """A snapshot that can be opened as what it is."""

    _write_mode = WriteMode.TEXT
    file_extension = "py"


@pytest.fixture
def as_python(snapshot):
    return snapshot.use_extension(Python)


def ruff(text, *command):
    return subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", str(WIDTH), "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_clean(text):
    """Ruff finds nothing, would leave the text as it is, and no line is too long."""
    assert ruff(text, "check", "--select", "E4,E5,E7,E9,F,I,B").stdout == "All checks passed!\n"
    assert ruff(text, "format").stdout == text
    assert max(map(len, text.splitlines())) <= WIDTH


def loaded(folder):
    return runpy.run_path(str(folder / "model.py"))["load"]()


def spec_of(inputs, outputs, version=4, rank5=False):
    spec = proto("Model_pb2").Model(specificationVersion=version)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for role, features in (("input", inputs), ("output", outputs)):
        for name, shape in features.items():
            array = getattr(spec.description, role).add(name=name).type.multiArrayType
            array.dataType = FLOAT32
            array.shape.extend(shape)
    return spec


def add(spec, kind, inputs, outputs, name=None, **fields):
    layer = spec.neuralNetwork.layers.add(name=kind if name is None else name)
    layer.input.extend(inputs)
    layer.output.extend(outputs)
    params = getattr(layer, kind)
    params.SetInParent()
    for field, value in fields.items():
        if isinstance(value, (list, tuple)):
            getattr(params, field).extend(value)
        else:
            setattr(params, field, value)
    return params


def converted(module, *shapes):
    """A torch module as the NeuralNetwork that coremltools makes of it."""
    inputs = [ct.TensorType(name=f"x{i}", shape=shape) for i, shape in enumerate(shapes)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), tuple(torch.rand(shape) for shape in shapes))
        model = ct.convert(
            traced, inputs=inputs, outputs=[ct.TensorType(name="y")], convert_to="neuralnetwork",
            minimum_deployment_target=ct.target.iOS14, skip_model_load=True,
        )  # fmt: skip
    return model.get_spec()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(x + self.norm(self.conv2(x)))
        return torch.softmax(self.fc(nn.functional.avg_pool2d(x, 2).mean((2, 3))), -1)


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


def test_the_sample_in_25_lines(samples, tmp_path, as_python):
    text = migrate.to_source(samples / "Block.mlmodel", tmp_path)
    assert len(text.splitlines()) <= 25
    assert (tmp_path / "model.py").read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {"model.py", "weights.npz"}
    assert_clean(text)
    assert text == as_python


@pytest.mark.parametrize(("module", "shape"), [(Residual(), (1, 3, 8, 8)), (Sequence(), (5, 1, 4))])
def test_networks_that_coremltools_writes(module, shape, tmp_path, as_python, differences_outside):
    spec = converted(module, shape)
    text = migrate.to_source(spec, tmp_path)
    assert_clean(text)
    assert text == as_python
    assert differences_outside([(spec, [[torch.rand(shape)]])]) == [None]


def test_blazeface(shared_models, tmp_path, as_python):
    text = migrate.to_source(shared_models / "blazeface_short.mlmodel", tmp_path)
    assert_clean(text)
    assert text == as_python


MODELS = [
    "blazeface_short",
    "cpm_pose",
    "hand_pose_createml",
    "hand_squeezenet",
    "mnist_cnn",
    "posenet_mobilenet075",
    "srcnn",
    "tiny_drawing_embedding",
    "waifu2x_photo_noise0",
]


def test_real_models_compute_the_same_bits_at_each_of_two_shapes(
    shared_models, tmp_path, differences_outside
):
    cases = []
    for name in MODELS:
        path = shared_models / f"{name}.mlmodel"
        net = migrate.to_torch(path)
        (feature,) = net.network.inputs
        shapes = list(dict.fromkeys([migrate.default_shape(feature), *feature.shapes[:2]]))
        scale = 255 if feature.kind == "image" else 1
        generator = torch.Generator().manual_seed(0)
        cases.append((path, [[scale * torch.rand(s, generator=generator)] for s in shapes]))
        assert_clean(migrate.to_source(net, tmp_path / name, name=name))
    assert max(len(calls) for _, calls in cases) > 1
    assert dict(zip(MODELS, differences_outside(cases), strict=True)) == dict.fromkeys(MODELS)


def group_norm(p):
    from migrate.layers.convolution import parameter

    layer = nn.GroupNorm(p.parameters["num_groups"].intValue, p.parameters["in_channels"].intValue)
    layer.weight, layer.bias = (parameter(np.array(w.floatValue, np.float32)) for w in p.weights)
    return layer


def test_kraken_with_its_custom_layers_at_other_sizes(shared_models, tmp_path, differences_outside):
    path = shared_models / "kraken_blla.mlmodel"
    custom = {"groupnorm": group_norm}
    assert_clean(migrate.to_source(path, tmp_path / "kraken", custom))
    calls = [[torch.rand(1, 3, 40, 33)], [torch.rand(2, 3, 51, 64)]]
    assert differences_outside([(path, calls, custom)]) == [None]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("Block", "Block"),
        ("blazeface_short", "BlazefaceShort"),
        ("2 stages-final", "Model2StagesFinal"),
        ("模型", "Model"),
        ("x" * 90, "X" + "x" * 39),
    ],
)
def test_the_class_is_named_after_the_file(stem, name):
    assert class_name(stem) == name


def test_a_name_can_be_given_and_a_module_be_written(samples, tmp_path):
    net = migrate.to_torch(samples / "Block.mlmodel")
    assert "\nclass MyBlock(nn.Module)" in migrate.to_source(net, tmp_path, name="my block")


def test_the_same_model_gives_the_same_bytes(samples, tmp_path):
    for folder in ("a", "b"):
        migrate.to_source(samples / "Block.mlmodel", tmp_path / folder)
    for name in ("model.py", "weights.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_weights_are_no_pickle(samples, tmp_path):
    migrate.to_source(samples / "Block.mlmodel", tmp_path)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as weights:
        assert set(weights) == {f"conv{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")}


def test_a_network_without_weights_needs_no_file(one_layer, tmp_path, differences_outside):
    spec = one_layer("tanh", [(2, 3)])
    text = migrate.to_source(spec, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    assert "numpy" not in text
    assert differences_outside([(spec, [[torch.rand(2, 3)]])]) == [None]


def test_the_module_can_be_trained_on(samples, tmp_path):
    migrate.to_source(samples / "Block.mlmodel", tmp_path)
    net = loaded(tmp_path)
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_(True)
    y = net(torch.rand(1, 128, 43, 1), torch.rand(1, 800, 43, 1))
    y.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def copied(spec, blob, source):
    add(spec, "copy", [source], [blob], name=f"copy {blob}")


HOSTILE = [
    "class",
    "",
    "x" * 1000,
    "größe",
    "a\nb",
    'it\'s "quoted" \\',
    "a.b",
    "a/b",
    "a_b",
    "__x",
    "torch",
    "F",
    "np",
    "range",
    "self",
    "load",
    "holds",
    "check_shape",
    "_",
    "l",
    "forward",
    "training",
    "NAMES",
    "weights",
]


def test_any_name_is_written_and_can_be_found_again(tmp_path, differences_outside):
    """Inputs, blobs, layers and outputs of these names, each a layer with weights."""
    spec = spec_of({HOSTILE[0]: (3,)}, {HOSTILE[-1]: (3,)})
    for before, after in itertools.pairwise(HOSTILE):
        p = add(spec, "loadConstantND", [], [f"{after} constant"], name=after, shape=[5])
        p.data.floatValue.extend([1.0, 2.0, 3.0, 4.0, 5.0])
        add(spec, "concatND", [before, f"{after} constant"], [after], name=f"{after}+", axis=0)
    text = migrate.to_source(spec, tmp_path)
    assert_clean(text)
    assert differences_outside([(spec, [[torch.rand(3)]])]) == [None]
    names = runpy.run_path(str(tmp_path / "model.py"))["NAMES"]
    found = set(names.values()) | {name for name in HOSTILE if f"        {name} = " in text}
    assert found >= set(HOSTILE[1:-1])


def test_hostile_names_of_several_inputs_and_outputs(differences_outside, tmp_path):
    inputs, outputs = HOSTILE[:12], [f"{name}!" for name in HOSTILE[:12]]
    spec = spec_of(dict.fromkeys(inputs, (2,)), dict.fromkeys(outputs, (2,)))
    for i, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
        add(spec, "add", [x], [y], name="same name", alpha=float(i))
    assert_clean(migrate.to_source(spec, tmp_path))
    assert differences_outside([(spec, [[torch.rand(2) for _ in inputs]])]) == [None]


def branching():
    """if condition: y = tanh(x), else: y = x + 1 and the blob x is written again."""
    spec = spec_of({"condition": (1,), "x": (3,)}, {"y": (3,), "x": (3,)})
    branch = add(spec, "branch", ["condition"], [])
    inner = proto("Model_pb2").Model()
    add(inner, "tanh", ["x"], ["y"], name="in if")
    branch.ifBranch.CopyFrom(inner.neuralNetwork)
    inner = proto("Model_pb2").Model()
    add(inner, "add", ["x"], ["y"], name="in else", alpha=1.0)
    add(inner, "copy", ["y"], ["x"], name="again")
    branch.elseBranch.CopyFrom(inner.neuralNetwork)
    return spec


def looping(kind):
    """total += x, with a continue for every total below 2 and a break above 20."""
    spec = spec_of({"n": (1,), "x": (1,)}, {"total": (1,), "rounds": (1,)})
    for blob in ("total", "rounds"):
        add(spec, "fillStatic", [], [f"{blob} 0"], name=f"{blob} 0", targetShape=[1])
        copied(spec, blob, f"{blob} 0")
    loop = add(spec, "loop", ["n"] if kind == "given" else [], [])
    if kind == "counted":
        loop.maxLoopIterations = 7
    body = proto("Model_pb2").Model()
    add(body, "addBroadcastable", ["total", "x"], ["sum"], name="sum")
    copied(body, "total", "sum")
    for compare, alpha, leave in (
        ("lessThan", 2.0, "loopContinue"),
        ("greaterThan", 20.0, "loopBreak"),
    ):
        add(body, compare, ["total"], [leave], name=compare, alpha=alpha)
        branch = add(body, "branch", [leave], [], name=f"if {compare}")
        inner = proto("Model_pb2").Model()
        add(inner, leave, [], [], name=leave)
        branch.ifBranch.CopyFrom(inner.neuralNetwork)
    add(body, "add", ["rounds"], ["more"], name="more", alpha=1.0)
    copied(body, "rounds", "more")
    loop.bodyNetwork.CopyFrom(body.neuralNetwork)
    if kind == "while":
        condition = proto("Model_pb2").Model()
        add(condition, "lessThan", ["rounds"], ["goes on"], name="goes on", alpha=4.0)
        loop.conditionVar = "goes on"
        loop.conditionNetwork.CopyFrom(condition.neuralNetwork)
    return spec


def test_a_branch_is_an_if(tmp_path, differences_outside):
    spec = branching()
    text = migrate.to_source(spec, tmp_path)
    assert "        if holds(condition):\n" in text
    assert "        else:\n" in text
    assert_clean(text)
    calls = [[torch.tensor([value]), torch.rand(3)] for value in (0.0, 1.0)]
    assert differences_outside([(spec, calls)]) == [None]


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("counted", "for _ in range(7):"),
        ("given", "for _ in range(int(n)):"),
        ("while", "while True:"),
    ],
)
def test_a_loop_is_a_loop(kind, header, tmp_path, differences_outside):
    spec = looping(kind)
    text = migrate.to_source(spec, tmp_path)
    assert header in text
    assert "continue\n" in text
    assert "break\n" in text
    assert_clean(text)
    calls = [[torch.tensor([n]), torch.tensor([x])] for n in (0.0, 5.0) for x in (0.3, 1.5, 9.0)]
    assert differences_outside([(spec, calls)]) == [None]


def test_a_loop_with_a_count_and_a_condition(tmp_path, differences_outside):
    """The condition is computed once more than the body, which its own blob shows."""
    spec = looping("while")
    spec.neuralNetwork.layers[-1].input.append("n")
    condition = spec.neuralNetwork.layers[-1].loop.conditionNetwork
    add_condition = condition.layers.add(name="seen", input=["rounds"], output=["seen"])
    add_condition.add.alpha = 10.0
    spec.description.output.add(name="seen").type.multiArrayType.dataType = FLOAT32
    calls = [[torch.tensor([n]), torch.tensor([x])] for n in (1.0, 2.0, 8.0) for x in (0.3, 3.0)]
    assert_clean(migrate.to_source(spec, tmp_path))
    assert differences_outside([(spec, calls)]) == [None]


def test_a_custom_layer_that_cannot_be_written_is_refused_in_a_sentence(tmp_path):
    spec = spec_of({"x": (3,)}, {"y": (3,)})
    layer = spec.neuralNetwork.layers.add(name="own", input=["x"], output=["y"])
    layer.custom.className = "Own"
    loose = torch.rand(3)
    refused = {
        "reads numbers off the data": lambda x: x * float(x.sum()),
        "depends on a size": lambda x: x if x.shape[0] > 2 else -x,
        "in place": lambda x: x.add_(1),
        "no parameter or buffer": lambda x: x + loose,
    }
    for words, function in refused.items():
        with pytest.raises(UnsupportedError, match=words) as caught:
            migrate.to_source(spec, tmp_path / "out", {"Own": lambda p, f=function: f})
        assert "layer 'own' (custom), 1 of 1" in str(caught.value)
        assert not (tmp_path / "out").exists()


def gated(p, generator):
    """Fill a GRU of 4 inputs and 4 outputs."""
    for gate in ("update", "reset", "output"):
        for matrix in ("Weight", "Recursion"):
            values = getattr(p, f"{gate}Gate{matrix}Matrix").floatValue
            values.extend(generator.randn(16).astype(np.float32))
    for kind in ("sigmoid", "tanh"):
        getattr(p.activations.add(), kind).SetInParent()


def test_parallel_recurrent_layers_share_no_name(differences_outside):
    """Three of them over two blobs, the first blob read again by the last layer."""
    spec = spec_of({"x": (4,)}, {f"y{i}": (4,) for i in range(3)}, version=1, rank5=True)
    add(spec, "activation", ["x"], ["a"], name="a").tanh.SetInParent()
    add(spec, "activation", ["a"], ["b"], name="b").linear.alpha = 2.0
    for i, blob in enumerate("aba"):
        p = add(spec, "gru", [blob], [f"y{i}"], name=f"gru{i}", inputVectorSize=4,
                outputVectorSize=4)  # fmt: skip
        gated(p, np.random.RandomState(i))
    calls = [[torch.rand(shape)] for shape in [(4,), (2, 4), (5, 2, 4), (3, 1, 4)]]
    assert differences_outside([(spec, calls)]) == [None]


def test_several_outputs_of_a_layer_in_a_loop_are_computed_before_they_are_assigned(
    differences_outside,
):
    spec = spec_of({"x": (3,)}, {"a": (3,), "b": (3,)})
    copied(spec, "a", "x")
    add(spec, "multiply", ["x"], ["b"], alpha=2.0)
    loop = add(spec, "loop", [], [], maxLoopIterations=3)
    body = proto("Model_pb2").Model()
    swap = add(body, "custom", ["a", "b"], ["a", "b"], name="swap")
    swap.className = "Swap"
    loop.bodyNetwork.CopyFrom(body.neuralNetwork)
    custom = {"Swap": lambda p: lambda a, b: (b + 1, a)}
    assert differences_outside([(spec, [[torch.rand(3)]], custom)]) == [None]


def test_a_sequence_as_long_as_a_number_says_is_clipped(differences_outside):
    """The length of the recording says nothing of others: a cell counts up to the clip of 50."""
    spec = spec_of({"length": (1,)}, {"h": ()})
    add(spec, "rangeDynamic", ["length"], ["steps"], stepSizeValue=1.0)
    add(spec, "expandDims", ["steps"], ["sequence"], axes=[1, 2, 3, 4])
    p = add(spec, "uniDirectionalLSTM", ["sequence"], ["y", "h", "c"], inputVectorSize=1,
            outputVectorSize=1)  # fmt: skip
    for kind in ("sigmoid", "tanh", "tanh"):
        getattr(p.activations.add(), kind).SetInParent()
    for gate in ("inputGate", "forgetGate", "blockInput", "outputGate"):
        getattr(p.weightParams, f"{gate}WeightMatrix").floatValue.append(30.0)
        getattr(p.weightParams, f"{gate}RecursionMatrix").floatValue.append(0.0)
    spec.description.output.add(name="c").type.multiArrayType.dataType = FLOAT32
    net = migrate.to_torch(spec)
    assert net(torch.tensor([70.0]))[1].item() == 50
    assert differences_outside([(spec, [[torch.tensor([n])] for n in (3.0, 70.0)])]) == [None]


def test_what_changes_its_course_with_the_size_of_the_input_is_refused(tmp_path):
    """A custom layer that counts, and a network whose shapes have different ranks."""
    spec = flexible(bounds=[(1, 9)])
    spec.neuralNetwork.layers[0].custom.className = "Own"
    counts = {"Own": lambda p: lambda x: sum(x[i] for i in range(x.shape[0])).reshape(1)}
    ranks = flexible([(3,), (2, 3)])
    add(ranks, "expandDims", ["y"], ["z"], axes=[-1])
    ranks.description.output[0].name = "z"
    for model, custom in ((spec, counts), (ranks, None)):
        with pytest.raises(UnsupportedError, match="something else for inputs of other sizes"):
            migrate.to_source(model, tmp_path / "out", custom)


def test_blobs_of_two_ranks_behind_a_branch_are_refused(tmp_path):
    spec = branching()
    layers = spec.neuralNetwork.layers[0].branch.elseBranch.layers
    layer = layers.add(name="rank", input=["x"], output=["y"])
    layer.expandDims.axes.append(0)
    with pytest.raises(UnsupportedError, match="blob 'y', which has rank 1 on one way"):
        migrate.to_source(spec, tmp_path / "out")


@pytest.mark.parametrize("stem", ["f", "path", "none", "names", "labels", "any", "torch", "load"])
def test_a_class_takes_no_name_that_the_file_uses(stem, one_layer, tmp_path, differences_outside):
    spec = one_layer("scale", [(1, 3, 2, 2)], shapeScale=[3], fill=lambda p: (
        p.scale.floatValue.extend([1, 2, 3])))  # fmt: skip
    text = migrate.to_source(spec, tmp_path, name=stem)
    assert_clean(text)
    assert torch.equal(
        loaded(tmp_path)(torch.ones(1, 3, 2, 2)), migrate.to_torch(spec)(torch.ones(1, 3, 2, 2))
    )


def test_layers_named_as_arguments_of_numpys_savez(differences_outside):
    spec = spec_of({"x": (3,)}, {"y": (3,)})
    for name in ("file", "allow_pickle"):
        p = add(spec, "loadConstantND", [], [name], name=name, shape=[3])
        p.data.floatValue.extend([1.0, 2.0, 3.0])
    add(spec, "addBroadcastable", ["file", "allow_pickle"], ["sum"])
    add(spec, "addBroadcastable", ["sum", "x"], ["y"], name="last")
    assert differences_outside([(spec, [[torch.rand(3)]])]) == [None]


def test_inputs_that_differ_in_case_alone_have_shapes_of_their_own(tmp_path):
    spec = flexible(bounds=[(1, 9)])
    array = spec.description.input.add(name="X").type.multiArrayType
    array.dataType = FLOAT32
    array.shape.append(12)
    array.shapeRange.sizeRanges.add(lowerBound=12, upperBound=20)
    assert_clean(migrate.to_source(spec, tmp_path))
    net = loaded(tmp_path)
    net(torch.rand(3), torch.rand(12))
    with pytest.raises(ValueError, match=r"input 'x' has shape 12, the model takes 1\.\.9"):
        net(torch.rand(12), torch.rand(12))


def test_an_optional_input_of_infinity(differences_outside, tmp_path):
    spec = spec_of({"x": (3,)}, {"y": (3,)})
    spec.description.input[0].type.isOptional = True
    spec.description.input[0].type.multiArrayType.floatDefaultValue = float("inf")
    add(spec, "tanh", ["x"], ["y"])
    assert_clean(migrate.to_source(spec, tmp_path))
    assert torch.equal(loaded(tmp_path)(), torch.ones(3))


def test_what_torch_cannot_be_run_on_is_said(tmp_path):
    spec = spec_of({"x": (3,), "y": (4,)}, {"z": (3,)})
    add(spec, "addBroadcastable", ["x", "y"], ["z"], name="sum")
    with pytest.raises(migrate.ModelError, match="layer 'sum'"):
        migrate.to_source(spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def flexible(shapes=(), bounds=()):
    """A mean over the last axis of an input of several allowed shapes."""
    spec = spec_of({"x": shapes[0] if shapes else [low for low, _ in bounds]}, {"y": ()})
    array = spec.description.input[0].type.multiArrayType
    for shape in shapes:
        array.enumeratedShapes.shapes.add(shape=shape)
    for low, high in bounds:
        array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    add(spec, "reduceMean", ["x"], ["y"], axes=[-1], keepDims=True)
    return spec


@pytest.mark.parametrize(
    ("spec", "allowed", "refused", "words"),
    [
        (flexible([(1, 3), (2, 5)]), [(1, 3), (2, 5)], [(2, 3), (1, 5), (3,)], "1x3, 2x5"),
        (flexible(bounds=[(1, 4), (2, 2)]), [(1, 2), (4, 2)], [(5, 2), (1, 3)], "1..4x2"),
        (flexible(bounds=[(2, -1)]), [(2,), (99,)], [(1,)], "2.."),
    ],
)
def test_each_allowed_shape_is_taken_and_others_are_refused_by_name(
    spec, allowed, refused, words, tmp_path, differences_outside
):
    assert differences_outside([(spec, [[torch.rand(s)] for s in allowed])]) == [None]
    migrate.to_source(spec, tmp_path)
    for net, error in (
        (migrate.to_torch(spec), migrate.InputError),
        (loaded(tmp_path), ValueError),
    ):
        for shape in refused:
            size = "x".join(map(str, shape))
            with pytest.raises(error, match=f"input 'x' has shape {size}, the model takes {words}"):
                net(torch.rand(shape))


def test_optional_inputs_may_be_left_out(tmp_path, differences_outside):
    spec = spec_of({"x": (3,), "more": (3,), "last": (3,)}, {"y": (3,)})
    for feature, value in ((spec.description.input[1], 2.5), (spec.description.input[2], None)):
        feature.type.isOptional = True
        if value:
            feature.type.multiArrayType.floatDefaultValue = value
    add(spec, "addBroadcastable", ["x", "more"], ["sum"])
    add(spec, "multiplyBroadcastable", ["sum", "last"], ["product"])
    add(spec, "addBroadcastable", ["product", "sum"], ["y"], name="sum again")
    x = torch.tensor([1.0, 2.0, 3.0])
    calls = [[x], [x, torch.ones(3)], [x, torch.ones(3), torch.ones(3)]]
    for call in calls:
        assert differences_outside([(spec, [call])]) == [None]
    net = migrate.to_torch(spec)
    torch.testing.assert_close(net(x), x + 2.5)
    torch.testing.assert_close(net(x, None, torch.ones(3)), 2 * (x + 2.5))
    with pytest.raises(TypeError, match="'x' is missing"):
        net()
    text = migrate.to_source(spec, tmp_path)
    assert "def forward(self, x, more=None, last=None):" in text


def test_a_recurrent_network_takes_sequences_of_vectors(differences_outside):
    """Under the rank-5 mapping [C] may have [Batch] or [Seq, Batch] in front; here beyond the clip.

    cellClipThreshold is 50, which cells can reach from 51 steps on.
    """
    spec = spec_of({"x": (4,)}, {"y": (6,)}, version=1, rank5=True)
    p = add(spec, "uniDirectionalLSTM", ["x"], ["y"], inputVectorSize=4, outputVectorSize=6)
    generator = np.random.RandomState(0)
    for kind in ("sigmoid", "tanh", "tanh"):
        getattr(p.activations.add(), kind).SetInParent()
    for gate in ("inputGate", "forgetGate", "blockInput", "outputGate"):
        for matrix, size in (("WeightMatrix", 24), ("RecursionMatrix", 36)):
            values = getattr(p.weightParams, f"{gate}{matrix}").floatValue
            values.extend(generator.randn(size).astype(np.float32))
    p.params.sequenceOutput = True
    calls = [
        [torch.rand(shape)] for shape in [(4,), (2, 4), (3, 2, 4), (60, 1, 4), (5, 2, 4, 1, 1)]
    ]
    assert differences_outside([(spec, calls)]) == [None]


def test_a_classifier_has_its_labels(shared_models, tmp_path):
    path = shared_models / "hand_squeezenet.mlmodel"
    migrate.to_source(path, tmp_path)
    names = runpy.run_path(str(tmp_path / "model.py"))
    assert tuple(names["LABELS"]) == migrate.read(path).labels


def test_a_network_in_a_package_and_one_that_can_be_trained(samples, tmp_path, differences_outside):
    """Of an updatable model the part that predicts is read."""
    spec = migrate.load_spec(samples / "Block.mlmodel")
    spec.isUpdatable = True
    spec.description.trainingInput.add(name="input1").type.multiArrayType.dataType = FLOAT32
    spec.neuralNetwork.updateParams.epochs.defaultValue = 3
    package = tmp_path / "Block.mlpackage"
    save_package(spec, package)
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 128, 43, 1), (1, 800, 43, 1)]
    call = [torch.rand(shape, generator=generator) for shape in shapes]
    assert differences_outside([(package, [call]), (spec, [call])]) == [None, None]


def save_package(spec, package):
    """Write an .mlpackage by hand, as Xcode does for a NeuralNetwork."""
    data = package / "Data" / "com.apple.CoreML"
    data.mkdir(parents=True)
    (data / "model.mlmodel").write_bytes(spec.SerializeToString())
    item = {"author": "com.apple.CoreML", "name": "model.mlmodel", "description": "",
            "path": "com.apple.CoreML/model.mlmodel"}  # fmt: skip
    manifest = {"fileFormatVersion": "1.0.0", "rootModelIdentifier": "A",
                "itemInfoEntries": {"A": item}}  # fmt: skip
    (package / "Manifest.json").write_text(json.dumps(manifest))


def test_an_image_to_an_image_with_preprocessing(tmp_path, differences_outside):
    spec = spec_of({"in": ()}, {"out": ()}, version=4)
    for feature in (spec.description.input[0], spec.description.output[0]):
        feature.type.imageType.colorSpace = 30  # BGR
        feature.type.imageType.height, feature.type.imageType.width = 4, 6
    scaler = spec.neuralNetwork.preprocessing.add(featureName="in").scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias = 0.5, 1.0, 2.0, 3.0
    add(spec, "add", ["in"], ["out"], alpha=10.0)
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    got = np.asarray(migrate.to_torch(spec).predict({"in": Image.fromarray(pixels)})["out"])
    expected = np.round(pixels * 0.5 + np.array([1.0, 2.0, 3.0]) + 10)
    np.testing.assert_array_equal(got, expected)
    call = [torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))]
    assert differences_outside([(spec, [call])]) == [None]
    assert "nn.Buffer(torch.tensor([3.0, 2.0, 1.0])" in migrate.to_source(spec, tmp_path)
