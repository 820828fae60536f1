"""What `anereport explain` says of records, archives and listings."""

from __future__ import annotations

import weakref

import many_devices
import numpy as np
import pytest
from packages import affine, saved

from reporter.measure import record, results
from reporter.measure.identity import identify
from reporter.measure.record import Device, Failure, Record, RecordError, Run
from reporter.measure.simulate import simulate, values
from reporter.understand import listing
from reporter.understand.explain import explain
from reporter.understand.understood import Bounds

X = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2) / 8


@pytest.fixture
def model(one_layer, tmp_path):
    def fill(p):
        p.linear.alpha = 2

    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("activation", [X.shape], fill=fill).SerializeToString())
    return path


@pytest.fixture
def said(model, tmp_path):
    """The sentences for the outputs of cpu, gpu and ane."""

    def explained(*, given=True, **options):
        bounds = Bounds(**{k: options.pop(k) for k in ("tolerance", "limit") if k in options})
        runs = [Run(unit=u, input="i", outputs=values({"out0": y})) for u, y in options.items()]
        found = Record(evidence="measured", model=identify(model), device=Device(label="desk"),
                       inputs={"i": values({"in0": X})}, runs=runs)  # fmt: skip
        path = tmp_path / "r.json"
        path.write_text(record.dumps(found))
        lines = explain([path], model if given else None, None, bounds)
        return lines[:3], {line.split()[0][:3].lower(): line for line in lines[3:]}

    return explained


def test_a_measured_record(said):
    wrong = 2 * X
    wrong[0, 1, 2, 1] = -50
    head, units = said(cpu=2 * X, ane=wrong)
    assert head[0].startswith("diverges: output 'out0' on the ANE, ")
    assert head[0].endswith("times what rounding explains in channel 1; 1 of 3 channels are "
                            "beyond 8 times.")  # fmt: skip
    assert head[1] == "MEASURED results of m.mlmodel on desk."
    assert head[2].startswith("Output 'out0' (1x3x4x2). Reference: computed here")
    assert units["cpu"].startswith("  CPU: exact (0 times what rounding explains); ")
    assert units["ane"].startswith("  ANE: diverges (")
    assert "equal to the reference in all 24 values" in units["cpu"]
    assert "not measured" in units["gpu"]
    assert "1 of 24 values beyond 0.01" in units["ane"]
    assert "max abs error 53.2 at index 13 (0,1,2,1)" in units["ane"]
    assert "NaN" not in units["ane"]


def test_the_error_stands_at_its_own_index(said):
    """A NaN elsewhere does not move the place of the largest error."""
    wrong = 2 * X
    wrong[0, 0, 0, 0], wrong[0, 2, 3, 1] = np.nan, 1000
    _, units = said(ane=wrong)
    assert "2 of 24 values beyond" in units["ane"]
    assert "at index 23 (0,2,3,1)" in units["ane"]
    assert "1 NaN, 0 infinite" in units["ane"]


def test_all_nan_is_not_equal(said):
    _, units = said(ane=X * np.nan)
    assert "equal" not in units["ane"]
    assert "24 of 24 values beyond 0.01" in units["ane"]
    assert "24 NaN" in units["ane"]


def test_the_tolerance(said):
    _, units = said(cpu=2 * X + np.float32(0.125), tolerance=0.2)
    assert "0 of 24 values beyond 0.2" in units["cpu"]


def test_without_a_model(said):
    head, units = said(given=False, cpu=X, ane=X)
    text = "not available: no model was given; the units are compared with the CPU's values."
    assert head[0] == f"no verdict: {text}"
    assert head[2].endswith(f"Reference: {text}")
    assert "equal to the CPU's values" in units["ane"]


def test_empty_outputs(said):
    _, units = said(given=False, cpu=np.zeros((0, 2, 2)), ane=np.zeros((0, 2, 2)))
    assert "all 0 values" in units["ane"]


