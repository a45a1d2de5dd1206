"""What is read: query engines, retrievers, postprocessors, chat engines (mapping.md, sections 2 and 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.adapters import tidy
from counterfoil.recorder import UNSET, Item
from counterfoil.snapshot import text_of
from counterfoil_llama_index import streams
from counterfoil_llama_index.messages import nodes_of, plain
from counterfoil_llama_index.naming import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil_llama_index.tracker import Entry, Tracker

__all__ = [
    "component_begins", "component_ends", "query_ended", "query_started", "retrieval_ended", "retrieval_started",
]  # fmt: skip


def query_started(tracker: Tracker, event: Any) -> None:
    """A query engine is asked."""
    entry = tracker.find(event.span_id)
    if entry is not None and not entry.owns and entry.role == "folded":
        entry.role = "query"
        tracker.begin(entry, "task", _name(entry), input=_asked(event.query))


def query_ended(tracker: Tracker, event: Any) -> None:
    """A query engine answered, perhaps by a stream that is read later."""
    entry = tracker.find(event.span_id)
    if entry is not None and entry.role == "query":
        streams.tie(event.response, str(event.span_id))
        tracker.end(entry, output=_said(event.response))


def retrieval_started(tracker: Tracker, event: Any) -> None:
    """A retriever is asked."""
    entry = tracker.find(event.span_id)
    if entry is not None and not entry.owns and entry.role == "folded":
        entry.role = "retrieval"
        tracker.begin(entry, "retrieval", _name(entry), input=_asked(event.str_or_query_bundle))


def retrieval_ended(tracker: Tracker, event: Any) -> None:
    """A retriever gave nodes."""
    entry = tracker.find(event.span_id)
    if entry is None or entry.role != "retrieval" or not entry.owns or entry.step is None:
        return
    nodes = nodes_of(event.nodes)
    items = [Item(one["id"], one.get("score"), _size(one.get("text"))) for one in nodes]
    query = text_of(_asked(event.str_or_query_bundle))
    tracker.recorder.access(entry.step, _name(entry), query=query, items=items)
    tracker.end(entry, output=nodes)


def component_begins(tracker: Tracker, entry: Entry, arguments: Mapping[str, Any]) -> None:
    """A component begins that no event tells of: a chat engine, a postprocessor, a function of the user's."""
    if entry.role == "chat":
        tracker.begin(entry, "task", _name(entry), input=plain(arguments.get("message")))
    elif entry.role == "postprocessor":
        nodes = arguments.get("nodes")
        tracker.begin(entry, "other", _name(entry), input=nodes_of(nodes))
    elif entry.role == "pipeline":
        tracker.begin(entry, "other", _name(entry))
    else:
        given = {key: plain(value) for key, value in arguments.items()}
        tracker.begin(entry, "other", tidy(label_of(str(entry.key))), input=given)


def component_ends(tracker: Tracker, entry: Entry, result: Any, error: BaseException | None) -> None:
    """A component ended, or raised; retrievers and query engines have told their end by an event, if they have not."""
    if error is not None:
        tracker.fail(entry, error)
    elif entry.role == "postprocessor":
        tracker.end(entry, output=nodes_of(result))
    elif entry.role == "pipeline":
        tracker.end(entry, output={"nodes": len(result)} if isinstance(result, (list, tuple)) else UNSET)
    elif entry.role == "chat":
        tracker.end(entry, output=_said(result))
    else:
        tracker.end(entry, output=plain(result))


def _name(entry: Entry) -> str:
    return tidy(label_of(str(entry.key)).partition(".")[0])


def _asked(query: Any) -> Any:
    """Give a query's text; a QueryBundle may hold a vector beside it."""
    return query if isinstance(query, str) else getattr(query, "query_str", None)


def _said(response: Any) -> Any:
    # A streamed answer is nothing yet; whoever asks it for its text would read it to the end.
    return UNSET if streams.is_stream(response) else plain(response)


def _size(text: Any) -> int | None:
    return len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else None
