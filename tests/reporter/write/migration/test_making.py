"""Models made, verified, and handed out or taken back."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from migrations import breaking, broken, model, overflowing, spec_of, written

import migrate
from migrate import AnereportError, OptionError, UnsupportedError
from reporter.measure import inputs
from reporter.measure.identity import identify
from reporter.write.migration import making, migration
from reporter.write.migration.making import BrokenError, Subject

DOUBLE = 65600
NEAR = ("t.mlmodel", "t-declared.mlmodel")
PROGRAMS = (
    "fp16-iOS15", "fp16-iOS16", "fp16-iOS17", "fp16-iOS18", "fp16-iOS16-fp16-features",
    "fp16-iOS17-fp16-features", "fp16-iOS18-fp16-features", "fp32-iOS15",
)  # fmt: skip
NAMES = (*NEAR, *(f"t-{label}.mlpackage" for label in PROGRAMS))


class Told:
    """Counts the steps, and how many were to be expected."""

    def __init__(self):
        self.texts, self.expected = [], 0

    def expect(self, steps):
        self.expected += steps

    def step(self, text):
        self.texts.append(text)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def refused(path, kind=AnereportError, **options):
    """Migrate what must fail: one sentence, and nothing is left, not even a hidden folder."""
    before = files(path.parent)
    with pytest.raises(kind) as caught:
        migration.write(path, path.parent / "new" / "out", **options)
    assert files(path.parent) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    """A small model whose output is declared as it is not."""
    return model(tmp_path / "t.mlmodel", declared=(1, 3, 3, 2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The whole experiment of such a model."""
    folder = tmp_path_factory.mktemp("whole")
    source, told = model(folder / "t.mlmodel", declared=(1, 3, 3, 2), dtype=DOUBLE), Told()
    options = migrate.Options(keep_fp32=("relu",))
    done = migration.write(source, folder / "out", options, progress=told, matrix=True)
    return SimpleNamespace(source=source, out=folder / "out", done=done, told=told)


def left_out(done):
    return {v.name: v.left_out for v in done.variants if not v.identity}


# --- the whole experiment


def test_the_matrix_is_one_folder(whole):
    found = sorted(p.name for p in whole.out.iterdir())
    others = ["migration.json", "migration.md", "model.py", "weights.npz"]
    assert found == sorted((*NAMES, *others))
    assert tuple(v.name for v in whole.done.variants) == NAMES
    assert whole.done.matrix
    assert left_out(whole.done) == {}
    assert [p.name for p in whole.out.parent.iterdir() if p.name.startswith(".")] == []


def test_each_model_is_as_it_is_listed(whole):
    for variant in whole.done.variants:
        assert variant.identity == identify(whole.out / variant.name)
    assert len({v.identity.sha256_without_metadata for v in whole.done.variants}) == len(NAMES)
    listed = json.loads((whole.out / "migration.json").read_text())["variants"]
    assert [v["identity"]["sha256"] for v in listed] == [
        v.identity.sha256 for v in whole.done.variants
    ]


def test_the_network_is_there_as_it_is(whole):
    assert (whole.out / "t.mlmodel").read_bytes() == whole.source.read_bytes()
    assert whole.done.variants[0].identity == whole.done.source
    assert whole.done.variants[0].options is None


def test_the_network_is_there_as_it_should_have_been_declared(whole):
    """Nothing but the shape is other."""
    spec = migrate.load_spec(whole.out / "t-declared.mlmodel")
    (output,) = spec.description.output
    assert list(output.type.multiArrayType.shape) == [1, 3, 2, 3]
    output.type.multiArrayType.shape[:] = [1, 3, 3, 2]
    assert spec == migrate.load_spec(whole.source)
    (found,) = [f for f in whole.done.variants[1].features if f.changed]
    assert (found.before, found.after) == ("1x3x3x2 FLOAT32", "1x3x2x3 FLOAT32")


