"""Which ML Programs there are: every value of an option, and what is refused."""

from __future__ import annotations

import pytest

from migrate import UnsupportedError
from migrate.options import PRECISIONS, TARGETS, Options

RELEASES = {
    "iOS15": 15, "iOS16": 16, "iOS17": 17, "iOS18": 18,
    "macOS12": 15, "macOS13": 16, "macOS14": 17, "macOS15": 18,
}  # fmt: skip


def test_the_defaults():
    options = Options()
    assert (options.precision, options.target, options.features) == ("fp16", "iOS16", "")
    assert (options.keep_fp32, options.max_size) == ((), 2048)


def test_each_target_has_the_release_of_its_year():
    """macOS 12 and iOS 15 read the same programs, and so on."""
    assert {target: Options(target=target).release for target in TARGETS} == RELEASES


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("features", ["", "fp16", "fp32"])
def test_what_goes_together(precision, features):
    options = Options(precision, "macOS13", features, max_size=1)
    assert (options.precision, options.features, options.release) == (precision, features, 16)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"precision": "fp64"}, "precision 'fp64' is not one of fp16, fp32"),
        ({"precision": ""}, "precision '' is not one of fp16, fp32"),
        ({"target": "iOS14"}, f"target 'iOS14' is not one of {', '.join(RELEASES)}"),
        ({"target": "macOS16"}, f"target 'macOS16' is not one of {', '.join(RELEASES)}"),
        ({"features": "fp8"}, "features 'fp8' is not one of fp16, fp32"),
        ({"features": "fp16", "target": "iOS15"},
         "float16 features need iOS16, the target is iOS15"),
        ({"features": "fp16", "target": "macOS12"},
         "float16 features need iOS16, the target is macOS12"),
        ({"precision": "fp32", "keep_fp32": ("conv1",)},
         "with precision 'fp32' every layer is float32, so keep_fp32 says nothing"),
        ({"max_size": 0}, "max_size 0 is not a size"),
        ({"max_size": -1}, "max_size -1 is not a size"),
    ],
)  # fmt: skip
def test_what_does_not_exist_or_not_together(wanted, sentence):
    with pytest.raises(UnsupportedError) as caught:
        Options(**wanted)
    assert str(caught.value) == sentence
