"""What the script does as it is told on the command line, on a Mac that is stood in for."""

from __future__ import annotations

import numpy as np
import pytest
from scripts import Devices, as_on_a_mac, run_here

from reporter.measure.arrays import load_inputs, load_record
from reporter.measure.identity import identify
from reporter.write import repro


def save(spec, path):
    path.write_bytes(spec.SerializeToString(deterministic=True))
    return path


def linear(p):
    p.linear.alpha = 2.0


@pytest.fixture
def doubling(one_layer, tmp_path):
    """A network of whole numbers that doubles, and its script."""
    path = save(one_layer("activation", [(2, 3)], fill=linear), tmp_path / "m.mlmodel")
    return path, repro.generate(path).script


def doubled(unit, given):
    (x,) = given.values()
    return {"out0": x * np.float32(2)}


def test_it_predicts_with_the_model_itself_where_that_lies_beside(doubling, monkeypatch, capsys):
    path, script = doubling
    for arguments, file in (
        ([], "m.mlmodel"),
        (["run", "--weights", "seeded"], "repro-seeded.mlmodel"),
        (["--weights", "exact"], "repro-exact.mlmodel"),
    ):
        devices = Devices(doubled)
        as_on_a_mac(monkeypatch, devices, script, path.parent, *arguments)
        units = ["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"]
        assert devices.asked == [(file, unit) for unit in units]
    path.unlink()
    devices = Devices(doubled)
    as_on_a_mac(monkeypatch, devices, script, path.parent)
    assert {file for file, _ in devices.asked} == {"repro-seeded.mlmodel"}
    assert "Index CPU GPU ANE" in capsys.readouterr().out


def test_what_it_keeps_is_a_record_of_the_model_that_gave_it(doubling, monkeypatch):
    path, script = doubling
    folder = path.parent
    as_on_a_mac(monkeypatch, Devices(doubled), script, folder, "--weights", "exact")
    as_on_a_mac(monkeypatch, Devices(doubled), script, folder, "--out", "kept.npz")
    model, built = identify(path), identify(folder / "repro-exact.mlmodel")
    record = load_record(folder / "kept.npz", model, [built])
    assert record.model == model
    assert [run.unit for run in record.runs] == ["cpu", "gpu", "ane"]
    exactly = load_record(folder / "repro-exact.npz", model, [built])
    assert exactly.model.sha256_without_metadata == built.sha256_without_metadata


def test_one_unit_that_fails_does_not_hide_the_others(doubling, monkeypatch, capsys):
    path, script = doubling

    def computed(unit, given):
        if unit == "CPU_AND_GPU":
            raise RuntimeError("on purpose")
        return doubled(unit, given)

    as_on_a_mac(monkeypatch, Devices(computed), script, path.parent)
    said = capsys.readouterr().out
    assert "CPU_AND_GPU failed: on purpose" in said
    assert "ANE against CPU: 0 of 6 elements differ, by up to 0" in said
    runs = load_record(path.parent / "repro-real.npz", identify(path)).runs
    assert [run.unit for run in runs] == ["cpu", "ane"]


def test_exact_weights_say_of_each_unit_whether_it_is_right(doubling, monkeypatch, capsys):
    path, script = doubling

    def computed(unit, given):
        found = doubled(unit, given)
        if unit == "CPU_AND_NE":
            found["out0"][1, 1:] += 1
        if unit == "CPU_AND_GPU":
            found["out0"][found["out0"] == 0] = -0.0
        return found

    as_on_a_mac(monkeypatch, Devices(computed), script, path.parent, "--weights", "exact")
    said = capsys.readouterr().out
    assert "CPU, output 'out0': exactly as it must be" in said
    assert "GPU, output 'out0': exactly as it must be" in said
    assert "ANE, output 'out0': 2 of 6 elements differ, the first at 4" in said
    assert "ANE against CPU: 2 of 6 elements differ, by up to 1" in said


