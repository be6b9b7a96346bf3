from __future__ import annotations

import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError, InvalidPageTokenError
from crystalmesh_common.runtime.pages import key_before, page_of, token_after


def test_pages_lead_through_the_whole_listing() -> None:
    """Each page's token leads to the next, and the last has none."""
    items, seen, token = list(range(25)), [], ""
    while True:
        page, token = page_of(items, "things", 10, token)
        seen += page
        if not token:
            break
    assert seen == items


def test_a_page_has_a_default_and_a_largest_size() -> None:
    """No size means 100; more than 1,000 is refused."""
    page, _ = page_of(range(500), "things", 0, "")
    assert len(page) == 100
    with pytest.raises(InvalidFieldError):
        page_of(range(5), "things", 1001, "")


@pytest.mark.parametrize("token", ["nonsense", "\N{SNOWMAN}", "dGhpbmdzOi0x", "dGhpbmdz", "////"])
def test_what_is_no_token_of_this_listing_is_refused(token: str) -> None:
    """Tokens of other listings, torn ones and inventions are one error."""
    with pytest.raises(InvalidPageTokenError):
        page_of(range(5), "things", 2, token)
    _, other = page_of(range(5), "others", 2, "")
    with pytest.raises(InvalidPageTokenError):
        page_of(range(5), "things", 2, other)


def test_a_page_can_begin_after_a_key() -> None:
    """The token of a key gives it back to its own listing only, colons and all; torn it is refused."""
    token = token_after("things", "a:b é")
    assert key_before(token, "things") == "a:b é"
    assert key_before("", "things") == ""
    for wrong in (token[:-4], token[4:], token_after("others", "a"), token_after("things", "")):
        with pytest.raises(InvalidPageTokenError):
            key_before(wrong, "things")