def test_a_simulated_record(model, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(record.dumps(simulate(model, "zeroed@tested")))
    lines = explain([path], model)
    assert lines[0].startswith("diverges: output 'out0' on the ANE (SIMULATED), ")
    assert lines[1].startswith("SIMULATED results of m.mlmodel on anereport simulator")
    assert "equal to the reference" in lines[3]
    assert "values beyond" in lines[5]


def test_an_archive(model, tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, **{"in::in0": X, "gpu::out0": 2 * X})
    lines = explain([path], model)
    assert lines[0] == "exact: output 'out0' on the GPU is the reference, rounded to its type."
    assert "unknown device" in lines[1]
    assert "GPU: exact (0 times what rounding explains); equal to the reference" in lines[4]
    with pytest.raises(RecordError, match="--model"):
        explain([path])


def test_a_listing(samples):
    path = samples / "thread-720810.txt"
    shape = (1, 1600, 39, 1)
    lines = explain([path], None, shape)
    from reporter.measure.listing import load

    assert lines == listing.statements(load(path, shape))
    *first, which, then = explain([path], samples / "Block.mlmodel", shape, Bounds(0.5))
    assert first == lines
    assert which.startswith("8 of 40 single faults make constant rows of these, as the ANE has ")
    assert then.startswith("Print rows ")


def test_a_record_of_another_model(model, samples, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(record.dumps(simulate(model, "none")))
    with pytest.raises(RecordError, match="is a record of another model: m"):
        explain([path], samples / "Block.mlmodel")


def test_a_record_of_a_program(tmp_path):
    model = saved(affine("fp16"), tmp_path / "a.mlpackage")
    (tmp_path / "r.json").write_text(record.dumps(simulate(model, "none")))
    verdict, head, output, cpu, gpu, ane, *more = explain([tmp_path / "r.json"], model)
    assert verdict.startswith("exact: output 'y' on the ANE (SIMULATED)")
    assert head == "SIMULATED results of a.mlpackage on anereport simulator."
    assert output == (
        "Output 'y' (2x3). Reference: computed here: the ML Program evaluated with every fp16 "
        "operation in float32."
    )
    assert cpu.endswith("; equal to the reference in all 6 values")
    assert "0 of 6 values beyond 0.01; max abs error 0.0" in gpu
    assert ane.split(": ")[1] == gpu.split(": ")[1]
    assert more[-1].startswith("The limit was chosen on simulated accumulators of float16")


# --- the first line, and whatever the outputs are


@pytest.mark.parametrize(
    ("outputs", "first"),
    [
        ({"ane": 2 * X}, "exact: output 'out0' on the ANE"),
        ({"cpu": 2 * X + np.float32(1e-3)}, "rounding: output 'out0' on the CPU, "),
        ({"gpu": 2 * X + np.float32(9e-3)}, "suspicious: output 'out0' on the GPU, "),
        ({"cpu": 2 * X, "all": X}, "diverges: output 'out0' on the ALL, "),
        ({"cpu": X, "ane": 2 * X}, "diverges: output 'out0' on the CPU, "),
    ],
)  # fmt: skip
def test_the_first_line_is_the_word_of_the_worst_output_and_where_it_is(said, outputs, first):
    head, units = said(**outputs)
    assert head[0].startswith(first)
    assert "The limit was chosen on simulated accumulators" in units["the"]


def test_the_limit(said):
    off = 2 * X + np.float32(9e-3)
    assert said(ane=off)[0][0].startswith("suspicious: ")
    assert said(ane=off, limit=2)[0][0].startswith("diverges: ")
    assert said(ane=off, limit=20)[0][0].startswith("rounding: ")
    assert "beyond 20 times" in said(ane=off, limit=20)[0][0]


def test_who_is_wrong_how_and_which_fault(said, model, tmp_path):
    said(cpu=2 * X, ane=4 * X)
    lines = explain([tmp_path / "r.json"], model)
    assert "  Rounding explains the CPU, and not the ANE." in lines
    assert any(line.startswith("  Exact gain or offset: ") for line in lines)
    (fault,) = [line for line in lines if "single fault" in line or "One fault" in line]
    assert fault.startswith("One fault gives the outputs of the ANE on input i exactly: ")
    assert "scale-doubled@tested" in fault
    assert lines[-1].startswith("The limit was chosen")


def odd_record(runs, inputs, model):
    return Record(evidence="measured", model=identify(model), device=Device(label="desk"),
                  inputs=inputs, runs=runs)  # fmt: skip


def a_run(outputs=None, unit="ane", **more):
    given = values(outputs) if outputs is not None else None
    return Run(unit=unit, input="i", outputs=given, **more)


GIVEN = {"i": values({"in0": X})}
FAILED = Failure(stage="load", message="no space")
LOST = [a_run(failure=FAILED)]


@pytest.mark.parametrize(
    ("runs", "inputs", "first"),
    [
        ([a_run({"out0": 2 * X})], {"i": {}}, "no verdict: not comparable: the results carry no"),
        ([a_run({"out0": 2 * X})], {"i": values({"in0": X[..., :1]})},
         "no verdict: not available: input 'in0' has shape"),
        ([a_run({"out0": X[..., :1]})], GIVEN, "failed: output 'out0': ANE gave an output of"),
        ([a_run({"out0": np.zeros((0, 3))})], GIVEN, "failed: output 'out0': ANE gave an output"),
        ([a_run({"out0": X * np.nan})], GIVEN,
         "diverges: output 'out0' on the ANE, 24 of 24 values are NaN; 3 of 3 channels"),
        ([a_run({"out0": X + np.float32(np.inf)})], GIVEN, "diverges: output 'out0' on the ANE"),
        ([a_run({"out0": np.float64(X) * 1e300})], GIVEN, "diverges: output 'out0' on the ANE"),
        ([a_run({"out0": X.astype(np.int32)})], GIVEN, "diverges: output 'out0' on the ANE"),
        ([a_run({"out0": X.astype(np.uint8)})], GIVEN, "diverges: output 'out0' on the ANE"),
        ([a_run({"out0": (2 * X)[0]})], GIVEN, "exact: output 'out0' on the ANE"),
        ([a_run({"out0": "cat"})], GIVEN, "failed: output 'out0': ANE gave no such output"),
        ([a_run({"out0": {"a": 0.5}})], GIVEN, "failed: output 'out0': ANE gave an output of"),
        ([a_run({"out0": 7})], GIVEN, "failed: output 'out0': ANE gave no such output"),
        ([a_run({"other": X})], GIVEN, "failed: output 'out0': ANE gave no such output"),
        ([a_run({})], GIVEN, "failed: output 'out0': ANE gave no such output"),
        (LOST, GIVEN, "failed: output 'out0': ANE failed in load: no space"),
        ([], GIVEN, "no verdict: output 'out0': not measured"),
        ([], {}, "no verdict: the results hold no output of numbers."),
        ([a_run({"out0": X}, repeat=3)], GIVEN, "diverges: output 'out0' on the ANE"),
    ],
)  # fmt: skip
def test_whatever_is_recorded_is_answered(model, tmp_path, runs, inputs, first):
    path = tmp_path / "r.json"
    path.write_text(record.dumps(odd_record(runs, inputs, model)))
    for given in (model, None):
        lines = explain([path], given)
        without = "failed: ANE failed in load: no space; there" if runs == LOST else "no verdict: "
        assert lines[0].startswith(first if given else without)
        assert lines[1] == "MEASURED results of m.mlmodel on desk."
        assert all(isinstance(line, str) and line.strip() for line in lines)
        assert all(line.endswith(".") for line in lines if not line.startswith("  "))


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1, 1), (3,), (5, 4)])
def test_outputs_of_any_rank(one_layer, tmp_path, shape):
    spec = one_layer("activation", [shape], fill=lambda p: p.linear.SetInParent())
    spec.neuralNetwork.layers[0].activation.linear.alpha = 3
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())
    x = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape) / 8
    for wrong, word in ((3 * x, "exact"), (5 * x, "diverges"), (x * np.nan, "diverges")):
        found = Record(evidence="measured", model=identify(path), device=Device(),
                       inputs={"i": values({"in0": x})},
                       runs=[a_run({"out0": wrong})])  # fmt: skip
        (tmp_path / "r.json").write_text(record.dumps(found))
        assert explain([tmp_path / "r.json"], path)[0].startswith(f"{word}: ")


