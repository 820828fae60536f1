"""The arrays of an .npz archive, of which nothing is allocated that the file does not hold.

numpy's own reader allocates what a header claims before it reads, and unpacks whatever there is.
"""

from __future__ import annotations

import math
import zipfile
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

MOST = 2**31  # bytes of all arrays together, unpacked
FORMAT: Any = np.lib.format  # it has no types
HEADERS = {(1, 0): FORMAT.read_array_header_1_0, (2, 0): FORMAT.read_array_header_2_0}


def read(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    """Return the arrays by name; raises ValueError, or what zipfile and zlib raise."""
    with zipfile.ZipFile(stream) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > MOST:
            raise ValueError(f"its arrays have {size:,} bytes, the most that are read are {MOST:,}")
        return {
            member.filename.removesuffix(".npy"): _array(archive, member)
            for member in archive.infolist()
        }


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        version = FORMAT.read_magic(stream)
        if version not in HEADERS:
            raise ValueError(f"{member.filename} is of a version that is not known")
        try:
            shape, fortran, dtype = HEADERS[version](stream)
        except (SyntaxError, TokenError) as error:  # of broken Python, which numpy lets pass
            raise ValueError(f"the header of {member.filename} is not readable") from error
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which are never loaded")
        content = stream.read()
    needed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or len(content) != needed:
        sizes = "x".join(map(str, shape)) or "scalar"
        raise ValueError(
            f"{member.filename} holds {len(content)} bytes, {sizes} of {dtype} needs {needed}"
        )
    array: NDArray[Any] = np.ndarray(shape[::-1] if fortran else shape, dtype, bytearray(content))
    return array.T if fortran else array
