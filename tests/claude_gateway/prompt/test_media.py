"""What an image or a document really is, whatever its caller says, and what Claude takes of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.cli_facts.pictures import base64, gif, jpeg, pdf, png, segment, webp
from claude_gateway.errors import ApiError
from claude_gateway.prompt import media
from workers.job import Document, Image, Text, ToolResult, Turn

WHERE = "messages.3.content.1"
MODEL = "claude-sonnet-4-5-20250929"
MAKERS = {"image/png": png, "image/gif": gif, "image/webp": webp, "image/jpeg": jpeg}
every_image = pytest.mark.parametrize("kind", MAKERS)


def refusal(data: str, said: str = "") -> str:
    with pytest.raises(ApiError) as raised:
        media.read(data, said, WHERE)
    assert (raised.value.status, raised.value.param) == (400, WHERE)
    return raised.value.message


def source(part: Image | Document) -> Any:
    return part.source if isinstance(part, Image) else part.fields["source"]


@every_image
@pytest.mark.parametrize("said", ["the truth", "", "application/octet-stream"])
def test_an_image_is_what_its_first_bytes_say(kind: str, said: str) -> None:
    data = base64(MAKERS[kind]())

    read = media.read(data, kind if said == "the truth" else said, WHERE)

    assert read == Image({"type": "base64", "media_type": kind, "data": data})


@pytest.mark.promise("content.no-lies")
@every_image
@pytest.mark.parametrize(
    "said", ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"]
)
def test_an_image_that_lies_about_its_type_is_refused(kind: str, said: str) -> None:
    if said == kind:
        return

    message = refusal(base64(MAKERS[kind]()), said)

    assert said in message
    assert kind in message


@pytest.mark.parametrize("said", ["image/jpg", "IMAGE/JPEG", " image/jpeg ", "image/pjpeg"])
def test_another_name_of_the_same_type_is_no_lie(said: str) -> None:
    assert source(media.read(base64(jpeg()), said, WHERE))["media_type"] == "image/jpeg"


@pytest.mark.parametrize("said", ["image/png", "image/bmp", "image/svg+xml", "application/msword", "", "x" * 5_000])
def test_what_is_nothing_that_claude_takes_is_refused(said: str) -> None:
    message = refusal(base64(b"BM of another world"), said)

    assert len(message) < 300


def test_a_pdf_becomes_a_document_with_the_name_of_its_file() -> None:
    data = base64(pdf())

    assert media.read(data, "application/pdf", WHERE, media.about("bill.pdf")) == Document(
        {"source": {"type": "base64", "media_type": "application/pdf", "data": data}, "title": "bill.pdf"}
    )


def test_a_pdf_that_is_none_is_refused() -> None:
    assert "application/pdf" in refusal(base64(b"<html>not found</html>"), "application/pdf")


@pytest.mark.parametrize("said", ["text/plain", "text/markdown", "application/json"])
def test_a_text_becomes_a_document_of_text(said: str) -> None:
    read = media.read(base64(b"\xef\xbb\xbf{}"), said, WHERE)

    assert read == Document({"source": {"type": "text", "media_type": "text/plain", "data": "{}"}})


def test_a_text_may_speak_of_pdfs_and_a_pdf_may_have_something_before_it() -> None:
    raw = b"\n# About %PDF-1.4\n"

    assert source(media.read(base64(raw), "text/markdown", WHERE))["type"] == "text"
    assert source(media.read(base64(b"\n" + pdf()), "application/pdf", WHERE))["type"] == "base64"


@pytest.mark.parametrize("text", [b"\xff\xfe", b" \n"], ids=["not UTF-8", "blank"])
def test_a_text_that_is_none_is_refused(text: bytes) -> None:
    refusal(base64(text), "text/plain")


@pytest.mark.parametrize(("title", "length"), [("", 0), (" ", 0), (None, 0), (5, 0), ("x" * 600, 500)])
def test_a_title_that_the_api_refuses_is_left_out_or_cut(title: Any, length: int) -> None:
    assert len(media.about(title).get("title", "")) == length


# Base64 as it is sent.


@given(st.binary(max_size=60))
def test_base64_in_any_form_comes_out_as_the_api_takes_it(noise: bytes) -> None:
    raw = b"%PDF-" + noise
    plain = base64(raw)
    url_safe = plain.replace("+", "-").replace("/", "_")
    lines = "\r\n".join(plain[i : i + 7] for i in range(0, len(plain), 7)) + "\n"

    for form in (plain, plain.rstrip("="), url_safe, lines, f" {lines}\t"):
        assert source(media.read(form, "", WHERE))["data"] == plain


@pytest.mark.parametrize(
    "data",
    [
        "",
        "  ",
        "=",
        "====",
        "A",
        "AAAAA",
        "AA=A",
        "A===",
        "AAA====",
        "a*b=",
        "&&&&",
        "\u00e9AAA",
        "\u212aAAA",
        "AA\0AA",
    ],
    ids=repr,
)
def test_what_is_no_base64_is_refused(data: str) -> None:
    assert "data" in refusal(data, "image/png")


# How large an image is.


@every_image
def test_an_image_of_8000_pixels_is_taken_and_one_of_more_is_not(kind: str) -> None:
    make = MAKERS[kind] if kind != "image/png" else lambda width, height: png(width, height)

    media.read(base64(make(8_000, 1)), kind, WHERE)
    assert "8000" in refusal(base64(make(1, 8_001)), kind)


def test_a_webp_of_each_form_tells_its_size() -> None:
    lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\x00\x9d\x01\x2a" + (8_001).to_bytes(2, "little") + b"\x05\x00"
    extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (8_000).to_bytes(3, "little") + b"\x05\x00\x00"

    assert "8000" in refusal(base64(lossy))
    assert "8000" in refusal(base64(extended))


@every_image
@pytest.mark.parametrize("length", [12, 16, 20])
def test_an_image_without_a_size_is_no_whole_image(kind: str, length: int) -> None:
    cut = MAKERS[kind]()[: length if kind != "image/gif" else length // 2 - 1]

    assert kind in refusal(base64(cut), kind)


def test_a_jpeg_tells_its_size_behind_previews_and_filling() -> None:
    before = segment(60_000) * 2 + b"\xff\xff\xff" + segment(10, 0xC4)

    assert "8000" in refusal(base64(jpeg(9_000, 1, before=before)))


def test_a_jpeg_whose_size_lies_far_behind_is_taken_on_trust() -> None:
    media.read(base64(jpeg(before=segment(65_000) * 5)), "image/jpeg", WHERE)


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xe1\x00\x02", b"\xff\xe1\x00\x00"], ids=repr)
def test_a_jpeg_made_to_be_read_for_long_is_given_up(filling: bytes) -> None:
    refusal(base64(jpeg(before=filling * 301)), "image/jpeg")


# URLs.


def test_a_data_url_holds_an_image() -> None:
    data = base64(png())

    read = media.from_url(f"data:image/png;base64,{data}", WHERE)

    assert read == Image({"type": "base64", "media_type": "image/png", "data": data})


@pytest.mark.parametrize("head", ["DATA:image/png;base64", "data:;base64", "data:image/png;name=a.png;BASE64"])
def test_a_data_url_may_say_more_or_less(head: str) -> None:
    assert isinstance(media.from_url(f"{head},{base64(png())}", WHERE), Image)


@pytest.mark.parametrize("head", ["data:" + ";" * 1_000, "data:text/plain;name=" + "a" * 1_000])
def test_the_head_of_a_data_url_has_a_bound(head: str) -> None:
    with pytest.raises(ApiError, match="1000 characters") as found:
        media.from_url(f"{head},a", WHERE)
    assert found.value.status == 400


def test_a_data_url_of_very_many_escapes_is_a_413_that_names_the_limit() -> None:
    with pytest.raises(ApiError, match="50000 percent-encoded bytes") as found:
        media.from_url("data:text/plain," + "%41" * 50_001, WHERE)
    assert (found.value.status, found.value.param) == (413, WHERE)
    assert media.from_url("data:text/plain," + "%41" * 50_000, WHERE) == media.text_document("A" * 50_000, WHERE)


def test_a_data_url_may_hold_a_text() -> None:
    read = media.from_url("data:text/plain,a%20b", WHERE)

    assert source(read)["data"] == "a b"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "data:image/png;base64",
            "data:image/png,AAAA",
            "data:",
            "data:,",
            "",
            "image.png",
            "http://example.com/a.png",
        ),
        *("file:///etc/passwd", "ftp://example.com/a.png", "//example.com/a.png", "https://", "https:///a.png"),
        *("https://user@example.com/", "https://user:word@example.com/", "https://:@example.com/", "https://[::1/"),
        *("https://example.com/\n", "https://exa mple.com/\x00", "https://example.com/" + "a" * 9_000),
    ],
)
def test_a_url_that_is_never_followed_is_refused(url: str) -> None:
    with pytest.raises(ApiError) as raised:
        media.from_url(url, WHERE)

    assert (raised.value.status, raised.value.param) == (400, WHERE)
    assert "etc" not in raised.value.message


def test_an_https_url_waits_to_be_fetched_and_remembers_its_place() -> None:
    url = "https://example.com/a.png?x=1"

    assert media.from_url(url, WHERE) == Image({"type": "url", "url": url, "place": WHERE, "more": {}})


# A whole conversation.


def turn(*blocks: Any) -> list[Turn]:
    return [Turn("user", blocks)]


def image(raw: bytes) -> Image:
    read = media.read(base64(raw), "", WHERE)
    assert isinstance(read, Image)
    return read


def test_what_the_model_sees_as_it_was_sent_needs_no_word() -> None:
    assert media.review(turn(Text("hi"), image(png(2_000, 2_000)), image(png(size=512_000))), MODEL) == []


@pytest.mark.parametrize("raw", [png(2_001, 1), png(1, 2_001), png(size=512_001)], ids=["wide", "high", "heavy"])
def test_an_image_that_claude_code_makes_smaller_is_named(raw: bytes) -> None:
    (note,) = media.review(turn(image(raw), image(png())), MODEL)

    assert note.startswith("images: 1 over")


def test_an_image_in_a_tool_result_is_not_made_smaller_but_has_a_limit() -> None:
    large = image(png(size=5 * 1024 * 1024 * 3 // 4))

    assert media.review(turn(ToolResult("call_1", (large, image(png(2_001, 1))))), MODEL) == []
    with pytest.raises(ApiError, match="call_1"):
        media.review(turn(ToolResult("call_1", (image(png(size=5 * 1024 * 1024 * 3 // 4 + 3)),))), MODEL)


def test_more_images_than_the_model_is_sent_are_counted() -> None:
    one = image(png())

    assert media.review(turn(*[one] * 100), MODEL) == []
    assert media.review(turn(*[one] * 60, ToolResult("call_1", (one,) * 41)), MODEL) == [
        "images: the oldest 20 of 101 images and documents are left out, Claude is sent 100 of them at most"
    ]
    assert media.review(turn(*[one] * 600), "claude-opus-5") == []
    assert "the oldest 20 of 601" in media.review(turn(*[one] * 601), "claude-opus-5")[0]


def test_what_is_left_out_is_not_reviewed() -> None:
    small, large = image(png()), image(png(2_001, 1))

    assert len(media.review(turn(large, *[small] * 100), MODEL)) == 1
