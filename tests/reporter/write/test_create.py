from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from packages import affine, converted, ct, large, saved, with_unknown_operations
from PIL import Image
from torch import nn

from migrate import AnereportError
from migrate.coreml import coremltools
from reporter.measure import record as records
from reporter.measure.inputs import seeded
from reporter.measure.simulate import simulate
from reporter.understand.understood import Bounds
from reporter.write import models_here, repro
from reporter.write.create import Options, create
from reporter.write.repro import package_repro

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
TEXTS = ("report.md", "report.html", "forum.md", "feedback.txt", "report.json")
FAST = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)


def tiny(path, name="conv"):
    """Write a model of one small convolution with a bias."""
    b = NeuralNetworkBuilder(
        [("x", datatypes.Array(1, 2, 4, 4))], [("y", datatypes.Array(1, 3, 4, 4))],
        disable_rank5_shape_mapping=True, use_float_arraytype=True,
    )  # fmt: skip
    draw = np.random.RandomState(5)
    b.add_convolution(
        name, 2, 3, 1, 1, 1, 1, "valid", 1,
        draw.uniform(-1, 1, (1, 1, 2, 3)).astype(np.float32), np.float32([3, 4, 5]), True,
        input_name="x", output_name="y",
    )  # fmt: skip
    path.write_bytes(b.spec.SerializeToString(deterministic=True))
    return path


@pytest.fixture
def fast(monkeypatch):
    """Leave the repro script unrun: other tests run it."""
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: FAST)


