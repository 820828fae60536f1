"""Reports of one small model, in which only what a test asks for is known."""

from __future__ import annotations

import dataclasses

from migrate import Operation, Options, ProgramOverview
from reporter.measure.identity import ModelIdentity
from reporter.understand.assessment import Assessment
from reporter.understand.comparison import Comparison
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.divergence import Metrics, Row, Table
from reporter.understand.migrated import Variant
from reporter.understand.unit_result import UnitResult
from reporter.write.report.model_facts import LayerFact, ModelFacts
from reporter.write.report.report import MigrationFacts, Report
from reporter.write.repro import Repro

TORCH = "computed here: the network as a torch module in float64"


def facts(name="Tiny.mlmodel"):
    identity = ModelIdentity(
        name=name, kind="neuralNetwork", spec_version=4, size=99,
        sha256="ab" * 32, sha256_without_metadata="cd" * 32,
    )  # fmt: skip
    layers = tuple(LayerFact(n, "relu", ("x",), ("y",), (2,)) for n in ("first", "second"))
    return ModelFacts(identity, (), layers, ())


def nothing(name="Tiny.mlmodel", **changes):
    """A report of which no unit is measured."""
    values = {
        "title": "Core ML: Tiny.mlmodel", "summary": "Nothing is measured.", "simulated": False,
        "model": facts(name), "devices": (), "comparisons": (), "tolerance": 0.01, "missing": (),
        "repro": Repro("print(1)\n", "anereport", "executed"), "software": (("numpy", "2.0"),),
    }  # fmt: skip
    return Report(**{**values, **changes})


def error(largest):
    return Metrics(
        count=6, max_abs=largest, max_abs_index=3, mean_abs=0.125, rmse=0.25, snr=40.0, psnr=50.0,
        cosine=0.5, beyond=int(largest > 1), nan=0, inf=0,
    )  # fmt: skip


def compared(rows=((2, "1.5", "21.5"),), **changes):
    """An output on which the CPU is off by 0.25 and the Neural Engine by 20; no GPU."""
    units = (
        UnitResult("cpu", "measured", error(0.25), 1),
        UnitResult("gpu", "not measured"),
        UnitResult("ane", "measured", error(20.0), 1),
    )
    columns = ("Reference", "CPU", "GPU", "ANE")
    table = Table(columns, ("n", "c"), tuple(
        Row(index, (0, index), (expected, expected, "", found)) for index, expected, found in rows
    ))  # fmt: skip
    values = {
        "output": "output", "shape": (1, 6), "source": "r.json", "device": "Mac",
        "evidence": "measured", "input": "seed-0", "reference": TORCH, "units": units,
        "table": table,
    }  # fmt: skip
    return Comparison(**{**values, **changes})


def measured(rows=((2, "1.5", "21.5"),), fp32="", **changes):
    """A report of one measured output; `fp32` is what its ML Program in fp32 is called."""
    if fp32:
        variant = Variant(
            name=fp32, label="fp32", what="the control", options=Options(precision="fp32"),
            features=(), identity=facts().identity,
        )  # fmt: skip
        other = Variant(name="half.mlpackage", label="fp16", what="fp16", options=Options(),
                        features=(), identity=facts().identity)  # fmt: skip
        changes["migration"] = MigrationFacts((other, variant), (), ())
    return nothing(**{"comparisons": (compared(rows),), **changes})


def with_ratios(cpu=("rounding", 0.5), ane_calls=("diverges",), lost=0):
    """A report whose units are assessed; of the Neural Engine a word for each run."""
    calls = tuple(Assessment(word, 20.0, 0, 1, 2) for word in ane_calls)
    known = Diagnosis(
        {"cpu": Assessment(*cpu, 0, 1, 2), "ane": calls[0]}, "ane", (), (), {"ane": calls}
    )
    (*units, ane) = compared().units
    ane = dataclasses.replace(ane, runs=len(calls) + lost, lost=lost)
    return measured(comparisons=(compared(units=(*units, ane), diagnosis=known),))


def failed(unit="ane"):
    """A report in which a unit failed."""
    units = tuple(
        UnitResult(u.unit, "failed in load: no such plan") if u.unit == unit else u
        for u in compared().units
    )
    return measured(comparisons=(compared(units=units),))


def cpu_stands_in():
    """A report in which no reference could be computed."""
    cpu, gpu, ane = compared().units
    units = (dataclasses.replace(cpu, metrics=None), gpu, ane)
    reference = "not comparable: layer 'x' is custom"
    one = compared(units=units, reference=reference, against="the CPU's values")
    return measured(comparisons=(one,))


def program():
    """A report of an ML Program."""
    operations = tuple(Operation(f"op_{i}", "relu", (2,), "float16") for i in range(4))
    overview = ProgramOverview(
        spec_version=8, opset="CoreML7", system="iOS 17", precision="mixed", inputs=(),
        outputs=(), operations=operations, labels=(), weights_size=0,
    )  # fmt: skip
    return measured(model=dataclasses.replace(facts(), layers=(), program=overview))
