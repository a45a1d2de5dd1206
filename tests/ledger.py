"""One form for a model call as the endpoint's ledger and as the store knows it, so that they can be compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from counterfoil.store.read import Store
from counterfoil.store.records import LlmCall
from support_desk.endpoint import Endpoint, Entry

ROLES = {"developer": "system"}


class Account(NamedTuple):
    """One answered request: what was asked of which model, what it answered, what that used."""

    prompt: tuple[tuple[str, str], ...]  # (role, text)
    answer: str
    tool_calls: tuple[tuple[str, str, str], ...]  # (call id, tool, arguments)
    request_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    reasoning_tokens: int | None
    finish_reason: str | None


def agree(store: Store, endpoint: Endpoint, *, unseen: int = 0, beside: bool = True) -> list[LlmCall]:
    """Assert that the store holds each completion of the ledger once, and each refusal as an error; give the calls.

    `unseen` requests failed inside the HTTP client, which tried again by itself. Without `beside`, the framework drops
    the text that stands beside tool calls, and tells nobody of it.
    """
    calls = store.llm_calls()
    answered = [call for call in calls if call.status == "ok" and not call.cached]
    completions = endpoint.completions
    accounts = [served(entry, beside=beside) for entry in completions]
    assert sorted(recorded(store, answered), key=repr) == sorted(accounts, key=repr)
    told = Counter(call.response_id for call in answered if call.response_id)
    assert told <= Counter(entry.response_id for entry in completions)
    # langchain-openai 1.7 gives no response id for a streamed chat completion.
    assert {entry.response_id for entry in completions if not entry.stream} <= set(told)
    failed = [call for call in calls if call.status in {"error", "cancelled"}]
    asked = [entry for entry in endpoint.ledger if entry.path.endswith("/chat/completions")]
    assert len(failed) == len(asked) - len(completions) - unseen
    assert [call for call in failed if call.input_tokens is not None or call.output_tokens is not None] == []
    assert len(calls) == len(answered) + len(failed) + sum(call.cached for call in calls)
    return answered


def served(entry: Entry, *, beside: bool = True) -> Account:
    """Give a completion as the endpoint entered it; usage only where the client was told."""
    usage = entry.usage if entry.usage_told else None
    answer = entry.answer
    text = answer["content"] or ""
    return Account(
        prompt=tuple((ROLES.get(m["role"], m["role"]), _text(m.get("content"))) for m in entry.messages),
        answer=text if beside or not answer.get("tool_calls") else "",
        tool_calls=tuple(
            (one["id"], one["function"]["name"], _canonical(one["function"]["arguments"]))
            for one in answer.get("tool_calls", ())
        ),
        request_model=entry.model,
        input_tokens=usage and usage["prompt_tokens"],
        output_tokens=usage and usage["completion_tokens"],
        cache_read_tokens=usage and usage["prompt_tokens_details"]["cached_tokens"],
        reasoning_tokens=usage and usage["completion_tokens_details"]["reasoning_tokens"],
        finish_reason="tool_calls" if answer.get("tool_calls") else "stop",
    )


def recorded(store: Store, calls: Iterable[LlmCall]) -> list[Account]:
    """Give model calls as the store holds them, each with its whole input."""
    accounts = []
    for call in calls:
        said = store.messages(call)
        (answer,) = said.output
        accounts.append(
            Account(
                prompt=tuple((one["role"], _said(one)) for one in said.input),
                answer=_said(answer),
                tool_calls=tuple(
                    (part["id"], part["name"], _canonical(part["arguments"]))
                    for part in answer["parts"]
                    if part["type"] == "tool_call"
                ),
                request_model=call.request_model,
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
                cache_read_tokens=call.cache_read_tokens,
                reasoning_tokens=call.reasoning_tokens,
                finish_reason=call.finish_reason,
            )
        )
    return accounts


def _said(message: dict[str, Any]) -> str:
    texts = (
        part.get("content") or part.get("response")
        for part in message["parts"]
        if part["type"] != "tool_call"
    )
    return "".join(text for text in texts if isinstance(text, str))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def _canonical(arguments: Any) -> str:
    """Arguments as the model wrote them (a string, not always JSON) or as the framework parsed them."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return arguments
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)
