from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh.agent.v1.run_pb2 import ToolCall
from crystalmesh_agent.planning.language_model.answers import plain_text, read_answer

ANY_TEXT = st.text(st.characters(), max_size=30)  # halves of characters included
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=4,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "function": st.fixed_dictionaries(
                {"name": ANY_JSON, "arguments": ANY_JSON | ANY_JSON.map(json.dumps)}
            )
        },
        optional={"id": ANY_JSON},
    ),
    max_size=10,
)


@settings(max_examples=50)
@given(CALLS, ANY_JSON, ANY_JSON)
def test_whatever_a_model_says_can_be_kept_and_told_back(calls: Any, content: Any, usage: Any) -> None:
    """In a record of ours and in JSON for the endpoint; arguments are JSON, and names are plain."""
    answer = {"choices": [{"message": {"content": content, "tool_calls": calls}}], "usage": usage}
    try:
        read = read_answer(answer)
    except (LookupError, TypeError, ValueError, AttributeError):
        return  # no answer
    assert read is not None
    assert len(read.requests) == min(len(calls), 8)
    read.text.encode()
    for request in read.requests:
        json.loads(request.arguments_json)
        json.dumps(request.told_back).encode()
        ToolCall(name=request.name, arguments_json=request.arguments_json).SerializeToString()
    for count in (read.prompt_tokens, read.completion_tokens):
        assert count is None or count >= 0


@given(ANY_JSON)
def test_other_json_is_no_answer(said: Any) -> None:
    """Nothing else than the errors of reading comes of it."""
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        read_answer(said)


@given(ANY_TEXT, st.integers(0, 20))
def test_plain_text_is_whole_and_short(text: str, most: int) -> None:
    """It can be encoded, has no control characters, and is not longer than is said."""
    plain = plain_text(text, most)
    plain.encode()
    assert len(plain) <= most
    assert all(character == "\n" or ord(character) >= 32 for character in plain)
