"""Pages of a listing, and the opaque tokens that lead from one to the next."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import TypeVar

from crystalmesh_common.runtime.errors import InvalidFieldError, InvalidPageTokenError

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


def page_of(items: Sequence[T], listing: str, page_size: int, page_token: str) -> tuple[Sequence[T], str]:
    """The page that a request asks for, and the token of the next; "" after the last.

    `listing` names what is listed: a token of another listing is an InvalidPageTokenError. A page size of 0
    means the default; one beyond the largest is an InvalidFieldError.
    """
    size = page_size_of(page_size)
    start = _position(page_token, listing) if page_token else 0
    end = start + size
    return items[start:end], _token(listing, end) if end < len(items) else ""


def token_after(listing: str, last: str) -> str:
    """The token of the page that begins after the item of this key."""
    return base64.urlsafe_b64encode(f"{_checksum(listing, last)}:{listing}:{last}".encode()).decode()


def key_before(page_token: str, listing: str) -> str:
    """The key of the item that a page begins after; "" for the first page.

    Raises InvalidPageTokenError for a token that `token_after` did not make for this listing, whose name
    has no colon.
    """
    if not page_token:
        return ""
    try:
        checksum, name, last = base64.urlsafe_b64decode(page_token.encode()).decode().split(":", 2)
    except (binascii.Error, UnicodeError, ValueError):
        checksum = name = last = ""
    if name != listing or not last or checksum != _checksum(listing, last):
        raise InvalidPageTokenError("the page token is not of this listing", field="page_token")
    return last


def page_size_of(page_size: int) -> int:
    """How many items a page has; raises InvalidFieldError for more than the most."""
    if page_size > MAX_PAGE_SIZE:
        raise InvalidFieldError(f"page_size must be at most {MAX_PAGE_SIZE:,}", field="page_size")
    return page_size or DEFAULT_PAGE_SIZE


def _checksum(listing: str, last: str) -> str:
    """Tells a whole token from a torn one; it is no secret."""
    return f"{zlib.crc32(f'{listing}:{last}'.encode()):08x}"


def _token(listing: str, position: int) -> str:
    return token_after(listing, str(position))


def _position(token: str, listing: str) -> int:
    last = key_before(token, listing)
    if not last.isdecimal():
        raise InvalidPageTokenError("the page token is not of this listing", field="page_token")
    return int(last)
