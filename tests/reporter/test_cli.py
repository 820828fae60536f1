from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from migrations import (
    PARTIAL,
    both,
    breaking,
    no_conversion,
    overflowing,
    planned,
    put,
    strict,
)  # fmt: skip
from packages import affine, saved
from typer.testing import CliRunner

from migrate.coreml import coremltools, proto
from reporter import cli
from reporter.measure import measuring
from reporter.measure import record as records
from reporter.measure.simulate import simulate
from reporter.understand import explanation
from reporter.write import create as creating
from reporter.write import repro
from reporter.write.zipped import checks

coremltools()
from coremltools.models import datatypes  # noqa: E402  after the quiet import
from coremltools.models.neural_network import NeuralNetworkBuilder  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
THREAD = SAMPLES / "thread-720810.txt"
COMMANDS = (
    "create", "migrate", "verify", "schema", "explain", "lint", "variants", "run", "runner",
    "doctor",
)  # fmt: skip
LINUX = pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is here")


def tiny(path, name="conv", scale=1.0):
    b = NeuralNetworkBuilder(
        [("x", datatypes.Array(1, 2, 4, 4))], [("y", datatypes.Array(1, 3, 4, 4))],
        disable_rank5_shape_mapping=True, use_float_arraytype=True,
    )  # fmt: skip
    weights = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3) * np.float32(scale)
    b.add_convolution(
        name, 2, 3, 1, 1, 1, 1, "valid", 1, weights, np.float32([3, 4, 5]), True,
        input_name="x", output_name="y",
    )  # fmt: skip
    path.write_bytes(b.spec.SerializeToString(deterministic=True))
    return path


