"""Whole models: those that cannot be built or run, pipelines, control flow, real ones."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

import migrate
from migrate import AnereportError, ModelError
from migrate.linting import lint


class Text(SingleFileSnapshotExtension):
    """A snapshot that a person can read."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def text(findings):
    return "".join(f"{finding}\n" for finding in findings)


def found(model, name=None, **options):
    return [f for f in migrate.lint(model, **options) if name in (f.rule, None)]


def where(model, name, **options):
    return [f.where for f in found(model, name, **options)]


def dense(spec, name, inside, outside, stored=None):
    layer = next(x for x in spec.neuralNetwork.layers if x.name == name)
    p = layer.innerProduct
    p.inputChannels, p.outputChannels = inside, outside
    p.weights.floatValue.extend([0.5] * (inside * outside if stored is None else stored))


def three_faults():
    """Layers a, b and c cannot be built, applied and reached; d is right, e overflows."""
    spec = network(
        {"x": (1, 4)},
        ["e"],
        ("innerProduct", "x", "a", {}),
        ("innerProduct", "x", "b", {}),
        ("tanh", "a", "c", {}),
        ("innerProduct", "x", "d", {}),
        ("addBroadcastable", "c d", "e", {}),
    )
    dense(spec, "a", 4, 4, stored=15)
    dense(spec, "b", 5, 4)
    dense(spec, "d", 4, 4)
    spec.neuralNetwork.layers[3].innerProduct.weights.floatValue[3] = 1e9
    return spec


def test_a_model_that_cannot_be_built_is_linted_as_far_as_it_can_be_read():
    with pytest.raises(ModelError):
        migrate.to_torch(three_faults())
    findings = found(three_faults())
    assert [(f.severity, f.rule, f.where) for f in findings if f.severity != "info"] == [
        ("error", "weights-length", "layer 'a'"),
        ("error", "layer-inputs", "layer 'b'"),
        ("warning", "float16-overflow", "layer 'd'"),
    ]


def test_findings_are_ordered_by_severity_and_then_from_input_to_output():
    severities = ("error", "warning", "info")
    spec = three_faults()
    spec.description.output.add(name="nobody").type.multiArrayType.SetInParent()
    spec.description.input.add(name="w").type.multiArrayType.shape.append(3)
    findings = found(spec)
    ranks = [severities.index(f.severity) for f in findings]
    assert ranks == sorted(ranks)
    errors = [f.where for f in findings if f.severity == "error"]
    assert errors == ["layer 'a'", "layer 'b'", "output 'nobody'"]


def test_lint_takes_what_to_torch_takes(samples):
    path = samples / "Block.mlmodel"
    spec = migrate.load_spec(path)
    network_ = migrate.read(path)
    assert lint(path) == lint(str(path)) == lint(spec) == lint(network_)
    assert migrate.lint is lint


def test_the_sample(samples, snapshot):
    findings = migrate.lint(samples / "Block.mlmodel")
    assert text(findings) == snapshot(extension_class=Text)


def test_the_sample_with_its_shape_corrected_has_no_error(samples):
    spec = migrate.load_spec(samples / "Block.mlmodel")
    net = migrate.to_torch(spec)
    right = migrate.corrected(spec, migrate.mismatches(net, migrate.output_shapes(net)))
    assert [f.rule for f in migrate.lint(right) if f.severity == "error"] == []
    assert len(migrate.lint(right)) == len(migrate.lint(spec)) - 1


def test_real_models(shared_models, snapshot):
    """No false error: kraken reads its own file, whose output is named as no blob is.

    Nothing is left unchecked but what depends on a custom layer.
    """
    models = {path.stem: migrate.lint(path) for path in sorted(shared_models.glob("*.mlmodel"))}
    assert len(models) == 10
    pages = [f"{name}\n{text(findings)}" for name, findings in models.items()]
    assert "\n".join(pages) == snapshot(extension_class=Text)
    errors = {n: [f.rule for f in of if f.severity == "error"] for n, of in models.items()}
    unread = {n: [f.where for f in of if f.rule == "not-checked"] for n, of in models.items()}
    assert errors.pop("kraken_blla") == ["output-unwritten"]
    assert unread.pop("kraken_blla") == ["layer 'Gn_1' and 5 more"]
    assert not any(errors.values())
    assert not any(unread.values())


# --- sizes that are computed


def nonzero(declared):
    spec = network({"x": (4,)}, ["y"], ("whereNonZero", "x", "y", {}))
    spec.description.output[0].type.multiArrayType.shape.extend(declared)
    return spec