def test_an_unfit_input_is_said(one_layer, tmp_path):
    """The difference of large numbers that float16 does not tell apart."""
    spec = one_layer("subtractBroadcastable", [(1, 2, 3, 4)] * 2)
    path = tmp_path / "m.mlmodel"
    path.write_bytes(spec.SerializeToString())
    near = 2000 + np.random.RandomState(0).rand(1, 2, 3, 4)
    inputs = {"in0": near, "in1": near + 1e-3}
    found = Record(evidence="measured", model=identify(path), device=Device(),
                   inputs={"i": values(inputs)}, runs=[a_run({"out0": 0 * near + 1})])  # fmt: skip
    (tmp_path / "r.json").write_text(record.dumps(found))
    lines = explain([tmp_path / "r.json"], path)
    assert lines[0].startswith("unfit: on this input rounding alone makes errors as large as")
    assert not any("One fault" in line or "one of the" in line for line in lines)


def test_a_network_that_draws_random_numbers_has_no_verdict(one_layer, tmp_path):
    path = tmp_path / "m.mlmodel"
    path.write_bytes(one_layer("randomNormalLike", [(2, 3)]).SerializeToString())
    found = Record(evidence="measured", model=identify(path), device=Device(),
                   inputs={"i": values({"in0": np.ones((2, 3))})},
                   runs=[a_run({"out0": np.ones((2, 3))})])  # fmt: skip
    (tmp_path / "r.json").write_text(record.dumps(found))
    lines = explain([tmp_path / "r.json"], path)
    assert lines[0].startswith("no verdict: layer 'tested' (randomNormalLike) draws random")
    assert not any("limit was chosen" in line for line in lines)


