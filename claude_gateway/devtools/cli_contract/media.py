"""Contract checks for images and documents in prompts and tool results."""

from typing import Any

from claude_gateway.devtools.cli_contract.check import ContractCheckRegistry, require, require_equal
from claude_gateway.devtools.cli_contract.driver import CliDriver, find_result, last_request_body, user_turn
from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_gif, make_pdf, make_png, make_webp
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.core.job import Document, Image, Text, ToolResult, ToolUse, Turn

contract_check = ContractCheckRegistry()

_TOOL_CALL_TURN = Turn("assistant", (ToolUse("toolu_1", "f", {}),))
_SMALL_PNG = make_png()
# A model to which the CLI sends more images and documents, according to `workers.conversation.media_limit`.
_LONG_CONTEXT_MODEL = "claude-opus-4-8"
_UNKNOWN_MODEL = "claude-of-tomorrow"
# The CLI sends images of at most 512,000 bytes unchanged. This image is one byte larger.
_LARGE_PNG = make_png(size_bytes=512_001)
_WIDE_PNG = make_png(2_001, 1)
_UNCHANGED_IMAGES = (
    (_SMALL_PNG, "image/png"),
    (make_gif(), "image/gif"),
    (make_webp(), "image/webp"),
    (make_png(2_000, 2_000), "image/png"),
    (make_png(size_bytes=512_000), "image/png"),
)
_DOWNSCALED_REASON = "The gateway warns the client that its image was made smaller."


def image_block(data: bytes, media_type: str = "image/png") -> Image:
    """Return an image block that contains the given bytes."""
    return Image({"type": "base64", "media_type": media_type, "data": encode_base64(data)})


def pdf_document(**fields: Any) -> Document:
    """Return a document block that contains a PDF and the additional fields `fields`."""
    return Document(
        {"source": {"type": "base64", "media_type": "application/pdf", "data": encode_base64(make_pdf())}, **fields}
    )


