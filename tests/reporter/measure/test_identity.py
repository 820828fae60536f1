"""Identity: hashes written out with hashlib, and what they ignore."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest

import migrate
from migrate.coreml import proto
from reporter.measure.identity import identify


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def save(spec, path):
    path.write_bytes(spec.SerializeToString())
    return path


@pytest.fixture
def spec(one_layer):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    spec.description.metadata.author = "A. Person"
    for key in "zyxwvu":
        spec.description.metadata.userDefined[key] = key
    return spec


def cleared(spec):
    copy = type(spec).FromString(spec.SerializeToString())
    copy.description.ClearField("metadata")
    return copy.SerializeToString(deterministic=True)


def test_a_file(spec, tmp_path):
    path = save(spec, tmp_path / "m.mlmodel")
    content = path.read_bytes()
    found = identify(path)
    assert found.model_dump() == {
        "name": "m.mlmodel", "kind": "neuralNetwork", "spec_version": 4,
        "sha256": sha(content), "sha256_without_metadata": sha(cleared(spec)),
        "size": len(content),
    }  # fmt: skip
    assert path.read_bytes() == content


def test_what_the_second_hash_ignores_and_what_not(spec, tmp_path):
    first = identify(save(spec, tmp_path / "a.mlmodel"))
    spec.description.ClearField("metadata")
    second = identify(save(spec, tmp_path / "renamed.mlmodel"))
    assert first.sha256 != second.sha256
    assert first.sha256_without_metadata == second.sha256_without_metadata == second.sha256
    spec.neuralNetwork.layers[0].name = "other"
    third = identify(save(spec, tmp_path / "c.mlmodel"))
    assert third.sha256_without_metadata != second.sha256_without_metadata


def package(folder, spec, weights, manifest_note=""):
    """A package by hand: a manifest, the spec, and weight files."""
    data = folder / "Data" / "com.apple.CoreML"
    (data / "weights").mkdir(parents=True)
    (data / "m.mlmodel").write_bytes(spec.SerializeToString())
    for name, content in weights.items():
        (data / "weights" / name).write_bytes(content)
    (folder / "Manifest.json").write_text(
        f"""{{"fileFormatVersion": "1.0.0", "note": "{manifest_note}",
        "rootModelIdentifier": "M", "itemInfoEntries": {{
        "M": {{"author": "com.apple.CoreML", "description": "", "name": "m.mlmodel",
               "path": "com.apple.CoreML/m.mlmodel"}},
        "W": {{"author": "com.apple.CoreML", "description": "", "name": "weights",
               "path": "com.apple.CoreML/weights"}}}}}}"""
    )
    return folder


@pytest.fixture
def program():
    spec = proto("Model_pb2").Model(specificationVersion=7)
    spec.mlProgram.version = 1
    spec.description.metadata.userDefined["b"] = "1"
    spec.description.metadata.userDefined["a"] = "2"
    return spec


def test_a_package(program, tmp_path):
    weights = {"b.bin": b"second", "a.bin": b"first" * 500_000}
    found = identify(package(tmp_path / "m.mlpackage", program, weights))
    ordered = weights["a.bin"], weights["b.bin"]
    assert (found.name, found.kind, found.spec_version) == ("m.mlpackage", "mlProgram", 7)
    assert found.sha256 == sha(program.SerializeToString(deterministic=True), *ordered)
    assert found.sha256_without_metadata == sha(cleared(program), *ordered)
    files = [f for f in (tmp_path / "m.mlpackage").rglob("*") if f.is_file()]
    assert found.size == sum(len(f.read_bytes()) for f in files)


def test_a_package_in_which_something_differs(program, tmp_path):
    weights = {"a.bin": b"one", "b.bin": b"two"}
    first = identify(package(tmp_path / "a.mlpackage", program, weights))
    same = identify(package(tmp_path / "b.mlpackage", program, weights, manifest_note="uuid"))
    assert same.sha256 == first.sha256
    other = identify(package(tmp_path / "c.mlpackage", program, {**weights, "a.bin": b"onE"}))
    assert other.sha256 != first.sha256
    assert other.sha256_without_metadata != first.sha256_without_metadata
    program.description.ClearField("metadata")
    bare = identify(package(tmp_path / "d.mlpackage", program, weights))
    assert bare.sha256 != first.sha256
    assert bare.sha256_without_metadata == first.sha256_without_metadata


def test_the_real_models(shared_models):
    for path in shared_models.glob("*.mlmodel"):
        found = identify(path)
        assert found.sha256 == sha(path.read_bytes())
        assert found.sha256_without_metadata == sha(cleared(migrate.load_spec(path)))


@pytest.mark.parametrize("packaged", [False, True])
def test_neither_the_file_nor_the_spec_is_held_whole(spec, tmp_path, monkeypatch, packaged):
    for i in range(10):
        weights = spec.neuralNetwork.layers.add().innerProduct.weights
        weights.float16Value = bytes([i]) * 5_000_000
    path = tmp_path / "m.mlmodel"
    if packaged:
        path = package(tmp_path / "m.mlpackage", spec, {"a.bin": bytes(50_000_000)})
    else:
        save(spec, path)
    expected = identify(path)
    parsed = migrate.load_spec(path)
    monkeypatch.setattr(migrate, "load_spec", lambda _: parsed)  # which reads the file whole
    tracemalloc.start()
    found = identify(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == expected
    assert found.size > 50_000_000
    assert peak < 15_000_000


def test_what_is_no_model(tmp_path):
    with pytest.raises(migrate.ModelError, match="no such file"):
        identify(tmp_path / "none.mlmodel")
    (tmp_path / "text.mlmodel").write_text("hello")
    with pytest.raises(migrate.ModelError, match="is not a Core ML model"):
        identify(tmp_path / "text.mlmodel")
    with pytest.raises(migrate.ModelError, match="is a directory"):
        identify(tmp_path)
