"""Every honoured parameter, seen in the request that the model got; and that none of it stays for the next job."""

from typing import Any

import pytest

from tests.e2e.conftest import MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

OLD = "claude-opus-4-20250514"
NEW = "claude-opus-5-5"
SHOWN = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop_sequences"),
    *("thinking", "output_config", "tool_choice", "context_management"),
)


async def sent(gateway: Gateway, **parameters: Any) -> dict[str, Any]:
    """What the upstream got of a job with these parameters, whichever worker took it."""
    await gateway.ask("hello", **parameters)
    body = gateway.upstream.chats[-1].body
    return {name: body[name] for name in SHOWN if name in body}


PLAIN = {"max_tokens": 32000, "thinking": {"type": "disabled"}, "temperature": 1}


@pytest.mark.promise("parameters.reach-the-model")
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0.3}, {"temperature": 0.3}),
        ({"temperature": 1.7}, {"temperature": 1}),
        ({"top_p": 0.5}, {"temperature": None, "top_p": 0.5, "context_management": {"edits": []}}),
        ({"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}),
        ({"temperature": 1, "top_p": 0.5}, {"temperature": None, "top_p": 0.5, "context_management": {"edits": []}}),
        ({"max_tokens": 99}, {"max_tokens": 99}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", " ", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"extra_body": {"top_k": 5}}, {"top_k": 5}),
        ({"extra_body": {"top_k": -1, "top_p": -1, "max_tokens": -1}}, {}),
        (
            {"extra_body": {"anthropic_options": {"top_k": 5, "stop_sequences": ["END"]}}},
            {"top_k": 5, "stop_sequences": ["END"]},
        ),
        ({"max_tokens": 200_000}, {"max_tokens": 64_000}),
    ],
    ids=str,
)
async def test_a_parameter_reaches_the_model(
    gateway: Gateway, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    wanted = {name: value for name, value in (PLAIN | expected).items() if value is not None}
    assert await sent(gateway, **parameters) == wanted
    for _ in range(3):
        assert await sent(gateway) == PLAIN


async def test_both_samplers_go_to_the_models_that_take_both(gateway: Gateway) -> None:
    got = await sent(gateway, model=OLD, temperature=0.2, top_p=0.5)
    assert (got["temperature"], got["top_p"]) == (0.2, 0.5)


async def test_the_newest_models_get_no_sampling_and_the_caller_is_told(gateway: Gateway) -> None:
    raw = await gateway.client.chat.completions.with_raw_response.create(
        model=NEW, messages=[{"role": "user", "content": "hello"}], temperature=0.2, top_p=0.5
    )
    assert "temperature: left out" in raw.headers["x-gateway-warnings"]
    body = gateway.upstream.chats[-1].body
    assert not {"temperature", "top_p"} & body.keys()


async def test_effort_becomes_a_budget_where_the_model_knows_no_effort(gateway: Gateway) -> None:
    got = await sent(gateway, reasoning_effort="low")
    assert got["thinking"]["budget_tokens"] == 2048
    assert "output_config" not in got
    assert "temperature" not in got
    assert await sent(gateway) == PLAIN


async def test_effort_stays_effort_where_the_model_knows_it(gateway: Gateway) -> None:
    got = await sent(gateway, model=NEW, reasoning_effort="low")
    assert got["output_config"]["effort"] == "low"
    assert got["thinking"]["type"] == "adaptive"


async def test_claude_s_own_thinking_option_is_honoured(gateway: Gateway) -> None:
    options = {"anthropic_options": {"thinking": {"type": "enabled", "budget_tokens": 5000}}}
    got = await sent(gateway, extra_body=options)
    assert got["thinking"]["budget_tokens"] == 5000
    assert got["thinking"]["type"] == "enabled"


@pytest.mark.parametrize(
    "body",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        {"reasoning": {"max_tokens": 2_000}},
        {"anthropic_options": {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "max_tokens": 200_000},
    ],
    ids=str,
)
async def test_a_chat_thinks_by_the_words_of_other_providers(gateway: Gateway, body: dict[str, Any]) -> None:
    got = await sent(gateway, extra_body=body)

    assert (got["thinking"]["type"], got["thinking"]["budget_tokens"]) == ("enabled", 2_000)
    assert await sent(gateway) == PLAIN


async def test_only_allowed_tools_are_offered(gateway: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}

    got = await sent(gateway, tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})

    assert got["tool_choice"] == {"type": "any"}
    assert [tool["name"] for tool in gateway.upstream.chats[-1].body["tools"]] == ["g"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"reasoning_effort": "high", "max_tokens": 500},
        {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 100_000}}, "max_tokens": 200_000},
        {"reasoning_effort": "high", "max_tokens": 2000, "temperature": 0.4, "top_p": 0.3},
        {"extra_body": {"anthropic_options": {"thinking": {"type": "enabled", "budget_tokens": 7}}}},
        {"temperature": 2, "top_p": 0.1, "extra_body": {"top_k": 3}, "reasoning_effort": "medium"},
        {"model": NEW, "temperature": 0.1, "reasoning_effort": "none", "max_tokens": 1},
        {"model": OLD, "temperature": 0.1, "top_p": 0.1, "reasoning_effort": "xhigh"},
    ],
    ids=str,
)
async def test_parameters_that_exclude_each_other_never_make_a_good_request_a_bad_one(
    gateway: Gateway, parameters: dict[str, Any]
) -> None:
    answer = await gateway.ask("hello", **parameters)
    assert answer.choices[0].message.content == "hello"
    raw = await gateway.client.chat.completions.with_raw_response.create(
        **{"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **parameters}
    )
    assert raw.headers["x-gateway-warnings"]
