"""migration.json: what is written is read again, and what is wrong with it is said."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from migrations import as_kept, both, fails, model, overflowing, put, strict, written

import migrate
from reporter.measure.identity import identify
from reporter.measure.simulate import simulate
from reporter.understand import migrated
from reporter.understand.migrated import FeatureChange, MigrationError
from reporter.write.migration import migration

GONE = object()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with a migration, non-default options, and its model."""
    folder = tmp_path_factory.mktemp("small")
    options = migrate.Options(target="iOS17", keep_fp32=("relu",), max_size=99)
    return migration.write(model(folder / "m.mlmodel"), folder / "out", options), folder / "out"


@pytest.fixture(scope="module")
def infinite(tmp_path_factory):
    """A migration whose program overflows: ratios without end, in it and in its verdict."""
    folder = tmp_path_factory.mktemp("infinite")
    source = overflowing(folder / "m.mlmodel")
    migration.write(source, folder / "out")
    before, after = both(source, folder / "out" / "m.mlpackage", "none")
    records = [put(folder / "b.json", before), put(folder / "a.json", fails(after, "gpu"))]
    return migration.write(source, folder / "out", records=records), folder / "out"


def test_what_is_written_is_read_again(small):
    done, out = small
    assert migrated.load(out) == as_kept(done) != done
    assert done.variants[0].options == migrate.Options("fp16", "iOS17", "", ("relu",), 99)
    assert isinstance(migrated.load(out).variants[0].options.keep_fp32, tuple)


def test_what_is_infinite_is_read_again(infinite):
    done, out = infinite
    assert max(c.ratio for c in done.verification.comparisons) == math.inf
    (verdict,) = done.verdicts
    assert verdict.after.gpu.ratio == verdict.after.ane.ratio == math.inf
    assert verdict.before.overflows
    assert migrated.load(out) == as_kept(done)


def test_it_is_strict_json(small, infinite):
    for _, out in (small, infinite):
        content = strict((out / "migration.json").read_text())
        assert content["schema"] == "anereport.migration/2"
    ratios = [c["ratio"] for c in content["verification"]["comparisons"]]
    assert "Infinity" in ratios
    assert content["verdicts"][0]["after"]["ane"]["ratio"] == "Infinity"


def test_what_is_neither_is_a_string_too(small):
    done, _ = small
    (first, *rest) = done.verification.comparisons
    odd = type(first)(**{**vars(first), "largest": math.nan, "rmse": -math.inf})
    verification = type(done.verification)(
        **{**vars(done.verification), "comparisons": (odd, *rest)}
    )
    text = migrated.dumps(done.model_copy(update={"verification": verification}))
    found = strict(text)["verification"]["comparisons"][0]
    assert (found["largest"], found["rmse"]) == ("NaN", "-Infinity")
    assert text.endswith("}\n")


def test_unknown_fields_of_later_versions_are_left_aside(small, tmp_path):
    done, out = small
    content = json.loads((out / "migration.json").read_text())
    content["later"] = content["variants"][0]["later"] = 1
    (tmp_path / "migration.json").write_text(json.dumps(content))
    assert migrated.load(tmp_path) == as_kept(done)


# --- what is wrong


def refused(folder, words):
    with pytest.raises(MigrationError) as caught:
        migrated.load(folder)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_folder_without_one(tmp_path):
    refused(tmp_path, "holds no migration.json: write it with anereport migrate")
    refused(tmp_path / "nowhere", "holds no migration.json")


@pytest.mark.parametrize("text", ["", "{", "nothing", '{"a": ' * 100_000, '{"a": ' + "9" * 5000])
def test_what_is_no_json(tmp_path, text):
    (tmp_path / "migration.json").write_text(text)
    refused(tmp_path, "cannot read")


def test_what_is_no_text(tmp_path):
    (tmp_path / "migration.json").write_bytes(b"\xff\xfe{}")
    refused(tmp_path, "cannot read")
    (tmp_path / "migration.json").unlink()
    (tmp_path / "migration.json").mkdir()
    refused(tmp_path, "cannot read")


@pytest.mark.parametrize(
    ("text", "found"),
    [("[1]", "None"), ("null", "None"), ("{}", "None"), ('{"schema": 2}', "2"),
     ('{"schema": "anereport.migration/1"}', "'anereport.migration/1'")],
)  # fmt: skip
def test_another_schema(tmp_path, text, found):
    (tmp_path / "migration.json").write_text(text)
    message = refused(tmp_path, f"expected 'anereport.migration/2', found {found}")
    assert message.endswith("run anereport migrate again")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("source", GONE, "source: Field required"),
        ("layers", "many", "layers: "),
        ("variants", {}, "variants: "),
        ("variants__0__name", 3, "variants.0.name: "),
        ("variants__0__identity__size", "large", "variants.0.identity.size: "),
        ("variants__0__features__0__role", "middle", "variants.0.features.0.role: "),
        ("verification__comparisons__0__ratio", "far", "verification.comparisons.0.ratio: "),
        ("verification", None, "verification: "),
    ],
)
def test_a_part_that_is_wrong_is_named(small, tmp_path, place, value, words):
    content = json.loads((small[1] / "migration.json").read_text())
    *outer, last = [int(p) if p.isdigit() else p for p in place.split("__")]
    at = content
    for part in outer:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    (tmp_path / "migration.json").write_text(json.dumps(content))
    refused(tmp_path, words)