@pytest.fixture
def model(tmp_path):
    return tiny(tmp_path / "Tiny.mlmodel")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Block without any record: folder and Report."""
    out = tmp_path_factory.mktemp("plain") / "Block-report"
    return out, create(SAMPLES / "Block.mlmodel", out, Options())


@pytest.fixture(scope="module")
def thread(tmp_path_factory):
    """The founding report."""
    out = tmp_path_factory.mktemp("thread") / "Block-report"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
        options = Options(
            records=[SAMPLES / "thread-720810.txt"],
            shape=(1, 1600, 39, 1),
            devices=["iPhone 13", "iPhone 14"],
        )
        return out, create(SAMPLES / "Block.mlmodel", out, options)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    path = tiny(folder / "Tiny.mlmodel")
    (folder / "sim.json").write_text(records.dumps(simulate(path, "bias-only@conv")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repro, "execute", lambda script, model, *kinds: FAST)
        return folder / "out", create(path, folder / "out", Options(records=[folder / "sim.json"]))


def texts(out):
    return {name: (out / name).read_text(encoding="utf-8") for name in TEXTS}


def fences(text):
    return re.split(r"^```.*$", text, flags=re.MULTILINE)[1::2]


def rows(markdown, first):
    """Return the rows of the tables whose heading begins with a word, as cells."""
    found, inside = [], False
    for line in markdown.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("|") else []
        inside = bool(cells) and (inside or cells[0] == first)
        if inside:
            found.append(cells)
    return found


def test_every_file_is_there(plain):
    out, _ = plain
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*TEXTS, "notes.md", "github.md", "repro.py", "Block.mlmodel", "Block-report.zip"]
    )
    assert [p.name for p in out.parent.iterdir()] == ["Block-report"]
    assert (out / "Block.mlmodel").read_bytes() == (SAMPLES / "Block.mlmodel").read_bytes()


def test_the_zip_holds_what_feedback_assistant_should_be_given(plain):
    out, _ = plain
    with zipfile.ZipFile(out / "Block-report.zip") as archive:
        *members, manifest = archive.namelist()
        assert manifest == "manifest.json"
        assert members == sorted(
            ["Block.mlmodel", "report.html", "report.json", "report.md", "repro.py"]
        )
        for name in members:
            assert archive.read(name) == (out / name).read_bytes()


def test_without_a_record_no_number_is_invented(plain):
    out, report = plain
    table = rows((out / "report.md").read_text(), "Index")
    values = [r for r in table[2:] if r[0] != "..."]
    assert len(values) == 11
    for row in values:
        float(row[2])
        assert row[3:] == ["not measured"] * 3
    assert all(u.metrics is None for c in report.comparisons for u in c.units)
    assert "no device results yet" in report.title
    assert [m.command.split()[1] for m in report.missing] == [
        "run", "run", "run", "repro.py", "variants", "migrate",
    ]  # fmt: skip
    for text in texts(out).values():
        assert "SIMULATED" not in text
        own = "\n".join(x for x in text.splitlines() if "reported" not in x)  # not what lint cites
        assert not re.search(r"iPhone \d|macOS 1\d\.\d", own)


def test_the_finding_is_in_every_text(plain):
    out, _ = plain
    for name, text in texts(out).items():
        assert "1x800x39x1 while its layers give 1x1600x39x1" in text, name


def test_what_lint_finds_is_in_the_report(plain):
    out, report = plain
    assert [f.rule for f in report.model.lint if f.severity != "info"] == [
        "declared-shape", "last-axis-1", "concat-depthwise",
    ]  # fmt: skip
    assert "| warning | concat-depthwise | layer 'conv3' |" in (out / "report.md").read_text()


def test_the_models_own_weights_are_rebuilt(plain):
    _, report = plain
    assert report.repro.rebuilds
    assert report.repro.own_weights
    assert report.repro.status.endswith(
        "it rebuilds the same network, with the model's own weights; with exact weights likewise"
    )


def test_the_post_fits_and_its_script_runs(plain, tmp_path):
    out, report = plain
    post = (out / "forum.md").read_text(encoding="ascii")
    assert len(post) <= 7000
    script = fences(post)[1]
    assert report.repro.building in script
    (tmp_path / "post.py").write_text(script)
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")}
    done = subprocess.run(
        [sys.executable, "post.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == report.model.identity.sha256
    draw, digest = np.random.RandomState(720810), hashlib.sha256()
    for scale, shape in (
        (1 / 32, (1, 1, 800, 800)), (1, 800), (1 / 16, (1, 1, 128, 800)), (1, 800),
        (1 / 2, (5, 1, 1, 1600)), (1, 1600),
    ):  # fmt: skip
        digest.update(np.float32(draw.uniform(-1, 1, shape) * scale).tobytes())
    assert digest.hexdigest() in report.repro.output


def test_the_founding_report_has_the_threads_columns_as_they_were_written(thread):
    out, report = thread
    written = [
        line.split() for line in (SAMPLES / "thread-720810.txt").read_text().splitlines()
        if line[0].isdigit()
    ]  # fmt: skip
    assert len(written) == 11
    table = rows((out / "report.md").read_text(), "Index")
    assert table[0] == ["Index", "(n,c,h,w)", "Reference", "CPU", "GPU", "ANE"]
    values = [r for r in table[2:] if r[0] != "..."]
    assert [[r[0], *r[3:]] for r in values] == written
    assert {r[2] for r in values} == {"not comparable"}
    assert [r[1] for r in values] == [f"0,322,{h},0" for h in range(10, 21)]
    post = fences((out / "forum.md").read_text())[0]
    for index, *numbers in written:
        (line,) = [text for text in post.splitlines() if text.startswith(index)]
        assert line.split()[-3:] == numbers
    assert all(u.metrics is None for c in report.comparisons for u in c.units)


def test_the_founding_report_says_that_nothing_can_be_compared(thread):
    out, _ = thread
    for name, text in texts(out).items():
        assert "not comparable: the listing carries neither inputs nor weights" in text, name
        assert "iPhone 13" in text
        assert "iPhone 14" in text
        assert "stated by the user" in text


def test_the_founding_report_has_a_title_that_the_rows_carry(thread):
    out, report = thread
    assert report.title == (
        "Core ML: Block.mlmodel, different numbers on CPU, GPU and Neural Engine"
    )
    assert (out / "records" / "thread-720810.txt").read_text() == (
        SAMPLES / "thread-720810.txt"
    ).read_text()
    with zipfile.ZipFile(out / "Block-report.zip") as archive:
        assert "records/thread-720810.txt" in archive.namelist()


def test_a_simulated_record_is_said_at_the_top_and_above_each_table(simulated):
    out, report = simulated
    assert report.simulated
    for name, text in texts(out).items():
        assert "SIMULATED" in text[: text.index("x4x4") if "x4x4" in text else 2500], name
    markdown = (out / "report.md").read_text()
    parts = re.split(r"^#+ ", markdown, flags=re.MULTILINE)
    with_device_values = [p for p in parts if "| unit |" in p or "| Index |" in p]
    assert with_device_values
    for part in with_device_values:
        assert part.startswith("SIMULATED")
    assert "SIMULATED" in fences((out / "forum.md").read_text())[0]
    assert "Do not file" in (out / "feedback.txt").read_text()
    assert report.title.startswith("SIMULATED")
    assert [m.command.split()[1] for m in report.missing] == [
        "run", "variants", "migrate",
    ]  # fmt: skip


def test_a_simulated_fault_is_seen(simulated):
    _, report = simulated
    (comparison,) = report.comparisons
    assert comparison.result("cpu").metrics.beyond == 0
    assert comparison.result("ane").metrics.beyond > 0
    assert "wrong numbers on the Neural Engine" in report.title


def test_two_reports_of_the_same_are_the_same_bytes(tmp_path, fast, model):
    os.utime(model, (1, 1))
    create(model, tmp_path / "one", Options())
    os.utime(model, (2_000_000_000, 2_000_000_000))
    create(model, tmp_path / "two", Options())
    for name in (*TEXTS, "Tiny-report.zip"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_report_json_is_strict_json(plain, thread, simulated):
    for out, _ in (plain, thread, simulated):
        content = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
        assert content["schema"] == "anereport.report/2"


def npz(path, **arrays):
    np.savez(path, **{key.replace("__", "::"): value for key, value in arrays.items()})
    return path


X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 2, 4, 4)


def test_an_archive_with_cpu_numbers_alone_is_not_called_unmeasured(tmp_path, fast, model):
    import migrate

    y = migrate.to_torch(model).predict({"x": X})["y"]
    path = npz(tmp_path / "r.npz", in__x=X, cpu__y=y, gpu__y=y + 1)
    report = create(model, tmp_path / "out", Options(records=[path], devices=["iPhone 14"]))
    assert "no device results" not in report.title
    assert "No compute unit has been measured" not in report.summary
    assert "0 on CPU" in report.summary
    assert "48 on GPU" in report.summary
    assert next(m.what for m in report.missing) == "the Neural Engine's numbers"
    assert [d.text for d in report.devices] == ["iPhone 14"]
    kept = tmp_path / "out" / "records" / "r.npz"
    assert kept.read_bytes() == path.read_bytes()


def test_an_archive_without_inputs_is_compared_with_its_cpu_and_that_is_said(tmp_path, fast, model):
    y = np.ones((1, 3, 4, 4), np.float32)
    path = npz(tmp_path / "r.npz", cpu__y=y, ane__y=y + 1)
    report = create(model, tmp_path / "out", Options(records=[path]))
    assert "No compute unit has been measured" not in report.summary
    assert "differ from the CPU's values" in report.summary
    assert report.title.endswith("on the Neural Engine differs from the CPU's values")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Against the CPU's values, in float64" in page
    assert "Against the reference" not in page
    assert [d.text for d in report.devices] == ["unknown device"]


def test_a_listing_of_two_units_names_those_two(tmp_path, fast, model):
    listing = tmp_path / "rows.txt"
    listing.write_text("Index CPU GPU\n3 1.5 1.5\n4 2.5 2.5\n")
    report = create(model, tmp_path / "out", Options(records=[listing], shape=(1, 3, 4, 4)))
    assert report.title == "Core ML: Tiny.mlmodel, numbers on CPU and GPU"
    listing.write_text("Index CPU ANE\n3 1.5 1.5\n4 2.5 2.25\n")
    options = Options(records=[listing], shape=(1, 3, 4, 4), force=True)
    report = create(model, tmp_path / "out", options)
    assert report.title == "Core ML: Tiny.mlmodel, different numbers on CPU and Neural Engine"


def test_several_records_are_kept_beside_each_other(tmp_path, fast, model):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "r.json").write_text(records.dumps(simulate(model, "none")))
    paths = [tmp_path / place / "r.json" for place in ("a", "b")]
    report = create(model, tmp_path / "out", Options(records=paths))
    assert len(report.comparisons) == 2
    kept = sorted(p.name for p in (tmp_path / "out" / "records").iterdir())
    assert kept == ["2-r.json", "r.json"]


def test_folders_of_persons_leave_in_no_file(tmp_path, fast, model):
    found = json.loads(records.dumps(simulate(model, "none")))
    found["device"]["label"] = "/Users/alice/desk.txt"
    found["runs"][1].pop("outputs")
    found["runs"][1]["failure"] = {
        "stage": "load", "message": "no /Users/alice/x", "stderr": "at /Users/alice/a.py",
    }  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps(found))
    script = tmp_path / "mine.py"
    script.write_text("open('/Users/alice/secret')\n")
    options = Options(records=[tmp_path / "r.json"], devices=["/Users/alice/phone"], script=script)
    create(model, tmp_path / "out", options)
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert b"alice" not in file.read_bytes(), file.name
    with zipfile.ZipFile(tmp_path / "out" / "Tiny-report.zip") as archive:
        for name in archive.namelist():
            assert b"alice" not in archive.read(name), name
    assert records.load(tmp_path / "out" / "records" / "r.json").device.label == "~/desk.txt"


def test_the_script_that_was_run_is_the_one_bundled(tmp_path, monkeypatch):
    model = tiny(tmp_path / "Tiny.mlmodel", name="/Users/alice/conv")
    seen = []
    monkeypatch.setattr(
        repro,
        "execute",
        lambda script, model, *kinds: seen.append(script) or repro.Repro(script, "", ""),
    )
    create(model, tmp_path / "out", Options())
    assert (tmp_path / "out" / "repro.py").read_text() == seen[0]


def test_the_users_script_is_bundled_in_place_of_ours(tmp_path, model):
    script = tmp_path / "mine.py"
    script.write_text("print('mine')\n")
    report = create(model, tmp_path / "out", Options(script=script))
    assert (tmp_path / "out" / "repro.py").read_text() == "print('mine')\n"
    for name, text in texts(tmp_path / "out").items():
        assert "not executed: bundled as given" in text, name
    assert "too long for a post" not in (tmp_path / "out" / "forum.md").read_text()
    assert "rebuilds the network" not in (tmp_path / "out" / "feedback.txt").read_text()
    assert report.repro.output == ""
    report = create(model, tmp_path / "run", Options(script=script, run_script=True))
    assert report.repro.status == "executed, it ended without error"
    assert "mine" in (tmp_path / "run" / "report.md").read_text()


def test_a_hostile_script_output_ends_no_fence(tmp_path, model):
    script = tmp_path / "mine.py"
    script.write_text("print('```\\n<script>x</script>\\n# heading \\x1b[0m')\n")
    create(model, tmp_path / "out", Options(script=script, run_script=True))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "<h1>heading" not in page
    assert "\x1b" not in (tmp_path / "out" / "report.md").read_text()


def test_bytes_that_are_no_text_on_the_command_line(tmp_path, fast, model):
    np.savez(tmp_path / "r.npz", **{"ane::y": np.zeros(3, np.float32)})
    options = Options(devices=["iPhone \udcff"], records=[tmp_path / "r.npz"])
    create(model, tmp_path / "out", options)
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["devices"][0]["text"] == "iPhone \\udcff"


@pytest.mark.parametrize("name", ["my model.mlmodel", "a'b.mlmodel", "$(touch x).mlmodel"])
def test_the_commands_can_be_pasted_into_a_shell(tmp_path, fast, name):
    import shlex

    report = create(tiny(tmp_path / name), tmp_path / "out", Options())
    commands = [shlex.split(m.command) for m in report.missing]
    assert {words[2] for words in commands if words[0] == "anereport"} == {name}


def test_a_device_without_results_is_refused(tmp_path, model):
    with pytest.raises(AnereportError, match="--device names the device of results"):
        create(model, tmp_path / "out", Options(devices=["iPhone 14"]))


def test_measured_and_simulated_records_are_not_mixed(tmp_path, fast, model):
    found = simulate(model, "none")
    for name, evidence in (("a", "simulated"), ("b", "measured")):
        record = found.model_copy(update={"evidence": evidence})
        (tmp_path / f"{name}.json").write_text(records.dumps(record))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    with pytest.raises(AnereportError, match="measured and simulated"):
        create(model, tmp_path / "out", Options(records=paths))


def test_a_tolerance_is_used(tmp_path, fast, model):
    import migrate

    y = migrate.to_torch(model).predict({"x": X})["y"]
    path = npz(tmp_path / "r.npz", in__x=X, ane__y=y + np.float32(0.5))
    strict = create(model, tmp_path / "a", Options(records=[path], bounds=Bounds(0.01)))
    loose = create(model, tmp_path / "b", Options(records=[path], bounds=Bounds(0.9)))
    assert strict.comparisons[0].result("ane").metrics.beyond == 48
    assert loose.comparisons[0].result("ane").metrics.beyond == 0
    assert "beyond 0.9" in (tmp_path / "b" / "report.md").read_text()
    assert strict.title == loose.title  # right and wrong are by what rounding explains


def test_a_listing_of_another_shape_than_any_output(tmp_path, model):
    listing = tmp_path / "rows.txt"
    listing.write_text("Index CPU GPU ANE\n3 1 1 1\n")
    with pytest.raises(AnereportError, match=r"no output has the shape 1x9x9.*y 1x3x4x4"):
        create(model, tmp_path / "out", Options(records=[listing], shape=(1, 9, 9)))
    assert not (tmp_path / "out").exists()


def test_an_image_model_is_reported(tmp_path, fast):
    b = NeuralNetworkBuilder([("x", datatypes.Array(3, 4, 6))], [("y", None)])
    b.add_activation("relu", "RELU", "x", "y")
    b.set_pre_processing_parameters(image_input_names=["x"])
    path = tmp_path / "Image.mlmodel"
    path.write_bytes(b.spec.SerializeToString())
    report = create(path, tmp_path / "out", Options())
    assert [f.kind for f in report.model.features] == ["image", "multiArray"]
    assert report.comparisons[0].shape[-3:] == (3, 4, 6)
    assert Image  # the script for images needs Pillow


def test_a_record_of_another_model_is_refused_before_the_script_is_run(
    tmp_path, model, monkeypatch
):
    other = tiny(tmp_path / "Other.mlmodel", name="another")
    (tmp_path / "r.json").write_text(records.dumps(simulate(other, "none")))
    ran = []
    monkeypatch.setattr(repro, "execute", lambda *given: ran.append(given) or FAST)
    with pytest.raises(AnereportError, match="is a record of another model: Other"):
        create(model, tmp_path / "out", Options(records=[tmp_path / "r.json"]))
    assert ran == []


def test_models_and_records_beside(tmp_path, model):
    assert models_here.models_in(tmp_path) == [model]
    assert models_here.choose_model(tmp_path) == model
    (tmp_path / "good.json").write_text(records.dumps(simulate(model, "none")))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    other = tiny(tmp_path / "Other.mlmodel", name="another")
    (tmp_path / "another.json").write_text(records.dumps(simulate(other, "none")))
    assert models_here.records_beside(model) == [tmp_path / "good.json"]
    with pytest.raises(AnereportError, match=r"2 models here \(Other.mlmodel, Tiny.mlmodel\)"):
        models_here.choose_model(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    with pytest.raises(AnereportError, match="no model here: name one"):
        models_here.choose_model(tmp_path)


def torch_package(folder):
    """A package that coremltools makes of a torch module with weights of its own."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.GELU(), nn.Conv2d(32, 4, 3, stride=2))
    x = ct.TensorType(name="x", shape=(1, 3, 9, 9), dtype=np.float32)
    y = ct.TensorType(name="y", dtype=np.float32)
    return net, saved(converted(net, [x], "fp16", outputs=[y]), folder / "Net.mlpackage")