def test_an_earlier_input_that_the_model_does_not_take_spoils_nothing(model, tmp_path):
    """Its data cannot have been left over, and the search goes on without it."""
    runs = [
        Run(unit="ane", input=name, outputs=values({"out0": 3 * X})) for name in ("bad", "good")
    ]
    given = {"bad": values({"in0": X[:, :, :1]}), "good": values({"in0": X})}
    found = Record(evidence="measured", model=identify(model), device=Device(label="desk"),
                   inputs=given, runs=runs)  # fmt: skip
    path = tmp_path / "r.json"
    path.write_text(record.dumps(found))
    lines = explain([path], model, None, Bounds())
    assert lines[0].startswith("diverges: output 'out0' on the ANE")
    assert any("single fault" in line or "One fault" in line for line in lines)


def test_no_budget_is_none_for_a_listing_too(model, tmp_path):
    rows = "\n".join(f"{i} {i / 4 + 1:.6f} 0.5" for i in range(6))
    path = tmp_path / "listing.txt"
    path.write_text(f"Index CPU ANE\n{rows}\n")
    without = explain([path], model, X.shape, Bounds(budget=0))
    assert not any("single fault" in line for line in without)
    assert any("single fault" in line for line in explain([path], model, X.shape))


@pytest.fixture
def phones(tmp_path):
    """The small network, and a folder with ten records of three phones."""
    path = many_devices.model(tmp_path / "phones.mlmodel")
    return path, many_devices.written(tmp_path / "records", many_devices.ten(path))


