"""What a scripted model's answers are made of: replies, and the rules by which a request gets one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

Json: TypeAlias = Any


@dataclass(frozen=True)
class Reply:
    """What the endpoint answers: text, tool calls, or both; or an error, or half an answer."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Json] | str]] = ()  # (tool, arguments; a str is sent as it is)
    reasoning: str = ""  # counted in the usage and, as with OpenAI, not shown
    error: int | None = None  # an HTTP status: nothing else is sent
    delay: float = 0.0  # seconds before the answer starts
    pause: float = 0.0  # seconds after each piece of a streamed answer
    hang_up: int | None = None  # the connection is cut after this many pieces (not streamed: in the middle)
    model: str | None = None  # the model that answers, if it is not the one that was asked for
    usage: bool = True  # whether the answer says what was used


def call(tool: str, **arguments: Json) -> tuple[str, dict[str, Json]]:
    """Give one of the `calls` of a reply."""
    return tool, arguments


@dataclass(frozen=True)
class Request:
    """A request for a chat completion, and what a script may want to know of it."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Json]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, Json]]:
        return self.body.get("messages") or []

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @cached_property
    def system(self) -> str:
        """All instructions."""
        return "\n".join(text_of(m) for m in self.messages if m["role"] in {"system", "developer"})

    @cached_property
    def user(self) -> str:
        """The last thing that the user said."""
        return next((text_of(m) for m in reversed(self.messages) if m["role"] == "user"), "")

    @cached_property
    def transcript(self) -> str:
        """Every text of the conversation."""
        return "\n".join(text_of(m) for m in self.messages)

    @cached_property
    def results(self) -> list[str]:
        """What tools gave back since the user last spoke."""
        since = max((i for i, m in enumerate(self.messages) if m["role"] == "user"), default=-1)
        return [text_of(m) for m in self.messages[since + 1 :] if m["role"] == "tool"]

    @cached_property
    def answered(self) -> list[tuple[str, Json]]:
        """The tool calls of the conversation that have a result: (tool, arguments), in order."""
        called = {
            asked["id"]: (asked["function"]["name"], decoded(asked["function"]["arguments"]))
            for m in self.messages
            for asked in m.get("tool_calls") or ()
        }
        ids = (m.get("tool_call_id") for m in self.messages if m["role"] == "tool")
        return [called[call_id] for call_id in ids if call_id in called]

    @cached_property
    def offered(self) -> list[str]:
        """The names of the tools that the model may call."""
        return [tool["function"]["name"] for tool in self.body.get("tools") or () if "function" in tool]

    @property
    def attempt(self) -> int:
        """How often the client's own retries sent this request before: 0 at first."""
        return int(self.headers.get("x-stainless-retry-count") or 0)

    @cached_property
    def prompt(self) -> str:
        """The text whose tokens are counted."""
        return "\n".join(compact(part) for part in [*(self.body.get("tools") or ()), *self.messages])


@dataclass(frozen=True)
class Rule:
    """Give `reply` where every condition holds; a rule without conditions always fits."""

    reply: Reply | Callable[[Request], Reply | None]  # a function may give None: the next rule is tried
    system: str = ""  # a regular expression somewhere in the instructions
    user: str = ""  # one somewhere in what the user said last
    results: int | None = None  # how many tool results came since then
    when: Callable[[Request], bool] | None = None

    def answer(self, request: Request) -> Reply | None:
        fits = (
            re.search(self.system, request.system)
            and re.search(self.user, request.user)
            and self.results in {None, len(request.results)}
            and (self.when is None or self.when(request))
        )
        if not fits:
            return None
        return self.reply if isinstance(self.reply, Reply) else self.reply(request)


Script: TypeAlias = Callable[[Request], Reply | None] | Sequence[Rule]


def in_turn(*replies: Reply) -> Callable[[Request], Reply | None]:
    """Give the first reply with a tool call that has no result yet in the conversation, or with none at all."""

    def answer(request: Request) -> Reply | None:
        answered = list(request.answered)
        for reply in replies:
            if not reply.calls:
                return reply
            for tool, arguments in reply.calls:
                asked = (tool, decoded(arguments))
                if asked not in answered:
                    return reply
                answered.remove(asked)
        return None

    return answer


def text_of(message: Mapping[str, Json]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def encoded(arguments: Mapping[str, Json] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def decoded(arguments: Mapping[str, Json] | str) -> Json:
    try:
        return json.loads(encoded(arguments))
    except ValueError:
        return arguments


def compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
