"""The envelope of ML Programs: each operation's rounding, by an oracle of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from packages import X, affine, classifier, converted, ct, saved
from programs import mb, quiet, types
from torch import nn

import migrate
from migrate import InputError, UnsupportedError, program_envelopes

HALF = np.float16


class Channels(nn.Module):
    """0.3 x + 4000 - 4000 of channels: nothing is left of the digits of small ones."""

    def forward(self, x):
        return x * 0.3 + 4000 - 4000


def image_like():
    return np.random.RandomState(1).randn(1, 2, 5, 7).astype(np.float32) * [[[[1]], [[1000]]]]


def test_the_error_of_each_channel_is_that_of_rounding_each_operation():
    x = ct.TensorType(name="x", shape=(1, 2, 5, 7), dtype=np.float32)
    y = ct.TensorType(name="y", dtype=np.float32)
    given = np.float32(image_like())
    (found,) = program_envelopes(
        converted(Channels(), [x], "fp16", outputs=[y]), {"x": given}
    ).values()
    factor, shift = np.float32(HALF(0.3)), np.float32(4000)
    exact = given * factor + shift - shift
    product = np.float32(HALF(np.float32(HALF(given)) * factor))
    rounded = np.float32(HALF(np.float32(HALF(product + shift)) - shift))
    np.testing.assert_array_equal(found.reference, exact)
    errors = (rounded.astype(np.float64) - exact).reshape(2, -1)
    expected = np.sqrt(np.mean(errors**2, axis=1))
    np.testing.assert_allclose(found.rmse, expected, rtol=1e-12)
    assert expected[0] > 0.1
    assert found.within(rounded)
    assert not found.within(rounded + np.float32([[[[20]], [[0]]]]))
    assert not found.within(rounded + np.float32([[[[0]], [[20]]]]))
    assert found.beyond_range == ()


def test_an_overflow_is_named():
    given = np.full((2, 3), 60000, np.float32)
    found = program_envelopes(affine("fp16"), {"x": given})["y"]
    assert found.overflowed.all()
    assert (found.reference == 150001).all()
    assert found.beyond_range == ("op_3_cast_fp16",)


def test_an_overflow_in_a_cast_is_named():
    x = ct.TensorType(name="x", shape=(2, 3), dtype=np.float32)
    program = converted(Channels(), [x], "fp16", outputs=[ct.TensorType(name="y")])
    found = program_envelopes(program, {"x": np.full((2, 3), 7e4, np.float32)})["y"]
    (name,) = found.beyond_range  # what follows is infinite already
    assert name in [
        o.name for o in migrate.describe_program(program).operations if o.kind == "cast"
    ]


def test_a_classifiers_scores_in_the_labels_order():
    scores = np.array([[0.1, 2.0, 0.3]], np.float32)
    ((name, found),) = program_envelopes(classifier(), {"x": scores}).items()
    given = np.float64(HALF(scores[0]))
    softmax = np.exp(given) / np.exp(given).sum()
    np.testing.assert_allclose(found.reference, softmax, rtol=1e-6)
    assert name == "classLabel_probs"
    assert found.within(np.float32(HALF(softmax)))


def test_integers_have_the_ulp_alone():
    class Both(nn.Module):
        def forward(self, x):
            return x * 0.3, x.argmax(-1)

    x = ct.TensorType(name="x", shape=(2, 3))
    outputs = [ct.TensorType(name="y"), ct.TensorType(name="n", dtype=np.int32)]
    found = program_envelopes(converted(Both(), [x], "fp16", outputs=outputs), {"x": X})
    assert list(found) == ["y", "n"]
    np.testing.assert_array_equal(found["n"].reference, np.float32(HALF(X)).argmax(-1))
    assert found["n"].rmse <= 2.0**-10


def test_a_package_on_disk(tmp_path):
    path = saved(affine("fp16"), tmp_path / "affine.mlpackage")
    ours, theirs = (program_envelopes(p, {"x": X})["y"] for p in (path, affine("fp16")))
    np.testing.assert_array_equal(ours.rmse, theirs.rmse)


def test_programs_without_an_envelope():
    with pytest.raises(UnsupportedError, match="computes in fp32: there is no float16 rounding"):
        program_envelopes(affine(), {"x": X})

    @mb.program(input_specs=[mb.TensorSpec((2, 3), types.fp32)], opset_version=ct.target.iOS17)
    def noisy(x):
        return mb.add(x=x, y=mb.random_normal(shape=(2, 3), name="noise"))

    with quiet():
        model = ct.convert(
            noisy, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"'noise.*random_normal.*draws random numbers"):
        program_envelopes(model, {"x": X})


def test_inputs_that_do_not_fit():
    with pytest.raises(InputError, match="input 'x' is missing"):
        migrate.program_envelopes(affine("fp16"), {})
