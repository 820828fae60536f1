"""What a file is that is given as a model or a record and is neither, and what to do then."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

HEAD = 4096  # bytes that tell
CONVERT = "convert it with coremltools first, and give the .mlmodel or .mlpackage"
UNPACK = "unpack it, and give what is in it"
KINDS = (  # how a file begins, and what it is then
    (rb"version https://git-lfs", "a Git LFS pointer: fetch the file itself with git lfs pull"),
    (rb"\s*<(?i:!doctype html|html)", "a web page: download the file itself"),
    (rb"PK\x03\x04.*\.pkl", f"a PyTorch file: {CONVERT}"),
    (rb"PK\x03\x04", f"a zip: {UNPACK}"),
    (rb"\x1f\x8b", f"compressed by gzip: {UNPACK}"),
    (rb"\x80[\x02-\x05]", f"a pickle, as PyTorch writes them: {CONVERT}"),
    (rb"\x89HDF\r\n", f"an HDF5 file, as Keras writes them: {CONVERT}"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"%PDF", "a PDF"),
    (rb"....TFL3", f"a TensorFlow Lite model: {CONVERT}"),
)
NAMED = {  # what files are whose first bytes do not tell
    ".onnx": f"an ONNX model: {CONVERT}",
    ".mlpackage": "a file, and a package is a folder: copy the whole folder",
}


def what_it_is(path: Path) -> str:
    """Return what a file that is no model, or no record, is instead; nothing if that is unknown."""
    head = b""
    with suppress(OSError), path.open("rb") as stream:
        head = stream.read(HEAD)
    found = (said for start, said in KINDS if re.match(start, head, re.DOTALL))
    return next(found, "" if path.is_dir() else NAMED.get(path.suffix, ""))