def image_object(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    """Return the JSON object that the CLI sends upstream for an image block with the given bytes."""
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": encode_base64(data)}}


async def collect_sent_blocks(cli: CliDriver, upstream: FakeAnthropic, *turns: Turn) -> list[list[dict[str, Any]]]:
    """Send the turns to the CLI, and return the content blocks in each message that the CLI sends to the model.

    The function removes the cache breakpoints from the returned blocks.
    """
    await cli.ask(*turns)
    return [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in last_request_body(upstream)["messages"]
        if not isinstance(message["content"], str)
    ]


@contract_check("The model must receive the exact bytes of an image.")
async def an_image_within_the_limits_is_sent_unchanged_in_history_and_question(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    for raw, media_type in _UNCHANGED_IMAGES:
        image = image_block(raw, media_type)
        sent = await collect_sent_blocks(
            cli, upstream, user_turn(image, "a"), Turn("assistant", (Text("b"),)), user_turn(image)
        )
        history, _, prompt = sent[-3:]
        expected = image_object(raw, media_type)
        require_equal((history[0], prompt[0]), (expected, expected))


@contract_check(_DOWNSCALED_REASON)
async def an_image_of_more_than_2000_pixels_is_downscaled_and_a_final_text_says_so(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    ((image, text, note),) = await collect_sent_blocks(cli, upstream, user_turn(image_block(_WIDE_PNG), "look"))
    require(image != image_object(_WIDE_PNG), "the image was not changed")
    require_equal(text["text"], "look\n")
    require(note["text"].startswith("[Image: original 2001x1, displayed at 2000x1."), note["text"])


@contract_check(_DOWNSCALED_REASON)
async def an_image_of_more_than_512000_bytes_is_recompressed_without_notice(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    ((image, text),) = await collect_sent_blocks(cli, upstream, user_turn(image_block(_LARGE_PNG), "look"))
    require(image != image_object(_LARGE_PNG), "the image was not changed")
    require_equal(text["text"], "look")


@contract_check("The gateway gives no warning for images in tool results.")
async def an_image_in_a_tool_result_is_sent_unchanged(cli: CliDriver, upstream: FakeAnthropic) -> None:
    result = ToolResult("toolu_1", (Text("seen"), image_block(_WIDE_PNG), image_block(_LARGE_PNG), pdf_document()))
    *_, ((sent),) = await collect_sent_blocks(cli, upstream, user_turn("go"), _TOOL_CALL_TURN, user_turn(result))
    require_equal(sent["content"][1:3], [image_object(_WIDE_PNG), image_object(_LARGE_PNG)])
    require_equal(sent["content"][3]["type"], "document")


@contract_check("The gateway puts the images of a failed call next to its result.")
async def an_image_in_an_error_result_is_dropped(cli: CliDriver, upstream: FakeAnthropic) -> None:
    result = ToolResult("toolu_1", (Text("broken"), image_block(_SMALL_PNG)), is_error=True)
    *_, (sent, image) = await collect_sent_blocks(
        cli, upstream, user_turn("go"), _TOOL_CALL_TURN, user_turn(result, image_block(_SMALL_PNG))
    )
    require_equal(sent["content"], [{"type": "text", "text": "broken"}])
    require_equal(image, image_object(_SMALL_PNG))


@contract_check("The model must receive titles, contexts and citations.")
async def a_document_is_sent_with_all_its_fields(cli: CliDriver, upstream: FakeAnthropic) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "a text"}
    blocks = {"type": "content", "content": [{"type": "text", "text": "part"}, image_object(_SMALL_PNG)]}
    documents = [pdf_document(title="t", context="c"), Document({"source": text}), Document({"source": blocks})]
    (sent,) = await collect_sent_blocks(cli, upstream, user_turn(*documents, "read"))
    require_equal(sent[:3], [{**document.fields, "type": "document"} for document in documents])


@contract_check("The gateway rejects images whose size it cannot read, before the CLI gets them.")
async def an_image_of_unreadable_size_is_replaced_by_a_text(cli: CliDriver, upstream: FakeAnthropic) -> None:
    ((sent, _),) = await collect_sent_blocks(cli, upstream, user_turn(image_block(_SMALL_PNG[:16]), "look"))
    require_equal(sent["type"], "text")
    require(sent["text"].startswith("[Image could not be processed"), sent["text"])


async def _send_media(cli: CliDriver, upstream: FakeAnthropic, count: int) -> list[dict[str, Any]]:
    media = [
        image_block(make_png(red=number)) if number % 2 else pdf_document(title=f"{number}") for number in range(count)
    ]
    (sent,) = await collect_sent_blocks(cli, upstream, user_turn(*media, "look"))
    return [block for block in sent if block["type"] != "text"]


@contract_check("The gateway sends up to a hundred images and documents.")
async def a_hundred_images_and_documents_are_sent(cli: CliDriver, upstream: FakeAnthropic) -> None:
    media = await _send_media(cli, upstream, 100)
    require_equal((len(media), media[0]["title"]), (100, "0"))


@contract_check("The gateway drops the oldest of more than a hundred itself, with a warning.")
async def the_oldest_of_more_than_a_hundred_images_and_documents_are_dropped(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    media = await _send_media(cli, upstream, 101)
    require_equal((len(media), media[-1]["title"]), (80, "100"))


@contract_check("The gateway must not drop more media than the CLI would.")
async def a_model_with_a_long_context_is_sent_more_than_a_hundred_images_and_an_unknown_model_is_not(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    counts = []
    for model in (_LONG_CONTEXT_MODEL, _UNKNOWN_MODEL):
        await cli.send(cli.protocol.switch_model(model))
        question = cli.protocol.prompt(user_turn(*[image_block(_SMALL_PNG)] * 101, "look"))
        await cli.send(question)
        (sent,) = [
            message["content"] for message in last_request_body(upstream)["messages"] if message["role"] == "user"
        ]
        counts.append((model, sum(block["type"] == "image" for block in sent)))
        await cli.send(cli.protocol.rewind(question["uuid"], question["uuid"]))
    require_equal(counts, [(_LONG_CONTEXT_MODEL, 101), (_UNKNOWN_MODEL, 80)])


@contract_check("The gateway reports an error, because a reply without the image would be wrong.")
async def an_image_rejected_by_the_upstream_is_removed_and_the_request_sent_again(
    cli: CliDriver, upstream: FakeAnthropic
) -> None:
    broken = _SMALL_PNG[:-12]
    frames = await cli.ask(user_turn(image_block(broken), "look"))
    (error_frame,) = [frame for frame in frames if frame.get("api_error")]
    require_equal((error_frame["api_error"], error_frame["api_error_params"]["media"]), ("media_removed", "image"))
    require_equal([frame["is_error"] for frame in frames if frame["type"] == "result"], [False])
    require_equal(
        [image_object(broken) in request.body["messages"][0]["content"] for request in upstream.chat_requests],
        [True, False],
    )


@contract_check("The CLI estimates 2,000 tokens for an image; it must not reject a prompt because of its estimate.")
async def the_length_of_a_conversation_is_checked_only_by_the_upstream(cli: CliDriver, upstream: FakeAnthropic) -> None:
    frames = await cli.ask(
        user_turn(*[image_block(_SMALL_PNG)] * 95, "{{window 1000000}}{{say ok}}" + "word " * 200_000)
    )
    require_equal(find_result(frames)["is_error"], False)
    require_equal(len(upstream.chat_requests), 1)
