"""Pieces of HTML that pages about crystals share; all text that goes in comes out escaped."""

from __future__ import annotations

import html
import re


def escaped(given: str) -> str:
    """Any text, as markup that shows it and does nothing else."""
    shown = given.encode(errors="replace").decode()
    return html.escape(shown, quote=True)


def formula(given: str) -> str:
    """A formula with its numbers below the line."""
    # Every second part is a number.
    parts = map(escaped, re.split(r"(\d+(?:\.\d+)?)", given))
    return "".join(f"<sub>{part}</sub>" if place % 2 else part for place, part in enumerate(parts))


def space_group(number: int) -> str:
    """The symbol and the number of a space group; the number alone without moyopy."""
    try:
        from crystalmesh_common.crystal.symmetry import (  # noqa: PLC0415 -- needs moyopy
            SPACE_GROUPS,
            space_group_symbol,
        )
    except ImportError:
        return f"space group {number}"
    if not 1 <= number <= SPACE_GROUPS:
        return "no space group found"
    # A bar stands above the digit after a minus: -3 is 3 with a bar.
    symbol = re.sub(r"-(\d)", r'<span class="bar">\1</span>', escaped(space_group_symbol(number)))
    symbol = re.sub(r"_(\d)", r"<sub>\1</sub>", symbol)
    return f"<i>{symbol}</i> ({number})"


def counted(count: int, what: str) -> str:
    """A number and the noun that it counts, in its plural where that is right."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
