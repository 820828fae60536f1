"""What a model file holds, and what is refused in a sentence."""

from __future__ import annotations

import shutil

import pytest
from packages import affine, counter, ct, large, saved, with_two_functions

from migrate import AnereportError, ModelError, Network, ProgramOverview, UnsupportedError
from migrate.coreml import proto
from reporter.measure.inputs import seeded
from reporter.measure.subject import read


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return saved(affine("fp16"), tmp_path_factory.mktemp("affine") / "Affine.mlpackage")


def test_a_network_and_a_program(package, samples):
    assert isinstance(read(samples / "Block.mlmodel"), Network)
    found = read(package)
    assert isinstance(found, ProgramOverview)
    assert [f.name for f in (*found.inputs, *found.outputs)] == ["x", "y"]


def test_a_network_in_a_package_is_a_network(one_layer, tmp_path):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    path = tmp_path / "n.mlpackage"
    ct.models.MLModel(spec, skip_model_load=True).save(str(path))
    assert isinstance(read(path), Network)


def test_seeded_inputs_of_a_program_are_those_of_a_network_of_its_features(package, one_layer):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    (ours,), (theirs,) = seeded(package).values(), seeded(spec).values()
    assert ours.tolist() == theirs.tolist()


def test_builders_of_custom_layers_are_a_networks(package):
    with pytest.raises(AnereportError, match="--custom gives builders of a NeuralNetwork's layers"):
        read(package, ["mine:build"])


def test_a_program_without_its_package(package, tmp_path):
    (inner,) = package.rglob("*.mlmodel")
    path = tmp_path / "bare.mlmodel"
    shutil.copyfile(inner, path)
    with pytest.raises(AnereportError, match=r"bare.mlmodel is an ML Program without its package"):
        read(path)


def test_packages_that_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"keeps states \('total'\)"):
        read(saved(counter(), tmp_path / "c.mlpackage"))
    with pytest.raises(UnsupportedError, match=r"has 2 functions \(first, second\)"):
        read(with_two_functions(tmp_path))
    path, weights = large(tmp_path / "large.mlpackage")
    weights.unlink()
    with pytest.raises(ModelError, match=r"lacks its weights: .*weight.bin is missing"):
        read(path)


def test_a_program_in_a_pipeline(tmp_path):
    spec = proto("Model_pb2").Model(specificationVersion=8)
    spec.pipeline.models.add().CopyFrom(affine().get_spec())
    path = tmp_path / "p.mlmodel"
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(ModelError, match=r"stages these are not a NeuralNetwork: 1 \(mlProgram\)"):
        read(path)


def test_a_compiled_model(tmp_path):
    (tmp_path / "m.mlmodelc").mkdir()
    with pytest.raises(ModelError, match=r"m.mlmodelc is a .*, not a model|is compiled"):
        read(tmp_path / "m.mlmodelc")
