"""What happens to images and documents."""

from typing import Any

from claude_gateway.cli_facts.bare_cli import Cli, last, result, user
from claude_gateway.cli_facts.fact import Facts, holds, same
from claude_gateway.cli_facts.pictures import base64, gif, pdf, png, webp
from claude_gateway.demo.upstream import StandIn
from workers.job import Document, Image, Text, ToolResult, ToolUse, Turn

fact = Facts()

_CALL = Turn("assistant", (ToolUse("toolu_1", "f", {}),))
_SMALL = png()
# Of those in workers.media_limit.
_LONG_CONTEXT_MODEL = "claude-opus-4-8"
_UNKNOWN_MODEL = "claude-of-tomorrow"
# A byte more than what passes as it is.
_HEAVY = png(size=512_001)
_WIDE = png(2_001, 1)
_UNCHANGED = (
    (_SMALL, "image/png"),
    (gif(), "image/gif"),
    (webp(), "image/webp"),
    (png(2_000, 2_000), "image/png"),
    (png(size=512_000), "image/png"),
)
_MADE_SMALLER = "The caller is told that his image was made smaller."


def image(raw: bytes, kind: str = "image/png") -> Image:
    return Image({"type": "base64", "media_type": kind, "data": base64(raw)})


def paper(**more: Any) -> Document:
    return Document({"source": {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}, **more})


def plain(raw: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": base64(raw)}}


async def told(cli: Cli, upstream: StandIn, *turns: Turn) -> list[list[dict[str, Any]]]:
    """The blocks of each message that the model is asked, after these turns."""
    await cli.ask(*turns)
    return [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in last(upstream)["messages"]
        if not isinstance(message["content"], str)
    ]


@fact("Images reach the model to the byte.")
async def an_image_within_the_limits_goes_through_as_it_is_now_and_in_the_past(cli: Cli, upstream: StandIn) -> None:
    for raw, kind in _UNCHANGED:
        one = image(raw, kind)
        sent = await told(cli, upstream, user(one, "a"), Turn("assistant", (Text("b"),)), user(one))
        past, _, now = sent[-3:]
        same((past[0], now[0]), (plain(raw, kind), plain(raw, kind)))


@fact(_MADE_SMALLER)
async def an_image_of_more_than_2000_pixels_is_made_smaller_and_a_text_behind_all_says_so(
    cli: Cli, upstream: StandIn
) -> None:
    ((smaller, mine, note),) = await told(cli, upstream, user(image(_WIDE), "look"))
    holds(smaller != plain(_WIDE), "it was not")
    same(mine["text"], "look\n")
    holds(note["text"].startswith("[Image: original 2001x1, displayed at 2000x1."), note["text"])


@fact(_MADE_SMALLER)
async def an_image_of_more_than_half_a_megabyte_becomes_another_without_a_word(cli: Cli, upstream: StandIn) -> None:
    ((smaller, mine),) = await told(cli, upstream, user(image(_HEAVY), "look"))
    holds(smaller != plain(_HEAVY), "it was left as it is")
    same(mine["text"], "look")


@fact("No warning is given for images in results.")
async def an_image_in_a_tool_result_is_left_as_it_is(cli: Cli, upstream: StandIn) -> None:
    answer = ToolResult("toolu_1", (Text("seen"), image(_WIDE), image(_HEAVY), paper()))
    *_, ((sent),) = await told(cli, upstream, user("go"), _CALL, user(answer))
    same(sent["content"][1:3], [plain(_WIDE), plain(_HEAVY)])
    same(sent["content"][3]["type"], "document")


@fact("Images of a failed call are put beside its result.")
async def an_image_in_an_error_is_dropped(cli: Cli, upstream: StandIn) -> None:
    answer = ToolResult("toolu_1", (Text("broken"), image(_SMALL)), is_error=True)
    *_, (sent, beside) = await told(cli, upstream, user("go"), _CALL, user(answer, image(_SMALL)))
    same(sent["content"], [{"type": "text", "text": "broken"}])
    same(beside, plain(_SMALL))


@fact("Titles, contexts and citations reach the model.")
async def a_document_goes_through_with_all_its_fields(cli: Cli, upstream: StandIn) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "a text"}
    blocks = {"type": "content", "content": [{"type": "text", "text": "part"}, plain(_SMALL)]}
    documents = [paper(title="t", context="c"), Document({"source": text}), Document({"source": blocks})]
    (sent,) = await told(cli, upstream, user(*documents, "read"))
    same(sent[:3], [{**one.fields, "type": "document"} for one in documents])


