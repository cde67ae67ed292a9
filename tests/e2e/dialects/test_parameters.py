"""Every supported parameter reaches the upstream request, and none of them affects the next job."""

from typing import Any

import pytest

from tests.e2e.helpers.gateway import MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

OLD = "claude-opus-4-20250514"
NEW = "claude-opus-5-5"
COMPARED_FIELDS = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop_sequences"),
    *("thinking", "output_config", "tool_choice", "context_management"),
)


async def read_upstream_parameters(gateway: Gateway, **parameters: Any) -> dict[str, Any]:
    """Run a job with these parameters, and return the compared fields of its upstream request."""
    await gateway.ask("hello", **parameters)
    body = gateway.upstream.chat_requests[-1].body
    return {name: body[name] for name in COMPARED_FIELDS if name in body}


DEFAULT_FIELDS = {"max_tokens": 32000, "thinking": {"type": "disabled"}, "temperature": 1}


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
    expected_fields = {name: value for name, value in (DEFAULT_FIELDS | expected).items() if value is not None}
    assert await read_upstream_parameters(gateway, **parameters) == expected_fields
    for _ in range(3):
        assert await read_upstream_parameters(gateway) == DEFAULT_FIELDS


async def test_temperature_and_top_p_reach_models_that_accept_both(gateway: Gateway) -> None:
    received = await read_upstream_parameters(gateway, model=OLD, temperature=0.2, top_p=0.5)
    assert (received["temperature"], received["top_p"]) == (0.2, 0.5)


async def test_newest_models_get_no_sampling_parameters_and_the_client_is_warned(gateway: Gateway) -> None:
    raw = await gateway.client.chat.completions.with_raw_response.create(
        model=NEW, messages=[{"role": "user", "content": "hello"}], temperature=0.2, top_p=0.5
    )
    assert "temperature: ignored" in raw.headers["x-gateway-warnings"]
    body = gateway.upstream.chat_requests[-1].body
    assert not {"temperature", "top_p"} & body.keys()


async def test_effort_becomes_a_budget_for_models_without_effort(gateway: Gateway) -> None:
    received = await read_upstream_parameters(gateway, reasoning_effort="low")
    assert received["thinking"]["budget_tokens"] == 2048
    assert "output_config" not in received
    assert "temperature" not in received
    assert await read_upstream_parameters(gateway) == DEFAULT_FIELDS


async def test_effort_reaches_models_that_support_it(gateway: Gateway) -> None:
    received = await read_upstream_parameters(gateway, model=NEW, reasoning_effort="low")
    assert received["output_config"]["effort"] == "low"
    assert received["thinking"]["type"] == "adaptive"


async def test_anthropic_thinking_option_is_supported(gateway: Gateway) -> None:
    options = {"anthropic_options": {"thinking": {"type": "enabled", "budget_tokens": 5000}}}
    received = await read_upstream_parameters(gateway, extra_body=options)
    assert received["thinking"]["budget_tokens"] == 5000
    assert received["thinking"]["type"] == "enabled"


@pytest.mark.parametrize(
    "body",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        {"reasoning": {"max_tokens": 2_000}},
        {"anthropic_options": {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "max_tokens": 200_000},
    ],
    ids=str,
)
async def test_chat_accepts_the_thinking_parameters_of_other_providers(gateway: Gateway, body: dict[str, Any]) -> None:
    received = await read_upstream_parameters(gateway, extra_body=body)

    assert (received["thinking"]["type"], received["thinking"]["budget_tokens"]) == ("enabled", 2_000)
    assert await read_upstream_parameters(gateway) == DEFAULT_FIELDS


async def test_only_allowed_tools_are_offered(gateway: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}

    received = await read_upstream_parameters(
        gateway, tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}
    )

    assert received["tool_choice"] == {"type": "any"}
    assert [tool["name"] for tool in gateway.upstream.chat_requests[-1].body["tools"]] == ["g"]


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
async def test_parameters_that_exclude_each_other_never_cause_a_400(
    gateway: Gateway, parameters: dict[str, Any]
) -> None:
    completion = await gateway.ask("hello", **parameters)
    assert completion.choices[0].message.content == "hello"
    raw = await gateway.client.chat.completions.with_raw_response.create(
        **{"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **parameters}
    )
    assert raw.headers["x-gateway-warnings"]
