"""The models of a folder of variants, also of one that was edited by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from rule_devices import joined_spec

import migrate
from reporter.measure import inputs
from reporter.understand.manifest import Entry, ManifestError, load
from reporter.understand.variant_set import MODEL, PROGRAM, members, opened
from reporter.write.variants import variants


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    path = folder / "m.mlmodel"
    path.write_bytes(joined_spec(3, 2).SerializeToString(deterministic=True))
    variants.write(path, folder / "v")
    return folder / "v"


@pytest.fixture
def folder(made, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "v")


def member(folder, name):
    return next(m for m in members(load(folder)) if m.name == name)


def changed(folder, name, **update):
    """A manifest with other fields of a variant, as if edited by hand."""
    manifest = load(folder)
    entries = [e.model_copy(update=update) if e.name == name else e for e in manifest.variants]
    found = manifest.model_copy(update={"variants": tuple(entries)})
    return next(m for m in members(found) if m.kind != MODEL and m.file and not m.made_of and (
        m.name == update.get("name", name) or m.fault))  # fmt: skip


def test_members_are_the_model_and_what_was_not_left_out(made):
    manifest, found = load(made), members(load(made))
    assert (found[0].kind, found[0].name, found[0].file) == (MODEL, "m.mlmodel", "m.mlmodel")
    assert [m.name for m in found[1:]] == [e.name for e in manifest.variants if e.identity]
    assert not any(m.fault for m in found)


def test_each_expects_what_its_file_gives_in_float64(made):
    for one in members(load(made)):
        if one.kind == PROGRAM:
            continue
        path = made / one.file
        given = inputs.seeded(path)
        exact = migrate.to_torch(path).double().predict(dict(given), exact=True)
        envelopes = opened(made, one).envelopes(given)
        for name, values in exact.items():
            wanted = np.float64(np.float32(values))  # as the archive holds it
            np.testing.assert_array_equal(envelopes[name].reference, wanted)


def test_of_other_inputs_the_reference_is_computed(made):
    one, path = member(made, "m.mlmodel"), made / "m.mlmodel"
    given = inputs.seeded(path, 3)
    exact = migrate.to_torch(path).double().predict(dict(given), exact=True)["y"]
    np.testing.assert_allclose(opened(made, one).envelopes(given)["y"].reference, exact, 1e-12)


def test_a_program_goes_by_the_names_of_its_network(made):
    one = next(m for m in members(load(made)) if m.kind == PROGRAM)
    found = opened(made, one)
    given = found.by_network(inputs.seeded(found.path))
    assert set(given) == {"a", "b"}
    envelopes = found.envelopes(given)
    assert set(envelopes) == {"y"}
    own = migrate.program_envelopes(found.path, inputs.seeded(found.path))
    np.testing.assert_array_equal(envelopes["y"].rmse, own[found.outputs["y"]].rmse)
    assert found.numbers("y", {found.outputs["y"]: [1, 2]}).tolist() == [1, 2]


def test_size_counts_layers_and_weights(made):
    found = opened(made, member(made, "m.mlmodel"))
    assert found.size == (4, (3 * 2 + 3) + (2 * 2 + 2) + (5 * 3 + 5))


def test_shapes_are_those_of_blobs(made):
    found = opened(made, member(made, "m.mlmodel"))
    shapes = found.shapes(inputs.seeded(made / "m.mlmodel"))
    assert (shapes["both"], shapes["y"]) == ((1, 5, 5, 1), (1, 5, 3, 1))


def test_a_tap_shows_a_blob_beside_the_output(made):
    found = opened(made, member(made, "tap-concat"))
    assert found.shown == ("both",)
    assert set(found.outputs) == {"y", "both"}


@pytest.mark.parametrize("field", ["identity", "relation", "expected", "file"])
def test_a_field_that_is_missing_is_named(folder, field):
    empty = "" if field == "file" else None
    manifest = load(folder)
    entry = next(e for e in manifest.variants if e.name == "turned")
    cut = manifest.model_copy(update={"variants": (entry.model_copy(update={field: empty}),)})
    (_, one) = members(cut)
    assert one.fault == f"manifest.json gives no {field} for it"
    with pytest.raises(ManifestError, match=f"gives no {field}"):
        opened(folder, one)


def test_a_variant_of_a_kind_alone_is_named_by_its_kind(made):
    manifest = load(made).model_copy(update={"variants": (Entry(kind="split"),)})
    (_, one) = members(manifest)
    assert one.name == "a variant of kind split"
    assert "no name and no file and no identity" in one.fault


def test_a_file_of_another_identity_is_refused(folder):
    shutil.copy(folder / "m-cut-concat.mlmodel", folder / "m-turned.mlmodel")
    with pytest.raises(ManifestError, match=r"m-turned.mlmodel is not the model that manifest"):
        opened(folder, member(folder, "turned"))


def test_a_missing_file_is_named(folder):
    (folder / "m-turned.mlmodel").unlink()
    with pytest.raises(ManifestError, match=r"the folder lacks m-turned.mlmodel"):
        opened(folder, member(folder, "turned"))


@pytest.mark.parametrize("file", ["../m.mlmodel", "/etc/hostname", "."])
def test_a_file_outside_the_folder_is_refused(folder, file):
    with pytest.raises(ManifestError, match="not in its folder"):
        opened(folder, changed(folder, "turned", file=file))


def rewritten(folder, **arrays):
    np.savez(folder / "expected" / "m.npz", **arrays)
    one = member(folder, "m.mlmodel")
    return opened(folder, one).envelopes(inputs.seeded(folder / "m.mlmodel"))


@pytest.mark.parametrize(
    "values",
    [
        np.full((1, 5, 3, 1), np.nan, np.float32),
        np.zeros((1, 5, 3, 1), np.float32),
        np.zeros((0,), np.float32),
        np.float32(1),
        np.array(["a"] * 15),
    ],
)
def test_expected_outputs_that_the_model_does_not_give_are_refused(folder, values):
    with pytest.raises(ManifestError, match=r"expected/m.npz is not what m.mlmodel gives"):
        rewritten(folder, **{"reference::y": values})


def test_expected_outputs_of_another_name_are_refused(folder):
    with pytest.raises(ManifestError, match="holds no reference::y"):
        rewritten(folder, z=np.zeros(3))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_expected_outputs_that_cannot_be_read_are_a_sentence(folder, content):
    (folder / "expected" / "m.npz").write_bytes(content)
    found = opened(folder, member(folder, "m.mlmodel"))
    with pytest.raises(ManifestError, match=r"cannot read the expected outputs expected/m.npz"):
        found.envelopes(inputs.seeded(folder / "m.mlmodel"))


def test_expected_outputs_outside_the_folder_are_refused(folder):
    manifest = load(folder)
    wrong = manifest.expected.model_copy(update={"file": "../../x.npz"})
    one = members(manifest.model_copy(update={"expected": wrong}))[0]
    with pytest.raises(ManifestError, match="not in its folder"):
        opened(folder, one).envelopes(inputs.seeded(folder / "m.mlmodel"))
