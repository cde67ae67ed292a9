"""Whatever Gemini's callers send, odd or broken: named in a 4xx, or taken upstream with every word of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.refusals import refusal
from claude_gateway.demo.thoughts import sign
from claude_gateway.prompt.thoughts import seal
from tests.claude_gateway.dialects.anything import json_objects
from tests.claude_gateway.dialects.face import Json
from tests.claude_gateway.dialects.gemini import SEAL, Gemini
from tests.claude_gateway.dialects.jobs import PIXEL
from tests.claude_gateway.dialects.test_odd_requests import (
    as_the_upstream_sees_it,
    ids,
    limits,
    models,
    names,
    odds,
    optional,
    said,
    taken,
    texts,
)
from workers.job import RedactedThought, Thought

signed = st.sampled_from(
    [
        {},
        {"thoughtSignature": seal([Thought("hm", sign("hm"))], SEAL)},
        {"thought_signature": seal([RedactedThought("b3BhcXVl"), Thought("", sign(""))], SEAL)},
        {"thoughtSignature": "ZmFrZQ=="},
        {"thoughtSignature": "skip_thought_signature_validator"},
    ]
)
text_parts = texts.map(lambda text: {"text": text})
media_parts = st.just({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
model_texts = st.builds(lambda part, sign: {**part, **sign}, text_parts, signed)
shown_thoughts = st.just({"text": "shown, and sealed elsewhere", "thought": True})
others = st.sampled_from([{"executableCode": {"code": "1"}}, {"toolCall": {}}, {"codeExecutionResult": {}}, {}])
call_parts = st.builds(
    lambda id_, name, arguments, sign: {"functionCall": {"id": id_, "name": name, "args": arguments}, **sign},
    st.none() | ids,
    names,
    json_objects,
    signed,
)
responses = (
    st.none() | texts.map(lambda text: {"output": text}) | texts.map(lambda text: {"error": text}) | json_objects
)


def content(role: str | None, parts: Any) -> Json:
    return {"role": role, "parts": parts}


@st.composite
def calls_with_responses(draw: st.DrawFn) -> list[Json]:
    """Calls, texts and thoughts in any order, in one content or in chunks; then some of the responses, in any order
    and with or without ids, between other parts."""
    made = draw(st.lists(call_parts, min_size=1, max_size=3))
    parts = draw(st.permutations([*made, *draw(st.lists(model_texts | shown_thoughts | others, max_size=3))]))
    answered = []
    for call in (one["functionCall"] for one in made if draw(st.integers(0, 3))):
        id_ = call["id"] if draw(st.booleans()) else None
        answered.append({"functionResponse": {"id": id_, "name": call["name"], "response": draw(responses)}})
    more = draw(st.lists(text_parts | media_parts, max_size=2))
    cut = draw(st.integers(0, len(parts)))
    return [
        *(content("model", chunk) for chunk in (parts[:cut], parts[cut:])),
        content(draw(st.sampled_from(["user", "function", None])), draw(st.permutations(answered + more))),
    ]


strays = st.builds(lambda name: {"functionResponse": {"name": name, "response": {}}}, names)
alone = st.builds(
    content,
    st.sampled_from(["user", None, "USER"]),
    st.lists(text_parts | media_parts | others, max_size=3),
) | st.builds(content, st.just("model"), st.lists(model_texts | shown_thoughts | others, max_size=4))
# Seldom, a response to no call.
stray = st.sampled_from([0, 0, 0, 0, 1]).flatmap(lambda number: st.lists(strays, min_size=number, max_size=number))
contents = st.builds(
    lambda groups, last: [*(one for group in groups for one in group), *(content("user", [one]) for one in last)],
    st.lists(st.lists(alone, min_size=1, max_size=3) | calls_with_responses(), min_size=1, max_size=4),
    stray,
)
requests = st.builds(
    lambda required, more: {**required, **more},
    st.fixed_dictionaries({"model": models, "contents": contents}),
    optional(
        systemInstruction=texts | st.lists(text_parts, max_size=2).map(lambda parts: {"parts": parts}),
        generationConfig=optional(
            maxOutputTokens=limits,
            temperature=st.none() | st.floats(0, 2),
            topP=odds,
            topK=st.floats(0, 100),
            stopSequences=st.lists(texts, max_size=2),
            thinkingConfig=optional(
                includeThoughts=st.booleans(),
                thinkingBudget=st.sampled_from([-1, 0, 1, 3_000, 100_000]),
                thinkingLevel=st.sampled_from(["minimal", "LOW", "HIGH"]),
            ),
        ),
        tools=st.lists(names, max_size=2, unique=True).map(
            lambda found: [
                {"functionDeclarations": [{"name": name, "parameters": {"type": "OBJECT"}}]} for name in found
            ]
        ),
        toolConfig=st.sampled_from(["AUTO", "any", "NONE", "VALIDATED"]).map(
            lambda mode: {"functionCallingConfig": {"mode": mode}}
        ),
    ),
)


def without_shown_thoughts(request: Json) -> Json:
    """They are for the caller's eyes; what is sent on is in the signatures."""
    kept = [{**one, "parts": [part for part in one["parts"] if not part.get("thought")]} for one in request["contents"]]
    return {**request, "contents": kept}


@pytest.mark.promise("messages.odd-but-legal")
@given(requests)
def test_no_gemini_request_that_is_taken_is_refused_upstream_and_no_text_of_it_is_lost(request: Json) -> None:
    job = taken(Gemini(), request)
    if job is None:
        return
    body = as_the_upstream_sees_it(job)
    assert refusal(body) is None
    there = "\n".join(said(body))
    assert [text for text in said(without_shown_thoughts(request)) if text not in there] == []
    assert "ZmFrZQ" not in str(body)
    assert "skip_thought" not in str(body)
