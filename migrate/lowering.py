"""From torch to MIL, where coremltools' front end has no translation or loses something.

A lowering stands beside the function that it translates, and takes the same arguments: MIL
variables in the place of tensors, everything else as it was called.

    @lowers(suppress)                  a helper (see `helpers`): its call becomes one operation
    def _(mb, boxes, scores, ...): return mb.non_maximum_suppression(...)

    @lowers("prod")                    a torch operation, by its name in a traced graph
    def _(mb, x, axis, keep, dtype): return mb.reduce_prod(...)

While a module is traced for conversion, a `Lowerer` is told of the helpers' calls: it runs the
function, and puts a placeholder in the graph that the front end asks it to translate.
"""

from __future__ import annotations

import functools
import inspect
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from migrate import helpers
from migrate.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from migrate.registry import Step

    Lowering = Callable[..., Any]
    Declared = Callable[[Lowering], Lowering]

PLACEHOLDER = "anereport::lowered"  # the operation below

_OF_HELPERS: dict[Callable[..., Any], tuple[Callable[..., bool], Lowering]] = {}
_OF_TORCH: dict[str, Lowering] = {}

_ONE_AT_A_TIME = threading.RLock()  # coremltools keeps its table and what it builds in globals

_library: Any = torch.library.Library("anereport", "DEF")  # type: ignore[no-untyped-call]
_library.define("lowered(str key, Tensor[] tensors) -> Tensor[]")


def lowers(
    target: Callable[..., Any] | str, when: Callable[..., bool] = lambda *args, **kwargs: True
) -> Declared:
    """Register how a helper, or the torch operation of a name, is expressed in MIL.

    A helper whose arguments `when` is false for is traced as it stands. The lowering of a torch
    operation may return NotImplemented, which leaves it to coremltools.
    """

    def register(lowering: Lowering) -> Lowering:
        if isinstance(target, str):
            _OF_TORCH[target] = lowering
        else:
            _OF_HELPERS[inspect.unwrap(target)] = (when, lowering)
        return lowering

    return register


def expressed(step: Step, in_mil: Lowering) -> Step:
    """Return a layer's step with what expresses it in MIL."""

    @functools.wraps(step)
    def call(*args: Any) -> Any:
        lowerer = converting()
        return lowerer.call(step, in_mil, *args) if lowerer else step(*args)

    return call


def known(value: Any) -> Any:
    """Return the number or array that an argument is known to be, or None."""
    return getattr(value, "val", value)


def fixed(value: Any, what: str) -> Any:
    """Return the number or array that an argument is; UnsupportedError where it is computed."""
    found = known(value)
    if found is None:
        raise UnsupportedError(f"{what} is computed by the model, which MIL does not allow")
    return found


def whole(mb: Any, value: Any) -> Any:
    """Return a MIL variable of a single number as an int32 scalar."""
    return mb.cast(x=mb.squeeze(x=value) if value.rank else value, dtype="int32")


def _never(*args: Any, **kwargs: Any) -> bool:
    return False


