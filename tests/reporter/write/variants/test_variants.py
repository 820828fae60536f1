"""The folder of variants: models, what they should give, and a manifest that ties them together."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_block
from rule_devices import always, joined_spec
from rule_devices import record as measured

import migrate
from reporter.measure import record
from reporter.measure.identity import identify
from reporter.measure.inputs import seeded
from reporter.understand import manifest as manifests
from reporter.write import run as running
from reporter.write.variants import variants


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "Small.mlmodel"
    path.write_bytes(small_block.small_block().SerializeToString())
    return path


class Counted:
    """A progress that counts."""

    expected = steps = 0

    def expect(self, steps):
        self.expected += steps

    def step(self, text):
        self.steps += 1


@pytest.fixture(scope="module")
def progress():
    return Counted()


@pytest.fixture(scope="module")
def folder(model, progress, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "Small-variants"
    variants.write(model, out, progress=progress)
    return out


@pytest.fixture(scope="module")
def manifest(folder):
    return manifests.load(folder)


def test_the_folder_holds_what_the_manifest_says_and_nothing_else(folder, manifest, model):
    manifests.check_source(folder, manifest)
    assert manifest.source == identify(model)
    for entry in manifest.made:
        assert entry.identity == identify(folder / entry.file)
    named = {entry.file for entry in manifest.made} | {"Small.mlmodel"}
    assert {path.name for path in folder.iterdir()} == named | {"manifest.json", "expected"}
    files = {entry.expected.file for entry in manifest.made} | {manifest.expected.file}
    assert {f"expected/{path.name}" for path in (folder / "expected").iterdir()} == files
    assert len(manifest.made) >= 20


def test_the_manifest_is_strict_json_with_the_schema_first(folder):
    def refuse(name):
        raise AssertionError(name)

    content = json.loads((folder / "manifest.json").read_text(), parse_constant=refuse)
    assert next(iter(content.items())) == ("schema", "anereport.variants/1")
    entry = next(e for e in content["variants"] if e["name"] == "swapped-join")
    assert entry["same"] == "equal up to the order of the channels of 'out'"
    assert entry["relation"]["outputs"]["out"]["blocks"] == [[10, 16], [0, 10]]


def test_what_is_left_out_has_a_reason_and_no_file(manifest):
    assert manifest.left_out
    for entry in manifest.left_out:
        assert entry.left_out
        assert not entry.file
        assert entry.identity is entry.expected is None


def expected(folder, entry):
    with np.load(folder / entry.expected.file) as arrays:
        return {key.removeprefix("reference::"): arrays[key] for key in arrays.files}


def test_what_is_expected_is_the_float64_reference_in_float32(folder, manifest):
    """Against numpy for the model itself, against a module made anew for the variants."""
    given = {name: x.astype("f8") for name, x in seeded(folder / "Small.mlmodel").items()}
    with np.load(folder / "expected/Small.npz") as arrays:
        assert arrays["reference::out"].dtype == np.float32
        np.testing.assert_allclose(
            arrays["reference::out"], small_block.blobs(given)["out"], rtol=1e-6, atol=1e-6
        )
    for entry in manifest.made:
        if entry.file.endswith(".mlmodel"):
            net = migrate.to_torch(folder / entry.file).double()
            seed = int(entry.expected.input.removeprefix("seed-"))
            wanted = net.predict(seeded(folder / entry.file, seed), exact=True)
            found = expected(folder, entry)
            assert set(found) == set(wanted)
            for name, value in found.items():
                assert value.dtype == np.float32
                np.testing.assert_allclose(value, wanted[name], rtol=1e-6, atol=1e-6)


def test_the_relation_of_the_manifest_restores_the_original(folder, manifest):
    """On inputs of the original, by the file alone."""
    given = small_block.inputs()
    wanted = small_block.blobs(given)["out"]
    for entry in manifest.made:
        if entry.file.endswith(".mlmodel") and entry.relation.same_network:
            net = migrate.to_torch(folder / entry.file).double()
            found = net.predict(entry.relation.given(given), exact=True)
            np.testing.assert_allclose(entry.relation.restored(found)["out"], wanted, atol=1e-9)


def test_three_promising_ones_are_ml_programs_too(folder, manifest):
    programs = [entry for entry in manifest.made if entry.kind == "mlprogram"]
    assert [entry.made_of for entry in programs] == [
        "Small-turned.mlmodel", "Small-split-three.mlmodel", "Small-swapped-join.mlmodel"
    ]  # fmt: skip
    for entry in programs:
        assert identify(folder / entry.file).kind == "mlProgram"
        outputs = migrate.evaluate(folder / entry.file, seeded(folder / entry.file), widened=True)
        for name, value in expected(folder, entry).items():
            np.testing.assert_allclose(outputs[name], value, atol=0.05)


def test_run_takes_the_folder_and_gives_a_record_of_each(folder, manifest, tmp_path):
    records = running.run(folder, tmp_path / "records", running.Options("none"))
    assert len(records) == len(manifest.made) + 1
    by_hash = {r.model.sha256: r for r in records}
    for entry in manifest.made:
        found = by_hash[entry.identity.sha256]
        assert set(found.inputs) == {entry.expected.input}
        cpu = next(r for r in found.runs if r.unit == "cpu")
        for name, value in expected(folder, entry).items():
            np.testing.assert_allclose(cpu.outputs[name].array(), value, atol=0.05)
    assert record.load(tmp_path / "records" / "Small-turned.json").evidence == "simulated"


def test_the_same_model_gives_the_same_folder(model, folder, tmp_path):
    variants.write(model, tmp_path / "again")
    ours = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    again = tmp_path / "again"
    theirs = {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()}
    assert ours == theirs


def test_an_existing_folder_is_replaced_by_force_alone_and_a_foreign_one_never(model, tmp_path):
    from reporter.write.files.outputs import OutputError, check_free

    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"schema": "anereport.variants/1"}')
    (out / "Old.mlmodel").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        check_free(out, force=False)
    check_free(out, force=True)
    (out / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(OutputError, match="did not write"):
        variants.write(model, out, force=True)
    assert (out / "Old.mlmodel").exists()


def test_force_keeps_the_records_of_the_same_network_and_not_those_of_another(tmp_path):
    model, out = tmp_path / "m.mlmodel", tmp_path / "v"
    model.write_bytes(joined_spec(3, 2).SerializeToString())
    variants.write(model, out)
    for file in ("m.mlmodel", "m-split-deep.mlmodel"):
        (tmp_path / f"{file}.json").write_text(record.dumps(measured(out / file, always)))
    variants.read(model, out, [tmp_path])
    kept = {p.name: p.read_bytes() for p in (out / "records").iterdir()}
    assert set(kept) == {"m.mlmodel.json", "m-split-deep.mlmodel.json"}
    spec = joined_spec(3, 2)
    spec.description.metadata.author = "another, of the same network"
    model.write_bytes(spec.SerializeToString())
    variants.write(model, out, force=True)
    assert {p.name: p.read_bytes() for p in (out / "records").iterdir()} == kept
    (reading,) = variants.read(model, out, [])
    assert [v.member.name for v in reading.failing] == ["split-deep"]
    (out / "manifest.json").write_text('{"schema": "anereport.variants/1"}')
    variants.write(model, out, force=True)
    assert {p.name: p.read_bytes() for p in (out / "records").iterdir()} == kept
    model.write_bytes(joined_spec(3, 3).SerializeToString())
    variants.write(model, out, force=True)
    assert not (out / "records").exists()


def test_a_model_without_variants_leaves_nothing(tmp_path):
    spec = migrate.proto("Model_pb2").Model(specificationVersion=4)
    spec.pipeline.models.add().CopyFrom(small_block.small_block())
    (tmp_path / "Pipe.mlmodel").write_bytes(spec.SerializeToString())
    with pytest.raises(migrate.AnereportError, match="pipeline"):
        variants.write(tmp_path / "Pipe.mlmodel", tmp_path / "out" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["Pipe.mlmodel"]


def test_the_variants_that_cannot_be_converted_say_so(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise migrate.UnsupportedError("not today")

    path = tmp_path / "Small.mlmodel"
    path.write_bytes(small_block.small_block().SerializeToString())
    monkeypatch.setattr(migrate, "to_mlprogram", fails, raising=False)
    found = variants.write(path, tmp_path / "out")
    programs = [entry for entry in found.variants if entry.kind == "mlprogram"]
    assert [entry.left_out for entry in programs] == ["not today"] * 3
    assert not list((tmp_path / "out").glob("*.mlpackage"))


def test_progress_expects_as_many_steps_as_there_are(folder, progress):
    assert progress.expected == progress.steps > 20


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot read"),
        ("[]", "expected 'anereport.variants/1'"),
        ('{"schema": "anereport.variants/2"}', "found 'anereport.variants/2'"),
        ('{"schema": "anereport.variants/1"}', "source: Field required"),
        ("\ufeff{", "cannot read"),
    ],
)
def test_a_manifest_that_is_none_is_refused_in_words(tmp_path, text, sentence):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(manifests.ManifestError, match=sentence):
        manifests.load(tmp_path)


def test_a_folder_without_a_manifest_is_refused_in_words(tmp_path):
    with pytest.raises(manifests.ManifestError, match=r"holds no manifest\.json"):
        manifests.load(tmp_path)


def test_a_model_itself_that_was_changed_is_found(folder, manifest, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    with pytest.raises(manifests.ManifestError, match=r"copy lacks Small\.mlmodel"):
        manifests.check_source(copy, manifest)
    (copy / "Small.mlmodel").write_bytes((folder / manifest.made[0].file).read_bytes())
    with pytest.raises(manifests.ManifestError, match="is not as it was written"):
        manifests.check_source(copy, manifest)
    source = manifest.source.model_copy(update={"name": "../Small.mlmodel"})
    with pytest.raises(manifests.ManifestError, match="not in its folder"):
        manifests.check_source(folder, manifest.model_copy(update={"source": source}))
