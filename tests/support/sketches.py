"""Sketches of arrays that a test writes out, and SVG read back."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from migrate import Envelope
from reporter.understand.diagnosis import Numbers, diagnose
from reporter.understand.sketch import of_output

SVG = "{http://www.w3.org/2000/svg}"


def envelope(reference, rmse=1.0):
    """Return an envelope that explains the same error of each channel."""
    reference = np.asarray(reference, np.float64)
    count = int(np.prod(reference.shape[:-2]))
    return Envelope(reference, np.full(count, rmse), np.zeros(count, bool), ())


def sketch_of(values, reference, rmse=1.0, limit=8.0, labels=(), unit="ane"):
    """Return the sketch of one unit that was run once."""
    return sketches_of({unit: [values]}, reference, rmse, limit, labels)[0]


def sketches_of(calls, reference, rmse=1.0, limit=8.0, labels=(), cold=None):
    """Return the sketches of several calls of several units, and of cold starts."""
    bound = envelope(reference, rmse)
    said = Numbers({u: [np.asarray(a) for a in each] for u, each in calls.items()}, cold or {})
    known = diagnose(said, bound, [], {}, limit)
    return of_output(said, bound, known, limit, labels)


def parsed(svg):
    """Return the root of a picture; raises what an XML parser says of one that is none."""
    named = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return ElementTree.fromstring(named)


def words(svg):
    """Return the texts of a picture, its title and its description apart."""
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def paths(svg, kind):
    """Return the steps of the paths of a class."""
    found = parsed(svg).iter(f"{SVG}path")
    return [path.get("d") for path in found if kind in path.get("class").split()]