@pytest.mark.parametrize("label", PROGRAMS)
def test_each_program_is_what_its_name_says(whole, label):
    package = whole.out / f"t-{label}.mlpackage"
    overview = migrate.describe_program(package)
    release = int(re.search(r"iOS(\d+)", label)[1])
    assert overview.spec_version == release - 9
    assert overview.precision == ("fp32" if label.startswith("fp32") else "mixed")
    halves = label.endswith("features")
    assert {f.dtype for f in (*overview.inputs, *overview.outputs)} == {
        "float16" if halves else "float32"
    }
    given = inputs.seeded(whole.source)
    want = migrate.to_torch(whole.source).predict(dict(given))["y"]
    got = migrate.evaluate(package, given)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)


def test_options_hold_for_the_whole_matrix(whole):
    kept = {v.label: v.options.keep_fp32 for v in whole.done.variants if v.options}
    assert kept == {**dict.fromkeys(PROGRAMS, ("relu",)), "fp32-iOS15": ()}


def test_each_is_verified(whole):
    found = whole.done.verification
    assert {c.variant for c in found.comparisons} == {
        "torch float32",
        *(f"ML Program {label}" for label in PROGRAMS),
    }
    assert set(found.maps) == set(PROGRAMS)
    assert all(set(w.became) == set(PROGRAMS) for w in found.weights)
    assert found.errors == {}


def test_no_more_steps_than_were_expected(whole, path):
    assert whole.told.expected == len(whole.told.texts)
    told = Told()
    migration.write(path, path.parent / "out", progress=told)
    assert told.expected == len(told.texts), told.texts


def test_a_limit_of_some_is_said_with_their_names(whole):
    """Doubles become floats, but where float16 features are asked for."""
    (finding,) = [f for f in whole.done.findings if "DOUBLE becomes FLOAT32" in f]
    names, _, limit = finding.partition(": ")
    assert names.split(", ") == [n for n in NAMES[2:] if "features" not in n]
    assert [v.name for v in whole.done.variants if limit in v.limits] == names.split(", ")


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ([("a",), ("a",)], ["a"]),
        ([("a", "b"), ("b",)], ["0: a", "b"]),
        ([("a",), ("b",), ("a",)], ["0, 2: a", "1: b"]),
        ([("a",), None], ["a"]),
        ([], []),
    ],
)
def test_limits_are_said_once(having, expected):
    variants = [
        SimpleNamespace(name=str(i), identity=limits is not None, limits=limits or ())
        for i, limits in enumerate(having)
    ]
    assert making._of_some(variants) == expected


def networks(path):
    """The NeuralNetworks of a matrix: as it is, and corrected."""
    folder = path.parent / "networks"
    folder.mkdir()
    as_it_is, corrected = making.Making(Subject(path, ()), folder, (), True, Told())._networks()
    assert (folder / path.name).read_bytes() == path.read_bytes()
    assert as_it_is.identity == identify(path)
    assert (folder / corrected.name).exists() == (corrected.left_out == "")
    return corrected


@pytest.mark.parametrize("declared", [(), (1, 3, 2, 3)])
def test_a_network_that_is_declared_right_is_not_corrected(tmp_path, declared):
    corrected = networks(model(tmp_path / "t.mlmodel", declared=declared))
    assert corrected.name == "t-declared.mlmodel"
    assert corrected.left_out == "every output is declared as it is computed"


# --- what is left out


