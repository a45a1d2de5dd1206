"""`CounterfoilHandler`: LangChain's callbacks, each told to the recorder.

Synchronous and inline: an asynchronous or a queued handler would see its events late, or in another context.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from counterfoil import ids
from counterfoil.adapters import warn_of_versions
from counterfoil.guard import guarded
from counterfoil.recorder import Item, Recorder, recorder_at
from counterfoil.steps import status_of
from counterfoil_langchain import edges, humans, tools
from counterfoil_langchain.answers import answer_of
from counterfoil_langchain.chains import chain_ends, chain_fails, chain_starts
from counterfoil_langchain.messages import plain
from counterfoil_langchain.models import model_starts, says_something
from counterfoil_langchain.runs import begin, entry_of, fail, native_name, over
from counterfoil_langchain.tracker import Entry, Tracker, trackers
from counterfoil_langchain.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from counterfoil.redact import Redactor

__all__ = ["CounterfoilHandler", "RecordingHandler"]


def _base() -> type[BaseCallbackHandler]:
    """LangGraph tells of pauses only to handlers of a class of its own, which old versions do not have."""
    if importlib.util.find_spec("langgraph") is not None:
        try:
            from langgraph.callbacks import GraphCallbackHandler  # noqa: PLC0415  # where there is one
        except ImportError:
            pass
        else:
            return GraphCallbackHandler
    return BaseCallbackHandler


_Base: Any = _base()


class RecordingHandler(_Base):  # type: ignore[misc]  # which class it is depends on what is installed
    """Records to the store of `tracker`; without one it does nothing."""

    run_inline = True
    raise_error = False

    def __init__(self, tracker: Tracker | None) -> None:
        super().__init__()
        self.tracker = tracker

    def _new(self, run_id: UUID) -> Tracker | None:
        """Give the tracker for a run that it does not know yet: another handler of its store may have been told."""
        tracker = self.tracker
        return None if tracker is None or run_id.int in tracker.entries else tracker

    def _ended(self, run_id: UUID) -> tuple[Tracker | None, Entry | None]:
        tracker = self.tracker
        return (None, None) if tracker is None else (tracker, tracker.pop(run_id.int))

    @guarded
    def on_chain_start(
        self,
        serialized: Mapping[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        run_type: str | None = None,
        **_: Any,
    ) -> None:
        """A graph, a node or another runnable begins."""
        tracker = self._new(run_id)
        if tracker is not None:
            named = name or native_name(serialized, "chain")
            chain_starts(tracker, run_id, parent_run_id, named, inputs, tags, metadata, run_type)

    @guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """A graph, a node or another runnable ended."""
        tracker, entry = self._ended(run_id)
        if tracker is not None and entry is not None:
            chain_ends(tracker, entry, outputs)

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A graph, a node or another runnable raised."""
        tracker, entry = self._ended(run_id)
        if tracker is not None and entry is not None:
            chain_fails(tracker, entry, error)

    @guarded
    def on_chat_model_start(
        self,
        serialized: Mapping[str, Any] | None,
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> None:
        """A chat model is called, with one list of messages."""
        tracker = self._new(run_id)
        if tracker is not None:
            sent = messages[0] if len(messages) == 1 else [one for some in messages for one in some]
            model_starts(tracker, run_id, parent_run_id, serialized, sent, tags, metadata, given)

    @guarded
    def on_llm_start(
        self,
        serialized: Mapping[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> None:
        """A text model is called, with one prompt."""
        tracker = self._new(run_id)
        if tracker is not None:
            model_starts(tracker, run_id, parent_run_id, serialized, prompts, tags, metadata, given)

    @guarded
    def on_llm_new_token(self, token: Any, *, run_id: UUID, chunk: Any = None, **_: Any) -> None:
        """A piece of a streamed answer came: the first counts."""
        tracker = self.tracker
        entry = tracker.entries.get(run_id.int) if tracker is not None else None
        if entry is not None and entry.ttft_ns is None and says_something(token, chunk):
            entry.ttft_ns = ids.now_ns() - entry.started_ns

    @guarded
    def on_stream_event(self, event: Any, *, run_id: UUID, **_: Any) -> None:
        """A piece of an answer came by `stream_events(version="v3")`, where a model may tell of no tokens."""
        tracker = self.tracker
        entry = tracker.entries.get(run_id.int) if tracker is not None else None
        if entry is not None and entry.ttft_ns is None and event.get("event") == "content-block-delta":
            entry.ttft_ns = ids.now_ns() - entry.started_ns

    @guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """A model answered."""
        tracker, entry = self._ended(run_id)
        if tracker is None or entry is None or entry.step is None:
            return
        answer = answer_of(response, streamed=entry.ttft_ns is not None)
        tracker.recorder.end(entry.step, ttft_ns=entry.ttft_ns, **answer._asdict())
        over(tracker, entry)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, response: Any = None, **_: Any) -> None:
        """A model call failed, or was given up in the middle of its answer: `response` is what had come."""
        tracker, entry = self._ended(run_id)
        if tracker is None or entry is None:
            return
        said: dict[str, Any] = {"ttft_ns": entry.ttft_ns}
        if response is not None:
            said |= answer_of(response, streamed=entry.ttft_ns is not None)._asdict()
        fail(tracker, entry, error, **said)

    @guarded
    def on_tool_start(
        self,
        serialized: Mapping[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        tool_call_id: str | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        """A tool is called."""
        tracker = self._new(run_id)
        if tracker is None:
            return
        above, place = tracker.settled_place(parent_run_id)
        entry = entry_of(run_id, above, name or native_name(serialized, "tool"), "tool", metadata)
        entry.step = place
        call_id = tools.note_call(entry, tool_call_id)
        arguments = plain(inputs) if inputs is not None else input_str
        step = begin(
            tracker,
            entry,
            "tool",
            entry.name,
            tags=tags,
            metadata=metadata,
            input=arguments,
            call_id=call_id,
        )
        tracker.add(entry)
        edges.tool_begins(tracker, entry, step, inputs, metadata)

    @guarded
    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """A tool gave its answer."""
        tracker, entry = self._ended(run_id)
        if tracker is None or entry is None or entry.step is None:
            return
        edges.tool_hands_over(tracker, entry, output)
        edges.subagent_refused(tracker, entry.step)
        failed = tools.failed_output(output)
        if failed is None:
            tracker.recorder.end(entry.step, output=tools.output_of(output))
        else:
            tracker.recorder.end(
                entry.step,
                "error",
                output=tools.output_of(output),
                error_type="ToolError",
                error_message=failed,
            )
        over(tracker, entry)

    @guarded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A tool raised, or stopped to ask a human."""
        tracker, entry = self._ended(run_id)
        if tracker is None or entry is None:
            return
        said: dict[str, Any] = {}
        if status_of(error) == "error":
            edges.handoff_failed(tracker, entry, error)
            if tools.is_invalid_call(error):
                said["error_type"] = "InvalidArguments"
        fail(tracker, entry, error, **said)

    @guarded
    def on_retriever_start(
        self,
        serialized: Mapping[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        """Documents are looked for."""
        tracker = self._new(run_id)
        if tracker is None:
            return
        above, place = tracker.settled_place(parent_run_id)
        entry = entry_of(run_id, above, name or native_name(serialized, "retriever"), "retriever", metadata)
        entry.step = place
        entry.memo = query
        begin(tracker, entry, "retrieval", entry.name, tags=tags, metadata=metadata, input=plain(query))
        tracker.add(entry)

    @guarded
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: Any) -> None:
        """Documents were found: each is a piece of data read."""
        tracker, entry = self._ended(run_id)
        if tracker is None or entry is None or entry.step is None:
            return
        items = [Item(one.id, bytes=len(one.page_content.encode("utf-8", "replace"))) for one in documents]
        tracker.recorder.access(entry.step, entry.name, query=entry.memo, items=items)
        tracker.recorder.end(entry.step, output=plain(documents))
        over(tracker, entry)

    @guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Looking for documents failed."""
        tracker, entry = self._ended(run_id)
        if tracker is not None and entry is not None:
            fail(tracker, entry, error)

    # Events of langgraph.callbacks, told to handlers of its class only; their arguments are not settled yet.

    @guarded
    def on_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """A graph stopped to ask a human."""
        tracker = self.tracker
        event = args[0] if args else kwargs.get("event")
        entry = tracker.find(_key_of(event)) if tracker is not None else None
        if tracker is not None and entry is not None:
            entry.pause = True
            humans.paused(tracker, entry, event)

    @guarded
    def on_resume(self, *args: Any, **kwargs: Any) -> None:
        """A graph goes on from a checkpoint."""
        tracker = self.tracker
        event = args[0] if args else kwargs.get("event")
        entry = tracker.find(_key_of(event)) if tracker is not None else None
        if tracker is not None and entry is not None:
            humans.let_pass(tracker, entry, event)


def _key_of(event: Any) -> int | None:
    return getattr(getattr(event, "run_id", None), "int", None)


class CounterfoilHandler(RecordingHandler):
    """Give it in `config={"callbacks": [CounterfoilHandler()]}` to record that call and all below it.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here. `capture="metadata"` records no
    content; `redactors` take out more than the default ones. Two handlers on one store record once.

    The run's session is the config's `thread_id`; its task and labels are metadata `counterfoil_task` and
    `counterfoil_labels` (a dict), and the config's tags are the label `tags`.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] | None = None,
        *,
        capture: str | None = None,
        redactors: Iterable[Redactor] = (),
        durability: str | None = None,
    ) -> None:
        warn_of_versions(SUPPORTED)
        super().__init__(
            trackers.of(recorder_at(db, capture=capture, redactors=redactors, durability=durability))
        )

    @property
    def recorder(self) -> Recorder:
        """The recorder of its store."""
        assert self.tracker is not None
        return self.tracker.recorder
