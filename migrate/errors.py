"""What a user can see: every expected failure is an `AnereportError` of one sentence."""

from __future__ import annotations

import unicodedata

CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # categories of Unicode: no glyph, or an end of line


class AnereportError(Exception):
    """An expected failure: what failed, on what, and what to do, in one sentence."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ModelError(AnereportError):
    """The model file cannot be read, or a layer of it contradicts `NeuralNetwork.proto`."""


class UnsupportedError(AnereportError):
    """The model holds something that this project does not do; the message lists all of it."""


class InputError(AnereportError):
    """An input given to a model does not fit the model's description."""


def one_line(text: str) -> str:
    """Return a text without what names in a file may hold and a terminal obeys.

    The end of a line becomes a space, any other control character its escape.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in CONTROL:
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()
