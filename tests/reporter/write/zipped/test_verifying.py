"""What `anereport verify` says of a report's zip that is whole, and of one that was changed."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from migrations import model as network
from migrations import written
from packages import affine, saved
from small_block import small_block

from reporter.measure.record import dumps
from reporter.measure.simulate import simulate
from reporter.understand.understood import Bounds
from reporter.write import repro
from reporter.write.create import Options, create
from reporter.write.migration import migration
from reporter.write.repro import package_repro
from reporter.write.zipped import checks
from reporter.write.zipped.verifying import verify

LISTING = Path(__file__).resolve().parents[4] / "samples" / "thread-720810.txt"
REBUILT = repro.Repro("", "anereport", "not executed in this test", rebuilds=True)
LOOKS = ["zip", "manifest", "report", "model", "records", "repro.py"]


class Ran:
    """Stands in for executing a script, and remembers whether it was."""

    def __init__(self, answer=REBUILT):
        self.scripts, self.answer = [], answer

    def __call__(self, script, *others):
        self.scripts.append(script)
        return self.answer


def rebuilt(script, *others, **options):
    return replace(REBUILT, script=script)


@pytest.fixture
def ran(monkeypatch):
    """What was executed, by `verify` alone: `create` takes its script to be good."""
    found = Ran()
    monkeypatch.setattr(repro, "execute", rebuilt)
    monkeypatch.setattr(checks, "_executed", found)
    return found


def reported(here, **options):
    """Return the zip of a report of the small block, with a simulated record."""
    path = written(here / "m.mlmodel", small_block())
    (here / "r.json").write_text(dumps(simulate(path, "bias-only@one")))
    options = Options(records=[here / "r.json"], bounds=Bounds(budget=0), **options)
    create(path, here / "report", options)
    return here / "report/m-report.zip"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def weightless(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repro, "execute", rebuilt)
        return reported(tmp_path_factory.mktemp("weightless"), without_weights=True)


def content(zipped):
    with zipfile.ZipFile(zipped) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def relisted(files):
    """Return files with a manifest that fits them, as a careful forger would."""
    manifest = json.loads(files["manifest.json"])
    manifest["members"] = [
        {"name": name, "size": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in sorted(files.items())
        if name != "manifest.json"
    ]
    return files | {"manifest.json": json.dumps(manifest).encode()}


def changed_json(data, **values):
    return json.dumps(json.loads(data) | values).encode()


def words(found):
    return {check.what: check.word for check in found}


def failure(found):
    """Return the one check that failed, which is the last."""
    *others, last = found
    assert "FAILED" not in words(others).values()
    assert last.word == "FAILED"
    return f"{last.what}: {last.said}"


def test_a_whole_zip_passes_every_check_and_its_script_is_executed(whole):
    found = verify(whole)
    assert words(found) == dict.fromkeys(LOOKS, "ok")
    said = {check.what: check.said for check in found}
    names = set(content(whole))
    assert f"{len(names)} members" in said["zip"]
    assert f"{len(names) - 1} files" in said["manifest"]
    assert sha256(content(whole)["m.mlmodel"]).hexdigest() in said["model"]
    assert said["records"].endswith(": 1")
    assert "executed in a clean process" in said["repro.py"]
    assert "it rebuilds the same network" in said["repro.py"]


def test_a_copy_without_its_private_texts_is_the_one_that_the_report_states(tmp_path, ran):
    spec = small_block()
    spec.description.metadata.author = "alice.example@example.com"
    path = written(tmp_path / "m.mlmodel", spec)
    (tmp_path / "r.json").write_text(dumps(simulate(path, "none")))
    options = Options(records=[tmp_path / "r.json"], bounds=Bounds(budget=0))
    report = create(path, tmp_path / "report", options)
    zipped = tmp_path / "report/m-report.zip"
    found = verify(zipped)
    assert words(found) == dict.fromkeys(LOOKS, "ok")
    assert found[3].said.endswith(
        f"{report.model.bundled.sha256}, a copy without its private texts"
    )
    assert report.model.bundled.sha256 != report.model.identity.sha256
    manifest = json.loads(content(zipped)["manifest.json"])
    assert manifest["model"]["sha256"] == report.model.identity.sha256
    assert manifest["bundled"]["sha256"] == report.model.bundled.sha256
    assert [each["kind"] for each in manifest["removed"]] == [r.kind for r in report.removed]
    assert manifest["removed"]
    files = content(zipped) | {"m.mlmodel": path.read_bytes()}
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("model: m.mlmodel has sha256 ")


@pytest.mark.parametrize("name", [b"a\\b.mlmodel", b"c:x.mlmodel", b"m\xff.mlmodel"])
def test_a_model_of_an_odd_name_is_bundled_under_one_that_can_be_unpacked(tmp_path, ran, name):
    path = written(tmp_path / os.fsdecode(name), small_block())
    create(path, tmp_path / "report", Options(bounds=Bounds(budget=0)))
    (zipped,) = (tmp_path / "report").glob("*.zip")
    found = words(verify(zipped))
    assert found["model"] == "ok"
    assert "FAILED" not in found.values()


def test_nothing_stays_behind(whole, ran, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(whole.parent.rglob("*"))
    verify(whole)
    assert list(tmp_path.iterdir()) == []
    assert sorted(whole.parent.rglob("*")) == before


def test_every_step_is_told(whole, ran):
    told = []

    class Told:
        def expect(self, steps):
            told.append(steps)

        def step(self, text):
            told.append(text)

    verify(whole, progress=Told())
    assert told == [len(LOOKS), *(f"checking {what}" for what in LOOKS)]


@pytest.mark.parametrize("name", ["report.md", "m.mlmodel", "records/r.json", "repro.py"])
def test_a_changed_member_fails_by_name(whole, ran, tmp_path, name):
    files = content(whole)
    size = len(files[name])
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said.startswith(f"manifest: {name} is not as it was written: {size:,} bytes, sha256 ")
    assert sha256(files[name]).hexdigest()[:12] in said
    assert sha256(content(whole)[name]).hexdigest()[:12] in said
    assert ran.scripts == []


def test_a_member_that_is_missing_fails(whole, ran, tmp_path):
    files = content(whole)
    del files["report.html"]
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == "manifest: report.html is listed in manifest.json and not there"


def test_a_member_that_nobody_listed_fails(whole, ran, tmp_path):
    files = content(whole) | {"records/more.json": b"{}"}
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == "manifest: records/more.json is there and not listed in manifest.json"


@pytest.mark.parametrize("name", ["numpy.py", "m.mlpackage/x", "more/x", "report.md."])
def test_what_is_no_part_of_a_report_fails_even_if_it_is_listed(whole, ran, tmp_path, name):
    """A numpy.py beside repro.py is what a script would import there."""
    files = relisted(content(whole) | {name: b""})
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == f"report: {name.split('/')[0]} is no part of a report"
    assert ran.scripts == []


def test_a_file_that_is_listed_twice_fails(whole, ran, tmp_path):
    files = content(whole)
    listed = json.loads(files["manifest.json"])["members"]
    wrong = listed[0] | {"sha256": "0" * 64}
    files["manifest.json"] = changed_json(files["manifest.json"], members=[wrong, *listed])
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == "manifest: manifest.json lists a file twice"


@pytest.mark.parametrize("name", ["manifest.json", "report.json", "variants/manifest.json"])
def test_a_file_of_so_much_json_is_not_read(whole, ran, tmp_path, monkeypatch, name):
    monkeypatch.setattr(checks, "MOST_JSON", 200_000)
    assert "FAILED" not in words(verify(whole)).values()
    files = content(whole) | {name: b" " * 200_001}
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == f"zip: {name} has over 200,000 bytes: not read"


def test_a_zip_without_a_manifest_fails(whole, ran, tmp_path):
    files = content(whole)
    del files["manifest.json"]
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == "manifest: the zip holds no manifest.json: write it with anereport create"


@pytest.mark.parametrize("schema", ["anereport.bundle/0", "anereport.variants/1", None])
def test_a_manifest_of_another_schema_says_which(whole, ran, tmp_path, schema):
    files = content(whole)
    files["manifest.json"] = changed_json(files["manifest.json"], schema=schema)
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert f"manifest.json: schema: expected 'anereport.bundle/1', found {schema!r}" in said


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_a_manifest_that_is_none_fails(whole, ran, tmp_path, text):
    files = content(whole) | {"manifest.json": text}
    assert failure(verify(zip_of(tmp_path / "z.zip", files))).startswith("manifest: ")


def test_a_report_of_an_older_schema_says_so(whole, ran, tmp_path):
    files = content(whole)
    files["report.json"] = changed_json(files["report.json"], schema="anereport.report/1")
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("report: report.json: schema: expected 'anereport.report/2', found ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("report", "anereport.report/1"), ("weights", False), ("model", None), ("repro", ["real"])],
)
def test_a_manifest_that_says_other_than_the_report_fails(whole, ran, tmp_path, field, value):
    files = content(whole)
    model = json.loads(files["manifest.json"])["model"] | {"sha256": "0" * 64}
    files["manifest.json"] = changed_json(files["manifest.json"], **{field: value or model})
    if value is False:
        files["manifest.json"] = changed_json(files["manifest.json"], weights=False)
    said = failure(verify(zip_of(tmp_path / "z.zip", files)))
    assert said == f"report: report.json and manifest.json differ in {field}"


def test_another_model_fails_even_if_it_is_listed(whole, ran, tmp_path):
    files = content(whole)
    spec = small_block()
    spec.neuralNetwork.layers[0].convolution.weights.floatValue[0] += 1
    files["m.mlmodel"] = spec.SerializeToString()
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("model: m.mlmodel has sha256 ")
    assert ran.scripts == []


@pytest.mark.parametrize("data", [b"", b"no model", b"\xff" * 99])
def test_what_is_no_model_fails(whole, ran, tmp_path, data):
    files = content(whole) | {"m.mlmodel": data}
    assert failure(verify(zip_of(tmp_path / "z.zip", relisted(files)))).startswith("model: ")


def test_a_model_that_is_missing_fails(whole, ran, tmp_path):
    files = content(whole)
    del files["m.mlmodel"]
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said == "model: m.mlmodel, which the report is of, is not there"


def test_a_record_of_another_model_fails(whole, ran, tmp_path):
    files = content(whole)
    record = json.loads(files["records/r.json"])
    record["model"]["sha256_without_metadata"] = "0" * 64
    files["records/r.json"] = json.dumps(record).encode()
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("records: records/r.json is a record of another model: ")


def test_a_record_that_cannot_be_read_fails(whole, ran, tmp_path):
    files = content(whole) | {"records/r.json": b"{"}
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("records: records/r.json is not JSON")


def test_a_record_of_a_later_date_than_the_report_fails(whole, ran, tmp_path):
    files = content(whole)
    files["records/r.json"] = changed_json(files["records/r.json"], date="2099-01-02T03:04:05Z")
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("records: the latest record is of 2099-01-02T03:04:05Z, where ")


EVIL = b"open('/tmp/anereport-was-here', 'w')\n"


def test_a_script_other_than_the_reports_fails(whole, ran, tmp_path):
    files = content(whole) | {"repro.py": EVIL}
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said == "report: repro.py is not the script that report.json holds"
    assert ran.scripts == []


def test_a_script_that_is_missing_fails(whole, ran, tmp_path):
    files = content(whole)
    del files["repro.py"]
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said == "report: repro.py is not there"


def places(value, before=()):
    """Yield the path of every value in a JSON tree."""
    yield before
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*before, key))


ODD = [
    None,
    0,
    -1,
    1e308,
    True,
    "",
    "..",
    "/",
    "\ud800",
    [],
    {},
    [[]],
    "NaN",
    "x" * 10_000,
    10**400,
]


@settings(max_examples=50)
@given(data=st.data(), name=st.sampled_from(["report.json", "manifest.json", "records/r.json"]))
def test_a_forged_file_gives_checks_and_no_traceback(whole, tmp_path_factory, data, name):
    files = content(whole)
    tree = json.loads(files[name])
    *above, last = data.draw(st.sampled_from([p for p in places(tree) if p]))
    inside = tree
    for key in above:
        inside = inside[key]
    inside[last] = data.draw(st.sampled_from(ODD))
    files[name] = json.dumps(tree).encode()
    files = files if name == "manifest.json" else relisted(files)
    zipped = zip_of(tmp_path_factory.mktemp("forged") / "z.zip", files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_executed", Ran())
        found = verify(zipped)
    assert [check.what for check in found] == LOOKS[: len(found)]
    assert len(found) == len(LOOKS) or found[-1].word == "FAILED"


def forged(whole, path, **changes):
    """Write a zip whose script and report agree on code that nobody wrote for the model."""
    files = content(whole)
    report = json.loads(files["report.json"])
    report["repro"] |= {"script": EVIL.decode()} | changes
    files |= {"repro.py": EVIL, "report.json": json.dumps(report).encode()}
    return zip_of(path, relisted(files))


@pytest.mark.parametrize("author", ["anereport", "the user"])
def test_a_forged_script_is_not_executed(whole, ran, tmp_path, monkeypatch, author):
    monkeypatch.setattr(checks, "run_clean", ran)
    found = verify(forged(whole, tmp_path / "z.zip", author=author))
    assert words(found) == dict.fromkeys(LOOKS, "ok") | {"repro.py": "not checked"}
    assert "read repro.py, then give --run-script" in found[-1].said
    assert ran.scripts == []


def test_it_is_executed_when_the_user_asks(whole, ran, tmp_path):
    zipped = forged(whole, tmp_path / "z.zip")
    assert words(verify(zipped, run_script=True))["repro.py"] == "ok"
    assert ran.scripts == [EVIL.decode()]


def test_a_script_that_builds_another_network_fails(whole, ran):
    ran.answer = replace(REBUILT, rebuilds=False, status="rebuilds ANOTHER network")
    assert failure(verify(whole)) == "repro.py: repro.py: rebuilds ANOTHER network"


@pytest.mark.parametrize(
    ("code", "word", "said"),
    [("print(1)\n", "not checked", "executed without error"), ("1/0\n", "FAILED", "ZeroDivision")],
)
def test_the_users_own_script_is_executed_only_when_asked(tmp_path, code, word, said):
    (tmp_path / "own.py").write_text(code)
    zipped = reported(tmp_path, script=tmp_path / "own.py")
    found = verify(zipped)[-1]
    assert (found.word, found.said[:23]) == ("not checked", "it is the author's own:")
    found = verify(zipped, run_script=True)[-1]
    assert (found.what, found.word) == ("repro.py", word)
    assert said in found.said


def test_without_weights_what_needs_the_model_is_not_checked(weightless):
    found = verify(weightless)
    expected = dict.fromkeys(LOOKS, "ok") | {"model": "not checked", "repro.py": "not checked"}
    assert words(found) == expected
    stated = json.loads(content(weightless)["report.json"])["model"]["identity"]["sha256"]
    assert stated in found[3].said


@pytest.mark.parametrize("name", ["m.mlmodel", "variants/x.MLMODEL", "variants/a.mlpackage/w.bin"])
def test_weights_in_a_zip_that_says_it_has_none_fail(weightless, tmp_path, name):
    files = content(weightless) | {name: b"weights"}
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.endswith("is attached, and the report says that no model is")


def test_a_listing_names_no_model_and_is_counted(tmp_path, ran):
    path = network(tmp_path / "m.mlmodel")
    rows = [f"{i} {i}.5 {i}.5 {i}.25" for i in range(18)]
    (tmp_path / "l.txt").write_text("\n".join(["Index CPU GPU ANE", *rows]))
    options = Options(records=[tmp_path / "l.txt"], shape=(1, 3, 2, 3), bounds=Bounds(budget=0))
    create(path, tmp_path / "report", options)
    found = verify(tmp_path / "report/m-report.zip")
    assert words(found) == dict.fromkeys(LOOKS, "ok")
    assert found[4].said.endswith(": 0; listings, which name no model: 1")


def test_records_of_what_was_made_of_the_model_are_known(tmp_path, ran):
    path = network(tmp_path / "m.mlmodel")
    migration.write(path, tmp_path / "m-mlprogram")
    made = tmp_path / "m-mlprogram/m.mlpackage"
    for name, of in (("a.json", path), ("b.json", made)):
        (tmp_path / name).write_text(dumps(simulate(of, "none")))
    records = [tmp_path / "a.json", tmp_path / "b.json"]
    options = {"migration": tmp_path / "m-mlprogram", "bounds": Bounds(budget=0)}
    create(path, tmp_path / "report", Options(records=records, **options))
    found = verify(tmp_path / "report/m-report.zip")
    assert words(found) == dict.fromkeys(LOOKS, "ok")
    assert found[4].said.endswith(": 2")


def test_a_package_is_verified_too(tmp_path):
    path = saved(affine(), tmp_path / "p.mlpackage")
    create(path, tmp_path / "report", Options(bounds=Bounds(budget=0)))
    found = verify(tmp_path / "report/p-report.zip")
    assert words(found) == dict.fromkeys(LOOKS, "ok")
    assert found[4].said == "there are none"
    assert "it loads the bundled package, the model itself" in found[5].said


def test_a_package_whose_weights_were_changed_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(package_repro, "execute", lambda *_: REBUILT)
    path = saved(affine(), tmp_path / "p.mlpackage")
    create(path, tmp_path / "report", Options(bounds=Bounds(budget=0)))
    files = content(tmp_path / "report/p-report.zip")
    (spec,) = [name for name in files if name.endswith(".mlmodel")]
    files[spec] += b"\x50\x01"
    said = failure(verify(zip_of(tmp_path / "z.zip", relisted(files))))
    assert said.startswith("model: ")


def test_what_is_no_zip_fails_in_its_first_check(tmp_path):
    (tmp_path / "z.zip").write_bytes(b"no zip")
    assert failure(verify(tmp_path / "z.zip")).startswith(f"zip: {tmp_path / 'z.zip'} is no zip")


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_zip_never_passes_unless_its_content_is_the_same(whole, tmp_path_factory, data):
    damaged = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    path = tmp_path_factory.mktemp("damaged") / "z.zip"
    path.write_bytes(damaged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_executed", Ran())
        found = verify(path)
    if "FAILED" not in words(found).values():
        assert content(path) == content(whole)
