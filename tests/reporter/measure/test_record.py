"""The record: what it keeps, and every way in which a file can be wrong."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest

from reporter.measure import record
from reporter.measure.identity import ModelIdentity, identify
from reporter.measure.record import Device, Record, RecordError, Run, Tensor

IDENTITY = ModelIdentity(
    name="m.mlmodel", kind="neuralNetwork", spec_version=4, size=3,
    sha256="a" * 64, sha256_without_metadata="b" * 64,
)  # fmt: skip
GONE = object()


def b64(fmt, *numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}{fmt}", *numbers)).decode()


def tensor(**changes):
    return {"dtype": "float32", "shape": [2], "data": b64("f", 1, 2), **changes}


def content(**changes):
    """The JSON of a small record; `changes` name a place, as in runs__0__unit=..."""
    whole = {
        "schema": "anereport.record/1",
        "evidence": "measured",
        "model": IDENTITY.model_dump(),
        "device": {"label": "a desk"},
        "inputs": {"seed-0": {"x": tensor()}},
        "runs": [{"unit": "cpu", "input": "seed-0", "outputs": {"y": tensor()}}],
    }
    for place, value in changes.items():
        *outer, last = [int(p) if p.isdigit() else p for p in place.split("__")]
        at = whole
        for part in outer:
            at = at[part]
        if value is GONE:
            del at[last]
        else:
            at[last] = value
    return whole


@pytest.fixture
def read(tmp_path):
    """Read what a file of this content is read as."""

    def load(given):
        path = tmp_path / "r.json"
        if isinstance(given, bytes):
            path.write_bytes(given)
        else:
            path.write_text(given if isinstance(given, str) else json.dumps(given))
        return record.load(path)

    return load


def refused(read, given):
    with pytest.raises(RecordError) as caught:
        read(given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.count("r.json") == 1
    return message


def test_round_trip_of_every_kind_of_value(read):
    values = {
        "tensor": Tensor.of(np.arange(6, dtype=np.float32).reshape(1, 2, 3)),
        "p": {"cat": 0.25, "dog": 0.75},
        "label": "cat",
        "class": 7,
    }
    before = Record(
        evidence="simulated", model=IDENTITY, device=Device(label="l", chip="c"), date="d",
        simulation="none", inputs={"i": values},
        runs=[
            Run(unit="ane", input="i", outputs=values, times={"predict": 0.5},
                plan={"operations": [{"name": "y", "kind": "conv", "planned": "ane"}]}),
            Run(unit="all", input="i", repeat=3,
                failure={"stage": "load", "message": "m", "signal": 9, "stderr": "e"}),
        ],
    )  # fmt: skip
    text = record.dumps(before)
    assert read(text) == before
    assert json.loads(text)["schema"] == "anereport.record/1"
    assert text.endswith("}\n")
    kinds = {k: type(v) for k, v in read(text).runs[0].outputs.items()}
    assert kinds == {"tensor": Tensor, "p": dict, "label": str, "class": int}


@pytest.mark.parametrize("elements", [0, 1, 262_143, 262_144, 262_145, 600_001])
def test_the_file_is_the_text_and_its_arrays_are_plain_base64(tmp_path, elements):
    """Written in pieces: of sizes about that of one, and with text that looks like a piece."""
    x = (np.arange(elements) * 37).astype(np.uint8)
    runs = [Run(unit="cpu", input="i", outputs={"a": Tensor.of(x), "b": Tensor.of(x[::2])}),
            Run(unit="ane", input="i", outputs={"class": "é \" AAAA"})]  # fmt: skip
    given = {"i": {"x": Tensor.of(np.float32([1, 2]))}}
    found = Record(evidence="measured", model=IDENTITY, device=Device(), inputs=given, runs=runs)
    with (tmp_path / "r.json").open("wb") as stream:
        record.dump(found, stream)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert text == record.dumps(found)
    outputs = json.loads(text)["runs"][0]["outputs"]
    assert outputs["a"]["data"] == base64.b64encode(x.tobytes()).decode()
    assert outputs["b"]["data"] == base64.b64encode(x[::2].tobytes()).decode()
    assert record.load(tmp_path / "r.json") == found


def test_data_may_be_given_as_text_or_bytes():
    text = Tensor(dtype="int32", shape=(2,), data=b64("i", 7, 8))
    assert text == Tensor(dtype="int32", shape=(2,), data=struct.pack("<2i", 7, 8))
    assert text.array().tolist() == [7, 8]
    assert json.loads(text.model_dump_json())["data"] == b64("i", 7, 8)


@pytest.mark.parametrize("data", ["A===", "=AAA", "AA=A", "AA==AAAA", "AAAA====", "AAAAA", "AA\nAA",
                                  "AAA\u00e9", "AA-_", "===="])  # fmt: skip
def test_text_that_is_nearly_base64_is_refused(data):
    with pytest.raises(ValueError, match="data is not base64"):
        Tensor(dtype="uint8", shape=(3,), data=data)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (2, 3), (1, 2, 1, 3, 2)])
def test_arrays_of_every_type(dtype, order, shape):
    x = (np.arange(np.prod(shape, dtype=int)) * 7 + 1).astype(dtype).reshape(shape)
    given = x.astype(x.dtype.newbyteorder(order))
    kept = Tensor.of(given)
    assert kept.data == x.tobytes()  # little-endian, whatever was given
    back = Tensor.model_validate_json(kept.model_dump_json()).array()
    assert back.dtype == dtype
    assert back.shape == shape
    np.testing.assert_array_equal(back, x)


def test_arrays_that_are_not_contiguous_and_odd_numbers():
    x = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    np.testing.assert_array_equal(Tensor.of(x.transpose(2, 0, 1)).array(), x.transpose(2, 0, 1))
    np.testing.assert_array_equal(Tensor.of(x[:, ::-2, 1:]).array(), x[:, ::-2, 1:])
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    assert Tensor.of(odd).array().tobytes() == odd.tobytes()


def test_int64_only_where_nothing_is_lost():
    np.testing.assert_array_equal(Tensor.of(np.array([[-(2**31)], [2**31 - 1]])).array().ravel(),
                                  [-(2**31), 2**31 - 1])  # fmt: skip
    assert Tensor.of(np.array(5)).array().shape == ()
    with pytest.raises(RecordError, match="32 bits"):
        Tensor.of(np.array([1, 2**31]))


@pytest.mark.parametrize("array", [np.array([True]), np.array(["a"]), np.array([1j]),
                                   np.array([None]), np.array([1], np.uint16)])  # fmt: skip
def test_arrays_that_a_record_does_not_hold(array):
    with pytest.raises(RecordError, match="a record holds float16, float32, float64, int32, uint8"):
        Tensor.of(array)


@pytest.mark.parametrize(
    ("shape", "strides", "stored", "want"),
    [
        ([2, 3], [1, 2], range(6), [[0, 2, 4], [1, 3, 5]]),  # column major
        ([2, 3], [4, 1], range(7), [[0, 1, 2], [4, 5, 6]]),  # padded rows
        ([2, 3], [4, 1], range(8), [[0, 1, 2], [4, 5, 6]]),  # and the last one's padding as well
        ([2, 2, 2], [1, 2, 4], range(8), [[[0, 4], [2, 6]], [[1, 5], [3, 7]]]),
        ([3, 1], [2, 99], range(5), [[0], [2], [4]]),
        ([1, 2], [0, 1], [9, 8], [[9, 8]]),
        ([], [], [3], 3),
        ([0, 3], [3, 1], [], np.zeros((0, 3))),
    ],
)
def test_strides_count_elements(shape, strides, stored, want):
    given = {"dtype": "int32", "shape": shape, "strides": strides, "data": b64("i", *stored)}
    np.testing.assert_array_equal(Tensor.model_validate(given).array(), want)


@pytest.mark.parametrize(
    ("shape", "strides"), [([2], [0]), ([2**40], [0]), ([2, 3], [1, 1]), ([2**30, 2**30], [0, 0])]
)
def test_strides_that_make_much_of_little(shape, strides):
    """Elements that share a place: a few bytes would stand for any number of them."""
    given = {"dtype": "int32", "shape": shape, "strides": strides, "data": b64("i", *range(4))}
    with pytest.raises(ValueError, match="strides give several elements of the array one place"):
        Tensor.model_validate(given)


TENSOR = "runs.0.outputs.y"


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"shape": [float("nan")]}, f"{TENSOR}.shape.0", "integer"),
        ({"shape": [2.0]}, f"{TENSOR}.shape.0", "integer"),
        ({"shape": [-2]}, f"{TENSOR}.shape.0", "greater than or equal to 0"),
        ({"shape": [True, 2]}, f"{TENSOR}.shape.0", "integer"),
        ({"shape": None}, f"{TENSOR}.shape", "array"),
        ({"shape": [3]}, TENSOR, "holds 8 bytes, 3 of float32 needs 12"),
        ({"shape": [1, 5], "dtype": "float16"}, TENSOR, "holds 8 bytes, 1x5 of float16 needs 10"),
        ({"shape": [1]}, TENSOR, "holds 8 bytes, 1 of float32 needs 4"),
        ({"shape": []}, TENSOR, "scalar of float32 needs 4"),
        ({"shape": [10**40]}, TENSOR, "needs 4"),
        ({"data": "AAAA AAAA"}, f"{TENSOR}.data", "not base64"),
        ({"data": "AAA"}, f"{TENSOR}.data", "not base64"),
        ({"data": "häßlich="}, f"{TENSOR}.data", "not base64"),
        ({"data": 5}, f"{TENSOR}.data", "string"),
        ({"dtype": "bfloat16"}, f"{TENSOR}.dtype", "'float16'"),
        ({"dtype": None}, f"{TENSOR}.dtype", "'float16'"),
        ({"strides": [1, 1]}, TENSOR, "one non-negative number per dimension"),
        ({"strides": [-1]}, TENSOR, "one non-negative number per dimension"),
        ({"strides": [float("nan")]}, f"{TENSOR}.strides.0", "number"),
        ({"strides": [3]}, TENSOR, "holds 8 bytes, 2 of float32 needs 16"),
    ],
)
def test_tensors_that_cannot_be(read, changes, where, what):
    message = refused(read, content(runs__0__outputs__y=tensor(**changes)))
    assert f"r.json: {where}: " in message
    assert what in message


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"runs__0__unit": "tpu"}, "runs.0.unit", "'cpu', 'gpu', 'ane' or 'all'"),
        ({"runs__0__outputs": GONE}, "runs.0", "either outputs or a failure"),
        ({"runs__0__outputs": None}, "runs.0", "either outputs or a failure"),
        ({"runs__0__failure": {"stage": "load", "message": ""}}, "runs.0", "either outputs or"),
        ({"runs__0__failure": {"message": ""}}, "runs.0.failure.stage", "required"),
        ({"runs__0__input": "seed-1"}, "runs.0.input", "'seed-1' is not among the inputs"),
        ({"runs__0__input": GONE}, "runs.0.input", "required"),
        ({"runs__0__repeat": "often"}, "runs.0.repeat", "integer"),
        ({"runs__0__times": {"load": "long"}}, "runs.0.times.load", "number"),
        ({"runs__0__outputs__y": 1.5}, "runs.0.outputs.y", "expected a tensor"),
        ({"runs__0__outputs__y": None}, "runs.0.outputs.y", "expected a tensor"),
        ({"runs__0__outputs__y": True}, "runs.0.outputs.y", "expected a tensor"),
        ({"runs__0__outputs__y": [1.0]}, "runs.0.outputs.y", "expected a tensor"),
        ({"runs__0__outputs__y": {"cat": "x"}}, "runs.0.outputs.y.cat", "number"),
        ({"runs__0__outputs": {"tensor": tensor(shape=[-1])}}, "runs.0.outputs.tensor.shape.0", ""),
        ({"inputs__seed-0__x": tensor(shape=[9])}, "inputs.seed-0.x", "needs 36"),
        ({"runs": {}}, "runs", "array"),
        ({"runs": GONE}, "runs", "required"),
        ({"inputs": []}, "inputs", "object"),
        ({"evidence": "guessed"}, "evidence", "'measured' or 'simulated'"),
        ({"evidence": GONE}, "evidence", "required"),
        ({"model__sha256": GONE}, "model.sha256", "required"),
        ({"device": "iPhone"}, "device", "object"),
        ({"schema": "anereport.record/2"}, "schema", "'anereport.record/2'"),
        ({"schema": GONE}, "schema", "found None"),
    ],
)
def test_records_that_cannot_be(read, changes, where, what):
    message = refused(read, content(**changes))
    assert f"r.json: {where}: " in message
    assert what in message


@pytest.mark.parametrize(
    "given",
    ["", "{", "hello", b"\xff\xfe{\x00}\x00", b"PK\x03\x04", "[" * 100_000,
     '{"a":' * 100_000, '{"schema": ' + "1" * 5000 + "}"],
)  # fmt: skip
def test_not_json(read, given):
    message = refused(read, given)
    assert "is not JSON" in message or "cannot read" in message


@pytest.mark.parametrize("given", ["[]", "null", "3", '"anereport.record/1"', "NaN"])
def test_json_that_is_no_record(read, given):
    assert "schema: expected 'anereport.record/1', found None" in refused(read, given)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        record.load(tmp_path / "none.json")
    with pytest.raises(RecordError, match="cannot read"):
        record.load(tmp_path)


def test_fields_of_later_versions_are_accepted(read):
    later = content(runs__0__power={"watts": 3}, future=[1], device__thermal="hot",
                    runs__0__outputs__y=tensor(layout="NCHW"))  # fmt: skip
    found = read(later)
    assert found.device.thermal == "hot"  # device facts are free and kept
    np.testing.assert_array_equal(found.runs[0].outputs["y"].array(), [1, 2])
    assert read(record.dumps(found)) == found


def test_deep_nesting_inside_a_record(read):
    """It is read, or refused in a sentence; never a traceback."""
    deep = json.dumps(content())[:-1] + ', "future": ' + "[" * 100_000 + "]" * 100_000 + "}"
    assert "is not JSON" in refused(read, deep)


def test_probabilities_that_are_not_finite_survive(read):
    given = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 1e-300}
    before = Record(evidence="measured", model=IDENTITY, device=Device(), inputs={"i": {}},
                    runs=[Run(unit="ane", input="i", outputs={"p": given})])  # fmt: skip
    text = record.dumps(before)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert str(read(text).runs[0].outputs["p"]) == str(given)


def test_a_record_of_another_model_is_refused_and_of_a_copy_is_not(one_layer, tmp_path):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    original = identify(saved(spec, tmp_path / "a.mlmodel"))
    spec.description.metadata.author = "someone else"
    spec.description.metadata.userDefined["note"] = "secret"
    copy = identify(saved(spec, tmp_path / "copy.mlmodel"))
    spec.description.output[0].name = "out9"
    other = identify(saved(spec, tmp_path / "b.mlmodel"))
    found = Record(evidence="measured", model=original, device=Device(), inputs={}, runs=[])
    assert copy.sha256 != original.sha256
    record.check_model(found, original, "r.json")
    record.check_model(found, copy, "r.json")
    with pytest.raises(RecordError) as caught:
        record.check_model(found, other, "r.json")
    assert "r.json is a record of another model: a.mlmodel" in str(caught.value)
    assert original.sha256[:12] in str(caught.value)
    assert "not b.mlmodel" in str(caught.value)


def saved(spec, path):
    path.write_bytes(spec.SerializeToString())
    return path


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Device().label = "x"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "unknown device"),
        ({"label": "mine"}, "mine"),
        ({"system": "iOS", "version": "16.2", "build": "20C65"}, "iOS 16.2 (20C65)"),
        (
            {"label": "mine", "identifier": "iPhone14,7", "chip": "A15", "system": "iOS"},
            "mine, iPhone14,7, A15, iOS",
        ),
    ],
)
def test_a_device_in_words(facts, text):
    assert str(Device(**facts)) == text


def test_an_empty_array_with_strides_may_have_bytes_of_more():
    """Found by fuzzing."""
    tensor = Tensor(dtype="float32", shape=(0, 1), strides=(1, 1), data=bytes(12))
    assert tensor.array().shape == (0, 1)
