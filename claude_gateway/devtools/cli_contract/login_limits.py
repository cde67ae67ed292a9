"""Contract checks for the limits of a subscription, which the API reports in the headers of its responses."""

import time

from claude_gateway.devtools.cli_contract.check import ContractCheckRegistry, require, require_equal
from claude_gateway.devtools.cli_contract.driver import CliDriver, find_result
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.core.frame import Frame
from workers.core.settings import AuthMethod

contract_check = ContractCheckRegistry()


def _find_infos(frames: list[Frame]) -> list[Frame]:
    return [frame["rate_limit_info"] for frame in frames if frame["type"] == "rate_limit_event"]


def _find_refusal(frames: list[Frame]) -> Frame:
    return next(frame for frame in frames if frame["type"] == "assistant")


@contract_check("The gateway shows how much of each limit is used.", auth_method=AuthMethod.CLI)
async def the_windows_of_a_subscription_are_reported_before_the_result(cli: CliDriver, _: FakeAnthropic) -> None:
    frames = await cli.ask("{{limits five_hour=allowed,0.4,3600 seven_day=allowed_warning,0.8,400000}}")
    (info,) = _find_infos(frames)
    require_equal((info["status"], info["rateLimitType"]), ("allowed_warning", "seven_day"))
    windows = info["unifiedWindows"]
    require_equal(
        {kind: (window["status"], window["utilization"]) for kind, window in windows.items()},
        {"five_hour": ("allowed", 0.4), "seven_day": ("allowed_warning", 0.8)},
    )
    require(3_500 < windows["five_hour"]["resetsAt"] - time.time() <= 3_600, windows)
    types = [frame["type"] for frame in frames]
    require(types.index("rate_limit_event") < types.index("result"), types)


@contract_check("The gateway sends no job to a login whose limit is reached.", auth_method=AuthMethod.CLI)
async def a_reached_limit_is_reported_with_the_refused_request(cli: CliDriver, upstream: FakeAnthropic) -> None:
    for number in (1, 2):  # the CLI reports an unchanged limit only with the refusal
        frames = await cli.ask("{{limits five_hour=rejected,1,3600 seven_day=allowed,0.4,400000}}")
        result, refusal = find_result(frames), _find_refusal(frames)
        require_equal((result["api_error_status"], result["api_error"]), (429, "usage_limit_reached"))
        info = refusal["api_error_params"]["rate_limit_info"]
        require_equal((info["status"], info["rateLimitType"]), ("rejected", "five_hour"))
        require(3_500 < info["resetsAt"] - time.time() <= 3_600, info)
        require_equal(len(upstream.chat_requests), number)  # the CLI does not repeat the request
    require_equal(find_result(await cli.ask("hello"))["is_error"], False)


@contract_check("The gateway takes the later reset if two limits are reached.", auth_method=AuthMethod.CLI)
async def each_of_two_reached_limits_is_reported(cli: CliDriver, _: FakeAnthropic) -> None:
    frames = await cli.ask("{{limits five_hour=rejected,1,3600 seven_day=rejected,1,400000}}")
    (info,) = _find_infos(frames)
    statuses = {kind: window["status"] for kind, window in info["unifiedWindows"].items()}
    require_equal(statuses, {"five_hour": "rejected", "seven_day": "rejected"})
    types = [frame["type"] for frame in frames]
    require(types.index("rate_limit_event") < types.index("assistant"), types)


@contract_check("A short rate limit must not stop the jobs of a login for hours.", auth_method=AuthMethod.CLI)
async def a_plain_429_names_no_limit_of_the_subscription(cli: CliDriver, _: FakeAnthropic) -> None:
    frames = await cli.ask("{{status 429}}")
    require("api_error" not in find_result(frames), find_result(frames))
    require("api_error_params" not in _find_refusal(frames), _find_refusal(frames))
    require(not any("rateLimitType" in info for info in _find_infos(frames)), _find_infos(frames))


@contract_check("With an API key, the gateway knows no limits of the login.")
async def no_limits_are_reported_with_an_api_key(cli: CliDriver, _: FakeAnthropic) -> None:
    for prompt in ("{{limits five_hour=allowed,0.4,3600}}", "{{limits five_hour=rejected,1,3600}}"):
        frames = await cli.ask(prompt)
        require_equal(_find_infos(frames), [])
        require("api_error" not in find_result(frames), find_result(frames))