def listing(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, the repro script not run, wherever the tests run from."""
    monkeypatch.chdir(tmp_path)
    ran = repro.Repro("print(1)\n", "anereport", "executed: not in this test", "", True)
    monkeypatch.setattr(repro, "execute", lambda script, model, *kinds: ran)
    return tmp_path


@pytest.fixture
def model(here):
    return tiny(here / "Tiny.mlmodel")


def run(*arguments, **options):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], **options)


def done(*arguments, **options):
    result = run(*arguments, **options)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments, words=""):
    """Run a command that must fail as expected: one sentence, exit 1, nothing changed."""
    before = listing(Path())
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("anereport: ")
    assert "Traceback" not in line
    assert words.lower() in line.lower(), line
    assert listing(Path()) == before
    return line


# --- what works


def test_create_writes_the_folder_and_says_where(model):
    result = done("create", model)
    assert (Path("Tiny-report") / "report.md").is_file()
    assert "wrote Tiny-report/report.md, and Tiny-report/Tiny-report.zip" in result.stdout
    assert "not measured: the Neural Engine's numbers; to measure: anereport run" in result.stdout
    assert "repro.py: executed: not in this test" in result.stdout
    assert result.stderr == ""


def test_create_without_an_argument_takes_the_one_model_and_the_records_beside_it(model):
    Path("mine.json").write_text(records.dumps(simulate(model, "bias-only@conv")))
    other = tiny(model.parent / "other.tmp", "another")
    Path("other.json").write_text(records.dumps(simulate(other, "none")))
    done("create")
    assert [p.name for p in Path("Tiny-report/records").iterdir()] == ["mine.json"]
    report = json.loads(Path("Tiny-report/report.json").read_text())
    assert report["title"].startswith("SIMULATED: ")


def test_records_beside_are_left_alone_when_one_is_named(model):
    Path("beside.json").write_text(records.dumps(simulate(model, "none")))
    Path("named").mkdir()
    Path("named/r.json").write_text(records.dumps(simulate(model, "none")))
    done("create", "--record", "named/r.json")
    assert [p.name for p in Path("Tiny-report/records").iterdir()] == ["r.json"]


def test_a_named_model_takes_no_records_unasked(model):
    Path("beside.json").write_text(records.dumps(simulate(model, "none")))
    done("create", "Tiny.mlmodel")
    assert not Path("Tiny-report/records").exists()


def test_create_without_an_argument_says_what_it_found(here):
    refused("create", words="no model here")
    tiny(here / "A.mlmodel")
    tiny(here / "B.mlmodel")
    refused("create", words="2 models here (A.mlmodel, B.mlmodel)")


def test_the_founding_report(here):
    done(
        "create", SAMPLES / "Block.mlmodel", "--record", THREAD, "--shape", "1,1600,39,1",
        "--device", "iPhone 13", "--device", "iPhone 14", "--out", "t",
    )  # fmt: skip
    text = Path("t/report.md").read_text()
    assert "- iPhone 13 (stated by the user)" in text
    assert "- iPhone 14 (stated by the user)" in text
    assert "| 12568 | 0,322,10,0 | not comparable | -23.01966 | -23.01562 | 0.2047119 |" in text


def test_tolerance(model):
    Path("r.json").write_text(records.dumps(simulate(model, "bias-only@conv")))
    done("create", model, "--record", "r.json", "--tolerance", "0.5")
    assert "beyond 0.5" in Path("Tiny-report/report.md").read_text()


def test_the_users_script_is_bundled_unrun_and_run_when_asked(model):
    Path("mine.py").write_text("print('hello from mine')\n")
    result = done("create", model, "--script", "mine.py")
    assert "not executed" in result.stdout
    assert "hello from mine" not in result.stdout
    assert Path("Tiny-report/repro.py").read_text() == "print('hello from mine')\n"
    result = done("create", model, "--script", "mine.py", "--run-script", "--force")
    assert "executed, it ended without error" in result.stdout
    assert "hello from mine" in Path("Tiny-report/report.md").read_text()


def test_force_replaces_and_leaves_nothing_of_the_old(model):
    done("create", model)
    Path("Tiny-report/mine.txt").write_text("old")
    refused("create", model, words="Tiny-report exists already")
    done("create", model, "--force")
    assert not Path("Tiny-report/mine.txt").exists()
    assert sorted(p.name for p in Path().iterdir()) == ["Tiny-report", "Tiny.mlmodel"]


def test_run_simulates_and_create_reads_it(model):
    result = done("run", model, "--simulate", "bias-only@conv", "--out", "sim.json")
    assert (
        result.stdout
        == "Tiny.mlmodel: simulated with bias-only@conv on cpu, gpu, ane\nwrote sim.json\n"
    )
    done("create", model, "--record", "sim.json")
    report = json.loads(Path("Tiny-report/report.json").read_text())
    (ane,) = [u for u in report["comparisons"][0]["units"] if u["unit"] == "ane"]
    assert ane["metrics"]["beyond"] > 0
    refused("run", model, "--simulate", "none", "--out", "sim.json", words="exists already")
    done("run", model, "--simulate", "none", "--out", "sim.json", "--force")
    assert json.loads(Path("sim.json").read_text())["simulation"] == "none"


def test_run_of_a_folder_writes_one_record_per_model(model):
    Path("models").mkdir()
    for name in ("a", "b"):
        Path(f"models/{name}.mlmodel").write_bytes(Path(model).read_bytes())
    done("run", "models", "--simulate", "none", "--out", "records")
    assert sorted(p.name for p in Path("records").iterdir()) == ["a.json", "b.json"]
    assert records.load(Path("records/b.json")).model.name == "b.mlmodel"
    refused("run", "records", "--simulate", "none", "--out", "r", words="no model in records")


def test_migrate_takes_the_only_model_here(model):
    assert "Tiny-mlprogram" in done("migrate").stdout
    assert Path("Tiny-mlprogram/Tiny.mlpackage").is_dir()


def test_layers_are_those_of_the_readme():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    table = done("migrate", "--layers").stdout.strip()
    assert f"<!-- layers -->\n\n{table}\n\n<!-- layers end -->" in readme
    assert "158 of 158" in table


def test_a_package_from_record_to_report(here):
    saved(affine("fp16"), here / "Affine.mlpackage")
    result = done("run", "Affine.mlpackage", "--simulate", "none", "--out", "r.json")
    assert "Affine.mlpackage: simulated on cpu, gpu, ane" in result.stdout
    result = done("explain", "r.json", "--model", "Affine.mlpackage")
    assert "Reference: computed here: the ML Program" in result.stdout
    result = done("create", "--out", "report")
    assert "the bundled package" in result.stdout
    assert "migrate" not in result.stdout
    assert [p.name for p in Path("report/records").iterdir()] == ["r.json"]
    assert (Path("report/Affine.mlpackage") / "Manifest.json").is_file()


def test_what_a_package_is_refused(here):
    saved(affine(), here / "Affine.mlpackage")
    out = ("--out", "r.json")
    refused("migrate", "Affine.mlpackage", words="in the newer format already")
    refused("run", "Affine.mlpackage", "--simulate", "zeroed@x", *out, words="--simulate none")
    refused("create", "Affine.mlpackage", "--custom", "a:b", words="is an ML Program")


@pytest.mark.parametrize("command", [["create"], ["run", "--simulate", "none"], ["migrate"]])
def test_a_compiled_model_is_refused(here, command):
    Path("m.mlmodelc").mkdir()
    (Path("m.mlmodelc") / "coremldata.bin").write_bytes(b"x")
    refused(*command, "m.mlmodelc", "--out", "r", words="m.mlmodelc is")


def test_a_script_to_run_must_be_named(model):
    refused("create", model, "--run-script", words="--script names")


def test_a_tolerance_is_positive(model):
    done("run", model, "--simulate", "none", "--out", "sim.json")
    refused("explain", "sim.json", "--tolerance", "-1", words="a tolerance is a positive number")


@pytest.fixture
def custom_model(here, one_layer):
    """A model whose only layer is custom, of class Twice, and its builder in this folder."""

    def fill(p):
        p.className = "Twice"

    spec = one_layer("custom", [(1, 2, 4, 4)], fill=fill)
    Path("Mine.mlmodel").write_bytes(spec.SerializeToString())
    Path("builders.py").write_text("def twice(params):\n    return lambda x: 2 * x\n")
    return "Mine.mlmodel"


@pytest.mark.parametrize("option", ["builders:twice", "Twice=builders:twice"])
def test_custom_layers_take_a_builder(custom_model, option):
    done("run", custom_model, "--simulate", "none", "--out", "r.json", "--custom", option)
    said = done("explain", "r.json", "--model", custom_model, "--custom", option).stdout
    assert "CPU: exact (0 times what rounding explains); equal to the reference" in said
    done("migrate", custom_model, "--custom", option)
    done("create", custom_model, "--record", "r.json", "--custom", option)
    assert "0 on CPU, 0 on GPU, 0 on ANE" in Path("Mine-report/forum.md").read_text()


def test_create_reports_without_the_builder(custom_model):
    done("create", custom_model)
    page = Path("Mine-report/report.md").read_text()
    assert "not available: custom layer tested" in page
    refused("migrate", custom_model, words="custom 'Twice'")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("builders", "package.module:function"), ("builders:none", "no attribute 'none'"),
        ("nowhere:f", "No module named 'nowhere'"), ("Other=builders:twice", "classes are Twice"),
    ],
)  # fmt: skip
def test_builders_that_cannot_be_found(custom_model, option, words):
    refused("migrate", custom_model, "--custom", option, words=words)


def test_run_takes_the_users_inputs(model):
    x = np.full((1, 2, 4, 4), 0.25, np.float32)
    np.savez("in.npz", x=x)
    done("run", model, "--simulate", "none", "--inputs", "in.npz", "--out", "deep/er/sim.json")
    (values,) = records.load(Path("deep/er/sim.json")).inputs.values()
    assert np.array_equal(values["x"].array(), x)


def test_explain_the_threads_rows(here):
    result = done("explain", THREAD, "--shape", "1,1600,39,1")
    for words in (
        "All eleven rows lie in channel 322, positions 10 to 20",
        "constant there (0.2047119) and lies on the float16 grid",
        "Every GPU value is the CPU value rounded to float16",
        "nothing is known of the other",
    ):
        assert words in result.stdout
    assert listing(here) == {}


def test_explain_a_record_with_and_without_its_model(model):
    done("run", model, "--simulate", "bias-only@conv", "--out", "sim.json")
    alone = done("explain", "sim.json").stdout
    assert "SIMULATED" in alone
    assert "no model was given" in alone
    told = done("explain", "sim.json", "--model", model, "--tolerance", "0.5").stdout
    assert "beyond 0.5" in told
    assert "no model was given" not in told


def test_explain_ends_well_whatever_the_verdict(model):
    """A verdict is no failure of the command; the first line is the word."""
    for fault, word in (("none", "exact"), ("bias-only@conv", "diverges")):
        done("run", model, "--simulate", fault, "--out", f"{word}.json")
        result = done("explain", f"{word}.json", "--model", model)
        assert result.stdout.startswith(f"{word}: output 'y' on the ANE (SIMULATED)")
        assert result.stderr == ""
        assert ("One fault gives the outputs of the ANE" in result.stdout) == (fault != "none")
        assert "--limit takes another" in result.stdout
    alone = done("explain", "diverges.json").stdout
    assert alone.startswith("no verdict: not available: no model was given; the units are compared")


def test_explain_takes_the_limit(model):
    done("run", model, "--simulate", "bias-only@conv", "--out", "r.json")
    assert "beyond 8 times" in done("explain", "r.json", "--model", model).stdout
    for limit, word in (("1e9", "rounding"), ("0.5", "diverges")):
        said = done("explain", "r.json", "--model", model, "--limit", limit).stdout
        assert said.startswith(f"{word}: ")
        assert f"beyond {float(limit):g} times" in said


def test_explain_takes_the_budget(model, monkeypatch):
    done("run", model, "--simulate", "bias-only@conv", "--out", "r.json")
    none = done("explain", "r.json", "--model", model, "--budget", "0").stdout
    assert none.startswith("diverges: ")
    assert "fault gives" not in none
    assert "faults were tried" not in done("explain", "r.json", "--model", model).stdout
    clock = SimpleNamespace(monotonic=itertools.count(100).__next__)  # a second at each look
    monkeypatch.setattr(explanation, "time", clock)
    some = done("explain", "r.json", "--model", model, "--budget", "4").stdout
    assert re.search(r"\n[2-4] of \d+ faults were tried within the budget: --budget gives", some)


def test_create_takes_the_limit_and_the_budget(model):
    done("run", model, "--simulate", "bias-only@conv", "--out", "r.json")
    given = ("--record", "r.json", "--force", "--out", "out")
    verdict, *_ = done("create", model, *given).stdout.splitlines()
    assert verdict.startswith("diverges: output 'y' on the ANE (SIMULATED), ")
    assert "bias-only@conv" in Path("out/report.md").read_text()
    loose, *_ = done("create", model, *given, "--limit", "1e9", "--budget", "0").stdout.splitlines()
    assert loose.startswith("rounding: ")
    strict = done("create", model, *given, "--limit", "2", "--budget", "0").stdout
    assert strict.startswith("diverges: ")
    assert "beyond 2 times" in strict
    assert "One fault gives" not in Path("out/report.md").read_text()


@pytest.mark.parametrize("command", ["explain", "create"])
@pytest.mark.parametrize(
    ("option", "values", "words"),
    [
        ("--limit", ["0", "-1", "nan", "inf"], "a limit is a positive number, not"),
        ("--budget", ["-1", "nan", "inf"], "a budget is a number of seconds, not"),
    ],
)
def test_limits_and_budgets_that_are_none(model, command, option, values, words):
    done("run", model, "--simulate", "none", "--out", "sim.json")
    for value in values:
        given = ["sim.json"] if command == "explain" else [model, "--record", "sim.json"]
        refused(command, *given, f"{option}={value}", words=words)


def test_explain_names_the_candidates_of_a_listing(here):
    block = ("--model", SAMPLES / "Block.mlmodel", "--shape", "1,1600,39,1")
    *_, which, then = done("explain", THREAD, *block).stdout.splitlines()
    assert (
        "single faults make constant rows of these, as the ANE has them: bias-only@conv3" in which
    )
    assert "no residual is computed" in which
    assert then.startswith("Print rows ")
    assert listing(here) == {}


def test_migrate_to_source_only(model):
    result = done("migrate", model, "--source-only")
    assert result.stdout == ("wrote Tiny-source/model.py: load() in it gives the PyTorch module\n")
    assert "class Tiny(nn.Module)" in Path("Tiny-source/model.py").read_text()
    assert not Path("Tiny-mlprogram").exists()
    refused("migrate", model, "--source-only", "--out", "Tiny-source", words="exists already")
    done("migrate", model, "--source-only", "--force")


def test_migrate_says_what_it_wrote(model):
    result = done("migrate", model, "--precision", "fp32", "--target", "iOS15", "--out", "m")
    *said, last = result.stdout.splitlines()
    assert last == "wrote m/Tiny.mlpackage; beside it model.py (PyTorch), migration.md and .json"
    assert said == [
        "verdict: Tiny.mlpackage: not measured",
        "  neither it nor the NeuralNetwork has a record",
        "to measure: anereport run Tiny.mlmodel --out before.json",
        "to measure: anereport run m/Tiny.mlpackage --out after.json",
    ]
    found = strict(Path("m/migration.json").read_text())
    (variant,) = found["variants"]
    options = variant["options"]
    assert (options["precision"], options["target"]) == ("fp32", "iOS15")
    assert result.stderr == ""


def test_migrate_takes_every_option(model):
    done(
        "migrate", model, "--features", "fp16", "--keep-fp32", "conv", "--max-size", "99",
        "--out", "m",
    )  # fmt: skip
    (variant,) = json.loads(Path("m/migration.json").read_text())["variants"]
    assert variant["options"] == {
        "precision": "fp16", "target": "iOS16", "features": "fp16", "keep_fp32": ["conv"],
        "max_size": 99,
    }  # fmt: skip


def test_what_overflows_is_said_and_ends_well(here):
    overflowing(here / "O.mlmodel")
    result = done("migrate", "O.mlmodel")
    first = result.stdout.splitlines()[0]
    assert first.startswith("finding: layer 'larger' overflows float16: ")
    assert "finding: ML Program fp16, output 'smaller': its error is inf times" in result.stdout
    assert "wrote O-mlprogram/O.mlpackage" in result.stdout


def test_what_is_not_equal_is_an_error_and_nothing_is_written(model, monkeypatch):
    import migrate

    monkeypatch.setattr(migrate, "convert", breaking(lambda options: True))
    line = refused("migrate", model, "--out", "deep/er", words="is not equal to")
    assert "fp16 ML Program is not equal to the NeuralNetwork: layer 'conv': weight is not" in line
    assert line.endswith("; nothing is written")


def test_with_records_it_ends_in_a_verdict(model, monkeypatch):
    """A file each, then a folder; nothing is converted again."""
    import migrate

    done("migrate", model)
    monkeypatch.setattr(migrate, "convert", no_conversion)
    before, after = both(model, Path("Tiny-mlprogram/Tiny.mlpackage"), "bias-only@conv")
    put(Path("before.json"), before)
    put(Path("after.json"), after)
    result = done("migrate", model, "--record", "before.json", "--record", "after.json")
    lines = result.stdout.splitlines()
    assert lines[0] == "verdict: Tiny.mlpackage on my phone, iPhone14,2 (20C65): avoids the bug"
    assert lines[1].startswith("  the NeuralNetwork is wrong (")
    assert lines[-2].endswith(" of Tiny.mlpackage are planned on the Neural Engine")
    assert "to measure" not in result.stdout
    put(Path("more/after.json"), planned(after, PARTIAL))
    put(Path("more/before.json"), before)
    result = done("migrate", model, "--record", "more")
    assert "(20C65): right, but not proven to run on the Neural Engine" in result.stdout
    assert "1 of 2 operations of Tiny.mlpackage" in result.stdout
    names = sorted(p.name for p in Path("Tiny-mlprogram/records").iterdir())
    assert names == ["2-after.json", "after.json", "before.json"]


def test_a_simulated_verdict_says_so(model):
    done("migrate", model, "--out", "m")
    done("run", model, "--simulate", "bias-only@conv", "--out", "before.json")
    result = done("migrate", model, "--out", "m", "--record", "before.json")
    assert "SIMULATED verdict: Tiny.mlpackage on anereport simulator: not measured" in result.stdout
    assert "to measure: anereport run m/Tiny.mlpackage --out after.json" in result.stdout
    assert "before.json\n" not in result.stdout
    done("run", "m/Tiny.mlpackage", "--simulate", "none", "--out", "after.json")
    result = done("migrate", model, "--out", "m", "--record", "after.json")
    assert ": right, but not proven to run on the Neural Engine\n" in result.stdout
    assert "holds no compute plan" in result.stdout


def test_the_whole_experiment(model):
    """As the README has it: the matrix, its records as a folder, the verdicts."""
    spec = proto("Model_pb2").Model.FromString(model.read_bytes())
    spec.description.output[0].type.multiArrayType.shape[:] = [1, 3, 4, 4]
    model.write_bytes(spec.SerializeToString(deterministic=True))
    result = done("migrate", model, "--matrix", "--out", "m")
    lines = result.stdout.splitlines()
    assert "left out: Tiny-declared.mlmodel: every output is declared as it is computed" in lines
    assert [line for line in lines if line.startswith("to measure")] == [
        "to measure: anereport run m --out records"
    ]
    assert lines[-1] == ("wrote m/9 models; beside it model.py (PyTorch), migration.md and .json")
    assert len([line for line in lines if line.startswith("verdict: ")]) == 8
    assert not [line for line in lines if line.startswith("  ")]
    done("run", "m", "--simulate", "none", "--out", "records")
    done("run", model, "--simulate", "bias-only@conv", "--out", "records/Tiny.json", "--force")
    lines = done(
        "migrate", model, "--matrix", "--out", "m", "--record", "records"
    ).stdout.splitlines()
    words = [line.rpartition(": ")[2] for line in lines if line.startswith("SIMULATED verdict: ")]
    assert words == ["right, but not proven to run on the Neural Engine"] * 8
    assert "to measure" not in "\n".join(lines)
    assert len(list(Path("m/records").iterdir())) == 9
    refused("migrate", model, "--out", "m", "--matrix", words="exists already")


def test_version(here):
    from importlib.metadata import version

    assert done("--version").stdout.startswith(f"anereport {version('anereport')} (python ")


# --- what is refused


def bad_models(folder):
    (folder / "empty.mlmodel").write_bytes(b"")
    (folder / "folder.mlmodel").mkdir()
    content = tiny(folder / "ok.tmp").read_bytes()
    (folder / "cut.mlmodel").write_bytes(content[: len(content) // 2])
    (folder / "text.mlmodel").write_text("this is no model\nat all\n")
    tree = proto("Model_pb2").Model(specificationVersion=1)
    tree.treeEnsembleClassifier.treeEnsemble.numPredictionDimensions = 1
    (folder / "tree.mlmodel").write_bytes(tree.SerializeToString())
    program = proto("Model_pb2").Model(specificationVersion=7)
    program.mlProgram.version = 1
    (folder / "program.mlmodel").write_bytes(program.SerializeToString())


@pytest.mark.parametrize("command", ["create", "migrate", "run"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mlmodel", "no such file"),
        ("folder.mlmodel", "is a directory"),
        ("empty.mlmodel", "empty.mlmodel is empty"),
        ("cut.mlmodel", "cut off"),
        ("text.mlmodel", "not a Core ML model"),
        ("tree.mlmodel", "tree ensemble"),
        ("program.mlmodel", "is an ML Program"),
    ],
)
def test_bad_models(here, command, name, words):
    bad_models(here)
    more = ["--simulate", "none"] if command == "run" else []
    line = refused(command, name, "--out", "out", *more, words=words)
    assert name in line


def test_a_layer_that_is_not_done_is_listed_and_nothing_written(model):
    spec = proto("Model_pb2").Model.FromString(model.read_bytes())
    for name in ("one", "two"):
        layer = spec.neuralNetwork.layers.add(name=name, input=["x"], output=[name])
        layer.custom.className = f"Mine{name}"
    model.write_bytes(spec.SerializeToString())
    line = refused("migrate", model, words="custom")
    assert "one" in line
    assert "two" in line


@pytest.mark.parametrize("command", ["create", "migrate"])
def test_an_unwritable_place(model, command):
    Path("file").write_text("a file")
    refused(command, model, "--out", "file/out", words="cannot write file/out")
    refused(command, model, "--out", "file", words="exists already")
    refused(command, model, "--out", ".", "--force", words="current folder")


def test_run_at_an_unwritable_place(model):
    Path("file").write_text("a file")
    refused("run", model, "--simulate", "none", "--out", "file/r.json", words="cannot write")
    Path("folder").mkdir()
    arguments = ("--simulate", "none", "--out", "folder", "--force")
    refused("run", model, *arguments, words="folder is a folder: name a file with --out")


def changed(model, change):
    content = json.loads(records.dumps(simulate(model, "none")))
    change(content)
    Path("r.json").write_text(json.dumps(content))


def tensor(content):
    return content["runs"][0]["outputs"]["y"]


@pytest.mark.parametrize("command", ["create", "explain"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: tensor(c).update(shape=[1, 3, float("nan"), 4]), "runs.0.outputs.y.shape"),
        (lambda c: tensor(c).update(shape=[1, 3, "NaN", 4]), "runs.0.outputs.y.shape"),
        (lambda c: tensor(c).update(shape=[1, 3, 4, -4]), "runs.0.outputs.y.shape"),
        (lambda c: tensor(c).update(data=tensor(c)["data"][:-8]), "needs 192"),
        (lambda c: tensor(c).update(data="not base64!"), "not base64"),
        (lambda c: tensor(c).update(dtype="complex64"), "runs.0.outputs.y"),
        (lambda c: c.update(schema="anereport.record/9"), "schema"),
        (lambda c: c.pop("evidence"), "evidence"),
        (lambda c: c["runs"][1].update(unit="tpu"), "runs.1.unit"),
        (lambda c: c["runs"][2].update(input="other"), "not among the inputs"),
    ],
)
def test_bad_records(model, command, change, words):
    changed(model, change)
    if command == "create":
        line = refused("create", model, "--record", "r.json", "--out", "out", words=words)
    else:
        line = refused("explain", "r.json", words=words)
    assert "r.json" in line


def test_a_record_of_another_model(model):
    other = tiny(model.parent / "Other.mlmodel", scale=2)
    Path("r.json").write_text(records.dumps(simulate(other, "none")))
    line = refused("create", model, "--record", "r.json", words="a record of another model")
    assert "Other.mlmodel" in line
    assert "Tiny.mlmodel" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[1, 2]", "schema"),
        ("Index CPU GPU ANE\n3 1 1\n", "line 2"),
        ("Index CPU GPU ANE\n3 1 1 x\n", "line 2"),
        ("Index CPU GPU ANE\n3 1 1 1\n3 1 1 1\n", "twice"),
        ("Index CPU GPU ANE\n...\n", "no table"),
    ],
)
def test_bad_result_files(model, content, words):
    if content is not None:
        Path("r.txt").write_text(content)
    refused("create", model, "--record", "r.txt", "--shape", "1,3,4,4", "--out", "out", words=words)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("1,800,2,1", "lies outside shape 1x800x2x1"),
        ("1,1600,40,1", "no output has the shape 1x1600x40x1"),
        ("1,1600,x", "is not a shape"),
        ("1,,2", "is not a shape"),
        ("0,1600", "is not a shape"),
        ("-1,1600", "is not a shape"),
    ],
)
def test_a_listing_with_a_wrong_shape(here, shape, words):
    refused(
        "create", SAMPLES / "Block.mlmodel", "--record", THREAD, f"--shape={shape}",
        "--out", "out", words=words,
    )  # fmt: skip


def test_a_listing_without_a_shape(here):
    block = SAMPLES / "Block.mlmodel"
    refused("create", block, "--record", THREAD, "--out", "out", words="--shape 1,1600,39,1")
    refused("explain", THREAD, words="--shape 1,1600,39,1")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_tolerance_that_is_none(model, value):
    refused("create", model, f"--tolerance={value}", words="a tolerance is a positive number")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nothing@conv", "no fault 'nothing@conv'"),
        ("bias-only", "write FAULT@LAYER"),
        ("@conv", "write FAULT@LAYER"),
        ("bias-only@nowhere", "no layer 'nowhere'; it has conv"),
    ],
)
def test_a_fault_that_does_not_exist(model, fault, words):
    refused("run", model, "--simulate", fault, "--out", "r.json", words=words)


def test_bad_inputs(model):
    refused(
        "run", model, "--simulate", "none", "--inputs", "no.npz", "--out", "r.json", words="no.npz"
    )
    np.savez("in.npz", x=np.zeros((1, 9, 4, 4), np.float32))
    refused("run", model, "--simulate", "none", "--inputs", "in.npz", "--out", "r.json", words="x")


def test_bad_migration_options(model):
    refused("migrate", model, "--precision", "fp8", words="fp16, fp32")
    refused("migrate", model, "--target", "iOS3", words="iOS16")
    refused("migrate", model, "--features", "fp16", "--target", "iOS15", words="need iOS16")
    refused("migrate", model, "--keep-fp32", "no", words="no layer 'no'")
    refused("migrate", model, "--max-size", "0", words="max_size 0 is not a size")


@pytest.mark.parametrize(
    "option", [("--precision", "fp32"), ("--target", "iOS18"), ("--features", "fp32")]
)
def test_a_matrix_takes_no_option_of_its_own(model, option):
    line = refused("migrate", model, "--matrix", *option, words="the matrix has each precision")
    assert line.endswith(f"leave {option[0].removeprefix('--')} away")


def test_records_that_migrate_refuses(model):
    refused("migrate", model, "--record", "no.json", words="no such file: no.json")
    Path("empty").mkdir()
    refused("migrate", model, "--record", "empty", words="empty holds no record")
    other = tiny(model.parent / "Other.mlmodel", scale=2)
    Path("r.json").write_text(records.dumps(simulate(other, "none")))
    line = refused("migrate", model, "--record", "r.json", words="a record of another model")
    assert "Other.mlmodel" in line
    done("migrate", model, "--out", "m")
    refused("migrate", model, "--out", "m", words="m exists already")
    refused("migrate", model, "--out", "m", "--record", "r.json", words="of another model")
    Path("s.json").write_text(records.dumps(simulate(model, "none")))
    given = ("--out", "m", "--record", "s.json")
    refused("migrate", other, *given, words="m holds a migration of another model")
    refused("migrate", model, *given, "--target", "iOS18", words="does not hold what is asked for")
    refused("migrate", model, *given, "--matrix", words="does not hold what is asked for")


@LINUX
def test_measuring_needs_a_mac(model):
    line = refused("run", model, "--out", "r.json", words="Macs and Apple devices only")
    assert "--simulate" in line
    Path("two words").mkdir()
    model.rename("two words/m.mlmodel")
    line = refused("run", "two words/m.mlmodel", "--out", "r.json", words="m.mlmodel cannot be")
    assert "'anereport runner 'two words/m.mlmodel''" in line
    refused("run", "absent.mlmodel", "--out", "r.json", words="no such file: absent.mlmodel")


@pytest.mark.parametrize(
    "command",
    ["create", "run --simulate none", "migrate", "migrate --source-only", "variants",
     "variants --shrink"],
)  # fmt: skip
def test_a_model_is_never_replaced_by_what_is_made_of_it(model, command):
    Path("link").symlink_to(model)
    for name in ("Tiny.mlmodel", "link"):
        words = f"{name} would replace Tiny.mlmodel, which is read: choose another --out"
        refused(*command.split(), "Tiny.mlmodel", "--out", name, "--force", words=words)


def test_records_and_folders_are_not_replaced_by_what_is_made_of_them(model):
    done("run", model, "--simulate", "none", "--out", "r.json")
    done("variants", model, "--out", "v")
    words = "which is read"
    given = ("--record", "r.json", "--out", "r.json", "--force")
    refused("create", model, *given, words=words)
    refused("migrate", model, *given, words=words)
    refused("run", "v", "--simulate", "none", "--out", "v", "--force", words=words)


def test_a_folder_is_not_replaced_that_holds_what_is_read(model):
    """But for the records that it keeps: they are in the next one too."""
    done("variants", model, "--out", "v")
    inside = "v/Tiny.mlmodel"
    words = f"v would replace {inside}, which is read: choose another --out"
    for command in ("create", "migrate", "variants", "variants --shrink", "run --simulate none"):
        refused(*command.split(), inside, "--out", "v", "--force", words=words)
    np.savez("v/in.npz", x=np.zeros(3))
    inputs = ("--inputs", "v/in.npz", "--out", "v", "--force")
    refused("run", "--simulate", "none", model, *inputs, words="would replace v/in.npz")
    refused("create", model, *inputs, words="would replace v/in.npz")
    done("run", "v", "--simulate", "none", "--out", "records")
    done("variants", model, "--out", "v", "--record", "records", "--force")
    done("variants", model, "--out", "v", "--record", "v/records", "--force")
    Path("records/Tiny.json").rename("v/Tiny.json")
    record = ("--record", "v/Tiny.json", "--out", "v", "--force")
    refused("variants", model, *record, words="would replace v/Tiny.json")


def test_a_record_takes_no_folders_name(model):
    done("variants", model, "--out", "v")
    words = "v is a folder: name a file with --out"
    refused("run", model, "--simulate", "none", "--out", "v", "--force", words=words)


def test_verify_takes_a_zip_that_is_there(model):
    refused("verify", "absent.zip", words="no such file: absent.zip")
    refused("verify", ".", words=". is a folder: give the zip that is in it")


def test_a_script_that_does_not_exist(model):
    said = "cannot read the script no.py: No such file or directory"
    refused("create", model, "--script", "no.py", words=said)


def test_names_with_newlines_stay_one_sentence(here):
    refused("create", "no\nsuch\nfile.mlmodel", words="no such file: no such file.mlmodel")


# --- exit codes 2, 3 and interruptions


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"], ["create", "--nonsense"], ["create", "a", "b"], ["run"],
        ["run", "x.mlmodel"], ["explain"], ["create", "--tolerance", "much"], ["--nonsense"],
        ["explain", "r.json", "--limit", "much"], ["create", "--budget", "long"],
    ],
)  # fmt: skip
def test_bad_usage(here, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "Usage" in result.stderr
    assert listing(here) == {}


@pytest.fixture
def faulty(monkeypatch):
    def fail(model, out, options, progress):
        raise RuntimeError(f"broke in {Path.home()}/private and /Users/alice/x")

    monkeypatch.setattr(creating, "create", fail)
    monkeypatch.setattr(cli.sys, "argv", ["anereport", "create", f"{Path.home()}/Tiny.mlmodel"])


def test_a_fault_of_our_own_is_a_bug_report(model, faulty):
    before = listing(Path())
    result = run("create", model)
    assert result.exit_code == 3
    assert result.stdout == ""
    report = result.stderr
    assert "a fault of its own" in report
    assert "### anereport" in report
    assert "    anereport create ~/Tiny.mlmodel" in report
    assert "RuntimeError: broke in ~/... and ~/..." in report
    assert "Traceback (most recent call last)" in report
    assert report.count("```") == 2
    assert str(Path.home()) + "/" not in report
    assert str(Path.cwd()) not in report
    assert listing(Path()) == before


def test_an_interruption(model, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(creating, "_bundle", interrupted)
    before = listing(Path())
    result = run("create", model, "--out", "new/out")
    assert result.exit_code == 130
    assert result.stderr == "stopped\n"
    assert listing(Path()) == before


def test_a_reader_that_has_seen_enough_is_no_fault_of_ours(here):
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from reporter.cli import app; sys.argv[0] = 'anereport'; app()"
    command = [sys.executable, "-c", code, "explain", str(THREAD), "--shape", "1,1600,39,1"]
    ended = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert "a fault of its own" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode != 3


# --- help


def test_help_imports_nothing_heavy(here):
    code = (
        "import sys\nfrom reporter.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    print(end.code)\n"
        "heavy = ('torch', 'coremltools', 'numpy', 'pydantic', 'matplotlib', 'jinja2', 'PIL')\n"
        "print(sorted(set(heavy) & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    *page, code, heavy = ended.stdout.splitlines()
    assert (code, heavy) == ("0", "[]")
    for command in COMMANDS:
        assert re.search(rf"│ {command} ", "\n".join(page)), command


def test_help_groups_the_commands(here):
    text = done("--help").stdout
    places = [text.index(f"─ {group} ─") for group in ("Report", "Understand", "Measure")]
    assert places == sorted(places)
    assert places[0] < text.index("create") < text.index("migrate") < places[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    text = done(command, "--help", env={"COLUMNS": "200"}).stdout
    assert f"Example: anereport {command} " in text


@pytest.fixture
def examples(here, monkeypatch):
    """What the examples name is here, and what would take long, or a Mac, is not done."""
    block = tiny(here / "Block.mlmodel")
    Path("record.json").write_text(records.dumps(simulate(block, "bias-only@conv")))
    monkeypatch.setattr(measuring, "measure", lambda model, *rest, **more: simulate(model, "none"))
    monkeypatch.setattr(checks, "repro", lambda *arguments: "not in this test")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_every_command_works(examples, command):
    text = done(command, "--help", env={"COLUMNS": "200"}).stdout
    (words,) = re.findall(r"Example: anereport (.+?) *\n", text)
    if command == "verify":
        done("create", "Block.mlmodel", "--budget", "0")
        Path("Block-report/Block-report.zip").rename("Block-report.zip")
    if "--out record.json" in words:
        Path("record.json").unlink()
    assert done(*words.split()).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_that_teaches_a_shell_is_shown(here, shell):
    code = "import sys; from reporter.cli import app; sys.argv[0] = 'anereport'; app()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--show-completion", shell], capture_output=True, text=True,
        timeout=60, check=True, env={**os.environ, **UNDETECTED},
    )  # fmt: skip
    assert f"_ANEREPORT_COMPLETE=complete_{shell}" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("shell", "asked", "expected"),
    [
        ("bash", {"COMP_WORDS": "anereport ver", "COMP_CWORD": "1"}, ["verify"]),
        ("bash", {"COMP_WORDS": "anereport migrate --mat", "COMP_CWORD": "2"}, ["--matrix"]),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "anereport ver"}, ['"verify"']),
        ("fish", {"_TYPER_COMPLETE_ARGS": "anereport ver",
                  "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
         ["verify"]),
    ],
)  # fmt: skip
def test_a_shell_completes_commands_and_options(here, shell, asked, expected):
    code = "import sys; from reporter.cli import app; sys.argv[0] = 'anereport'; app()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **asked, "_ANEREPORT_COMPLETE": f"complete_{shell}"},
    )  # fmt: skip
    found = [word for word in expected if word in ended.stdout]
    assert found == expected, ended.stdout
    assert "create" not in ended.stdout
    assert ended.stderr == ""


# typer looks for the shell that started it, which may be one without completion, unless so told
UNDETECTED = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


def test_the_completion_is_installed_into_the_home_folder(here):
    code = "import sys; from reporter.cli import app; sys.argv[0] = 'anereport'; app()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--install-completion", "bash"], capture_output=True,
        text=True, timeout=60, check=True, env={**os.environ, "HOME": str(here), **UNDETECTED},
    )  # fmt: skip
    assert "Completion will take effect" in ended.stdout
    assert "_ANEREPORT_COMPLETE" in (here / ".bash_completions" / "anereport.sh").read_text()


def test_no_command_was_forgotten_here():
    assert {c.name or c.callback.__name__ for c in cli.app.registered_commands} == set(COMMANDS)


def test_without_arguments_the_help_is_shown(here):
    result = run()
    assert "Usage" in result.output
    assert "create" in result.output
