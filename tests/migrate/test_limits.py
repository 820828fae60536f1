"""What ordinary use allows: large images pass, and a sentence says how to go on beyond."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import network

import migrate
from migrate import ModelError, allowance, limits

CHANNELS_AT_4K = (64, 2160, 3840)  # 2 GiB in float32


def test_64_channels_at_4k_are_allowed():
    spec = network({"x": CHANNELS_AT_4K}, ["y"], ("copy", "x", "y", {}))
    assert migrate.default_shape(migrate.read(spec).inputs[0]) == CHANNELS_AT_4K


def asked(*shapes):
    """Ask about the sum of tensors of these shapes; nothing is allocated for them."""
    given = [torch.zeros(1).expand(shape) for shape in shapes]
    allowance.refuse_outgrown(lambda tensors: tensors[0] + tensors[1], given)


def test_2_gib_are_the_most_for_one_tensor():
    asked((2**14, 1), (1, 2**15))
    with pytest.raises(ValueError, match=r"2,147,614,720 bytes .* 2,147,483,648 are allowed") as e:
        asked((2**14 + 1, 1), (1, 2**15))
    assert str(e.value).endswith(": give it smaller inputs")


@pytest.mark.parametrize(("alive", "fits"), [(2**29, True), (2**29 + 1, False)])
def test_4_gib_are_the_most_at_once(alive, fits):
    tensors = [torch.empty(alive, device="meta")]  # each has a storage, and no memory
    largest = [torch.empty(2**29, device="meta")]
    if fits:
        allowance.refuse_crowd(largest, 0, tensors)
        return
    with pytest.raises(ValueError, match="more than 4,294,967,296 bytes would be held at once"):
        allowance.refuse_crowd(largest, 0, tensors)


def test_one_variable_sets_all(monkeypatch):
    monkeypatch.setattr(limits, "LARGEST_BYTES", 2**12)
    assert (limits.largest(), limits.most_held()) == (2**10, 2**13)
    spec = network({"x": (2**10,)}, ["y"], ("tile", "x", "y", {"reps": [2]}))
    with pytest.raises(ModelError, match="8,192 bytes for one tensor, and 4,096 are allowed"):
        migrate.to_torch(spec).predict({"x": np.zeros(2**10)})
    spec = network({"x": (2**10 + 1,)}, ["y"], ("copy", "x", "y", {}))
    with pytest.raises(ModelError, match="claims a size of 1025, the largest is 1,024"):
        migrate.default_shape(migrate.read(spec).inputs[0])
