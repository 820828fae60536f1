"""Small fixed reports: nothing in them depends on the machine."""

from __future__ import annotations

import dataclasses

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from migrate import Finding, Operation, Options, ProgramOverview
from reporter.measure.identity import ModelIdentity
from reporter.understand.agreement import agreement
from reporter.understand.assessment import Assessment
from reporter.understand.cells import Cell
from reporter.understand.comparison import Comparison, UnitResult
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.divergence import Metrics, Row, Table
from reporter.understand.explanation import Candidate, Explanation
from reporter.understand.migrated import Variant
from reporter.understand.origin import Kind, Origin
from reporter.understand.reference import PROGRAM_METHOD
from reporter.understand.sides import Outcome, Placement, Side
from reporter.understand.signatures import Signature
from reporter.understand.verdict import Verdict
from reporter.write.attached.shrink import ShrunkFacts
from reporter.write.report.model_facts import FeatureFact, LayerFact, ModelFacts
from reporter.write.report.report import (
    DeviceFact,
    MigrationFacts,
    Missing,
    ReadingFacts,
    Report,
    Tried,
)
from reporter.write.repro import Repro, Weights

HOSTILE = 'a|b`c```\n# <script>alert(1)</script> \u202e[x](y) *z* "q" \\| é~'
COLUMNS = ("Reference", "CPU", "GPU", "ANE")
AXES = ("n", "c", "h", "w")
BUILDING = "r = np.random.RandomState(1)\nb = NeuralNetworkBuilder([], [])"


def opened_as(suffix):
    """Return a snapshot class that writes one plain file per snapshot, with this suffix."""

    class Extension(SingleFileSnapshotExtension):
        _write_mode = WriteMode.TEXT
        file_extension = suffix

    return Extension


@pytest.fixture
def as_file(snapshot):
    return lambda suffix: snapshot.use_extension(opened_as(suffix))


def model_facts(name="Tiny.mlmodel", blob="output", findings=()):
    identity = ModelIdentity(
        name=name,
        kind="neuralNetwork",
        spec_version=4,
        sha256="ab" * 32,
        sha256_without_metadata="cd" * 32,
        size=3_014_828,
    )
    features = (
        FeatureFact("input1", "input", "multiArray", "float32", (1, 2, 3, 1), (1, 2, 3, 1)),
        FeatureFact(blob, "output", "multiArray", "float32", (1, 1, 3, 1), (1, 2, 3, 1)),
    )
    layers = (
        LayerFact("conv1", "convolution", ("input1",), ("conv1_output",), (1, 2, 3, 1)),
        LayerFact(blob, "activation", ("conv1_output",), (blob,), None),
    )
    url = "https://example.com/report/1"
    lint = (
        Finding("error", "declared-shape", f"output '{blob}'", "declares another shape", url),
        Finding("info", "padded-rows", f"output '{blob}'", f"rows of '{blob}'", "no report known"),
    )
    return ModelFacts(identity, features, layers, tuple(findings), lint=lint)


def program_facts():
    operations = (
        Operation("input1_to_fp16", "cast", (1, 2, 3, 1), "float16"),
        Operation("conv1", "conv", (1, -1, 3, 1), "float16"),
        Operation("total", "reduce_sum", (), "float32"),
        Operation("classify_0", "classify", None, "dictionary"),
    )
    program = ProgramOverview(
        spec_version=8,
        opset="CoreML7",
        system="iOS 17, macOS 14",
        precision="mixed",
        inputs=(),
        outputs=(),
        operations=operations,
        labels=("cat", "dog"),
        weights_size=2_770_000,
    )
    facts = model_facts("Tiny.mlpackage")
    identity = facts.identity.model_copy(update={"kind": "mlProgram", "spec_version": 8})
    return dataclasses.replace(facts, identity=identity, layers=(), program=program, lint=())


def program_report():
    status = "executed: it loads the bundled package"
    return report_of(
        [dataclasses.replace(compared("measured"), reference=PROGRAM_METHOD)],
        model=program_facts(),
        devices=(MEASURED_ON,),
        repro=Repro("print(1)\n", "anereport", status, "1\n", own_weights=True),
    )