def test_a_shape_that_follows_from_values_contradicts_no_declaration():
    assert where(nonzero((4, 1)), "declared-shape") == []


def test_a_computed_shape_that_is_always_the_same_does():
    spec = network(
        {"x": (4, 6)},
        ["y"],
        ("getShape", "x", "s", {}),
        ("fillDynamic", "s", "f", {"value": 1.0}),
        ("addBroadcastable", "x f", "y", {}),
    )
    shape = spec.description.output[0].type.multiArrayType.shape
    shape.extend([4, 6])
    assert where(spec, "declared-shape") == []
    shape[:] = [6, 4]
    assert where(spec, "declared-shape") == ["output 'y'"]


def test_a_layer_that_may_fit_other_values_is_no_error():
    spec = network({"x": (4,), "i": (2,)}, ["y"], ("reshapeDynamic", "x i", "y", {}))
    spec.neuralNetwork.layers[0].input[1] = "i"
    assert [f.severity for f in found(spec, "layer-inputs")] == []


def test_an_index_out_of_range_is_an_error_if_it_is_stored():
    spec = network({"x": (4,)}, ["y"], ("loadConstantND", "", "i", {}), ("gather", "x i", "y", {}))
    constant = spec.neuralNetwork.layers[0].loadConstantND
    constant.shape.append(1)
    constant.data.floatValue.append(7)
    assert where(spec, "layer-inputs") == ["layer 'y'"]
    constant.data.floatValue[0] = 3
    assert where(spec, "layer-inputs") == []


def test_what_fails_at_the_default_shape_alone_is_no_error():
    """The convolution has no room in 2x2, which is the default, and has in 8x8."""
    spec = network({"x": (1, 1, 2, 2)}, ["y"], ("convolution", "x", "y", {}))
    p = spec.neuralNetwork.layers[0].convolution
    p.outputChannels = p.kernelChannels = 1
    p.kernelSize.extend([3, 3])
    p.valid.SetInParent()
    p.weights.floatValue.extend([1.0] * 9)
    assert where(spec, "layer-inputs") == ["layer 'y'"]
    array = spec.description.input[0].type.multiArrayType
    for shape in ((1, 1, 2, 2), (1, 1, 8, 8)):
        array.enumeratedShapes.shapes.add().shape.extend(shape)
    spec.description.output[0].type.multiArrayType.shape.extend([9, 9])
    assert [f for f in found(spec) if f.severity == "error"] == []


# --- custom layers


def own(kind="Own"):
    spec = network({"x": (1, 4)}, ["y"], ("custom", "x", "c", {}), ("tanh", "c", "y", {}))
    spec.neuralNetwork.layers[0].custom.className = kind
    spec.description.output[0].type.multiArrayType.shape.extend([1, 5])
    return spec


def test_a_custom_layer_is_looked_at_with_a_builder():
    assert where(own(), "not-checked") == ["layer 'c'"]
    assert where(own(), "declared-shape") == []
    custom = {"Own": lambda p: lambda x: x + 1}
    assert where(own(), "not-checked", custom=custom) == []
    assert where(own(), "declared-shape", custom=custom) == ["output 'y'"]


def test_a_custom_function_that_fails_is_no_error_of_the_model():
    def broken(p):
        def step(x):
            raise ValueError("no such kernel")

        return step

    findings = found(own(), custom={"Own": broken})
    assert [f.severity for f in findings if f.severity == "error"] == []
    (finding,) = [f for f in findings if f.rule == "not-checked"]
    assert "no such kernel" in finding.reason


# --- control flow


def looping(inner="tanh", blob="x"):
    """A loop whose body writes x, and a layer behind it."""
    spec = network({"x": (1, 4)}, ["y"], ("loop", "", "l", {}), ("tanh", "x", "y", {}))
    loop = spec.neuralNetwork.layers[0]
    loop.output[:] = []
    loop.loop.maxLoopIterations = 2
    body = loop.loop.bodyNetwork.layers.add(name="inside", input=[blob], output=["x"])
    getattr(body, inner).SetInParent()
    return spec


def test_a_loop_that_writes_its_blob_again_is_no_finding():
    assert not [f for f in found(looping()) if f.severity != "info"]


def test_layers_inside_of_a_loop_are_looked_at():
    (finding,) = found(looping("innerProduct"), "layer-parameters")
    assert finding.where == "layer 'inside'"
    assert where(looping(blob="nothing"), "blob-unwritten") == ["layer 'inside'"]


