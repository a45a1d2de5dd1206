"""Messages in the shapes of providers' APIs, as OpenTelemetry's messages and parts."""

import pytest

from counterfoil import content
from counterfoil.content import Known, arguments_of, dict_message, parts_of, role_of
from counterfoil.events import message, text_part, tool_call_part, tool_response_part
from counterfoil.snapshot import Taken


class TestRoles:
    @pytest.mark.parametrize(
        ("native", "role"),
        [
            ("human", "user"),
            ("ai", "assistant"),
            ("model", "assistant"),
            ("developer", "system"),
            ("function", "tool"),
            ("user", "user"),
            ("critic", "critic"),
        ],
    )
    def test_a_role_is_said_in_otel_s_words_and_any_other_kept(self, native, role):
        assert role_of(native) == role


class TestMessages:
    def test_a_text(self):
        assert dict_message({"role": "developer", "content": "Be kind."}) == message(
            "system", [text_part("Be kind.")]
        )

    def test_a_name_is_kept(self):
        said = dict_message({"role": "user", "content": "hi", "name": "mary"})
        assert said == message("user", [text_part("hi")], name="mary")

    def test_without_a_role_it_is_by_its_type_else_the_user_s(self):
        assert dict_message({"type": "ai", "content": "hello"})["role"] == "assistant"
        assert dict_message({"content": "hello"})["role"] == "user"

    def test_tool_calls_come_after_the_text(self):
        call = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"amount": 60}'}}
        said = dict_message({"role": "assistant", "content": "At once.", "tool_calls": [call]})
        assert said["parts"] == [text_part("At once."), tool_call_part("c1", "refund", {"amount": 60})]

    def test_arguments_may_come_as_they_are_or_as_json(self):
        assert arguments_of({"amount": 60}) == {"amount": 60}
        assert arguments_of('{"amount": 60}') == {"amount": 60}
        assert arguments_of(None) is None

    @pytest.mark.parametrize("arguments", ["", "{broken", "[1]", '"text"'])
    def test_arguments_that_are_no_json_object_stay_as_the_model_wrote_them(self, arguments):
        call = {"id": "c1", "function": {"name": "refund", "arguments": arguments}}
        said = dict_message({"role": "assistant", "content": None, "tool_calls": [call]})
        assert said["parts"] == [tool_call_part("c1", "refund", arguments)]

    def test_whose_an_assistant_s_message_is_its_step_says(self):
        assert dict_message({"role": "assistant", "content": "hi", "name": "desk"}) == message(
            "assistant", [text_part("hi")]
        )

    @pytest.mark.parametrize("key", ["arguments", "args"])
    def test_a_call_may_be_flat(self, key):
        call = {"id": "c1", "name": "refund", key: {"amount": 60}}
        said = dict_message({"role": "assistant", "content": None, "tool_calls": [call]})
        assert said["parts"] == [tool_call_part("c1", "refund", {"amount": 60})]

    def test_no_tool_calls_may_be_none(self):
        said = dict_message({"role": "assistant", "content": "hello", "tool_calls": None})
        assert said["parts"] == [text_part("hello")]

    def test_a_tool_s_answer_names_its_call(self):
        said = dict_message({"role": "tool", "tool_call_id": "c1", "content": {"paid": 60}})
        assert said == message("tool", [tool_response_part("c1", {"paid": 60})])

    def test_a_framework_s_object_is_made_plain(self):
        said = dict_message({"role": "tool", "tool_call_id": "c1", "content": {1, 2}}, plain=sorted)
        assert said["parts"] == [tool_response_part("c1", [1, 2])]


BLOCKS = [
    ("hello", text_part("hello")),
    ({"type": "text", "text": "hello"}, text_part("hello")),
    ({"type": "output_text", "text": "hello", "annotations": []}, text_part("hello")),
    ({"type": "refusal", "refusal": "no"}, text_part("no")),
    ({"type": "text", "text": None}, text_part("")),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "reasoning", "content": "hm"}),
    (
        {"type": "reasoning", "summary": [{"text": "first"}, {"text": "then"}]},
        {"type": "reasoning", "content": "first\nthen"},
    ),
    ({"type": "acme_chart", "bars": [1]}, {"type": "acme_chart", "bars": [1]}),
]

BLOBS = [
    (
        "openai image",
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        (None, "https://x.test/a.png"),
    ),
    (
        "openai image, inline",
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ("image/png", "data:image/png;base64,AAAA"),
    ),
    (
        "openai responses image",
        {"type": "input_image", "image_url": "https://x.test/a.png"},
        (None, "https://x.test/a.png"),
    ),
    (
        "openai sound",
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ("audio/wav", "AA"),
    ),
    ("openai file", {"type": "file", "file": {"file_id": "file-1"}}, (None, "file-1")),
    (
        "anthropic image",
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA"}},
        ("image/jpeg", "AA"),
    ),
    (
        "langchain image",
        {"type": "image", "base64": "AA", "mime_type": "image/png"},
        ("image/png", "AA"),
    ),
    ("google media", {"type": "media", "mime_type": "video/mp4", "data": "AA"}, ("video/mp4", "AA")),
    ("the data itself", {"type": "image", "image": b"png"}, (None, b"png")),
    ("nothing in it", {"type": "image"}, (None, None)),
]


class TestParts:
    @pytest.mark.parametrize("content", ["", None, []])
    def test_no_content_is_no_part(self, content):
        assert parts_of(content) == []

    @pytest.mark.parametrize(("block", "part"), BLOCKS)
    def test_a_block_is_a_part(self, block, part):
        assert parts_of([block]) == [part]

    @pytest.mark.parametrize(
        ("block", "media", "content"),
        [(block, media, content) for _, block, (media, content) in BLOBS],
        ids=[name for name, _, _ in BLOBS],
    )
    def test_an_image_a_sound_or_a_file_has_its_media_type_and_data_or_address(self, block, media, content):
        assert parts_of([block]) == [{"type": "blob", "mime_type": media, "content": content}]

    @pytest.mark.parametrize("kind", ["tool_use", "tool_call", "function_call", "input_json_delta"])
    def test_tool_calls_among_the_blocks_are_left_to_the_message_s_own(self, kind):
        assert parts_of(["At once.", {"type": kind, "id": "c1", "name": "refund"}]) == [text_part("At once.")]

    def test_a_block_is_copied_not_kept(self):
        block = {"type": "acme_chart"}
        (part,) = parts_of([block])
        assert part is not block

    def test_content_of_another_kind_is_text_made_plain(self):
        assert parts_of({"a": 1}) == [{"type": "text", "content": {"a": 1}}]
        assert parts_of([{3, 1}], plain=sorted) == [{"type": "text", "content": [1, 3]}]


class TestKnown:
    LARGE = Taken(b'"' + b"x" * 500 + b'"')

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        """Three large messages are more than one generation holds."""
        monkeypatch.setattr(content, "KNOWN_BYTES", 6_000)

    def test_a_message_is_given_as_it_was_encoded(self):
        known = Known()
        known.keep("hello", self.LARGE)
        assert known.get("hello") is self.LARGE
        assert known.get("hullo") is None

    def test_what_is_no_longer_asked_for_is_let_go(self):
        known = Known()
        for number in range(7):
            known.keep(number, self.LARGE)
        assert known.get(0) is None
        assert known.get(6) is self.LARGE

    def test_what_is_asked_for_stays(self):
        known = Known()
        known.keep("system", self.LARGE)
        for number in range(20):
            known.keep(number, self.LARGE)
            assert known.get("system") is self.LARGE