def migration(name="Tiny.mlpackage", blob="output"):
    """A verdict of each kind of evidence: proven on one device, and not measured on another."""
    before = Side(
        "Tiny.mlmodel", ("before.json",), Outcome("right", 0.25, blob), Outcome(),
        Outcome("wrong", 2570.123, blob), (blob,),
    )  # fmt: skip
    after = Side(
        name, ("after.json",), Outcome("right", 0.5, blob),
        Outcome("failed", float("inf"), "", "load: no such plan"), Outcome("right", 0.75, blob),
        placement=Placement(11, 12, ("classify_0",)),
    )  # fmt: skip
    verdicts = (
        Verdict(
            name, "right, but not proven to run on the Neural Engine",
            (f"the NeuralNetwork is wrong (output '{blob}')", "11 of 12 operations are planned"),
            "iPhone14,2 (20C65)", "measured", before, after,
        ),
        Verdict(
            "Tiny-fp32.mlpackage", "not measured", ("there are no records of it",),
            commands=("anereport run Tiny-mlprogram --out records",),
        ),
    )  # fmt: skip
    identity = ModelIdentity(
        name=name, kind="mlProgram", spec_version=7, sha256="12" * 32, size=1000,
        sha256_without_metadata="34" * 32,
    )  # fmt: skip
    variants = (
        Variant(name=name, label="fp16", what="ML Program in fp16", options=Options(), features=(),
                identity=identity, limits=("a limit",)),
        Variant(name="Tiny-fp32.mlpackage", what="the control", left_out="it has no such layer"),
    )  # fmt: skip
    finding = f"layer '{blob}' overflows float16"
    return MigrationFacts(variants, (finding,), verdicts)


def metrics(beyond, **changes):
    values = {
        "count": 6, "max_abs": 23.2243, "max_abs_index": 3, "mean_abs": 7.5, "rmse": 11.25,
        "snr": 0.0766, "psnr": 3.25, "cosine": 0.987654, "beyond": beyond, "nan": 0, "inf": 0,
    }  # fmt: skip
    return Metrics(**{**values, **changes})


def compared(evidence, blob="output", source="record.json"):
    rows = (
        None,
        Row(2, (0, 0, 2, 0), ("1.5", "1.5", "1.5", "0.20471")),
        Row(3, (0, 1, 0, 0), ("-23.0196609", "-23.0196609", "-23.016", "nan")),
        None,
    )
    units = (
        UnitResult("cpu", evidence, metrics(0, max_abs=0.0, snr=float("inf"), psnr=float("inf"))),
        UnitResult("gpu", "failed in load: no such plan"),
        UnitResult("ane", evidence, metrics(5, nan=1)),
    )
    return Comparison(
        output=blob,
        shape=(1, 2, 3, 1),
        source=source,
        device="Mac15,3, Apple M3, macOS 14.1 (23B81)",
        evidence=evidence,
        input="seed-0",
        reference="computed here: the network as a torch module in float64",
        units=units,
        table=Table(COLUMNS, AXES, rows),
        diagnosis=diagnosis(blob),
    )


def diagnosis(blob):
    """The CPU exact, the Neural Engine not finite in one of two channels."""
    says = f"1 of 2 channels holds one value each: '{blob}'."
    return Diagnosis(
        assessments={
            "cpu": Assessment("exact", 0.0, 0, 0, 2),
            "ane": Assessment("diverges", float("inf"), 1, 1, 2),
        },
        suspect="ane",
        who=("rounding explains the CPU, and not the ANE",),
        signatures=(
            Signature("K1", "Stuck constant", (("channels", 1), ("value", 0.25)), says),
            Signature("B0", "A second", (), "Beside the first."),
        ),
    )


def explanation(layer="conv1"):
    first = Candidate((f"bias-only@{layer}", f"zeroed@{layer}"), "Hold the bias.", 0.75)
    return Explanation(
        "seed-0", "ane", (first, Candidate(("stale@conv1",), "Be late.", float("inf"))),
        healthy=2570.0, tried=7, possible=9, left_out=2, limit=8.0,
    )  # fmt: skip


def devices(blob="output", label="a"):
    """Two phones of one kind that disagree, and what nobody named."""
    phone = Kind("measured", "iPhone14,5", "iOS 16.2", "20C65")
    rows = (
        (Origin(phone, label, product="iPhone 13"), "ane", "diverges", 2570.123, f"{label}.json"),
        (Origin(phone, "b", product="iPhone 13"), "ane", "rounding", 0.75, "b.json"),
        (Origin(Kind("measured", "", "", ""), file="c.npz"), "cpu", "failed", None, "c.npz"),
    )
    return agreement(
        "Tiny.mlmodel",
        [
            Cell(origin, "Tiny.mlmodel", unit, record, blob, "0" * 64, word, ratio, 3)
            for origin, unit, word, ratio, record in rows
        ],
    )


