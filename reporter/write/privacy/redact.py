"""The gate through which every text leaves, and which counts what it takes out.

Layer and feature names stay: a gate that is opened with a model's names leaves alone what is, or
is part of, one of them. The gate that a command opened last is the one that `redact` asks; without
one each call has a gate of its own, which knows no names.
"""

from __future__ import annotations

import html
import json
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from reporter.measure.redaction import Redaction, redaction
from reporter.measure.tensor import DTYPES
from reporter.write.files.outputs import RECORDS
from reporter.write.privacy.removed import Removed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BEFORE = re.compile(r"[\w/@.+-]")  # a name goes on to the left of these, and is another
AFTER = re.compile(r"[\w/@+-]|\.\w")
REMEMBERED = 1000  # characters of a text whose result is kept


@dataclass
class Gate:
    """Takes out of texts what tells a person or a machine, and remembers what kinds it was."""

    names: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()  # what may stand before @ and a name
    keeps_metadata: bool = False
    rules: Redaction = field(default_factory=redaction)
    _found: dict[tuple[str, str, bool], dict[str, None]] = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def text(self, text: str, where: str = "") -> str:
        """Return a text with a word in place of each private thing; `where` is what it is of."""
        known = self._known.get((text, where))
        if known is None:
            note = partial(self.note, where=where)
            known = self.rules.text(text, self._is_name, note)
            if len(text) <= REMEMBERED:
                self._known[text, where] = known
        return known

    def metadata(self, text: str, where: str = "") -> str:
        """Return a model's text; where the gate keeps them, as it is, what is private noted."""
        if not self.keeps_metadata:
            return self.text(text, where)
        self.rules.text(text, self._is_name, partial(self.note, where=where, kept=True))
        return text

    def note(self, kind: str, found: str, where: str, kept: bool = False) -> None:
        """Remember a thing that was taken out, or that was kept, and of what."""
        self._found.setdefault((kind, found, kept), {})[where] = None

    def json(self, text: str, where: str = "") -> str:
        """Return a JSON text, its strings and keys told; unchanged to the byte if none is private.

        The numbers of tensors, in base64, are passed over. What is no JSON is told as text.
        """
        try:
            content = json.loads(text)
            told = self.tree(content, where)
        except (ValueError, RecursionError):
            return self.text(text, where)
        if told == content:
            return text
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    def tree(self, value: Any, where: str = "", metadata: bool = False) -> Any:
        """Return what JSON holds, each string and key told, but for the numbers of tensors.

        `metadata` says that it is of a model, whose texts the gate may have to keep.
        """
        told = self.metadata if metadata else self.text
        if isinstance(value, str):
            return told(value, where)
        if isinstance(value, list):
            return [self.tree(item, where, metadata) for item in value]
        if not isinstance(value, dict):
            return value
        numbers = "data" if _is_tensor(value) else None
        items = (
            (k, v if k == numbers else self._under(k, v, where, metadata)) for k, v in value.items()
        )
        return dict(_free((told(key, where), item) for key, item in items))

    def keyed(self, items: dict[str, Any], where: str = "") -> dict[str, Any]:
        """Return a dictionary under the keys that may leave, of which no two are equal."""
        return dict(_free((self.text(key, where), item) for key, item in items.items()))

    def _under(self, key: str, item: Any, where: str, metadata: bool) -> Any:
        """Return a value, which its key may say is a password or a serial number."""
        told = self.metadata if metadata else self.text
        if isinstance(item, (list, dict, bool, float)) or item is None:
            return self.tree(item, where, metadata)
        together = f"{key}: {item}"
        after = told(together, where)
        if after != together and after.startswith(f"{key}: "):
            return after[len(key) + 2 :]
        return self.tree(item, where, metadata)

    def file_name(self, name: str, where: str = "a file's name") -> str:
        """Return a file's name, in which the words that stand for what was private are joined."""
        told = self.text(name, where)
        if told == name:
            return name
        joined = re.sub(r"\[([^\]]+)\]", lambda m: "removed-" + m[1].replace(" ", "-"), told)
        return joined.replace("/", "-")

    @property
    def removed(self) -> tuple[Removed, ...]:
        """What was taken out, or kept, so far, by kind; never the things themselves."""
        kinds: dict[tuple[str, bool], list[dict[str, None]]] = {}
        for (kind, _, kept), where in self._found.items():
            kinds.setdefault((kind, kept), []).append(where)
        return tuple(
            Removed(kind, len(found), tuple(dict.fromkeys(filter(None, chain(*found)))), kept)
            for (kind, kept), found in kinds.items()
        )

    @cached_property
    def suspects(self) -> dict[str, str]:
        """Names that stay and look like something private, with what they look like."""
        looks = {name: self._looks_like(name) for name in sorted(self.names)}
        return {name: kind for name, kind in looks.items() if kind}

    def _looks_like(self, name: str) -> str:
        kinds: list[str] = []
        self.rules.text(name, notes=lambda kind, _: kinds.append(kind))
        return kinds[0] if kinds else ""

    @cached_property
    def _spelled(self) -> frozenset[str]:
        """The names, and suspects as Markdown, HTML and ASCII have them too."""
        return self.names | {form for name in self.suspects for form in _forms(name)}

    @cached_property
    def _together(self) -> str:
        return "\0".join(self._spelled)

    def _is_name(self, text: str, start: int, end: int) -> bool:
        """Tell whether what was found lies in one of the names, which stands there as a whole."""
        found = text[start:end]
        if found in self._together and any(
            _stands(text, name, start, end) for name in self._with(found)
        ):
            return True
        fault, at, name = found.partition("@")
        return bool(at) and fault in self.faults and _stands_first(text, name, self._with, end)

    @cached_property
    def _with(self) -> Any:
        return cache(lambda found: tuple(name for name in self._spelled if found in name))


