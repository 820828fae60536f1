"""What `anereport explain` says of records, archives and listings."""

from __future__ import annotations

import numpy as np
import pytest
from packages import affine, saved

from reporter.measure import record
from reporter.measure.identity import identify
from reporter.measure.record import Device, Record, RecordError, Run
from reporter.measure.simulate import simulate, values
from reporter.understand import listing
from reporter.understand.explain import explain

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

    def explained(*, given=True, tolerance=0.01, **units):
        runs = [Run(unit=u, input="i", outputs=values({"out0": y})) for u, y in units.items()]
        found = Record(evidence="measured", model=identify(model), device=Device(label="desk"),
                       inputs={"i": values({"in0": X})}, runs=runs)  # fmt: skip
        path = tmp_path / "r.json"
        path.write_text(record.dumps(found))
        lines = explain(path, model if given else None, None, tolerance)
        return lines[:2], {line.split()[0][:3].lower(): line for line in lines[2:]}

    return explained


def test_a_measured_record(said):
    wrong = 2 * X
    wrong[0, 1, 2, 1] = -50
    head, units = said(cpu=2 * X, ane=wrong)
    assert head[0] == "MEASURED results of m.mlmodel on desk."
    assert head[1].startswith("Output 'out0' (1x3x4x2). Reference: computed here")
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
    assert "no model was given; the units are compared with the CPU's values." in head[1]
    assert "equal to the CPU's values" in units["ane"]


def test_empty_outputs(said):
    _, units = said(given=False, cpu=np.zeros((0, 2, 2)), ane=np.zeros((0, 2, 2)))
    assert "all 0 values" in units["ane"]


def test_a_simulated_record(model, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(record.dumps(simulate(model, "zeroed@tested")))
    lines = explain(path, model, None, 0.01)
    assert lines[0].startswith("SIMULATED results of m.mlmodel on anereport simulator")
    assert "equal to the reference" in lines[2]
    assert "values beyond" in lines[4]


def test_an_archive(model, tmp_path):
    path = tmp_path / "r.npz"
    np.savez(path, **{"in::in0": X, "gpu::out0": 2 * X})
    lines = explain(path, model, None, 0.01)
    assert "unknown device" in lines[0]
    assert "GPU: equal to the reference" in lines[3]
    with pytest.raises(RecordError, match="--model"):
        explain(path, None, None, 0.01)


def test_a_listing(samples):
    path = samples / "thread-720810.txt"
    shape = (1, 1600, 39, 1)
    lines = explain(path, None, shape, 0.01)
    from reporter.measure.listing import load

    assert lines == listing.statements(load(path, shape))
    assert explain(path, samples / "Block.mlmodel", shape, 0.5) == lines


def test_a_record_of_another_model(model, samples, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(record.dumps(simulate(model, "none")))
    with pytest.raises(RecordError, match="is a record of another model: m"):
        explain(path, samples / "Block.mlmodel", None, 0.01)


def test_a_record_of_a_program(tmp_path):
    model = saved(affine("fp16"), tmp_path / "a.mlpackage")
    (tmp_path / "r.json").write_text(record.dumps(simulate(model, "none")))
    head, output, cpu, gpu, ane = explain(tmp_path / "r.json", model, None, 0.01)
    assert head == "SIMULATED results of a.mlpackage on anereport simulator."
    assert output == (
        "Output 'y' (2x3). Reference: computed here: the ML Program evaluated with every fp16 "
        "operation in float32."
    )
    assert cpu == "  CPU: equal to the reference in all 6 values"
    assert "0 of 6 values beyond 0.01; max abs error 0.0" in gpu
    assert ane.split(": ")[1] == gpu.split(": ")[1]