def with_a_wrong_ane(record):
    """The record as a Neural Engine would have it that loses channel 2."""
    *runs, ane = record.runs
    y = ane.outputs["y"].array().copy()
    y[:, 2] = 3
    ane = ane.model_copy(update={"outputs": {"y": records.Tensor.of(y)}})
    return record.model_copy(update={"runs": (*runs, ane)})


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The report of a package, its script executed: folder, Report, package, torch module."""
    folder = tmp_path_factory.mktemp("program")
    net, path = torch_package(folder)
    (folder / "r.json").write_text(records.dumps(with_a_wrong_ane(simulate(path, "none"))))
    options = Options(records=[folder / "r.json"])
    return folder / "out", create(path, folder / "out", options), path, net


def test_a_program_is_compared_with_what_torch_gives(program):
    _, report, path, net = program
    (comparison,) = report.comparisons
    assert report.title == (
        "SIMULATED: Core ML: Net.mlpackage gives wrong numbers on the Neural Engine"
    )
    assert comparison.reference == (
        "computed here: the ML Program evaluated with every fp16 operation in float32"
    )
    assert comparison.shape == (1, 4, 3, 3) == report.model.features[1].computed
    with torch.no_grad():
        y = net(torch.from_numpy(seeded(path)["x"])).numpy()
    columns = comparison.table.columns.index("Reference"), comparison.table.columns.index("ANE")
    listed = [row for row in comparison.table.rows if row]
    for row in listed:
        exact, ane = (float(row.values[i]) for i in columns)
        assert exact == pytest.approx(y.ravel()[row.index], abs=2e-3)
        assert (ane == 3) == (row.position[1] == 2)
    assert any(row.position[1] == 2 for row in listed)
    assert comparison.result("ane").metrics.beyond == 9
    assert comparison.result("gpu").metrics.beyond == 0


def test_a_package_is_bundled_as_it_is(program):
    out, report, path, _ = program
    files = sorted(f.relative_to(path.parent) for f in path.rglob("*") if f.is_file())
    assert len(files) == 3
    with zipfile.ZipFile(out / "Net-report.zip") as archive:
        inside = [n for n in archive.namelist() if n.startswith("Net.mlpackage/")]
        assert inside == [f.as_posix() for f in files]
        for file in files:
            content = (path.parent / file).read_bytes()
            assert (out / file).read_bytes() == content == archive.read(file.as_posix())
    assert report.repro.own_weights
    assert "the bundled package, the model itself" in report.repro.status
    assert report.model.identity.sha256 in report.repro.output


def test_the_page_of_a_program_names_what_is_not_available(program):
    out, report, _, _ = program
    page = (out / "report.md").read_text()
    assert (
        "An ML Program: what needs a NeuralNetwork (PyTorch source, faults by layer, variants, a "
        "script that rebuilds it) is not available."
    ) in page
    assert "| runs on | iOS 17, macOS 14 and later (CoreML7) |" in page
    assert "| computes in | fp16 |" in page
    kinds = [row[1] for row in rows(page, "operation")[2:]]
    assert kinds == ["cast", "conv", "gelu", "conv", "cast"]
    for name, text in texts(out).items():
        assert "anereport migrate" not in text, name
        assert "rebuilds the network" not in text, name
        assert "too long for a post" not in text, name
    assert [m.command.split()[1] for m in report.missing] == ["run"]
    assert len((out / "forum.md").read_text(encoding="ascii")) <= 7000


def test_two_reports_of_a_package_are_the_same_bytes(tmp_path, fast_package):
    _, path = torch_package(tmp_path)
    create(path, tmp_path / "one", Options())
    for file in path.rglob("*"):
        os.utime(file, (1, 1))
    create(path, tmp_path / "two", Options())
    page = (tmp_path / "one" / "report.md").read_text()
    assert "Reference: computed here: the ML Program evaluated with every fp16 operation" in page
    for name in (*TEXTS, "Net-report.zip"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.fixture
def fast_package(monkeypatch):
    """Leave the script of a package unrun."""
    monkeypatch.setattr(package_repro, "execute", lambda script, model, identity: FAST)


def test_a_program_of_unknown_operations_is_reported_without_a_reference(tmp_path, fast_package):
    path = with_unknown_operations(saved(affine(), tmp_path / "m.mlpackage"))
    report = create(path, tmp_path / "out", Options())
    assert "no reference could be computed" in report.summary
    page = (tmp_path / "out" / "report.md").read_text()
    reason = "operations that are not known: my\\_mul, my\\_relu."
    assert f"The program could not be evaluated here: {reason}" in page
    assert f"Reference: not available: {reason}" in page


def test_a_package_without_its_weights_leaves_nothing(tmp_path):
    path, weights = large(tmp_path / "large.mlpackage")
    weights.unlink()
    with pytest.raises(AnereportError, match=r"large.mlpackage lacks its weights"):
        create(path, tmp_path / "out", Options())
    assert not (tmp_path / "out").exists()


def test_the_users_script_for_a_package(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("print('mine')\n")
    path = saved(affine(), tmp_path / "m.mlpackage")
    create(path, tmp_path / "out", Options(script=script))
    assert (tmp_path / "out" / "repro.py").read_text() == "print('mine')\n"
    assert "a script of my own" in (tmp_path / "out" / "feedback.txt").read_text()