def unmeasured():
    units = tuple(UnitResult(unit, "not measured") for unit in ("cpu", "gpu", "ane"))
    table = Table(COLUMNS, AXES, (Row(0, (0, 0, 0, 0), ("1.25", "", "", "")), None))
    return Comparison(
        output="output",
        shape=(1, 2, 3, 1),
        source="",
        device="",
        evidence="computed",
        input="seed-0",
        reference="computed here: the network as a torch module in float64",
        units=units,
        table=table,
    )


def listed():
    units = tuple(UnitResult(unit, "stated by the user") for unit in ("cpu", "gpu", "ane"))
    rows = (None, Row(2, (0, 0, 2, 0), ("", "-23.01966", "-23.01562", "0.2047119")), None)
    return Comparison(
        output="output",
        shape=(1, 2, 3, 1),
        source="thread.txt",
        device="",
        evidence="stated by the user",
        input="",
        reference="not comparable: the listing carries neither inputs nor weights",
        units=units,
        table=Table(COLUMNS, AXES, rows),
        statements=("The one row lies in channel 0.", "5 values are not listed."),
    )


def report_of(comparisons, **changes):
    values = {
        "title": "Core ML: Tiny.mlmodel",
        "summary": "A summary of one sentence.",
        "simulated": any(c.simulated for c in comparisons),
        "model": model_facts(findings=("the model declares 'output' as 1x1x3x1",)),
        "devices": (),
        "comparisons": tuple(comparisons),
        "tolerance": 0.01,
        "missing": (Missing("the GPU's numbers", "anereport run Tiny.mlmodel --out record.json"),),
        "repro": Repro("print(1)\n", "anereport", "executed: fine", "1\n", True, True, BUILDING),
        "software": (("Python", "3.0"), ("numpy", "1.0")),
        "attachments": (("Tiny-report.zip", 2_770_000),),
    }
    return Report(**{**values, **changes})


MEASURED_ON = DeviceFact("Mac15,3, Apple M3, macOS 14.1 (23B81)", "measured")
SIMULATED_ON = DeviceFact("anereport simulator", "simulated")
STATED = DeviceFact("iPhone 14, iOS 16.2 (20C65)", "stated by the user")


def doubtful(why, found):
    """The comparison, in which a run of the Neural Engine and its cold start are lost."""
    *units, ane = found.units
    lost = dataclasses.replace(ane, runs=3, lost=1, why=why, cold=why)
    return dataclasses.replace(found, units=(*units, lost))


def doubtful_report():
    """Results of a virtual machine: not whole, with a crash and a message of the compiler."""
    doubts = (
        "the record r.json is incomplete: 9 of 13 runs were made before it was stopped",
        "A virtual machine has no usable Neural Engine: no Neural Engine is to be expected there",
    )
    return report_of(
        [doubtful("failed in predict: it was killed", compared("measured"))],
        devices=(dataclasses.replace(MEASURED_ON, doubts=doubts),),
        verdict="failed: in 1 of 3 runs of input seed-0 the ANE failed in predict: it was killed",
        printed=("Apple's compiler printed while the ANE ran: 'ANECCompile() FAILED in ~/m'",),
    )


def hostile_report():
    name = f"{HOSTILE}.mlmodel"
    facts = model_facts(name, HOSTILE, findings=(f"the model declares '{HOSTILE}'",))
    device = DeviceFact(HOSTILE, "measured", (HOSTILE,))
    return report_of(
        [doubtful(HOSTILE, compared("measured", HOSTILE, HOSTILE))],
        printed=(f"Apple's compiler printed: '{HOSTILE}'",),
        title=f"Core ML: {name}",
        model=facts,
        devices=(device,),
        summary=f"of 6 values of output '{HOSTILE}', 5 differ",
        missing=(Missing(HOSTILE, f"anereport run {HOSTILE}"),),
        repro=Repro(
            "",
            "the user",
            HOSTILE,
            f"{HOSTILE}\n```\n{HOSTILE}",
            building="",
            weights=weights(HOSTILE),
        ),
        verdict=f"diverges: output '{HOSTILE}'",
        explanations=(explanation(HOSTILE),),
        migration=migration(HOSTILE, HOSTILE),
        agreement=devices(HOSTILE, HOSTILE),
    )


