"""Ten records of three phones on two system builds, and the matrix that they make, by hand.

All three phones have the chip A15: it tells none of what follows apart.
"""

from __future__ import annotations

import functools

import numpy as np
from devices import Chain, serial

from reporter.measure.identity import identify
from reporter.measure.record import Device, Failure, Record, Run, dumps
from reporter.measure.simulate import values

CHAIN = Chain((1, 3, 6, 5), (4, 3, 3, 3), (2, 4, 1, 1), seed=2)
VERSIONS = {"20C65": "16.2", "21A329": "17.0"}


def model(path):
    """Write the network that the phones measure."""
    path.write_bytes(CHAIN.spec().SerializeToString(deterministic=True))
    return path


def given(seed):
    return np.random.RandomState(seed).randn(*CHAIN.shape).astype(np.float32)


@functools.cache
def healthy(seed):
    return CHAIN.run(given(seed), serial)


def phone(label="", identifier="iPhone14,5", build="20C65", product="iPhone 13"):
    return Device(
        label=label, identifier=identifier, product=product if identifier == "iPhone14,5" else "",
        chip="A15 Bionic", system="iOS", version=VERSIONS[build], build=build,
    )  # fmt: skip


def result(how, seed, wrong=2):
    """What a unit gave: "right", "wrong", "failed" or "shape"."""
    if how == "failed":
        return {"failure": Failure(stage="predict", message="it was killed")}
    y = healthy(seed)
    y = {"right": y, "wrong": wrong * y, "shape": y[:, :1]}[how]
    return {"outputs": values({"y": y})}


def record_of(path, device, seeds=(1,), evidence="measured", simulation="", **units):
    """A record in which each unit gave `how` for each seed; several are repeats."""
    runs = [
        Run(unit=unit, input=f"seed-{seed}", repeat=i, **result(one, seed))
        for unit, how in units.items()
        for seed in seeds
        for i, one in enumerate([how] if isinstance(how, str) else how)
    ]
    return Record(
        schema="anereport.record/1", evidence=evidence, model=identify(path), device=device,
        simulation=simulation, runs=tuple(runs),
        inputs={f"seed-{seed}": values({"x": given(seed)}) for seed in seeds},
    )  # fmt: skip


def ten(path):
    """The records by the names of their files."""
    old, new = "20C65", "21A329"
    rows = {
        "a1": (phone("a", build=old), {"cpu": "right", "ane": "wrong"}),
        "a2": (phone("a", build=old), {"cpu": "right", "ane": ["wrong", "wrong"]}),
        "a3": (phone("a", build=new), {"cpu": "right", "ane": "right"}),
        "a4": (phone("a", build=new), {"cpu": "right", "ane": "right", "seeds": (1, 2)}),
        "b1": (phone("b", build=old), {"cpu": "right", "ane": "right"}),
        "b2": (phone("b", build=new), {"cpu": "right", "ane": "right"}),
        "b3": (phone("b", build=new), {"cpu": "right", "ane": "wrong"}),
        "c1": (phone("c", "iPhone14,6", old), {"cpu": "right", "ane": "right"}),
        "c2": (phone("c", "iPhone14,6", old), {"cpu": "right", "ane": "right", "seeds": (3,)}),
        "c3": (phone("c", "iPhone14,6", new), {"cpu": "right", "gpu": "wrong", "ane": "failed"}),
    }
    return {f"{n}.json": record_of(path, device, **made) for n, (device, made) in rows.items()}


# unit, identifier, label, system and build: word, runs, inputs, records
MATRIX = {
    ("ane", "iPhone14,5", "a", "iOS 16.2, 20C65"): ("diverges", 3, 1, ("a1.json", "a2.json")),
    ("ane", "iPhone14,5", "a", "iOS 17.0, 21A329"): ("rounding", 3, 2, ("a3.json", "a4.json")),
    ("ane", "iPhone14,5", "b", "iOS 16.2, 20C65"): ("rounding", 1, 1, ("b1.json",)),
    ("ane", "iPhone14,5", "b", "iOS 17.0, 21A329"): ("in conflict", 2, 1, ("b2.json", "b3.json")),
    ("ane", "iPhone14,6", "c", "iOS 16.2, 20C65"): ("rounding", 2, 2, ("c1.json", "c2.json")),
    ("ane", "iPhone14,6", "c", "iOS 17.0, 21A329"): ("failed", 1, 1, ("c3.json",)),
    ("gpu", "iPhone14,6", "c", "iOS 17.0, 21A329"): ("diverges", 1, 1, ("c3.json",)),
    ("cpu", "iPhone14,5", "a", "iOS 16.2, 20C65"): ("rounding", 2, 1, ("a1.json", "a2.json")),
    ("cpu", "iPhone14,5", "a", "iOS 17.0, 21A329"): ("rounding", 3, 2, ("a3.json", "a4.json")),
    ("cpu", "iPhone14,5", "b", "iOS 16.2, 20C65"): ("rounding", 1, 1, ("b1.json",)),
    ("cpu", "iPhone14,5", "b", "iOS 17.0, 21A329"): ("rounding", 2, 1, ("b2.json", "b3.json")),
    ("cpu", "iPhone14,6", "c", "iOS 16.2, 20C65"): ("rounding", 2, 2, ("c1.json", "c2.json")),
    ("cpu", "iPhone14,6", "c", "iOS 17.0, 21A329"): ("rounding", 1, 1, ("c3.json",)),
}


def matrix(agreement):
    """An agreement's rows as MATRIX has them."""
    return {
        (r.unit, r.origin.kind.identifier, r.origin.label, r.origin.kind.system_build):
        (r.word, r.runs, r.inputs, r.records)
        for r in agreement.rows
    }  # fmt: skip


def written(folder, records):
    """Write records to a folder by their names."""
    folder.mkdir(exist_ok=True)
    for name, record in records.items():
        (folder / name).write_text(dumps(record))
    return folder