QUICK = Bounds(budget=0)


def test_ten_records_of_a_folder(phones):
    path, folder = phones
    first, *lines = explain([folder], path, bounds=QUICK)
    assert first.startswith("diverges: output 'y' on the ANE in a1.json (a, iPhone14,5, iPhone 13")
    assert lines[0].startswith("Devices of one kind and build disagree on the same input seed-1: ")
    rows = [line for line in lines if line.startswith("  the ")]
    assert len(rows) == len(many_devices.MATRIX)
    for row, (unit, identifier, label, system), (word, runs, inputs, records) in zip(
        rows, many_devices.MATRIX, many_devices.MATRIX.values(), strict=True
    ):
        head, _, tail = row.rpartition(" (")
        assert head.startswith(f"  the {unit.upper()}, {identifier}")
        assert f"({system}), label {label}: {word}" in head
        counts = f"{runs} run{'s'[: runs > 1]} of {inputs} input{'s'[: inputs > 1]}"
        assert tail == f"{counts}; {' and '.join(records)})"
    heads = [line for line in lines if line.startswith("MEASURED")]
    assert [line.split("(")[-1] for line in heads] == [
        f"{name}.json)." for name in ("a1", "a2", "a3", "a4", "b1", "b2", "b3", "c1", "c2", "c3")
    ]
    reference = "Reference: computed here: the network as a torch module in float64."
    assert lines.count(f"Output 'y' (1x2x4x3). {reference}") == 9
    for seed in (1, 2):  # a4.json has two inputs, and they are named
        assert lines.count(f"Output 'y' (1x2x4x3), input seed-{seed}. {reference}") == 1


def test_one_record_says_nothing_of_devices(phones):
    path, folder = phones
    lines = explain([folder / "a1.json"], path, bounds=QUICK)
    assert lines[0].startswith("diverges: output 'y' on the ANE, ")
    head = "MEASURED results of phones.mlmodel on a, iPhone14,5, iPhone 13, A15 Bionic"
    assert lines[1] == f"{head}, iOS 16.2 (20C65)."
    assert not any(line.startswith(("The ANE fails", "  the ")) for line in lines)


def test_files_of_the_same_name_are_told_apart_by_their_folders(phones, tmp_path):
    path, folder = phones
    right = many_devices.record_of(path, many_devices.phone("z"), ane="right")
    other = many_devices.written(tmp_path / "b", {"a1.json": right})
    text = "\n".join(explain([folder / "a1.json", other], path, bounds=QUICK))
    assert f"on the ANE in {folder / 'a1.json'} (a, " in text
    row = "label z: rounding, 0.598 times what rounding explains (1 run of 1 input; "
    assert f"{row}{other / 'a1.json'})" in text


def test_the_same_record_twice_is_counted_once(phones, tmp_path):
    path, folder = phones
    copy = tmp_path / "copy.json"
    copy.write_bytes((folder / "a1.json").read_bytes())
    *lines, last = explain([folder / "a1.json", copy], path, bounds=QUICK)
    assert last == f"{copy} is the same file as {folder / 'a1.json'}, and is counted once."
    assert lines == explain([folder / "a1.json"], path, bounds=QUICK)


def test_of_two_models_one_is_to_be_named(phones, model):
    _, folder = phones
    other = record.dumps(simulate(model, "none")).replace("simulated", "measured", 1)
    (folder / "b0.json").write_text(other)
    words = r"b0.json is a record of another model: m.mlmodel .*: say which with --model"
    with pytest.raises(RecordError, match=words):
        explain([folder], bounds=QUICK)


def test_records_of_other_models_than_the_one_that_is_named_are_left_aside(phones, model):
    path, folder = phones
    alone = explain([folder], path, bounds=QUICK)
    known = len(list(folder.iterdir()))
    for name in ("b0", "z"):  # simulated, as none of the others is
        (folder / f"{name}.json").write_text(record.dumps(simulate(model, "none")))
    *lines, last = explain([folder], path, bounds=QUICK)
    assert lines == alone
    assert last == f"Left aside: 2 of {known + 2} records, of other models: m.mlmodel."