def weights(text="output"):
    """Each kind of weights, with exact ones that diverge too."""
    identity = ModelIdentity(
        name="Tiny.mlmodel", kind="neuralNetwork", spec_version=4, size=3,
        sha256="d" * 64, sha256_without_metadata="e" * 64,
    )  # fmt: skip
    said = f"diverged with exact weights too: 5 of 6 elements of output '{text}' differ, by up to 3"
    return (
        Weights("real", "Tiny.mlmodel", identity=identity),
        Weights("seeded", "repro-seeded.mlmodel", identity=identity),
        Weights("exact", "repro-exact.mlmodel", "", identity, "survived", said, (text,)),
    )


def whole_report(text="seed-0"):
    """Everything that a report may hold at once; `text` is a name in it."""
    tried = (
        Tried("without-conv1", "Whether conv1 matters: it is left away.", "right", 0.5, 3, ("a",)),
        Tried(text, "Whether padding matters: padded.", "fails: wrong numbers", 12.5, 3, ("b",)),
    )
    reading = ReadingFacts(
        False,
        (f"Tiny.mlmodel is wrong on the Neural Engine ({text}).", "Variants show no cause."),
        (f"It stays with {text}.",),
        tried,
        f"The smallest that still fails is '{text}' (1 layer, 8 weights): padded.",
    )
    (output,) = [compared("measured")]
    calls = {"ane": (output.diagnosis.assessments["ane"],) * 3}
    output = dataclasses.replace(
        output, diagnosis=dataclasses.replace(output.diagnosis, calls=calls), input=text
    )
    other = dataclasses.replace(compared("measured", "second"), input=text)
    return report_of(
        [output, other],
        devices=(MEASURED_ON, STATED),
        verdict="diverges: output 'output' on the ANE",
        migration=migration(blob=text),
        readings=(reading,),
        explanations=(explanation(text),),
        agreement=devices(text),
        placement=Placement(1, 2, (text,)),
        repro=dataclasses.replace(report_of([]).repro, weights=weights(text)),
        last_good="iOS 13.7",
        shrunk=ShrunkFacts(
            "iPhone14,5 (20C65)", "measured", (f"The smallest network that fails: {text}.",),
            "shrink/smallest.mlmodel", 1234,
        ),
        feedback="FB12345678",
        thread="https://developer.apple.com/forums/thread/1",
        notes=f"I saw it on my own phone.\n- {text}",
    )  # fmt: skip


@pytest.fixture(
    params=[
        "unmeasured",
        "listed",
        "measured",
        "simulated",
        "hostile",
        "doubtful",
        "program",
        "migrated",
        "devices",
        "whole",
    ]
)
def kind(request):
    """Which of the reports: a snapshot is named after it."""
    return request.param


@pytest.fixture
def report(kind):
    return {
        "unmeasured": lambda: report_of([unmeasured()]),
        "listed": lambda: report_of([listed()], devices=(STATED,)),
        "measured": lambda: report_of([compared("measured")], devices=(MEASURED_ON,)),
        "simulated": lambda: report_of(
            [compared("simulated")], title="SIMULATED: Core ML: Tiny", devices=(SIMULATED_ON,)
        ),
        "hostile": hostile_report,
        "doubtful": doubtful_report,
        "program": program_report,
        "migrated": lambda: report_of(
            [compared("measured")],
            devices=(MEASURED_ON,),
            migration=migration(),
            verdict="diverges: output 'output' on the ANE",
            explanations=(explanation(),),
            limit=6.0,
        ),
        "devices": lambda: report_of(
            [compared("measured")],
            devices=(MEASURED_ON,),
            verdict="diverges: output 'output' on the ANE in a.json",
            agreement=devices("seed-0"),
        ),
        "whole": whole_report,
    }[kind]()


@pytest.fixture
def make_report():
    """Build a report of one measured comparison, any field replaced."""
    base = report_of([compared("measured")], devices=(MEASURED_ON,))
    return lambda **changes: dataclasses.replace(base, **changes)


@pytest.fixture
def whole():
    return whole_report()


@pytest.fixture
def without_records():
    return report_of([unmeasured()])


@pytest.fixture
def simulated():
    return report_of(
        [compared("simulated")], title="SIMULATED: Core ML: Tiny", devices=(SIMULATED_ON,)
    )


@pytest.fixture
def hostile():
    return hostile_report()
