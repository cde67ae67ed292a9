"""Detection of images and documents from their bytes, and the limits of Claude."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.core.errors import ApiError
from claude_gateway.devtools.cli_contract.sample_media import (
    encode_base64,
    make_gif,
    make_jpeg,
    make_jpeg_segment,
    make_pdf,
    make_png,
    make_webp,
)
from claude_gateway.dialects.common.content import media
from workers.core.job import Document, Image, Text, ToolResult, Turn

FIELD_PATH = "messages.3.content.1"
MODEL = "claude-sonnet-4-5-20250929"
IMAGE_MAKERS = {"image/png": make_png, "image/gif": make_gif, "image/webp": make_webp, "image/jpeg": make_jpeg}
every_image = pytest.mark.parametrize("kind", IMAGE_MAKERS)


def get_rejection(data: str, declared_type: str = "") -> str:
    with pytest.raises(ApiError) as raised:
        media.from_base64(data, declared_type, FIELD_PATH)
    assert (raised.value.status, raised.value.param) == (400, FIELD_PATH)
    return raised.value.message


def source(part: Image | Document) -> Any:
    return part.source if isinstance(part, Image) else part.fields["source"]


@every_image
@pytest.mark.parametrize("declared_type", ["the correct type", "", "application/octet-stream"])
def test_detects_image_type_from_first_bytes(kind: str, declared_type: str) -> None:
    data = encode_base64(IMAGE_MAKERS[kind]())

    block = media.from_base64(data, kind if declared_type == "the correct type" else declared_type, FIELD_PATH)

    assert block == Image({"type": "base64", "media_type": kind, "data": data})


@pytest.mark.promise("content.declared-type")
@every_image
@pytest.mark.parametrize(
    "declared_type", ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"]
)
def test_rejects_image_whose_declared_type_is_wrong(kind: str, declared_type: str) -> None:
    if declared_type == kind:
        return

    message = get_rejection(encode_base64(IMAGE_MAKERS[kind]()), declared_type)

    assert declared_type in message
    assert kind in message


@pytest.mark.parametrize("declared_type", ["image/jpg", "IMAGE/JPEG", " image/jpeg ", "image/pjpeg"])
def test_accepts_alias_of_the_same_media_type(declared_type: str) -> None:
    assert (
        source(media.from_base64(encode_base64(make_jpeg()), declared_type, FIELD_PATH))["media_type"] == "image/jpeg"
    )


@pytest.mark.parametrize(
    "declared_type", ["image/png", "image/bmp", "image/svg+xml", "application/msword", "", "x" * 5_000]
)
def test_rejects_unsupported_media(declared_type: str) -> None:
    message = get_rejection(encode_base64(b"BM of another world"), declared_type)

    assert len(message) < 300


def test_converts_pdf_to_document_with_file_name() -> None:
    data = encode_base64(make_pdf())

    assert media.from_base64(data, "application/pdf", FIELD_PATH, media.build_document_fields("bill.pdf")) == Document(
        {"source": {"type": "base64", "media_type": "application/pdf", "data": data}, "title": "bill.pdf"}
    )


def test_rejects_invalid_pdf() -> None:
    assert "application/pdf" in get_rejection(encode_base64(b"<html>not found</html>"), "application/pdf")


@pytest.mark.parametrize("declared_type", ["text/plain", "text/markdown", "application/json"])
def test_converts_text_file_to_text_document(declared_type: str) -> None:
    block = media.from_base64(encode_base64(b"\xef\xbb\xbf{}"), declared_type, FIELD_PATH)

    assert block == Document({"source": {"type": "text", "media_type": "text/plain", "data": "{}"}})


def test_accepts_text_about_pdfs_and_pdf_with_leading_bytes() -> None:
    raw = b"\n# About %PDF-1.4\n"

    assert source(media.from_base64(encode_base64(raw), "text/markdown", FIELD_PATH))["type"] == "text"
    assert (
        source(media.from_base64(encode_base64(b"\n" + make_pdf()), "application/pdf", FIELD_PATH))["type"] == "base64"
    )


@pytest.mark.parametrize("text", [b"\xff\xfe", b" \n"], ids=["not UTF-8", "blank"])
def test_rejects_invalid_text_file(text: bytes) -> None:
    get_rejection(encode_base64(text), "text/plain")


@pytest.mark.parametrize(("title", "length"), [("", 0), (" ", 0), (None, 0), (5, 0), ("x" * 600, 500)])
def test_omits_or_shortens_title_that_the_api_rejects(title: Any, length: int) -> None:
    assert len(media.build_document_fields(title).get("title", "")) == length


# Base64 as clients send it.


@given(st.binary(max_size=60))
def test_normalizes_every_form_of_base64(noise: bytes) -> None:
    raw = b"%PDF-" + noise
    plain = encode_base64(raw)
    url_safe = plain.replace("+", "-").replace("/", "_")
    lines = "\r\n".join(plain[i : i + 7] for i in range(0, len(plain), 7)) + "\n"

    for form in (plain, plain.rstrip("="), url_safe, lines, f" {lines}\t"):
        assert source(media.from_base64(form, "", FIELD_PATH))["data"] == plain


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
def test_rejects_invalid_base64(data: str) -> None:
    assert "data" in get_rejection(data, "image/png")


# Sizes of images.


@every_image
def test_accepts_image_of_8000_pixels_and_rejects_larger_ones(kind: str) -> None:
    make = IMAGE_MAKERS[kind] if kind != "image/png" else lambda width, height: make_png(width, height)

    media.from_base64(encode_base64(make(8_000, 1)), kind, FIELD_PATH)
    assert "8000" in get_rejection(encode_base64(make(1, 8_001)), kind)


def test_reads_size_of_every_webp_variant() -> None:
    lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\x00\x9d\x01\x2a" + (8_001).to_bytes(2, "little") + b"\x05\x00"
    extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (8_000).to_bytes(3, "little") + b"\x05\x00\x00"

    assert "8000" in get_rejection(encode_base64(lossy))
    assert "8000" in get_rejection(encode_base64(extended))


@every_image
@pytest.mark.parametrize("length", [12, 16, 20])
def test_rejects_truncated_image_without_size(kind: str, length: int) -> None:
    truncated = IMAGE_MAKERS[kind]()[: length if kind != "image/gif" else length // 2 - 1]

    assert kind in get_rejection(encode_base64(truncated), kind)


def test_reads_jpeg_size_behind_thumbnails_and_padding() -> None:
    segments = make_jpeg_segment(60_000) * 2 + b"\xff\xff\xff" + make_jpeg_segment(10, 0xC4)

    assert "8000" in get_rejection(encode_base64(make_jpeg(9_000, 1, segments=segments)))


def test_accepts_jpeg_whose_size_is_not_within_the_first_bytes() -> None:
    media.from_base64(encode_base64(make_jpeg(segments=make_jpeg_segment(65_000) * 5)), "image/jpeg", FIELD_PATH)


@pytest.mark.parametrize("segment", [b"\xff", b"\xff\xe1\x00\x02", b"\xff\xe1\x00\x00"], ids=repr)
def test_stops_scanning_hostile_jpeg(segment: bytes) -> None:
    get_rejection(encode_base64(make_jpeg(segments=segment * 301)), "image/jpeg")


# URLs.


def test_decodes_image_of_data_url() -> None:
    data = encode_base64(make_png())

    block = media.from_url(f"data:image/png;base64,{data}", FIELD_PATH)

    assert block == Image({"type": "base64", "media_type": "image/png", "data": data})


@pytest.mark.parametrize("head", ["DATA:image/png;base64", "data:;base64", "data:image/png;name=a.png;BASE64"])
def test_accepts_data_url_with_more_or_fewer_parameters(head: str) -> None:
    assert isinstance(media.from_url(f"{head},{encode_base64(make_png())}", FIELD_PATH), Image)


@pytest.mark.parametrize("head", ["data:" + ";" * 1_000, "data:text/plain;name=" + "a" * 1_000])
def test_rejects_data_url_with_long_head(head: str) -> None:
    with pytest.raises(ApiError, match="1000 characters") as raised:
        media.from_url(f"{head},a", FIELD_PATH)
    assert raised.value.status == 400


def test_rejects_data_url_with_too_many_escapes_with_413() -> None:
    with pytest.raises(ApiError, match="50000 percent-encoded bytes") as raised:
        media.from_url("data:text/plain," + "%41" * 50_001, FIELD_PATH)
    assert (raised.value.status, raised.value.param) == (413, FIELD_PATH)
    assert media.from_url("data:text/plain," + "%41" * 50_000, FIELD_PATH) == media.build_text_document(
        "A" * 50_000, FIELD_PATH
    )


def test_decodes_text_of_data_url() -> None:
    block = media.from_url("data:text/plain,a%20b", FIELD_PATH)

    assert source(block)["data"] == "a b"


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
def test_rejects_url_that_is_never_fetched(url: str) -> None:
    with pytest.raises(ApiError) as raised:
        media.from_url(url, FIELD_PATH)

    assert (raised.value.status, raised.value.param) == (400, FIELD_PATH)
    assert "etc" not in raised.value.message


def test_keeps_https_url_with_its_field_path_for_fetching() -> None:
    url = "https://example.com/a.png?x=1"

    assert media.from_url(url, FIELD_PATH) == Image(
        {"type": "url", "url": url, "field_path": FIELD_PATH, "extra_fields": {}}
    )


# Media of a whole conversation.


def turn(*blocks: Any) -> list[Turn]:
    return [Turn("user", blocks)]


def image(raw: bytes) -> Image:
    block = media.from_base64(encode_base64(raw), "", FIELD_PATH)
    assert isinstance(block, Image)
    return block


def test_adds_no_note_for_image_sent_unchanged() -> None:
    assert (
        media.check_media(turn(Text("hi"), image(make_png(2_000, 2_000)), image(make_png(size_bytes=512_000))), MODEL)
        == []
    )


@pytest.mark.parametrize(
    "raw", [make_png(2_001, 1), make_png(1, 2_001), make_png(size_bytes=512_001)], ids=["wide", "high", "large"]
)
def test_notes_image_that_claude_code_scales_down(raw: bytes) -> None:
    (note,) = media.check_media(turn(image(raw), image(make_png())), MODEL)

    assert note.startswith("images: changed 1 over")


def test_limits_size_of_image_in_tool_result() -> None:
    large = image(make_png(size_bytes=5 * 1024 * 1024 * 3 // 4))

    assert media.check_media(turn(ToolResult("call_1", (large, image(make_png(2_001, 1))))), MODEL) == []
    with pytest.raises(ApiError, match="call_1"):
        media.check_media(
            turn(ToolResult("call_1", (image(make_png(size_bytes=5 * 1024 * 1024 * 3 // 4 + 3)),))), MODEL
        )


def test_notes_how_many_images_are_omitted() -> None:
    small = image(make_png())

    assert media.check_media(turn(*[small] * 100), MODEL) == []
    assert media.check_media(turn(*[small] * 60, ToolResult("call_1", (small,) * 41)), MODEL) == [
        "images: omitted the oldest 20 of 101 images and documents (Claude accepts 100 at most)"
    ]
    assert media.check_media(turn(*[small] * 600), "claude-opus-5") == []
    assert "the oldest 20 of 601" in media.check_media(turn(*[small] * 601), "claude-opus-5")[0]


def test_does_not_check_omitted_images() -> None:
    small, large = image(make_png()), image(make_png(2_001, 1))

    assert len(media.check_media(turn(large, *[small] * 100), MODEL)) == 1