def test_what_is_broken_or_cannot_be_made_is_left_out_and_the_others_stay(path, monkeypatch):
    """A program with another weight, some that cannot be converted, and a wrong correction."""
    breaks = breaking(lambda o: o.target == "iOS17")

    def convert(net, source, options, sha256):
        if options.features:
            raise UnsupportedError("no such features")
        return breaks(net, source, options, sha256)

    monkeypatch.setattr(migrate, "convert", convert)
    monkeypatch.setattr(migrate, "corrected", another_bias)
    out = path.parent / "out"
    done = migration.write(path, out, matrix=True)
    found = left_out(done)
    broken_one = "t-fp16-iOS17.mlpackage"
    reason = found.pop(broken_one)
    assert reason.startswith(
        "the fp16-iOS17 ML Program is not equal to the NeuralNetwork: layer 'convolution': weight "
    )
    assert found == {
        "t-declared.mlmodel": "t-declared.mlmodel is not what t.mlmodel is",
        **{f"t-fp16-iOS{n}-fp16-features.mlpackage": "no such features" for n in (16, 17, 18)},
    }
    assert {p.name for p in out.glob("t*")} == {*NAMES} - {*found, broken_one}
    assert len(done.made) == 5
    listed = json.loads((out / "migration.json").read_text())["variants"]
    assert [v["left_out"] for v in listed if v["name"] == broken_one] == [reason]
    page = (out / "migration.md").read_text()
    for name in (*found, broken_one):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
        assert "| left out |" in row


def another_bias(source, found):
    """A correction that does more than it should."""
    spec = type(source)()
    spec.CopyFrom(source)
    spec.description.output[0].type.multiArrayType.shape[:] = found[0].computed
    spec.neuralNetwork.layers[0].convolution.bias.floatValue[0] += 1
    return spec


@pytest.mark.parametrize("correction", [another_bias, lambda source, found: source])
def test_a_network_that_cannot_be_corrected_is_left_out(path, monkeypatch, correction):
    """The other values, or the same shape as before."""
    monkeypatch.setattr(migrate, "corrected", correction)
    assert networks(path).left_out == "t-declared.mlmodel is not what t.mlmodel is"


def test_a_model_without_arrays_has_no_features_of_float16(tmp_path):
    """And a float16 image is for iOS 16 and later: what the rules say of a real model."""
    spec = spec_of()
    network = spec.neuralNetwork
    del network.layers[0]
    network.layers[0].input[0] = "x"
    for feature in (*spec.description.input, *spec.description.output):
        image = feature.type.imageType
        image.width, image.height, image.colorSpace = 3, 2, image.GRAYSCALE_FLOAT16
    spec.specificationVersion = 7
    done = migration.write(written(tmp_path / "t.mlmodel", spec), tmp_path / "out", matrix=True)
    found = left_out(done)
    for n in (16, 17, 18):
        assert found.pop(f"t-fp16-iOS{n}-fp16-features.mlpackage") == (
            "the model has no arrays at its inputs and outputs"
        )
    assert found.pop("t-declared.mlmodel") == "every output is declared as it is computed"
    assert set(found) == {"t-fp16-iOS15.mlpackage", "t-fp32-iOS15.mlpackage"}
    assert all("it needs iOS16, the target is iOS15" in reason for reason in found.values())
    assert len(done.made) == 4


@pytest.mark.parametrize("way", ["unconvertible", "both"])
def test_if_none_can_be_made_there_is_no_folder(path, monkeypatch, way):
    breaks = breaking(lambda o: True)

    def convert(net, source, options, sha256):
        if way == "unconvertible" or (way == "both" and options.features):
            raise UnsupportedError(f"not for {options.target}")
        return breaks(net, source, options, sha256)

    monkeypatch.setattr(migrate, "convert", convert)
    message = refused(path, matrix=True)
    if way == "unconvertible":
        assert message == "not for iOS15; --source-only writes the PyTorch source alone"
    else:
        assert "is not equal to the NeuralNetwork: layer 'convolution': weight" in message
        assert message.endswith("; nothing is written")


@pytest.mark.parametrize(
    "options", [{"precision": "fp32"}, {"target": "iOS18"}, {"features": "fp16"}]
)
def test_a_matrix_of_one_precision_target_or_kind_of_features_is_refused(path, options):
    (name,) = options
    message = refused(path, OptionError, options=migrate.Options(**options), matrix=True)
    assert message.startswith("the matrix has each precision, target and kind of features")
    assert name in message