def test_no_unit_is_right(doubling, monkeypatch, capsys):
    path, script = doubling
    wrong = Devices(lambda unit, given: {"out0": doubled(unit, given)["out0"] + 1})
    as_on_a_mac(monkeypatch, wrong, script, path.parent, "--weights", "exact")
    assert capsys.readouterr().out.count("not as it must be") == 3


def test_a_classifiers_probabilities_are_kept_by_label(one_layer, tmp_path, monkeypatch):
    path = save(one_layer("activation", [(2, 3)], fill=linear), tmp_path / "m.mlmodel")
    script = repro.generate(path).script
    scores = {"out0": {"b": 0.75, "a": 0.25}, "label": "b"}
    as_on_a_mac(monkeypatch, Devices(lambda unit, given: scores), script, tmp_path)
    (cpu, _, _) = load_record(tmp_path / "repro-real.npz", identify(path)).runs
    assert cpu.outputs == {"out0": {"a": 0.25, "b": 0.75}}


def test_compare_and_inputs_work_on_any_system(doubling, tmp_path, monkeypatch, capsys):
    _, script = doubling
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    apart = x + np.float32([[0, 0, 0], [0, 9, 0]])
    np.savez(tmp_path / "r.npz", **{"in::in0": x, "cpu::out0": x, "ane::out0": apart})
    run_here(monkeypatch, script, tmp_path, "compare", "r.npz")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ANE against CPU: 1 of 6 elements differ, by up to 9"
    assert lines[1] == "Index CPU GPU ANE"
    assert "4 4 - 13" in lines
    run_here(monkeypatch, script, tmp_path, "inputs", "--weights", "exact", "--out", "i.npz")
    (given,) = load_inputs(tmp_path / "i.npz").values()
    assert given.dtype == np.float32
    assert set(given.ravel()) <= set(range(-8, 8))


def kept(path, **arrays):
    np.savez(path, **{f"{unit}::out0": array for unit, array in arrays.items()})


def test_what_is_no_file_of_results_is_said_in_a_sentence(doubling, tmp_path, monkeypatch):
    _, script = doubling
    x = np.zeros((2, 3), np.float32)
    (tmp_path / "text.npz").write_text("cpu gpu ane")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "objects.npz", **{"ane::out0": np.array([{}], dtype=object)})
    np.save(tmp_path / "alone.npy", x)
    none = "is no file of kept results, which end with .npz"
    said = {name: f"{name} {none}" for name in ("text.npz", "empty.npz", "objects.npz",
                                                "alone.npy", ".")}  # fmt: skip
    kept(tmp_path / "sizes.npz", cpu=x, ane=x[0])
    said["sizes.npz"] = "output 'out0' is not of one size: CPU (2, 3), ANE (3,)"
    kept(tmp_path / "other.npz")
    said["other.npz"] = "other.npz holds no numbers of output 'out0'"
    for name, sentence in said.items():
        with pytest.raises(SystemExit) as ended:
            run_here(monkeypatch, script, tmp_path, "compare", name)
        assert ended.value.code == sentence


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inputs", "--out", "no/i.npz"], "there is no folder no to keep i.npz in"),
        (["run", "--out", "no/r.npz"], "there is no folder no to keep r.npz in"),
        (["compare"], "repro-seeded.npz is not there: keep results with run on a Mac"),
        (["compare", "other.npz"], "other.npz is not there"),
        (["run", "r.npz"], "run reads no file: give --out to keep one"),
        (["--weights", "real"], "m.mlmodel does not lie beside this script"),
        (["--weights", "other"], "invalid choice: 'other'"),
        (["--weights", "exact"], "there are no exact weights: layer 't' (softmax), 1 of 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    one_layer, tmp_path, monkeypatch, capsys, arguments, said
):
    spec = one_layer("softmax", [(2, 3, 4)])
    spec.neuralNetwork.layers[0].name = "t"
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    script = repro.generate(save(spec, tmp_path / "m.mlmodel")).script
    with pytest.raises(SystemExit) as ended:
        run_here(monkeypatch, script, folder, *arguments)
    assert ended.value.code
    assert said in f"{ended.value.code} {capsys.readouterr().err}"
