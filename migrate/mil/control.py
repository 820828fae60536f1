"""Branches, loops, lists of tensors, and what ends a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from migrate.allowance import rounds
from migrate.mil.registry import op
from migrate.mil.values import ints, tensor

DTYPES = {
    "bool": torch.bool,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int32": torch.int32,
}


@dataclass(frozen=True)
class TensorList:
    """A list of tensors of one shape; writing returns another list."""

    elements: tuple[Tensor, ...]
    dynamic: bool  # it grows when what is beyond its end is written


@op("cond", nested=True)
def cond(run: Any, blocks: Any, pred: Any) -> tuple[Any, ...]:
    """Run the first block if the predicate holds, else the second."""
    return tuple(run(blocks[0] if bool(pred) else blocks[1]))


@op("while_loop", nested=True)
def while_loop(run: Any, blocks: Any, loop_vars: Any) -> tuple[Any, ...]:
    """Run the second block on its own outputs as long as the first says so."""
    condition, body = blocks
    values = tuple(loop_vars)
    with rounds() as one_more:
        while bool(run(condition, *values)[0]):
            one_more()
            values = run(body, *values)
    return values


@op("select")
def select(cond: Any, a: Any, b: Any) -> Tensor:
    """Return elements of a where the condition holds, else of b, with numpy's broadcasting."""
    return torch.where(tensor(cond).bool(), tensor(a), tensor(b))


@op("identity")
def identity(x: Any) -> Any:
    """Return the input, which may be a list too."""
    return x if isinstance(x, TensorList) else tensor(x)


@op("classify")
def classify(probabilities: Tensor, classes: Any) -> tuple[Any, dict[Any, float]]:
    """Return the label of the first largest probability, and all probabilities by label."""
    labels = ints(classes) if isinstance(classes, Tensor) else list(classes)
    values = [float(p) for p in probabilities.flatten().tolist()]
    by_label = dict(zip(labels, values, strict=True))
    return labels[values.index(max(values))], by_label


@op("make_list")
def make_list(
    elem_shape: Any, init_length: Any = 1, dynamic_length: bool = True, dtype: str = "fp32"
) -> TensorList:
    """Return a list of zeros; a name in the shape is a size that the first write determines."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not known")
    named = any(isinstance(size, str) for size in elem_shape)
    zeros = torch.zeros([] if named else ints(elem_shape), dtype=DTYPES[dtype])
    return TensorList((zeros,) * int(init_length), bool(dynamic_length))


@op("list_length")
def list_length(ls: TensorList) -> Tensor:
    """Return how many elements a list has."""
    return torch.tensor(len(ls.elements))


@op("list_read")
def list_read(ls: TensorList, index: Any) -> Tensor:
    """Return the element at an index."""
    return _element(ls, int(index))


@op("list_gather")
def list_gather(ls: TensorList, indices: Any) -> Tensor:
    """Stack the elements at indices."""
    return torch.stack([_element(ls, index) for index in ints(indices)])


@op("list_write")
def list_write(ls: TensorList, index: Any, value: Any) -> TensorList:
    """Replace the element at an index."""
    return _written(ls, [int(index)], [tensor(value)])


@op("list_scatter")
def list_scatter(ls: TensorList, indices: Any, value: Tensor) -> TensorList:
    """Replace the elements at indices by the slices of a tensor."""
    return _written(ls, ints(indices), list(value.unbind(0)))


def _element(ls: TensorList, index: int) -> Tensor:
    if not 0 <= index < len(ls.elements):
        raise IndexError(f"index {index} is not in a list of {len(ls.elements)}")
    return ls.elements[index]


def _written(ls: TensorList, indices: list[int], values: list[Tensor]) -> TensorList:
    """Replace elements; a list that grows has zeros where nothing has been written."""
    elements = list(ls.elements)
    for index, value in zip(indices, values, strict=True):
        if index < 0 or (index >= len(elements) and not ls.dynamic):
            raise IndexError(f"index {index} is not in a list of {len(elements)}")
        zeros = torch.zeros_like(value)
        elements += [zeros] * (index + 1 - len(elements))
        elements[index] = value
        elements = [e if e.shape == value.shape else zeros for e in elements]
    return TensorList(tuple(elements), ls.dynamic)
