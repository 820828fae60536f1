"""Branches, loops and lists against what Python does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import compute, outputs_of, quiet

from migrate import evaluate
from migrate.coreml import coremltools
from migrate.errors import ModelError

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types
X = np.array([1.5, -2.0, 4.0], np.float32)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("half", [False, True])
def test_cond_runs_the_branch_that_its_predicate_says(sign, half):
    def build(x):
        positive = mb.greater(x=mb.reduce_sum(x=x, axes=[0]), y=0.0)
        both = mb.cond(
            pred=positive,
            _true_fn=lambda: (mb.add(x=x, y=1.0), mb.mul(x=x, y=3.0)),
            _false_fn=lambda: (mb.sub(x=x, y=2.0), mb.add(x=x, y=x)),
        )
        return [mb.add(x=value, y=0.5) for value in both]

    x = sign * X
    expected = (x + 1.5, x * 3 + 0.5) if sign > 0 else (x - 1.5, x + x + 0.5)
    for result, wanted in zip(outputs_of(build, half=half, x=x), expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_a_branch_may_hold_a_branch_and_see_what_is_around_it():
    def build(x):
        total = mb.reduce_sum(x=x, axes=[0])
        large = mb.greater(x=total, y=100.0)

        def inner():
            return mb.cond(
                pred=mb.less(x=total, y=4.0),
                _true_fn=lambda: mb.mul(x=x, y=10.0),
                _false_fn=lambda: mb.mul(x=x, y=-1.0),
            )

        return mb.cond(pred=large, _true_fn=lambda: mb.mul(x=x, y=2.0), _false_fn=inner)

    np.testing.assert_array_equal(outputs_of(build, x=X)[0], X * 10)


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_while_loop_runs_as_long_as_its_condition_holds(limit):
    def build(x, n):
        return mb.while_loop(
            _cond=lambda i, y, n: mb.less(x=mb.reduce_max(x=i, axes=[0]), y=mb.squeeze(x=n)),
            _body=lambda i, y, n: (mb.add(x=i, y=[1]), mb.mul(x=y, y=2.0), mb.identity(x=n)),
            loop_vars=(mb.identity(x=np.array([0], np.int32)), x, n),
        )[:2]

    count, y = outputs_of(build, x=X, n=np.array([limit], np.int32))
    np.testing.assert_array_equal(count, [limit])
    np.testing.assert_array_equal(y, X * 2**limit)


def test_the_variables_of_a_loop_are_all_replaced_at_once():
    def build(x, y):
        _, a, b = mb.while_loop(
            _cond=lambda i, a, b: mb.less(x=i, y=3),
            _body=lambda i, a, b: (mb.add(x=i, y=1), mb.identity(x=b), mb.add(x=a, y=b)),
            loop_vars=(0, x, y),
        )
        return a, b

    a, b = outputs_of(build, x=X, y=10 * X)
    np.testing.assert_array_equal(a, 21 * X)
    np.testing.assert_array_equal(b, 32 * X)


def test_a_loop_of_float16_rounds_in_every_iteration():
    def build(x):
        return mb.while_loop(
            _cond=lambda i, y: mb.less(x=i, y=4),
            _body=lambda i, y: (mb.add(x=i, y=1), mb.mul(x=y, y=0.3)),
            loop_vars=(0, x),
        )[1]

    expected = X.astype(np.float16)
    for _ in range(4):
        expected = (expected.astype(np.float32) * np.float32(np.float16(0.3))).astype(np.float16)
    np.testing.assert_array_equal(outputs_of(build, half=True, x=X)[0], expected)


def test_lists_grow_and_are_zero_where_nothing_was_written():
    def build(a, b):
        ls = mb.make_list(init_length=2, elem_shape=(3,))
        first = mb.list_read(ls=ls, index=0)
        ls = mb.list_write(ls=mb.list_write(ls=ls, index=0, value=a), index=4, value=b)
        values = np.array([[-1, -2, -3], [-4, -5, -6]], np.float32)
        ls = mb.list_scatter(ls=ls, indices=[2, 1], value=values)
        gathered = mb.list_gather(ls=ls, indices=[4, 2, 3, 1])
        length = mb.expand_dims(x=mb.list_length(ls=ls), axes=[0])
        return first, mb.list_read(ls=ls, index=0), gathered, length

    first, a, gathered, length = outputs_of(build, a=X, b=2 * X)
    np.testing.assert_array_equal(first, np.zeros(3))
    np.testing.assert_array_equal(a, X)
    np.testing.assert_array_equal(gathered, [2 * X, [-1, -2, -3], np.zeros(3), [-4, -5, -6]])
    np.testing.assert_array_equal(length, [5])


def test_a_loop_may_write_a_list():
    def build(x):
        _, ls, _ = mb.while_loop(
            _cond=lambda i, ls, y: mb.less(x=i, y=3),
            _body=lambda i, ls, y: (
                mb.add(x=i, y=1),
                mb.list_write(ls=ls, index=i, value=y),
                mb.mul(x=y, y=2.0),
            ),
            loop_vars=(0, mb.make_list(init_length=1, elem_shape=(3,), dtype="fp32"), x),
        )
        places = mb.range_1d(start=0, end=mb.list_length(ls=ls), step=1)
        return mb.list_gather(ls=ls, indices=places)

    np.testing.assert_array_equal(outputs_of(build, x=X)[0], [X, 2 * X, 4 * X])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int32", torch.int32), ("bool", torch.bool), ("fp16", torch.float16)],
)
def test_make_list_holds_zeros_of_its_dtype(dtype, expected):
    ls = compute("make_list", elem_shape=[2, 3], init_length=2, dtype=dtype)
    element = compute("list_read", ls=ls, index=1)
    assert element.dtype == expected
    assert element.shape == (2, 3)
    assert not element.any()


def test_a_shape_of_names_is_what_is_written_first():
    ls = compute("make_list", elem_shape=["s", 2], init_length=3)
    ls = compute("list_write", ls=ls, index=torch.tensor(1), value=torch.ones(4, 2))
    assert compute("list_gather", ls=ls, indices=torch.tensor([0, 1])).shape == (2, 4, 2)


def test_writing_leaves_the_list_that_was_given_as_it_is():
    ls = compute("make_list", elem_shape=[1], init_length=1)
    longer = compute("list_write", ls=ls, index=1, value=torch.ones(1))
    assert int(compute("list_length", ls=ls)) == 1
    assert int(compute("list_length", ls=compute("identity", x=longer))) == 2


@pytest.mark.parametrize("index", [-1, 2])
def test_a_list_of_fixed_length_is_left_at_neither_end(index):
    ls = compute("make_list", elem_shape=[1], init_length=2, dynamic_length=False)
    with pytest.raises(IndexError, match="not in a list of 2"):
        compute("list_write", ls=ls, index=index, value=torch.ones(1))
    with pytest.raises(IndexError, match="not in a list of 2"):
        compute("list_gather", ls=ls, indices=torch.tensor([index]))


def test_a_dtype_of_lists_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="dtype 'int64' is not known"):
        compute("make_list", elem_shape=[1], dtype="int64")


def test_reading_beyond_a_list_names_the_operation():
    def build(x):
        ls = mb.make_list(init_length=2, elem_shape=(3,))
        return mb.list_read(ls=ls, index=mb.cast(x=mb.reduce_max(x=x, axes=[0]), dtype="int32"))

    with pytest.raises(ModelError, match=r"list_read.*index 4 is not in a list of 2"):
        outputs_of(build, x=X)


def test_select_broadcasts_its_three_inputs():
    def build(x):
        column = np.array([[1.0], [2.0]], np.float32)
        return mb.select(cond=mb.greater(x=x, y=0.0), a=mb.add(x=x, y=column), b=column)

    column = np.array([[1], [2]])
    expected = np.where(X > 0, X + column, column)
    np.testing.assert_array_equal(outputs_of(build, x=X)[0], expected)


def test_identity_returns_tensors_and_numbers():
    assert compute("identity", x=3).item() == 3
    np.testing.assert_array_equal(outputs_of(lambda x: mb.identity(x=x), x=X)[0], X)


@pytest.mark.parametrize("labels", [["cat", "dog", "cow"], [7, 5, 9]])
def test_a_classifier_returns_its_label_and_all_probabilities(labels):
    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(-1)).eval()
    x = torch.randn(1, 4)
    with quiet():
        model = ct.convert(
            torch.jit.trace(module, x),
            inputs=[ct.TensorType(name="x", shape=(1, 4))],
            classifier_config=ct.ClassifierConfig(labels, predicted_feature_name="label"),
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
    outputs = evaluate(model, {"x": x.numpy()})
    expected = module(x).detach()[0]
    assert outputs.pop("label") == labels[int(expected.argmax())]
    (probabilities,) = outputs.values()
    assert list(probabilities) == labels
    np.testing.assert_allclose(list(probabilities.values()), expected, rtol=1e-5)


def test_of_equal_probabilities_the_first_label_is_taken():
    label, by_label = compute(
        "classify", probabilities=torch.tensor([0.5, 0.5]), classes=["a", "b"]
    )
    assert label == "a"
    assert by_label == {"a": 0.5, "b": 0.5}
