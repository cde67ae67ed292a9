"""What the CLI does to images and documents, asserted on the binary itself; see test_cli_facts.py."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.test_cli_facts import MODEL, Cli, bare_cli
from tests.pictures import base64, gif, pdf, png, webp
from workers.frames import Frame
from workers.job import Block, Document, Image, Text, ToolResult, ToolUse, Turn

pytestmark = pytest.mark.e2e

CALL = Turn("assistant", (ToolUse("toolu_1", "f", {}),))
SMALL = png()
# A byte more than what passes as it is.
HEAVY = png(size=512_001)
WIDE = png(2_001, 1)


@pytest.fixture
async def cli(upstream: StandIn, tmp_path: Path) -> AsyncIterator[Cli]:
    async with bare_cli(upstream, tmp_path) as started:
        yield started


def image(raw: bytes, kind: str = "image/png") -> Image:
    return Image({"type": "base64", "media_type": kind, "data": base64(raw)})


def paper(**more: Any) -> Document:
    return Document({"source": {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}, **more})


def user(*blocks: Block) -> Turn:
    return Turn("user", blocks)


async def told(cli: Cli, upstream: StandIn, *turns: Turn) -> list[list[dict[str, Any]]]:
    """The blocks of each message that the model is asked, after these turns."""
    await ask(cli, *turns)
    return [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in upstream.chats[-1].body["messages"]
        if not isinstance(message["content"], str)
    ]


async def ask(cli: Cli, *turns: Turn) -> Frame:
    for turn in turns[:-1]:
        if turn.role == "user":
            await cli.send(cli.protocol.load(turn))
        else:
            await cli.process.write(cli.protocol.append(turn, MODEL))
    frames = await cli.send(cli.protocol.ask(turns[-1]))
    return next(frame for frame in frames if frame["type"] == "result")


def plain(raw: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": base64(raw)}}


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (SMALL, "image/png"),
        (gif(), "image/gif"),
        (webp(), "image/webp"),
        (png(2_000, 2_000), "image/png"),
        (png(size=512_000), "image/png"),
    ],
    ids=["png", "gif", "webp", "2000 pixels", "512,000 bytes"],
)
async def test_an_image_goes_through_as_it_is_now_and_in_the_past(
    cli: Cli, upstream: StandIn, raw: bytes, kind: str
) -> None:
    one = image(raw, kind)
    past, _, now = await told(cli, upstream, user(one, Text("a")), Turn("assistant", (Text("b"),)), user(one))
    assert past[0] == now[0] == plain(raw, kind)


async def test_an_image_of_more_than_2000_pixels_is_made_smaller_and_a_text_behind_all_says_so(
    cli: Cli, upstream: StandIn
) -> None:
    ((smaller, mine, note),) = await told(cli, upstream, user(image(WIDE), Text("look")))
    assert smaller != plain(WIDE)
    assert mine["text"] == "look\n"
    assert note["text"].startswith("[Image: original 2001x1, displayed at 2000x1.")


async def test_an_image_of_more_than_512_000_bytes_becomes_another_without_a_word(cli: Cli, upstream: StandIn) -> None:
    ((smaller, mine),) = await told(cli, upstream, user(image(HEAVY), Text("look")))
    assert smaller != plain(HEAVY)
    assert mine["text"] == "look"


async def test_an_image_in_a_tool_result_is_left_as_it_is(cli: Cli, upstream: StandIn) -> None:
    result = ToolResult("toolu_1", (Text("seen"), image(WIDE), image(HEAVY), paper()))
    *_, ((sent),) = await told(cli, upstream, user(Text("go")), CALL, user(result))
    assert sent["content"][1:3] == [plain(WIDE), plain(HEAVY)]
    assert sent["content"][3]["type"] == "document"


async def test_an_image_in_an_error_is_dropped(cli: Cli, upstream: StandIn) -> None:
    result = ToolResult("toolu_1", (Text("broken"), image(SMALL)), is_error=True)
    *_, (sent, beside) = await told(cli, upstream, user(Text("go")), CALL, user(result, image(SMALL)))
    assert sent["content"] == [{"type": "text", "text": "broken"}]
    assert beside == plain(SMALL)


async def test_a_document_goes_through_with_all_its_fields(cli: Cli, upstream: StandIn) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "a text"}
    blocks = {"type": "content", "content": [{"type": "text", "text": "part"}, plain(SMALL)]}
    documents = [paper(title="t", context="c"), Document({"source": text}), Document({"source": blocks})]
    (sent,) = await told(cli, upstream, user(*documents, Text("read")))
    assert sent[:3] == [{**one.fields, "type": "document"} for one in documents]


async def test_an_image_without_a_size_is_replaced_by_a_text(cli: Cli, upstream: StandIn) -> None:
    ((sent, _),) = await told(cli, upstream, user(image(SMALL[:16]), Text("look")))
    assert sent["type"] == "text"
    assert sent["text"].startswith("[Image could not be processed")


@pytest.mark.parametrize(("count", "most"), [(100, 100), (101, 80)])
async def test_of_more_than_a_hundred_images_and_documents_the_oldest_are_dropped(
    cli: Cli, upstream: StandIn, count: int, most: int
) -> None:
    many = [image(png(colour=n)) if n % 2 else paper(title=f"{n}") for n in range(count)]
    (sent,) = await told(cli, upstream, user(*many, Text("look")))
    media = [block for block in sent if block["type"] != "text"]
    assert len(media) == most
    assert media[-1]["title"] == "100" if count > 100 else media[0]["title"] == "0"


async def test_what_the_upstream_refuses_is_taken_out_and_the_rest_asked_again(cli: Cli, upstream: StandIn) -> None:
    frames = await cli.send(cli.protocol.ask(user(image(SMALL[:-12]), Text("look"))))
    (said,) = [frame for frame in frames if frame.get("api_error")]
    assert (said["api_error"], said["api_error_params"]["media"]) == ("media_removed", "image")
    assert [frame["is_error"] for frame in frames if frame["type"] == "result"] == [False]
    assert [plain(SMALL[:-12]) in request.body["messages"][0]["content"] for request in upstream.chats] == [True, False]


async def test_whether_a_conversation_is_too_long_is_left_to_the_upstream(cli: Cli, upstream: StandIn) -> None:
    # By its own count each image is 2,000 tokens, and a word of four letters one.
    assert not (await ask(cli, user(*[image(SMALL)] * 95, Text("{{say ok}}" + "word " * 200_000))))["is_error"]
    assert len(upstream.chats) == 1