def test_where_all_records_are_of_other_models_the_first_is_named(phones, model, samples):
    _, folder = phones
    shape = (1, 1600, 39, 1)
    with pytest.raises(RecordError, match=r"a1.json is a record of another model: phones.mlmod"):
        explain([folder], model, bounds=QUICK)
    listed = explain([samples / "thread-720810.txt", folder], model, shape, QUICK)
    assert any(line.startswith("Left aside: ") for line in listed)


def test_measured_and_simulated_records_are_not_explained_together(phones):
    path, folder = phones
    (folder / "b0.json").write_text(record.dumps(simulate(path, "none")))
    with pytest.raises(RecordError, match=r"b0.json is simulated and .*a1.json is measured: "):
        explain([folder], path, bounds=QUICK)


def test_another_schema_among_them(phones):
    path, folder = phones
    text = (folder / "a1.json").read_text().replace("record/1", "record/9")
    (folder / "b0.json").write_text(text)
    with pytest.raises(RecordError, match=r"b0.json: schema: expected 'anereport.record/1'"):
        explain([folder], path, bounds=QUICK)


def test_several_records_without_a_model(phones):
    _, folder = phones
    first, *lines = explain([folder / "a1.json", folder / "c3.json"])
    phone = "iPhone14,6, iPhone SE (3rd generation)"
    assert first.startswith(f"failed in c3.json (c, {phone}, A15 Bionic, iOS 17.0 (21A329)): ")
    assert first.endswith(
        "output 'y': ANE failed in predict: it was killed; there is no verdict on numbers: not "
        "available: no model was given; the units are compared with the CPU's values."
    )
    assert any(f"does not run on: {phone} (iOS 17.0, 21A329), label c" in line for line in lines)
    assert any("label a: not known: not available" in line for line in lines)


def test_a_listing_beside_a_record(model, tmp_path, samples):
    path = tmp_path / "r.json"
    path.write_text(record.dumps(simulate(model, "none")))
    rows = samples / "thread-720810.txt"
    lines = explain([rows, path], None, (1, 1600, 39, 1))
    start = lines.index(f"Listing {rows}:")
    assert lines[1].startswith("SIMULATED results of m.mlmodel")
    assert lines[start + 1].startswith("All eleven rows lie in channel 322")
    assert explain([rows], None, (1, 1600, 39, 1)) == lines[start + 1 :]


def test_of_several_records_one_is_in_memory_at_a_time(phones, monkeypatch):
    path, folder = phones
    alive = []
    load = results.load

    def watched(*given):
        assert [ref for ref in alive if ref()] == []
        found = load(*given)
        alive.append(weakref.ref(found))
        return found

    monkeypatch.setattr(results, "load", watched)
    files = [folder / f"{name}.json" for name in ("a1", "a3", "c3")]
    explain(files, path, bounds=QUICK)
    assert len(alive) == 6  # checked first, before any of them is compared


def test_what_is_in_doubt_stands_under_its_device(model, tmp_path):
    path = tmp_path / "r.json"
    found = odd_record([a_run({"out0": 2 * X})], GIVEN, model)
    device = Device(label="desk", system="macOS", version="15.0", virtual=True)
    changes = {"device": device, "stopped": "1 of 13 runs were made before it was stopped"}
    path.write_text(record.dumps(found.model_copy(update=changes)))
    assert explain([path], model)[1:4] == [
        "MEASURED results of m.mlmodel on desk, macOS 15.0.",
        "  The record r.json is incomplete: 1 of 13 runs were made before it was stopped.",
        "  A virtual machine has no usable Neural Engine, and may hang compiling for it: no Neural "
        "Engine is to be expected there.",
    ]
