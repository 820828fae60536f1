"""Archives of arrays: keys, types, and files that are broken or would run code."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from reporter.measure import arrays
from reporter.measure.identity import ModelIdentity
from reporter.measure.record import Device, RecordError

IDENTITY = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, size=3,
    sha256="a" * 64, sha256_without_metadata="b" * 64,
)  # fmt: skip
X = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.npz"


def refused(path, reader=None):
    with pytest.raises(RecordError) as caught:
        (reader or arrays.load_inputs)(path)
    assert "r.npz" in str(caught.value)
    return str(caught.value)


def record_of(path):
    return arrays.load_record(path, IDENTITY)


def test_an_archive_as_a_record(path):
    y = {"ane": X * 3, "cpu": X, "all": X + 1, "gpu": X.astype(np.float16)}
    np.savez(path, **{"in::x": X, "in::a::b": X[0]}, **{f"{u}::y": a for u, a in y.items()},
             **{"ane::z": np.int64(-3)})  # fmt: skip
    found = record_of(path)
    assert (found.evidence, found.model, found.device) == ("measured", IDENTITY, Device())
    assert [run.unit for run in found.runs] == ["cpu", "gpu", "ane", "all"]
    (given,) = found.inputs.values()
    assert set(given) == {"x", "a::b"}
    np.testing.assert_array_equal(given["x"].array(), X)
    for run in found.runs:
        assert (run.input in found.inputs, run.repeat, run.failure) == (True, 0, None)
        assert run.outputs["y"].array().dtype == y[run.unit].dtype
        np.testing.assert_array_equal(run.outputs["y"].array(), y[run.unit])
    assert found.runs[2].outputs["z"].array() == -3


OTHER = IDENTITY.model_copy(update={"name": "o.mlmodel", "sha256_without_metadata": "c" * 64})


def test_an_archive_may_say_which_model_it_is_of(path):
    np.savez(path, model=np.array("c" * 64), weights=np.array("exact"), **{"cpu::y": X})
    assert arrays.load_record(path, IDENTITY, [OTHER]).model == OTHER
    assert "holds results of another model (sha256 without metadata cccccc" in refused(
        path, record_of
    )
    np.savez(path, model=np.array("b" * 64), **{"cpu::y": X})
    assert arrays.load_record(path, IDENTITY, [OTHER]).model == IDENTITY
    np.savez(path, **{"cpu::y": X})
    assert arrays.load_record(path, IDENTITY, [OTHER]).model == IDENTITY


def test_probabilities_with_their_labels(path):
    labels = {"labels::y": np.array(["b", "a", "1"])}
    np.savez(path, **labels, **{"cpu::y": np.array([0.5, 0.25, 0]), "in::y": X})
    found = record_of(path)
    assert found.runs[0].outputs["y"] == {"b": 0.5, "a": 0.25, "1": 0}
    assert found.inputs["npz"]["y"].array().shape == X.shape
    np.savez(path, **labels, **{"cpu::y": X})
    assert "'cpu::y' holds no number for each of its 3 labels" in refused(path, record_of)
    np.savez(path, **labels, **{"cpu::y": np.array(["x", "y", "z"])})
    assert "'cpu::y' holds no number" in refused(path, record_of)


def test_outputs_without_inputs(path):
    np.savez_compressed(path, **{"gpu::y": X})
    found = record_of(path)
    assert [run.unit for run in found.runs] == ["gpu"]
    assert list(found.inputs.values()) == [{}]


@pytest.mark.parametrize("key", ["y", "cpu", "cpu::", "::y", "CPU::y", "tpu::y", "cpu:y", "out::y"])
def test_keys_that_mean_nothing(path, key):
    np.savez(path, **{"cpu::y": X, key: X})
    message = refused(path, record_of)
    assert f"key '{key}' is none of in::NAME, cpu::NAME, gpu::NAME, ane::NAME" in message


def test_inputs_alone(path):
    np.savez(path, **{"in::x": X})
    assert "holds no outputs" in refused(path, record_of)
    np.savez(path)
    assert "holds no outputs" in refused(path, record_of)


@pytest.mark.parametrize("array", [np.array([True]), np.array(["a"]), np.array([1j]),
                                   np.zeros(1, [("a", "f4")]), np.array([2**40])])  # fmt: skip
def test_arrays_of_other_types(path, array):
    np.savez(path, **{"cpu::y": array})
    assert "'cpu::y': a record holds " in refused(path, record_of)


def test_own_inputs(path):
    np.savez(path, **{"in::x": X, "y": X + 1, "in::in::z": X})
    found = arrays.load_inputs(path)
    assert set(found) == {"x", "y", "in::z"}
    np.testing.assert_array_equal(found["y"], X + 1)


class Trap:
    """An object that tells when it is unpickled."""

    sprung = False

    @staticmethod
    def spring():
        Trap.sprung = True

    def __reduce__(self):
        return Trap.spring, ()


def test_a_folder_is_no_archive(path):
    path.mkdir()
    assert "is a folder: give an .npz file" in refused(path)


def test_nothing_is_ever_unpickled(path):
    np.savez(path, **{"cpu::y": np.array([Trap()], dtype=object)})
    assert "not a readable .npz" in refused(path)
    refused(path, record_of)
    path.write_bytes(pickle.dumps(Trap()))
    refused(path)
    refused(path, record_of)
    assert not Trap.sprung


def test_a_single_array(path):
    with path.open("wb") as stream:
        np.save(stream, X)
    assert "is a single array" in refused(path)


def zipped(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def header(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK\x03\x04" + b"\0" * 40,
        zipped("cpu::y.npy", b"\x93NUMPY"),
        zipped("cpu::y.npy", b"\x93NUMPY\x09\x00" + b"\0" * 20),
        zipped("cpu::y.npy", header("(4,)") + b"\0" * 12),
        zipped("cpu::y.npy", header("(-4,)")),
        zipped("cpu::y.npy", header("(1000000000000000,)")),
        zipped("cpu::y.npy", header("(" + "9" * 30 + ",)")),
        zipped("cpu::y.npy", header("(import os)")),
        zipped("cpu::y", b"plain text"),
    ],
)
def test_contents_that_are_no_arrays(path, content):
    path.write_bytes(content)
    refused(path, record_of)


def test_cut_off_and_damaged_files(path):
    np.savez_compressed(path, **{"cpu::y": np.random.RandomState(0).rand(2000)})
    whole = path.read_bytes()
    for size in (1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path)
    damaged = bytearray(whole)
    damaged[300:400] = bytes(100)
    path.write_bytes(damaged)
    refused(path)


def test_files_that_are_not_there(tmp_path):
    assert "no such file" in refused(tmp_path / "r.npz")
    (tmp_path / "r.npz").mkdir()
    refused(tmp_path / "r.npz")