def _free(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield items under keys of which no two are equal, as what was private may be now."""
    taken: set[str] = set()
    for key, item in items:
        numbered = (f"{key} {number}" for number in count(2))
        free = next(k for k in chain([key], numbered) if k not in taken)
        taken.add(free)
        yield free, item


def _stands(text: str, name: str, start: int, end: int) -> bool:
    at = text.find(name, max(0, end - len(name)))
    while 0 <= at <= start:
        after = at + len(name)
        whole = not BEFORE.match(text[at - 1 : at]) and not AFTER.match(text, after)
        if whole and after >= end:
            return True
        at = text.find(name, at + 1)
    return False


def _stands_first(text: str, found: str, names: Any, end: int) -> bool:
    start = end - len(found)
    return any(
        text.startswith(name, start) and not AFTER.match(text, start + len(name))
        for name in names(found)
    )


def _forms(name: str) -> set[str]:
    from reporter.write.rendering import block, plain, text

    return {text(name), plain(name), block(name), html.escape(name), html.escape(text(name))}


def _is_tensor(value: dict[str, Any]) -> bool:
    """Tell whether a dictionary is an array of a record, its data base64 and nothing else."""
    data = value.get("data")
    if value.get("dtype") not in DTYPES or not isinstance(data, str) or len(data) % 4:
        return False
    return bool(re.fullmatch("[A-Za-z0-9+/]*={0,2}", data))


_open: ContextVar[Gate | None] = ContextVar("gate", default=None)


@contextmanager
def opened(gate: Gate) -> Iterator[Gate]:
    """Let all texts pass through one gate until the block ends."""
    token = _open.set(gate)
    try:
        yield gate
    finally:
        _open.reset(token)


def current() -> Gate:
    """Return the gate that is open, or else a new one."""
    return _open.get() or Gate()


def redact(text: str, where: str = "") -> str:
    """Return a text without what tells a person or a machine."""
    return current().text(text, where)


def redact_json(text: str, where: str = "") -> str:
    """Return a JSON text without it, the numbers of its tensors as they are."""
    return current().json(text, where)


def say(file: Path, text: str) -> None:
    """Write a text through the gate; bytes of the command line that are no UTF-8 stay visible."""
    where = file.parent.name if file.parent.name == RECORDS else file.name
    told = redact_json(text, where) if file.suffix == ".json" else redact(text, where)
    file.write_text(told, encoding="utf-8", errors="backslashreplace")
