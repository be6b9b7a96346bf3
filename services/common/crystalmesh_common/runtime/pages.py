"""Pages of a listing, and the opaque tokens that lead from one to the next."""

from __future__ import annotations

import base64
import binascii
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
    if page_size > MAX_PAGE_SIZE:
        raise InvalidFieldError(f"page_size must be at most {MAX_PAGE_SIZE:,}", field="page_size")
    start = _position(page_token, listing) if page_token else 0
    end = start + (page_size or DEFAULT_PAGE_SIZE)
    return items[start:end], _token(listing, end) if end < len(items) else ""


def _token(listing: str, position: int) -> str:
    return base64.urlsafe_b64encode(f"{listing}:{position}".encode()).decode()


def _position(token: str, listing: str) -> int:
    try:
        name, _, position = base64.urlsafe_b64decode(token.encode()).decode().rpartition(":")
        if name == listing and position.isdecimal():
            return int(position)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise InvalidPageTokenError("the page token is not of this listing", field="page_token")
