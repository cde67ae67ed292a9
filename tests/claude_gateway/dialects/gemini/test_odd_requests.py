"""Odd or broken Gemini requests: each is rejected with a 4xx, or valid upstream without loss of text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.validation import first_problem
from claude_gateway.dialects.common.content.signed_thinking import sign_thinking
from tests.claude_gateway.dialects.adapters.dialect_adapter import Json
from tests.claude_gateway.dialects.adapters.gemini import SIGNER, Gemini
from tests.claude_gateway.dialects.strategies.jobs import PIXEL_PNG_BASE64
from tests.claude_gateway.dialects.strategies.json_values import json_objects
from tests.claude_gateway.dialects.test_odd_requests import (
    find_texts,
    ids,
    limits,
    models,
    names,
    optional_fields,
    parse_or_reject,
    probabilities,
    texts,
    to_upstream_request,
)
from workers.core.job import RedactedThinkingBlock, ThinkingBlock

signature_fields = st.sampled_from(
    [
        {},
        {"thoughtSignature": sign_thinking([ThinkingBlock("hm", compute_thinking_signature("hm"))], SIGNER)},
        {
            "thought_signature": sign_thinking(
                [RedactedThinkingBlock("b3BhcXVl"), ThinkingBlock("", compute_thinking_signature(""))], SIGNER
            )
        },
        {"thoughtSignature": "ZmFrZQ=="},
        {"thoughtSignature": "skip_thought_signature_validator"},
    ]
)
text_parts = texts.map(lambda text: {"text": text})
media_parts = st.just({"inlineData": {"mimeType": "image/png", "data": PIXEL_PNG_BASE64}})
model_texts = st.builds(lambda part, signature: {**part, **signature}, text_parts, signature_fields)
shown_thinking_parts = st.just({"text": "shown thinking", "thought": True})
unsupported_parts = st.sampled_from(
    [{"executableCode": {"code": "1"}}, {"toolCall": {}}, {"codeExecutionResult": {}}, {}]
)
call_parts = st.builds(
    lambda id_, name, arguments, signature: {"functionCall": {"id": id_, "name": name, "args": arguments}, **signature},
    st.none() | ids,
    names,
    json_objects,
    signature_fields,
)
responses = (
    st.none() | texts.map(lambda text: {"output": text}) | texts.map(lambda text: {"error": text}) | json_objects
)


def content(role: str | None, parts: Any) -> Json:
    return {"role": role, "parts": parts}


@st.composite
def calls_with_responses(draw: st.DrawFn) -> list[Json]:
    """Draw calls, texts and thinking, in one content or in chunks, and then responses to some of the calls.

    The responses are in any order, with or without ids, and between other parts.
    """
    calls = draw(st.lists(call_parts, min_size=1, max_size=3))
    parts = draw(
        st.permutations([*calls, *draw(st.lists(model_texts | shown_thinking_parts | unsupported_parts, max_size=3))])
    )
    drawn_responses = []
    for call in (part["functionCall"] for part in calls if draw(st.integers(0, 3))):
        id_ = call["id"] if draw(st.booleans()) else None
        drawn_responses.append({"functionResponse": {"id": id_, "name": call["name"], "response": draw(responses)}})
    other_parts = draw(st.lists(text_parts | media_parts, max_size=2))
    boundary = draw(st.integers(0, len(parts)))
    return [
        *(content("model", chunk) for chunk in (parts[:boundary], parts[boundary:])),
        content(
            draw(st.sampled_from(["user", "function", None])), draw(st.permutations(drawn_responses + other_parts))
        ),
    ]


unmatched_responses = st.builds(lambda name: {"functionResponse": {"name": name, "response": {}}}, names)
single_contents = st.builds(
    content,
    st.sampled_from(["user", None, "USER"]),
    st.lists(text_parts | media_parts | unsupported_parts, max_size=3),
) | st.builds(content, st.just("model"), st.lists(model_texts | shown_thinking_parts | unsupported_parts, max_size=4))
# One in five requests ends in a response without a call.
last_responses = st.sampled_from([0, 0, 0, 0, 1]).flatmap(
    lambda count: st.lists(unmatched_responses, min_size=count, max_size=count)
)
contents = st.builds(
    lambda groups, last: [*(item for group in groups for item in group), *(content("user", [part]) for part in last)],
    st.lists(st.lists(single_contents, min_size=1, max_size=3) | calls_with_responses(), min_size=1, max_size=4),
    last_responses,
)
requests = st.builds(
    lambda required, optional: {**required, **optional},
    st.fixed_dictionaries({"model": models, "contents": contents}),
    optional_fields(
        systemInstruction=texts | st.lists(text_parts, max_size=2).map(lambda parts: {"parts": parts}),
        generationConfig=optional_fields(
            maxOutputTokens=limits,
            temperature=st.none() | st.floats(0, 2),
            topP=probabilities,
            topK=st.floats(0, 100),
            stopSequences=st.lists(texts, max_size=2),
            thinkingConfig=optional_fields(
                includeThoughts=st.booleans(),
                thinkingBudget=st.sampled_from([-1, 0, 1, 3_000, 100_000]),
                thinkingLevel=st.sampled_from(["minimal", "LOW", "HIGH"]),
            ),
        ),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda function_names: [
                {"functionDeclarations": [{"name": name, "parameters": {"type": "OBJECT"}}]} for name in function_names
            ]
        ),
        toolConfig=st.sampled_from(["AUTO", "any", "NONE", "VALIDATED"]).map(
            lambda mode: {"functionCallingConfig": {"mode": mode}}
        ),
    ),
)


def without_shown_thinking(request: Json) -> Json:
    """Remove shown thinking, which is for display only; the signatures contain the thinking for the upstream."""
    contents_without_thinking = [
        {**item, "parts": [part for part in item["parts"] if not part.get("thought")]} for item in request["contents"]
    ]
    return {**request, "contents": contents_without_thinking}


@pytest.mark.promise("messages.odd-but-legal")
@given(requests)
def test_accepted_request_is_valid_upstream_and_loses_no_text(request: Json) -> None:
    job = parse_or_reject(Gemini(), request)
    if job is None:
        return
    body = to_upstream_request(job)
    assert first_problem(body) is None
    upstream_text = "\n".join(find_texts(body))
    assert [text for text in find_texts(without_shown_thinking(request)) if text not in upstream_text] == []
    assert "ZmFrZQ" not in str(body)
    assert "skip_thought" not in str(body)
