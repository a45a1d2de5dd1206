"""Chat messages and their content in the shapes that providers' APIs have, as OTel GenAI messages and parts.

Text, lists of content blocks (OpenAI's, Anthropic's, Google's), and messages that are plain dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.events import (
    Message,
    blob_part,
    message,
    reasoning_part,
    text_part,
    tool_call_part,
    tool_response_part,
)
from counterfoil.snapshot import Taken, snapshot

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Known", "arguments_of", "dict_message", "parts_of", "role_of"]

#: Of all messages that are kept encoded.
KNOWN_BYTES: Final = 4 << 20

_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "developer": "system",
    "function": "tool",
    "model": "assistant",
}
_TEXT_BLOCKS: Final = frozenset({"text", "input_text", "output_text", "refusal", "text-plain"})
_REASONING_BLOCKS: Final = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
#: Said a second time in `tool_calls`, where they are complete and parsed.
_CALL_BLOCKS: Final = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "function_call", "invalid_tool_call", "input_json_delta"}
)
_BLOB_BLOCKS: Final = frozenset(
    {
        "image",
        "image_url",
        "input_image",
        "audio",
        "input_audio",
        "video",
        "video_url",
        "file",
        "media",
        "document",
    }
)

_json: Final = msgspec.json.Decoder()

Plain = Callable[[Any], Any]


class Known:
    """Messages as they were encoded before: a chat model is sent the whole conversation at every call.

    The key must hold all that the message says. Two generations, bounded in bytes; threads may share it.
    """

    def __init__(self) -> None:
        self._new: dict[Hashable, Taken] = {}
        self._old: dict[Hashable, Taken] = {}
        self._bytes = 0

    def taken(self, key: Hashable | None, make: Callable[[Any], Message], value: Any) -> Taken:
        """Give the message that `make(value)` gives, as JSON: as it was before where `key` is known; None is none."""
        taken = None if key is None else self.get(key)
        if taken is None:
            taken = Taken(snapshot(make(value)))
            if key is not None:
                self.keep(key, taken)
        return taken

    def get(self, key: Hashable) -> Taken | None:
        """Give the message of this key, if it is still known."""
        taken = self._new.get(key)
        if taken is None:
            taken = self._old.get(key)
            if taken is not None:  # still in use: it is to survive the next generation
                self.keep(key, taken)
        return taken

    def keep(self, key: Hashable, taken: Taken) -> None:
        """Remember a message; its key is taken to be as large as itself."""
        self._bytes += 2 * len(taken) + 200
        if self._bytes > KNOWN_BYTES // 2:
            self._old, self._new, self._bytes = self._new, {}, 0
        self._new[key] = taken


def _as_it_is(value: Any) -> Any:
    return value


def role_of(role: str) -> str:
    """Give a role in OTel's words: system, user, assistant, tool; any other as it is."""
    return _ROLES.get(role, role)


def dict_message(value: Mapping[str, Any], plain: Plain = _as_it_is) -> Message:
    """Give a message that is a dict as OpenAI's API takes it (`role`, `content`, `tool_calls`, `tool_call_id`)."""
    role = role_of(str(value.get("role") or value.get("type") or "user"))
    if role == "tool":
        return message(role, [tool_response_part(value.get("tool_call_id"), plain(value.get("content")))])
    parts = parts_of(value.get("content"), plain)
    for call in value.get("tool_calls") or ():
        if isinstance(call, Mapping):
            function = call.get("function") or call
            arguments = arguments_of(function.get("arguments", function.get("args")))
            parts.append(tool_call_part(call.get("id"), function.get("name") or "", arguments))
    # Whose an assistant's message is, its step says (docs/design.md).
    return message(role, parts, name=None if role == "assistant" else value.get("name"))


def arguments_of(arguments: Any) -> Any:
    """Give a call's arguments as they are meant: many an API sends them as JSON in a string. What is none stays."""
    if not isinstance(arguments, str):
        return arguments
    try:
        found = _json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        return arguments  # as the model wrote it
    return found if isinstance(found, dict) else arguments


def parts_of(content: Any, plain: Plain = _as_it_is) -> list[dict[str, Any]]:
    """Give the parts of a message's content: text, or a list of texts and blocks. Tool calls in it are left out.

    `plain` makes of a framework's own object what core's snapshot knows.
    """
    if isinstance(content, str):
        return [text_part(content)] if content else []
    if content is None:
        return []
    if not isinstance(content, list):
        return [{"type": "text", "content": plain(content)}]
    parts: list[dict[str, Any]] = []
    for block in content:
        if isinstance(block, str):
            parts.append(text_part(block))
        elif isinstance(block, Mapping):
            part = _part(block)
            if part is not None:
                parts.append(part)
        else:
            parts.append({"type": "text", "content": plain(block)})
    return parts


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind in _TEXT_BLOCKS:
        return text_part(_string(block.get("text", block.get("refusal"))))
    if kind in _CALL_BLOCKS:
        return None
    if kind in _REASONING_BLOCKS:
        text = block.get("reasoning") or block.get("thinking") or block.get("text")
        if text is None and isinstance(block.get("summary"), list):
            text = "\n".join(_string(one.get("text")) for one in block["summary"] if isinstance(one, Mapping))
        return reasoning_part(_string(text))
    if kind in _BLOB_BLOCKS:
        return _blob(kind, block)
    return dict(block)


def _blob(kind: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """A picture, sound or file: every provider has its own shape for media type and data or address."""
    inner = block.get(kind)
    inside = block.get("source") or inner or block.get("image_url") or block.get("file") or block
    if isinstance(inside, str):  # image_url: "https://..."
        inside = {"url": inside}
    elif not isinstance(inside, Mapping):  # bytes, an image object
        inside = {"data": inside}
    media = (
        block.get("mime_type")
        or inside.get("mime_type")
        or inside.get("media_type")
        or (f"audio/{inside['format']}" if inside.get("format") else None)
    )
    content = next(
        (inside[key] for key in ("base64", "data", "url", "file_data", "file_id", "id") if inside.get(key)),
        None,
    )
    if isinstance(content, str) and content.startswith("data:") and media is None:
        media = content[5:].partition(";")[0].partition(",")[0] or None
    return blob_part(media, content)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
