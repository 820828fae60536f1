"""Reports of every form that their types allow, which no command need ever make."""

from __future__ import annotations

from hypothesis import strategies as st

from migrate import Options
from reporter.understand.assessment import Assessment
from reporter.understand.diagnosis import Diagnosis
from reporter.understand.signatures import Signature
from reporter.write.report.report import SCHEMA, Report

ASSESSED = st.dictionaries(st.sampled_from(["cpu", "ane"]), st.from_type(Assessment))
NUMBERS = st.floats() | st.integers() | st.text().filter(lambda x: x not in ("NaN", "Infinity"))

st.register_type_strategy(
    Options,
    st.builds(
        Options,
        precision=st.sampled_from(["fp16", "fp32"]),
        target=st.sampled_from(["iOS15", "macOS15"]),
        features=st.sampled_from(["", "fp32"]),
        max_size=st.integers(1, 4096),
    ),
)
st.register_type_strategy(
    Signature,
    st.builds(Signature, numbers=st.lists(st.tuples(st.text(), NUMBERS), max_size=3).map(tuple)),
)
st.register_type_strategy(
    Diagnosis,
    st.builds(
        Diagnosis,
        assessments=ASSESSED,
        cold=ASSESSED,
        calls=st.dictionaries(st.text(), st.tuples(st.from_type(Assessment))),
    ),
)
reports = st.builds(Report, schema=st.just(SCHEMA))