class Call(NamedTuple):
    """A call that stands as a placeholder in a traced graph."""

    function: Callable[..., Any]  # what computes it
    lowering: Lowering
    arguments: list[Any]  # flattened; None in the place of tensors
    places: list[int]  # of the tensors among the arguments
    structure: Any

    def rebuild(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of the call with these values in the place of the tensors."""
        arguments = list(self.arguments)
        for place, value in zip(self.places, values, strict=True):
            arguments[place] = value
        return pytree.tree_unflatten(arguments, self.structure)


class Mil:
    """The operations of MIL, in the version that the target's release has."""

    def __init__(self, release: int) -> None:
        self.release = release

    def __getattr__(self, name: str) -> Any:
        from coremltools.converters.mil import Builder

        return getattr(Builder, name)


class Lowerer:
    """Takes note of calls while a module is traced, and translates them afterwards.

    It is what `helpers.recorder()` gives during a conversion; `sizes_vary` says whether the model
    is converted for several shapes, `release` is the number of the oldest iOS that is to run it.
    """

    def __init__(self, sizes_vary: bool, release: int) -> None:
        self.sizes_vary, self.mil = sizes_vary, Mil(release)
        self.calls: dict[str, Call] = {}
        self.results: dict[str, Any] = {}  # the structure of what each call returns
        self.refused: list[str] = []  # what MIL cannot express, a sentence each

    def call_helper(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a helper: as a placeholder if it has a lowering and a pass is traced."""
        when, lowering = _OF_HELPERS.get(function, (_never, None))
        if lowering is None or not when(*args, **kwargs):
            return function(*args, **kwargs)
        return self.call(function, lowering, *args, **kwargs)

    def call(
        self, function: Callable[..., Any], lowering: Lowering, *args: Any, **kwargs: Any
    ) -> Any:
        """Return what the function computes; a traced graph gets a placeholder for it."""
        if torch._C._get_tracing_state() is None:
            return function(*args, **kwargs)
        arguments, structure = pytree.tree_flatten((args, kwargs))
        places = [i for i, value in enumerate(arguments) if isinstance(value, Tensor)]
        tensors = [arguments[i] for i in places]
        rest = [None if isinstance(value, Tensor) else value for value in arguments]
        key = str(len(self.calls))
        self.calls[key] = Call(function, lowering, rest, places, structure)
        results = torch.ops.anereport.lowered(key, tensors)
        return pytree.tree_unflatten(results, self.results[key])

    def run(self, key: str, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Compute a call; what happens inside it is not traced."""
        call = self.calls[key]
        args, kwargs = call.rebuild(tensors)
        with untraced():
            found = call.function(*args, **kwargs)
        results, self.results[key] = pytree.tree_flatten(found)
        # an operation of torch must not return its input
        return [x.clone() if any(x is given for given in tensors) else x for x in results]

    def translate(self, context: Any, node: Any) -> None:
        """Translate a placeholder in coremltools' front end."""
        key, tensors = (context[name] for name in node.inputs)
        call = self.calls[key.val]
        args, kwargs = call.rebuild(tensors)
        try:
            found = call.lowering(self.mil, *args, **kwargs)
        except UnsupportedError as error:
            place = ".".join(node.get_scope_info()[0][1:-1])  # behind the module's, before its own
            raise UnsupportedError(f"layer {place!r}: {error}") from error
        context.add(pytree.tree_leaves(found), node.name)

    def _translation(self, lower: Lowering, usual: Any) -> Callable[[Any, Any], None]:
        """Return what the front end calls for a torch operation; `usual` is its own translation."""

        def translate(context: Any, node: Any) -> None:
            found = lower(self.mil, *(context[name] for name in node.inputs))
            if found is NotImplemented and usual is None:
                raise UnsupportedError(f"coremltools has no translation of torch's {node.kind}")
            if found is NotImplemented:
                usual(context, node)
            else:
                context.add(found, node.name)

        return translate

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Be told of the helpers' calls while the context lasts."""
        helpers.activate(self)
        try:
            yield
        finally:
            helpers.deactivate()

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Let coremltools know the translations while the context lasts."""
        from coremltools.converters.mil.frontend.torch import ops

        with _ONE_AT_A_TIME:
            table = ops._TORCH_OPS_REGISTRY.name_to_func_mapping
            before = dict(table)
            table[PLACEHOLDER] = self.translate
            for name, lower in _OF_TORCH.items():
                table[name] = self._translation(lower, before.get(name))
            try:
                yield
            finally:
                table.clear()
                table.update(before)


@contextmanager
def untraced() -> Iterator[None]:
    """Compute without being traced while the context lasts."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


def _run_placeholder(key: str, tensors: list[Tensor]) -> list[Tensor]:
    lowerer = helpers.recorder()
    assert isinstance(lowerer, Lowerer)
    return lowerer.run(key, tensors)


_library.impl("lowered", _run_placeholder, "CompositeExplicitAutograd")


def converting() -> Lowerer | None:
    """Return what takes note of a conversion under way, if one is."""
    found = helpers.recorder()
    return found if isinstance(found, Lowerer) else None
