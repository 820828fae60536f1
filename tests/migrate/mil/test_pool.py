"""Pools against windows read one by one, with where they start and their count as literals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from programs import evaluated

from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types


def numbers(*shape, seed=0):
    """Mostly negative values, so that a maximum over padding zeros would show."""
    return np.random.RandomState(seed).randint(-32, 5, shape).astype(np.float32) / 8


def pooled(kind, x, kernel, strides, starts, counts, bounds, exclude):
    """Windows over [B, C, *D]; `bounds` are the ends of the padding, beyond which none count."""
    y = np.empty((*x.shape[:2], *counts))
    for o in np.ndindex(*counts):
        firsts = [i * s - start for i, s, start in zip(o, strides, starts, strict=True)]
        ranges = [range(f, f + k) for f, k in zip(firsts, kernel, strict=True)]
        positions = list(itertools.product(*ranges))
        inner = [p for p in positions if min(p) >= 0 and np.less(p, x.shape[2:]).all()]
        padded = [p for p in positions if np.less(p, bounds).all()]
        values = np.stack([x[(..., *p)] for p in inner])
        if kind == "max_pool":
            y[(..., *o)] = values.max(0)
        elif kind == "l2_pool":
            y[(..., *o)] = np.sqrt((values**2).sum(0))
        else:
            y[(..., *o)] = values.sum(0) / len(inner if exclude else padded)
    return y


def case(size, kernel, starts, counts, bounds, pad_type, **options):
    return size, starts, counts, bounds, {"kernel_sizes": kernel, "pad_type": pad_type, **options}


CASES = [
    case((7,), [3], (0,), (5,), (7,), "valid"),
    case((7,), [3], (0,), (2,), (7,), "valid", strides=[3], pad=[1, 1]),
    case((7,), [4], (1,), (4,), (9,), "same", strides=[2]),
    case((7,), [4], (2,), (4,), (8,), "same_lower", strides=[2]),
    case((7,), [3], (2,), (8,), (8,), "custom", pad=[2, 1]),
    case((8,), [3], (0,), (4,), (8,), "valid", strides=[2], ceil_mode=True),
    case((6,), [2], (1,), (3,), (7,), "custom", strides=[3], pad=[1, 1], ceil_mode=True),
    case((5, 6), [2, 3], (0, 0), (5, 3), (6, 7), "same", strides=[1, 2]),
    case((5, 6), [2, 3], (1, 1), (5, 3), (5, 6), "same_lower", strides=[1, 2]),
    case((5, 6), [3, 2], (1, 0), (2, 2), (5, 7), "custom", pad=[1, 0, 0, 1], strides=[2, 5]),
    case((6, 7), [3, 2], (1, 1), (4, 3), (7, 8), "custom", pad=[1, 1, 1, 1], strides=[2, 3],
         ceil_mode=True),
    case((5, 3), [2, 2], (0, 0), (3, 2), (5, 3), "valid", strides=[2, 2], ceil_mode=True),
    case((4, 3, 5), [2, 3, 2], (0, 1, 0), (4, 3, 5), (5, 4, 6), "same"),
    case((4, 3, 5), [2, 3, 2], (1, 1, 1), (4, 3, 5), (4, 4, 5), "same_lower"),
    case((4, 3, 5), [2, 2, 2], (0, 1, 0), (3, 2, 2), (4, 3, 5), "custom",
         pad=[0, 0, 1, 0, 0, 0], strides=[1, 2, 3]),
]  # fmt: skip
KINDS = [("max_pool", {}), ("l2_pool", {}), ("avg_pool", {}),
         ("avg_pool", {"exclude_padding_from_average": False}),
         ("avg_pool", {"exclude_padding_from_average": True})]  # fmt: skip


def wanted(kind, x, given, averaged):
    _, starts, counts, bounds, options = given
    strides = options.get("strides", [1] * len(counts))
    exclude = averaged.get("exclude_padding_from_average", False)
    return pooled(kind, x, options["kernel_sizes"], strides, starts, counts, bounds, exclude)


@pytest.mark.parametrize("given", CASES, ids=str)
@pytest.mark.parametrize(("kind", "averaged"), KINDS)
def test_a_pool_reads_its_windows(kind, averaged, given):
    x = numbers(2, 3, *given[0])
    found = ops()[kind].compute(x=torch.from_numpy(x), **given[-1], **averaged)
    expected = wanted(kind, x, given, averaged)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "half"), [(c, False) for c in CASES] + [(c, True) for c in CASES[::4]], ids=str
)
def test_pools_in_a_program(given, half):
    x = numbers(2, 3, *given[0])
    # MIL has l2_pool over one and two axes only
    kinds = {f"y{i}": k for i, k in enumerate(KINDS) if x.ndim < 5 or k[0] != "l2_pool"}

    def build(x):
        return tuple(
            getattr(mb, kind)(x=x, name=name, **given[-1], **averaged)
            for name, (kind, averaged) in kinds.items()
        )

    outputs = evaluated(build, half=half, x=x)
    for name, (kind, averaged) in kinds.items():
        expected = wanted(kind, x, given, averaged)
        tolerance = 2**-10 if half else 1e-5
        np.testing.assert_allclose(outputs[name], expected, rtol=tolerance, err_msg=kind)
        assert not half or (outputs[name] == outputs[name].astype(np.float16)).all()


F = torch.nn.functional


@pytest.mark.parametrize("size", range(5, 10))
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("ceil", [False, True])
def test_pools_are_those_of_torch(size, padding, ceil):
    x = torch.from_numpy(numbers(1, 2, size, size + 1))
    options = {"kernel_sizes": [3, 2], "strides": [3, 2], "ceil_mode": ceil}
    options |= {"pad_type": "custom", "pad": [padding] * 4}
    same = {"kernel_size": (3, 2), "stride": (3, 2), "padding": padding, "ceil_mode": ceil}
    compute = ops()["avg_pool"].compute
    torch.testing.assert_close(ops()["max_pool"].compute(x=x, **options), F.max_pool2d(x, **same))
    for counted in (False, True):
        found = compute(x=x, exclude_padding_from_average=not counted, **options)
        torch.testing.assert_close(found, F.avg_pool2d(x, **same, count_include_pad=counted))


def test_without_padding_a_window_beyond_the_input_counts_where_torch_drops_it():
    x = torch.from_numpy(numbers(1, 1, 6))
    options = {"strides": [3], "ceil_mode": True, "kernel_sizes": [2]}
    found = ops()["max_pool"].compute(x=x, pad_type="valid", **options)
    assert found.tolist() == [[[x[0, 0, :2].max(), x[0, 0, 3:5].max(), -np.inf]]]
    model = evaluated(
        lambda x: mb.max_pool(x=x, pad_type="valid", name="y", **options), x=x.numpy()
    )
    assert model["y"].shape == (1, 1, 3)
    assert F.max_pool1d(x, 2, 3, ceil_mode=True).shape == (1, 1, 2)


def test_the_case_of_a_pad_type_does_not_matter():
    x = torch.from_numpy(numbers(1, 1, 5))
    found = ops()["max_pool"].compute(x=x, kernel_sizes=[2], pad_type="SAME")
    assert found.equal(ops()["max_pool"].compute(x=x, kernel_sizes=[2], pad_type="same"))


@pytest.mark.parametrize("kind", ["avg_pool", "l2_pool", "max_pool"])
def test_a_pad_type_that_is_not_known_is_refused(kind):
    x = torch.zeros(1, 1, 5)
    with pytest.raises(ValueError, match="pad_type 'full' is not known"):
        ops()[kind].compute(x=x, kernel_sizes=[2], pad_type="full")
    with pytest.raises(ValueError, match="ceil_mode cannot be combined with pad_type 'same'"):
        ops()[kind].compute(x=x, kernel_sizes=[2], pad_type="same", ceil_mode=True)
