"""JSON for programs is plain ASCII JSON."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.json_text import to_json


class Pair(msgspec.Struct, frozen=True):
    left: int
    right: list[str] | None = None


def test_structs_are_objects_with_every_key():
    assert json.loads(to_json([Pair(1), Pair(2, ["x"])])) == [
        {"left": 1, "right": None},
        {"left": 2, "right": ["x"]},
    ]


def test_bytes_are_marked_and_in_base64():
    assert json.loads(to_json(b"\x00\xff")) == {"$base64": True, "encoded": "AP8="}


def test_a_number_that_json_does_not_know_is_null():
    assert to_json([float("inf"), float("nan"), 1.5], indent=None) == "[null, null, 1.5]"


def test_lone_surrogates_are_escaped():
    assert to_json("\ud800\x7f", indent=None) == '"\\ud800\\u007f"'


@given(st.text())
def test_any_text_comes_back_and_only_printable_ascii_is_sent(text):
    sent = to_json({"said": text}, indent=None)
    assert sent.isascii()
    assert sent.isprintable()
    assert json.loads(sent)["said"] == text