@fact("Files whose size cannot be read are refused before they get here.")
async def an_image_without_a_size_is_replaced_by_a_text(cli: Cli, upstream: StandIn) -> None:
    ((sent, _),) = await told(cli, upstream, user(image(_SMALL[:16]), "look"))
    same(sent["type"], "text")
    holds(sent["text"].startswith("[Image could not be processed"), sent["text"])


async def _media_sent(cli: Cli, upstream: StandIn, count: int) -> list[dict[str, Any]]:
    many = [image(png(colour=number)) if number % 2 else paper(title=f"{number}") for number in range(count)]
    (sent,) = await told(cli, upstream, user(*many, "look"))
    return [block for block in sent if block["type"] != "text"]


@fact("A request of a hundred is served.")
async def a_hundred_images_and_documents_go_through(cli: Cli, upstream: StandIn) -> None:
    media = await _media_sent(cli, upstream, 100)
    same((len(media), media[0]["title"]), (100, "0"))


@fact("The gateway leaves the oldest of more out itself, and says so.")
async def of_more_than_a_hundred_images_and_documents_the_oldest_are_dropped(cli: Cli, upstream: StandIn) -> None:
    media = await _media_sent(cli, upstream, 101)
    same((len(media), media[-1]["title"]), (80, "100"))


@fact("It leaves out no more than it must.")
async def a_model_with_a_long_context_is_sent_six_hundred_and_a_name_that_is_not_known_a_hundred(
    cli: Cli, upstream: StandIn
) -> None:
    seen = []
    for model in (_LONG_CONTEXT_MODEL, _UNKNOWN_MODEL):
        await cli.send(cli.protocol.switch_model(model))
        question = cli.protocol.ask(user(*[image(_SMALL)] * 101, "look"))
        await cli.send(question)
        (sent,) = [message["content"] for message in last(upstream)["messages"] if message["role"] == "user"]
        seen.append((model, sum(block["type"] == "image" for block in sent)))
        await cli.send(cli.protocol.rewind(question["uuid"], question["uuid"]))
    same(seen, [(_LONG_CONTEXT_MODEL, 101), (_UNKNOWN_MODEL, 80)])


@fact("The gateway makes an error of it, for no answer is given without the image.")
async def what_the_upstream_refuses_is_taken_out_and_the_rest_asked_again(cli: Cli, upstream: StandIn) -> None:
    broken = _SMALL[:-12]
    frames = await cli.ask(user(image(broken), "look"))
    (said,) = [frame for frame in frames if frame.get("api_error")]
    same((said["api_error"], said["api_error_params"]["media"]), ("media_removed", "image"))
    same([frame["is_error"] for frame in frames if frame["type"] == "result"], [False])
    same([plain(broken) in request.body["messages"][0]["content"] for request in upstream.chats], [True, False])


@fact("By its own count each image is 2,000 tokens, and a word of four letters one.")
async def whether_a_conversation_is_too_long_is_left_to_the_upstream(cli: Cli, upstream: StandIn) -> None:
    frames = await cli.ask(user(*[image(_SMALL)] * 95, "{{window 1000000}}{{say ok}}" + "word " * 200_000))
    same(result(frames)["is_error"], False)
    same(len(upstream.chats), 1)
