"""Files that newcomers give for a model or a record."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile

import pytest
import torch

import migrate
from migrate.foreign import what_it_is
from reporter.measure import record


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return content.getvalue()


def saved(thing):
    content = io.BytesIO()
    torch.save(thing, content)
    return content.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
FILES = [  # the first bytes of real formats, by their specifications or their own writers
    ("Block.mlmodel", LFS, "a Git LFS pointer", "git lfs pull"),
    ("Block.mlmodel", b"\n<!DOCTYPE html>\n<html>", "a web page", "download"),
    ("Block.mlmodel", b"<HTML><body>", "a web page", "download"),
    ("Block.mlmodel", zipped("Block.mlpackage/Manifest.json"), "a zip", "unpack it"),
    ("Block.mlmodel", gzip.compress(b"x"), "compressed by gzip", "unpack it"),
    ("net.pt", saved({"w": torch.zeros(2)}), "a PyTorch file", "convert it with coremltools"),
    ("net.pkl", pickle.dumps([1]), "a pickle", "convert it"),
    ("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file", "convert it"),
    ("net.tflite", b"\x1c\0\0\0TFL3" + bytes(40), "a TensorFlow Lite model", "convert it"),
    ("net.mlpackage", b"\x08\x01\x12\x00", "a file, and a package is a folder", "copy the whole"),
    ("net.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "a picture", ""),
    ("net.mlmodel", b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture", ""),
    ("net.pdf", b"%PDF-1.7\n", "a PDF", ""),
    ("net.onnx", b"\x08\x07\x12\x07pytorch\x1a\x051.9.0", "an ONNX model", "convert it"),
]


@pytest.mark.parametrize(
    ("name", "content", "what", "advice"),
    FILES,
    ids=[f"{name}, {what}" for name, _, what, _ in FILES],  # some of the bytes tell the time
)
def test_what_is_no_model_is_named_with_what_to_do(tmp_path, name, content, what, advice):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(migrate.ModelError) as no_model:
        migrate.load_spec(path)
    with pytest.raises(record.RecordError) as no_record:
        record.load(path)
    assert str(no_model.value).startswith(f"{path} is not a Core ML model but {what}")
    assert str(no_record.value).startswith(f"{path} is not JSON but {what}")
    assert advice in str(no_model.value)


@pytest.mark.parametrize("content", [b"", b"\x08\x01\x12\x00", b"Index CPU GPU ANE\n", b"{}"])
def test_of_others_nothing_is_said(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert what_it_is(path) == ""
    assert what_it_is(tmp_path / "none") == ""


def test_a_package_of_which_git_lfs_left_a_pointer(tmp_path):
    package = tmp_path / "Block.mlpackage"
    inside = package / "Data" / "com.apple.CoreML"
    inside.mkdir(parents=True)
    (inside / "model.mlmodel").write_bytes(LFS)
    item = {
        "author": "com.apple.CoreML", "path": "com.apple.CoreML/model.mlmodel",
        "name": "model.mlmodel", "description": "",
    }  # fmt: skip
    manifest = {
        "fileFormatVersion": "1.0.0", "rootModelIdentifier": "A", "itemInfoEntries": {"A": item},
    }  # fmt: skip
    (package / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(migrate.ModelError, match=r"its model.mlmodel is a Git LFS pointer"):
        migrate.load_spec(package)


def test_a_model_and_a_record_that_are_taken_for_each_other(tmp_path, samples):
    with pytest.raises(record.RecordError, match="is a model, and no record: give it as the model"):
        record.load(samples / "Block.mlmodel")
    for name in ("record.json", "listing.txt", "results.npz"):
        (tmp_path / name).write_text('{"schema": "anereport.record/1"}')
        with pytest.raises(migrate.ModelError, match="is no model: results are given with --rec"):
            migrate.load_spec(tmp_path / name)
