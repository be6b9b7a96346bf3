"""The syntax of CIF: text to data blocks of tags, values and loops. No crystallography."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from crystalmesh_common.crystal.notation import quoted
from crystalmesh_common.runtime.errors import UnreadableCrystalError

# No alternative looks further than the token it takes, and an opened quote that does not close ends the
# reading, so time is linear in the text whatever the text is.
_TOKEN = re.compile(
    r"""
    (?P<tag>_\S*)
    | (?i:(?P<data>data_\S*)|(?P<loop>loop_)|(?P<save>save_\S*)|(?P<ignored>(?:global|stop)_(?!\S)))
    | \#[^\n]*
    | ^;(?P<field>.*?)(?:\n;|(?P<open_field>\Z))       # a text field between lines that start with ;
    | '(?P<single>[^\n]*?)(?:'(?=\s|\Z)|(?P<open_single>(?=\n)|\Z))
    | "(?P<double>[^\n]*?)(?:"(?=\s|\Z)|(?P<open_double>(?=\n)|\Z))
    | (?P<bare>\S+)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_VALUES = frozenset({"bare", "single", "double", "field"})
_UNKNOWN = frozenset({"?", "."})


@dataclass
class CifBlock:
    """One data block; tags are lower case with dots as underscores, the spelling of CIF 1."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def value(self, *tags: str) -> str | None:
        """The first of these tags that has a known value, alone or as the only row of a loop."""
        for tag in tags:
            column = self.column(tag) or []
            if len(column) == 1 and column[0] not in _UNKNOWN:
                return column[0]
        return None

    def column(self, *tags: str) -> list[str] | None:
        """The column of the first of these tags that is present; a lone value is a column of one."""
        for tag in tags:
            if tag in self.columns:
                return self.columns[tag]
            if tag in self.values:
                return [self.values[tag]]
        return None


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def read_blocks(text: str) -> list[CifBlock]:
    """The data blocks of a CIF text, in order.

    Raises `UnreadableCrystalError` with the line for anything that is not CIF syntax. Takes time linear
    in the length of the text.
    """
    blocks: list[CifBlock] = []
    tokens = _tokens(text)
    token = next(tokens, None)
    while token is not None:
        ahead: _Token | None = None
        if token.kind == "data":
            blocks.append(CifBlock(name=token.text[5:]))
        elif token.kind == "save":
            raise _error(text, token, "save frames belong to dictionaries, not to structures")
        elif token.kind == "ignored":
            pass
        elif not blocks:
            raise _error(text, token, f"{quoted(token.text)} comes before any data_ block")
        elif token.kind == "loop":
            ahead = _read_loop(text, token, tokens, blocks[-1])
        elif token.kind == "tag":
            value = next(tokens, None)
            if value is None or value.kind not in _VALUES:
                raise _error(text, token, f"{quoted(token.text)} has no value")
            blocks[-1].values[_tag(token.text)] = value.text
        else:
            raise _error(text, token, f"the value {quoted(token.text)} belongs to no tag")
        token = ahead or next(tokens, None)
    return blocks


def _read_loop(text: str, loop: _Token, tokens: Iterator[_Token], block: CifBlock) -> _Token | None:
    """Read the tags and rows after a `loop_` into the block; the token that follows them."""
    tags: list[str] = []
    token = next(tokens, None)
    while token is not None and token.kind == "tag":
        tags.append(_tag(token.text))
        token = next(tokens, None)
    values: list[str] = []
    while token is not None and token.kind in _VALUES:
        values.append(token.text)
        token = next(tokens, None)
    if not tags:
        raise _error(text, loop, "a loop without tags")
    if len(values) % len(tags):
        raise _error(text, loop, f"a loop of {len(tags)} tags has {len(values)} values")
    for index, tag in enumerate(tags):
        block.columns[tag] = values[index :: len(tags)]
    return token


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue  # a comment
        token = _Token(kind, match[kind], match.start())
        if kind.startswith("open_"):
            raise _error(
                text, token, f"a {'text field' if kind == 'open_field' else 'quote'} is never closed"
            )
        yield token


def _tag(text: str) -> str:
    # DDLm dictionaries and mmCIF write the category with a dot: _cell.length_a.
    return text.lower().replace(".", "_")


def _error(text: str, token: _Token, what: str) -> UnreadableCrystalError:
    line = text.count("\n", 0, token.position) + 1
    return UnreadableCrystalError(f"line {line}: {what}", line=line)