@pytest.mark.parametrize(
    ("option", "value"), [("precision", "fp8"), ("target", "iOS9"), ("max_size", 0)]
)
def test_options_that_do_not_exist_are_refused_in_a_sentence(small, tmp_path, option, value):
    content = json.loads((small[1] / "migration.json").read_text())
    content["variants"][0]["options"].update({"keep_fp32": [], option: value})
    (tmp_path / "migration.json").write_text(json.dumps(content))
    with pytest.raises(migrate.AnereportError) as caught:
        migrated.load(tmp_path)
    assert str(value) in str(caught.value)


# --- the folder


@pytest.fixture
def copied(small, tmp_path):
    shutil.copytree(small[1], tmp_path / "out")
    return small[0], tmp_path / "out"


def test_a_folder_as_it_was_written_is_as_it_was_written(copied):
    done, out = copied
    migrated.check(out, done)


def test_a_package_that_is_gone(copied):
    done, out = copied
    shutil.rmtree(out / "m.mlpackage")
    with pytest.raises(MigrationError, match=r"out lacks m\.mlpackage: run anereport migrate aga"):
        migrated.check(out, done)


def test_a_package_with_another_weight(copied):
    done, out = copied
    (file,) = out.rglob("*.mlmodel")
    spec = migrate.load_spec(out / "m.mlpackage")
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    tensors = [o.attributes["val"].immediateValue.tensor for o in block.operations]
    halves = next(t.bytes for t in tensors if t.bytes.values)
    halves.values = bytes([halves.values[0] ^ 1]) + halves.values[1:]
    written(file, spec)
    with pytest.raises(MigrationError, match=r"m\.mlpackage is not as it was written"):
        migrated.check(out, done)


def test_a_package_with_other_metadata(copied):
    done, out = copied
    (file,) = out.rglob("*.mlmodel")
    spec = migrate.load_spec(out / "m.mlpackage")
    spec.description.metadata.author = "somebody"
    written(file, spec)
    with pytest.raises(MigrationError, match="is not as it was written"):
        migrated.check(out, done)


def test_a_package_that_is_none_any_more(copied):
    done, out = copied
    (file,) = out.rglob("*.mlmodel")
    file.write_bytes(b"nothing")
    with pytest.raises(migrate.AnereportError) as caught:
        migrated.check(out, done)
    assert "\n" not in str(caught.value)


def test_what_was_left_out_need_not_be_there(copied):
    done, out = copied
    left = done.variants[0].model_copy(update={"name": "n.mlpackage", "identity": None})
    more = done.model_copy(update={"variants": (*done.variants, left)})
    migrated.check(out, more)
    assert more.made == more.others == done.variants
    assert more.matrix
    assert not done.matrix


def test_it_knows_its_own_records(small, infinite):
    done, out = small
    of_source = simulate(out.parent / "m.mlmodel", "none")
    of_program = simulate(out / "m.mlpackage", "none")
    assert done.lists(of_source)
    assert done.lists(of_program)
    assert not infinite[0].lists(of_source)
    renamed = of_program.model.model_copy(update={"sha256": "0" * 64, "name": "n"})
    assert done.lists(of_program.model_copy(update={"model": renamed}))
    other = of_program.model.model_copy(update={"sha256_without_metadata": "0" * 64})
    assert not done.lists(of_program.model_copy(update={"model": other}))


def test_the_network_as_it_is_is_none_of_the_others(small):
    done, _ = small
    network = done.variants[0].model_copy(
        update={"name": done.source.name, "identity": done.source, "options": None}
    )
    whole = done.model_copy(update={"variants": (network, *done.variants)})
    assert [v.name for v in whole.made] == ["m.mlmodel", "m.mlpackage"]
    assert [v.name for v in whole.others] == ["m.mlpackage"]
    assert whole.matrix


def test_simulated_is_what_a_verdict_says(small, infinite):
    done, out = infinite
    assert not done.simulated
    assert not small[0].simulated
    simulated = type(done.verdicts[0])(**{**vars(done.verdicts[0]), "evidence": "simulated"})
    assert done.model_copy(update={"verdicts": (*done.verdicts, simulated)}).simulated
    assert done.source == identify(out.parent / "m.mlmodel")


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [(("1", "x"), ("1", "x"), False), (("1", "x"), ("2", "x"), True),
     (("1", "x"), ("1", "y"), True)],
)  # fmt: skip
def test_a_feature_is_changed_by_its_name_or_its_kind(before, after, changed):
    found = FeatureChange(
        role="input", before=before[0], name_before=before[1], after=after[0], name_after=after[1]
    )
    assert found.changed is changed
