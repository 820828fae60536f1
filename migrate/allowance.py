"""What may be computed for a file that somebody else wrote: so many bytes, so many rounds.

A step can make no more elements than the product of its inputs' elements and of the numbers that it
is told. Only where that is too much, what it would allocate is found by running it on torch's meta
device, which has shapes and no values, but for those of small tensors, which may be sizes.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from migrate import limits
from migrate.errors import AnereportError
from migrate.tracing import unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NOTABLE = 2**20  # elements: of smaller tensors nobody counts how many there are
WEIGHTS = "WeightParams"
MOST_SIZES = 64  # elements of a tensor that holds sizes
ROUNDS = 2**16  # of a loop, with those of the loops inside of it

UNTOLD = (
    AnereportError,
    RuntimeError,
    IndexError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    AssertionError,
)  # where sizes follow from values; a step that is itself at fault will say so
_rounds: ContextVar[list[int] | None] = ContextVar("rounds", default=None)


class _TooLarge(Exception):  # noqa: N818  a signal: how many bytes a step would allocate
    pass


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stops at the first tensor that would have a storage of more than is allowed."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            size = x.untyped_storage().nbytes() if isinstance(x, Tensor) and x.is_meta else 0
            if size > limits.LARGEST_BYTES:
                raise _TooLarge(size)
        return result


def refuse_crowd(inputs: Iterable[Any], most: float, alive: Iterable[Any]) -> None:
    """Raise ValueError where another tensor like the largest of a step's inputs has no room.

    A step without inputs makes up to `most` elements. `alive` are the tensors that exist.
    """
    sizes = [x.numel() for x in inputs if isinstance(x, Tensor)]
    largest = min(max(sizes) if sizes else most, limits.largest())
    if largest > NOTABLE and held(alive) + 4 * largest > limits.most_held():
        raise ValueError(
            f"more than {limits.most_held():,} bytes would be held at once, which is not allowed: "
            "give it smaller inputs"
        )


def refuse_outgrown(compute: Callable[..., Any], given: Any) -> None:
    """Raise ValueError if `compute(given)` would allocate a tensor of too many bytes.

    Tensors in `given`, a tree of lists and dictionaries, are without values there: all of them, or
    else those that are too large to hold sizes.
    """
    for most_sizes in (0, MOST_SIZES):
        try:
            with (
                unseen(),
                torch.no_grad(),
                torch.random.fork_rng(devices=[]),
                torch.device("meta"),
                _Allocations(),  # type: ignore[no-untyped-call]
            ):
                compute(tree_map(partial(_without_values, most_sizes), given))
        except _TooLarge as error:
            raise ValueError(
                f"needs {error.args[0]:,} bytes for one tensor, and {limits.LARGEST_BYTES:,} are "
                "allowed: give it smaller inputs"
            ) from None
        except UNTOLD:
            continue
        return


def _without_values(most_sizes: int, value: Any) -> Any:
    """Return a tensor on the meta device; integers and what may hold sizes stay as they are."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim == 0:
        return value
    sizes = value.ndim == 1 and len(value) <= most_sizes
    return value if sizes else value.to("meta")


def of_tensor(x: Tensor) -> float:
    """Return at most how many elements a tensor's elements and the sizes in it can become."""
    sizes = x.ndim == 0 or not x.is_floating_point()
    told = of_numbers(x.flatten().tolist()) if sizes and x.numel() <= MOST_SIZES else 1.0
    return max(1, x.numel()) * told


def growth(message: Any) -> float:
    """Return at most how many elements a layer makes of each, by the numbers in its message."""
    found = 1.0
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.cpp_type not in (field.CPPTYPE_STRING, field.CPPTYPE_BOOL):
                found *= of_numbers(value if field.is_repeated else [value])
        elif not (field.message_type.GetOptions().map_entry or field.message_type.name == WEIGHTS):
            found *= math.prod(map(growth, value if field.is_repeated else [value]))
    return found


def of_numbers(values: Iterable[float]) -> float:
    """Return the product of numbers, each and one; infinite where one of them is no number."""
    found = math.prod(1.0 + abs(n) for n in values)
    return math.inf if math.isnan(found) else found


def held(values: Iterable[Any]) -> int:
    """Return the bytes of the storages of tensors; what shares one counts once."""
    storages = (x.untyped_storage() for x in values if isinstance(x, Tensor))
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@contextmanager
def rounds() -> Iterator[Callable[[], None]]:
    """Yield what a loop calls in each round; a ValueError once there were more than ROUNDS."""
    count = _rounds.get() or [0]
    token = _rounds.set(count)

    def one_more() -> None:
        count[0] += 1
        if count[0] > ROUNDS:
            raise ValueError(f"a loop is not over after {ROUNDS:,} rounds")

    try:
        yield one_more
    finally:
        _rounds.reset(token)