def test_a_layer_to_keep_that_does_not_exist_is_refused(path):
    options = migrate.Options(keep_fp32=("relo",))
    for matrix in (True, False):
        message = refused(path, OptionError, options=options, matrix=matrix)
        assert "no layer 'relo'" in message
        assert "'relu'" in message


# --- the corrected network's outputs of every kind


def test_a_classifier_is_corrected_too(tmp_path):
    """Its dictionary and label are compared as well as the output that is declared wrong."""
    spec = spec_of(declared=(1, 3, 3, 2))
    layers = list(spec.neuralNetwork.layers)
    classifier = spec.neuralNetworkClassifier
    classifier.arrayInputShapeMapping = 1
    classifier.layers.extend(layers)
    last = classifier.layers.add(name="highest", input=["y"], output=["scores"])
    last.reduceMax.axes.extend([2, 3])
    classifier.labelProbabilityLayerName = "scores"
    classifier.stringClassLabels.vector.extend("abc")
    spec.description.output.add(name="p").type.dictionaryType.stringKeyType.SetInParent()
    spec.description.output.add(name="label").type.stringType.SetInParent()
    spec.description.predictedFeatureName = "label"
    spec.description.predictedProbabilitiesName = "p"
    subject = Subject(written(tmp_path / "t.mlmodel", spec), ())
    assert [m.output for m in subject.mismatches] == ["y"]
    assert {type(v) for v in subject.net.predict(inputs.seeded(subject.path)).values()} == {
        np.ndarray, dict, str,
    }  # fmt: skip
    corrected = networks(subject.path)
    assert corrected.left_out == ""
    assert corrected.identity == identify(tmp_path / "networks" / "t-declared.mlmodel")


def test_numbers_that_are_none_are_equal_to_themselves(tmp_path):
    spec = spec_of(declared=(1, 3, 3, 2))
    layer = spec.neuralNetwork.layers[-1]
    layer.Clear()
    layer.name, layer.input[:], layer.output[:] = "relu", ["between"], ["y"]
    layer.unary.type = layer.unary.LOG
    subject = Subject(written(tmp_path / "t.mlmodel", spec), ())
    assert np.isnan(subject.net.predict(inputs.seeded(subject.path))["y"]).any()
    assert networks(subject.path).left_out == ""


# --- one program


@pytest.mark.parametrize(
    ("options", "breaks", "label"),
    [({}, "fp16", "fp16"), ({"precision": "fp32", "target": "iOS15"}, "fp32", "fp32"),
     ({"target": "iOS17"}, "fp32", "fp32")],
)  # fmt: skip
def test_a_broken_program_is_not_handed_out(path, monkeypatch, options, breaks, label):
    """Nor is one whose control is broken: then something is wrong with both."""
    monkeypatch.setattr(migrate, "convert", breaking(lambda o: o.precision == breaks))
    message = refused(path, BrokenError, options=migrate.Options(**options))
    assert message.startswith(
        f"the {label} ML Program is not equal to the NeuralNetwork: layer 'convolution': weight is "
        "not the weight of operation '"
    )
    assert message.endswith("; nothing is written")


def test_a_program_that_lost_a_layer_is_not_handed_out(path, monkeypatch):
    """That of a network without it."""
    real, without = migrate.convert, spec_of()
    del without.neuralNetwork.layers[1]
    without.neuralNetwork.layers[0].output[0] = "y"

    def convert(net, source, options, sha256):
        return real(migrate.to_torch(without), without, options, sha256)

    monkeypatch.setattr(migrate, "convert", convert)
    message = refused(path, BrokenError)
    assert "'relu'" in message
    assert "lost" in message


def test_more_than_one_error_is_counted(path, monkeypatch):
    found = SimpleNamespace(errors={"fp16": ("layer 'a' is lost", "layer 'b' is lost", "c")})
    monkeypatch.setattr(migrate, "verify", lambda net, programs, **_: (dict(programs), found)[1])
    assert refused(path, BrokenError) == (
        "the fp16 ML Program is not equal to the NeuralNetwork: layer 'a' is lost; and 2 more; "
        "nothing is written"
    )


