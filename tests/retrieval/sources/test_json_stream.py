from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_retrieval.sources import json_stream
from crystalmesh_retrieval.sources.json_stream import JsonFields
from tests.common.crystal.strategies import mutations

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value is cut by the end of a block somewhere."""
    monkeypatch.setattr(json_stream, "_BLOCK_CHARACTERS", 3)


def read(text: str) -> dict[str, Any]:
    fields = JsonFields(io.StringIO(text))
    return {name: list(fields.items()) if name == "data" else fields.value() for name in fields.names()}


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=4), _values, max_size=3),
    st.lists(_values, max_size=5),
    st.integers(0, 2),
)
def test_a_stream_reads_what_json_reads(fields: dict[str, Any], data: list[Any], indent: int) -> None:
    """Whatever the values are, however they are spaced, and wherever the text is cut."""
    whole = {**fields, "data": data}
    assert read(json.dumps(whole, indent=indent or None)) == whole


@settings(deadline=None)
@given(st.data())
def test_a_bad_text_is_a_value_error(data: st.DataObject) -> None:
    """Cut off, or with anything anywhere: an error, no loop and no other result."""
    text = json.dumps({"index": [1, 2.5], "data": [{"a": "b"}, [1e5, None]]})
    text = data.draw(st.just(text[: data.draw(st.integers(0, len(text) - 1))]) | mutations(text))
    with suppress(ValueError):
        read(text)


def test_nesting_without_end_is_a_value_error() -> None:
    """A file cannot exhaust the stack."""
    with pytest.raises(ValueError, match="nested too deeply"):
        read('{"a": ' + "[" * 100_000)


def test_a_value_without_end_is_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cannot exhaust the memory with one value."""
    monkeypatch.setattr(json_stream, "_MAX_VALUE_CHARACTERS", 100)
    with pytest.raises(ValueError, match="too long"):
        read('{"a": "' + "x" * 1000)
