"""One long list inside a JSON object, item by item: a file of a gigabyte needs no gigabyte of memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

_BEHIND_VALUES = tuple(" \t\r\n,:]}")
_SPACE = re.compile(r"[ \t\r\n]*")
_BLOCK_CHARACTERS = 1 << 20
_MAX_VALUE_CHARACTERS = 1 << 28


class JsonFields:
    """The fields of a JSON object in a text, in order. Raises ValueError where it is none, or is cut off."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer = ""
        self._position = 0
        self._decode = json.JSONDecoder().raw_decode

    def names(self) -> Iterator[str]:
        """The name of each field; its `value` or all its `items` are to be taken before the next."""
        self._expect("{")
        if self._next() == "}":
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise ValueError("a field has no name")  # noqa: TRY004 -- the text is wrong, not a type
            self._expect(":")
            yield name
            if self._take() == "}":
                return

    def items(self) -> Iterator[Any]:
        """The items of the list that is the value of the field."""
        self._expect("[")
        if self._next() == "]":
            self._position += 1
            return
        while True:
            yield self.value()
            if self._take() == "]":
                return

    def value(self) -> Any:
        """The value that comes next."""
        self._next()
        while True:
            ended: ValueError | None = None
            try:
                value, end = self._decode(self._buffer, self._position)
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except ValueError as error:
                ended = error
            else:
                # Else it may be the first half of a number.
                if self._buffer[end : end + 1] in _BEHIND_VALUES:
                    self._position = end
                    return value
            # Cut by the end of the buffer, or no JSON; twice the text each time keeps this linear.
            if not self._read(max(_BLOCK_CHARACTERS, len(self._buffer) - self._position)):
                raise ended or ValueError("something stands behind a value")

    def _take(self) -> str:
        character = self._next()
        self._position += 1
        return character

    def _expect(self, character: str) -> None:
        if self._take() != character:
            raise ValueError(f"there is no {character!r} where one must be")

    def _next(self) -> str:
        """The next character that is no space, not taken yet."""
        while True:
            found = _SPACE.match(self._buffer, self._position)
            self._position = found.end() if found else self._position
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._read(_BLOCK_CHARACTERS):
                raise ValueError("it ends in the middle")

    def _read(self, characters: int) -> bool:
        if len(self._buffer) - self._position > _MAX_VALUE_CHARACTERS:
            raise ValueError("a value is too long")
        more = self._text.read(characters)
        self._buffer = self._buffer[self._position :] + more
        self._position = 0
        return bool(more)