def test_a_control_that_cannot_be_made_is_a_finding(path, monkeypatch):
    real = migrate.convert

    def convert(net, source, options, sha256):
        if options.precision == "fp32":
            raise UnsupportedError("no fp32 here")
        return real(net, source, options, sha256)

    monkeypatch.setattr(migrate, "convert", convert)
    done = migration.write(path, path.parent / "out")
    (finding,) = [f for f in done.findings if "no fp32" in f]
    assert finding == (
        "there is no ML Program in fp32, for iOS16 and later: the control, which never runs on the "
        "Neural Engine to compare with: no fp32 here"
    )
    assert [v.name for v in done.variants] == ["t.mlpackage"]


def test_a_program_that_cannot_be_made_is_an_error_with_advice(path, monkeypatch):
    def convert(net, source, options, sha256):
        raise UnsupportedError("no such layer")

    monkeypatch.setattr(migrate, "convert", convert)
    message = refused(path, UnsupportedError)
    assert message == "no such layer; --source-only writes the PyTorch source alone"


# --- what is found and is no error


def test_an_overflow_is_a_finding(tmp_path):
    out = tmp_path / "out"
    done = migration.write(overflowing(tmp_path / "t.mlmodel"), out)
    (finding,) = [f for f in done.findings if f.startswith("layer 'larger' overflows float16: ")]
    (beyond,) = [f for f in done.findings if "times what rounding explains" in f]
    assert beyond.startswith("ML Program fp16, output 'smaller': its error is inf times")
    assert done.verification.errors == {}
    assert done.verification.findings[0] == done.findings[0]
    page = (out / "migration.md").read_text()
    head = page[: page.index("\n## ")]
    assert "layer 'larger' overflows float16" in head.replace("\\", "")
    assert json.loads((out / "migration.json").read_text())["findings"] == list(done.findings)
    assert finding in done.findings


def test_beyond_the_envelope_is_a_finding(path, monkeypatch):
    """Weights that are as they were, and numbers that are not: more than rounding is at work."""
    from migrate import comparisons

    real = comparisons._of_program

    def off(net, outputs):
        return {name: value + 1 for name, value in real(net, outputs).items()}

    monkeypatch.setattr(comparisons, "_of_program", off)
    done = migration.write(path, path.parent / "out")
    found = [f for f in done.findings if "times what rounding explains (8 times is the limit)" in f]
    assert [f.split(",")[0] for f in found] == ["ML Program fp16", "ML Program fp32"]
    page = (path.parent / "out" / "migration.md").read_text()
    assert "ML Program fp16, output 'y': its error is" in page[: page.index("\n## ")]
    assert "**beyond the limit**" in page


def test_what_is_declared_wrong_is_a_finding(path):
    done = migration.write(path, path.parent / "out")
    assert (
        "the model declares output 'y' as 1x3x3x2 while its layers give 1x3x2x3; the ML Program "
        "carries the computed shape"
    ) in done.findings


def test_a_blob_that_is_written_twice_is_a_finding(tmp_path):
    spec = spec_of()
    spec.neuralNetwork.layers[0].output[0] = "y"
    spec.neuralNetwork.layers[1].input[0] = "y"
    done = migration.write(written(tmp_path / "t.mlmodel", spec), tmp_path / "out")
    assert "blob 'y' is written by 'convolution' and 'relu'; the later one wins" in done.findings


def test_tampering_is_what_these_tests_think_it_is(path):
    """The tampered program has one other weight, and runs."""
    net, options = migrate.to_torch(path), migrate.Options(target="iOS17")
    program = migrate.convert(net, migrate.load_spec(path), options, "").program
    given = inputs.seeded(path)
    before = migrate.evaluate(program, given)["y"]
    after = migrate.evaluate(broken(program), given)["y"]
    assert not np.allclose(before, after, atol=0.1)
