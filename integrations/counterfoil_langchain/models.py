"""Model calls: what a model was sent, and when its first word came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil_langchain import agents
from counterfoil_langchain.messages import messages_of
from counterfoil_langchain.runs import begin, entry_of, native_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from counterfoil_langchain.tracker import Tracker

__all__ = ["model_starts", "says_something"]


def model_starts(
    tracker: Tracker,
    run_id: UUID,
    parent_run_id: UUID | None,
    serialized: Mapping[str, Any] | None,
    messages: Sequence[Any],
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
    given: Mapping[str, Any],
) -> None:
    """Record the start of a model call. `given` are the callback's further arguments."""
    above, place = tracker.settled_place(parent_run_id)
    entry = entry_of(run_id, above, given.get("name") or native_name(serialized, "model"), "llm", metadata)
    entry.step = place
    if above is not None:
        agents.model_called(tracker, entry)
    # Of what describes the model, `repr` and the parameters hold its whole configuration: not recorded.
    known = metadata or {}
    params: Mapping[str, Any] = given.get("invocation_params") or {}
    offers = params.get("tools") or params.get("functions")
    begin(
        tracker,
        entry,
        "llm",
        entry.name,
        tags=tags,
        metadata=metadata,
        messages=messages_of(messages),
        offers=offers if isinstance(offers, list) else None,
        provider=_text(known.get("ls_provider")),
        request_model=_text(known.get("ls_model_name") or params.get("model") or params.get("model_name")),
    )
    tracker.add(entry)


def says_something(token: Any, chunk: Any) -> bool:
    """Tell whether a streamed piece holds text, a part of a tool call, or reasoning: not the role alone."""
    if token:
        return True
    said = getattr(chunk, "message", None)
    if said is None:
        return False
    return bool(said.content or said.tool_call_chunks or said.additional_kwargs.get("reasoning_content"))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