def test_a_break_outside_of_a_loop_is_an_error():
    spec = network({"x": (1, 4)}, ["y"], ("loopBreak", "", "b", {}), ("tanh", "x", "y", {}))
    spec.neuralNetwork.layers[0].output[:] = []
    assert where(spec, "layer-inputs") == ["layer 'b'"]


# --- pipelines


def stage(given, gives, shape, kind="tanh"):
    spec = network({given: shape}, [gives], (kind, given, gives, {}))
    spec.description.output[0].type.multiArrayType.shape.extend(shape)
    return spec


def pipeline(*stages, declared):
    spec = migrate.proto("Model_pb2").Model(specificationVersion=4)
    spec.pipeline.models.extend(stages)
    spec.description.input.add().CopyFrom(stages[0].description.input[0])
    spec.description.output.add().CopyFrom(stages[-1].description.output[0])
    spec.description.output[0].type.multiArrayType.shape[:] = declared
    return spec


def test_findings_on_a_pipeline_name_the_stage():
    stages = stage("x", "m", (2, 3)), stage("m", "y", (2, 3))
    assert [f for f in found(pipeline(*stages, declared=(2, 3))) if f.severity == "error"] == []
    stages[1].description.output[0].type.multiArrayType.shape[:] = (3, 2)
    stages[0].neuralNetwork.layers[0].input[0] = "z"
    findings = found(pipeline(*stages, declared=(2, 3)))
    assert [f.where for f in findings if f.severity == "error"] == ["layer 'm' of stage 1"]
    stages[0].neuralNetwork.layers[0].input[0] = "x"
    errors = [f.where for f in found(pipeline(*stages, declared=(3, 2))) if f.severity == "error"]
    assert errors == ["output 'y' of stage 2", "output 'y'"]


# --- bad input


def test_an_ml_program_is_refused_in_a_sentence():
    program = migrate.to_mlprogram(network({"x": (1, 4)}, ["y"], ("tanh", "x", "y", {})))
    with pytest.raises(ModelError, match="is an ML Program, not a NeuralNetwork"):
        migrate.lint(program)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256))])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "bad.mlmodel"
    path.write_bytes(content)
    with pytest.raises(AnereportError):
        migrate.lint(path)


def test_what_is_no_model_at_all_is_refused():
    with pytest.raises(TypeError, match="expected a path"):
        migrate.lint(3)
    with pytest.raises(ModelError, match="no such file"):
        migrate.lint("nowhere.mlmodel")


def test_a_network_without_layers_is_linted():
    assert where(network({"x": (2, 3)}, ["y"]), "output-unwritten") == ["output 'y'"]


def test_a_claimed_size_is_not_allocated():
    spec = network({"x": (2**40,)}, ["y"], ("tanh", "x", "y", {}))
    (finding,) = found(spec, "not-checked")
    assert finding.where == "the model"
    assert "claims a size" in finding.reason


def test_a_layer_of_a_kind_that_is_not_known_is_not_looked_at():
    spec = network({"x": (2,)}, ["y"], ("tanh", "x", "c", {}), ("tanh", "c", "y", {}))
    spec.neuralNetwork.layers[0].ClearField("tanh")
    (finding,) = found(spec, "not-checked")
    assert finding.where == "layer 'c'"
    assert [f.severity for f in found(spec) if f.severity == "error"] == []


def test_layers_without_a_name_are_counted():
    spec = network({"x": (2, 8, 1)}, ["y"], ("tanh", "x", "c", {}), ("tanh", "c", "y", {}))
    for layer in spec.neuralNetwork.layers:
        layer.name = ""
    assert where(spec, "last-axis-1") == ["layer 1 (tanh) and 1 more"]
    assert where(spec, "same-name") == []


@pytest.mark.parametrize("values", [[np.nan] * 16, [0.0] * 16, [np.inf] * 16, [1e-30] * 16])
def test_weights_of_any_kind_are_linted(values):
    spec = network({"x": (1, 4)}, ["y"], ("innerProduct", "x", "y", {}))
    dense(spec, "y", 4, 4)
    spec.neuralNetwork.layers[0].innerProduct.weights.floatValue[:] = values
    rules = {f.rule for f in found(spec) if f.severity == "warning"}
    expected = set() if not any(values) else {"not-finite"}
    assert rules == ({"float16-flushed"} if values[0] == 1e-30 else expected)


def test_the_model_is_not_changed(samples):
    spec = migrate.load_spec(samples / "Block.mlmodel")
    before = spec.SerializeToString(deterministic=True)
    migrate.lint(spec)
    assert spec.SerializeToString(deterministic=True) == before
