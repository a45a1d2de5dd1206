"""Model calls: what was sent, what came back, what it used (mapping.md, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from counterfoil import ids
from counterfoil.recorder import Usage
from counterfoil_crewai.messages import answer_of, messages_of, restored
from counterfoil_crewai.scopes import begin, ended, fail

if TYPE_CHECKING:
    from counterfoil_crewai.tracker import Tracker

__all__ = ["model_answered", "model_called", "model_failed", "model_streamed"]

#: Of a streamed answer, for the case that it is cut.
MOST_CHUNKS: Final = 20_000


def model_called(tracker: Tracker, source: Any, event: Any) -> None:
    """A model is called."""
    begin(
        tracker,
        event,
        "llm",
        "llm",
        type(source).__name__,
        event.call_id,
        messages=messages_of(event.messages),
        offers=restored(event.tools) or None,
        provider=_text(getattr(source, "provider", None)),
        request_model=_text(event.model),
    )


def model_streamed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as all handlers are called
    """A piece of a streamed answer came: the first that says something counts, all of them where no answer comes."""
    entry = tracker.find(event.parent_event_id)
    if entry is None or entry.step is None or entry.ident != event.call_id:
        return
    if event.chunk and event.type == "llm_stream_chunk":
        entry.said = entry.said or []
        if len(entry.said) < MOST_CHUNKS:
            entry.said.append(event.chunk)
    call = getattr(event, "tool_call", None)
    if entry.ttft_ns is None and (event.chunk or (call is not None and call.function.name)):
        entry.ttft_ns = ids.now_ns() - entry.step.started_ns


def model_answered(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A model answered. With a tool call CrewAI drops the text beside it."""
    entry = tracker.joined(event, "llm", event.call_id)
    if entry is None:
        return
    ended(
        tracker,
        entry,
        messages=answer_of(event.response),
        usage=_usage(event.usage, streamed=entry.ttft_ns is not None),
        response_id=getattr(event, "response_id", None),
        finish_reason=getattr(event, "finish_reason", None),
        ttft_ns=entry.ttft_ns,
    )


def model_failed(tracker: Tracker, source: Any, event: Any) -> None:  # noqa: ARG001  # as above
    """A model call failed; CrewAI 1.15's native providers say so twice, which pops one scope too many."""
    entry = tracker.joined(event, "llm", event.call_id)
    if entry is None:
        tracker.note_popped(event)
    else:
        came = {"messages": answer_of("".join(entry.said))} if entry.said else {}
        fail(tracker, entry, event, ttft_ns=entry.ttft_ns, **came)


def _usage(raw: Any, *, streamed: bool) -> Usage | None:
    """CrewAI's numbers: its input includes cached, its output includes reasoning, by every native provider."""
    if not isinstance(raw, Mapping):
        return None
    given = _first(raw, "prompt_tokens", "input_tokens", "prompt_token_count", "inputTokens")
    made = _first(raw, "completion_tokens", "output_tokens", "candidates_token_count", "outputTokens")
    if not given and not made:
        return None  # 0 and 0: nothing was told
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=_first(raw, "cached_prompt_tokens"),
        cache_write_tokens=_first(raw, "cache_creation_tokens", "cache_creation_input_tokens"),
        reasoning_tokens=_first(raw, "reasoning_tokens"),
        raw=dict(raw),
        source="stream" if streamed else "provider",
    )


def _first(raw: Mapping[str, Any], *keys: str) -> int | None:
    found = next((raw[key] for key in keys if raw.get(key) is not None), None)
    return found if isinstance(found, int) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
