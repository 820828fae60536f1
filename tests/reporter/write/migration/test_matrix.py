"""Which models are made of which options."""

from __future__ import annotations

from pathlib import Path

import pytest

import migrate
from migrate import OptionError, Options
from reporter.write.migration.matrix import one, whole

MODEL = Path("some/where/My Model.mlmodel")


def test_one_is_made_and_a_control_is_compared():
    main, control = one(MODEL, Options())
    assert (main.label, main.name, main.options) == ("fp16", "My Model.mlpackage", Options())
    assert main.what == "ML Program in fp16, for iOS16 and later"
    assert (control.label, control.name) == ("fp32", "")
    assert control.options == Options(precision="fp32")


def test_single_precision_is_controlled_by_half():
    options = Options(precision="fp32", target="macOS14", features="fp16", max_size=7)
    main, control = one(MODEL, options)
    assert (main.label, main.options) == ("fp32", options)
    assert main.what == (
        "ML Program in fp32, fp16 arrays at its inputs and outputs, for macOS14 and later: the "
        "control, which never runs on the Neural Engine"
    )
    assert (control.label, control.name) == ("fp16", "")
    assert control.options == Options("fp16", "macOS14", "fp16", (), 7)


def test_layers_that_are_kept_are_named_and_the_control_needs_none():
    options = Options(keep_fp32=("relu", "a|b"), target="iOS18")
    main, control = one(MODEL, options)
    assert main.what == "ML Program in fp16 but for relu, a|b in fp32, for iOS18 and later"
    assert main.options.keep_fp32 == ("relu", "a|b")
    assert control.options == Options("fp32", "iOS18")


def test_the_matrix_has_each_release_and_float16_features_and_the_control():
    found = whole(MODEL, Options())
    assert [(w.options.precision, w.options.target, w.options.features) for w in found] == [
        ("fp16", "iOS15", ""), ("fp16", "iOS16", ""), ("fp16", "iOS17", ""), ("fp16", "iOS18", ""),
        ("fp16", "iOS16", "fp16"), ("fp16", "iOS17", "fp16"), ("fp16", "iOS18", "fp16"),
        ("fp32", "iOS15", ""),
    ]  # fmt: skip
    assert [w.name for w in found[3:5]] == [
        "My Model-fp16-iOS18.mlpackage", "My Model-fp16-iOS16-fp16-features.mlpackage",
    ]  # fmt: skip
    for part in ("label", "name", "what", "options"):
        assert len({getattr(w, part) for w in found}) == 8
    assert all(w.name == f"My Model-{w.label}.mlpackage" for w in found)
    assert ["control" in w.what for w in found] == [False] * 7 + [True]


def test_what_else_is_asked_for_holds_for_all_of_the_matrix():
    found = whole(MODEL, Options(keep_fp32=("relu",), max_size=9))
    assert {w.options.max_size for w in found} == {9}
    assert [w.options.keep_fp32 for w in found] == [("relu",)] * 7 + [()]
    assert all("but for relu in fp32" in w.what for w in found[:7])


@pytest.mark.parametrize(
    ("name", "value"),
    [("precision", "fp32"), ("target", "iOS17"), ("target", "macOS13"), ("features", "fp16"),
     ("features", "fp32")],
)  # fmt: skip
def test_a_matrix_is_not_asked_for_one_of_its_own(name, value):
    with pytest.raises(OptionError) as caught:
        whole(MODEL, Options(**{name: value}))
    assert str(caught.value).endswith(f"leave {name} away")
    assert isinstance(caught.value, migrate.AnereportError)
