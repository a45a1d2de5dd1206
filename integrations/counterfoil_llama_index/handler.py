"""What LlamaIndex's instrumentation calls: one handler of spans and one of events, for all trackers.

Its dispatcher swallows what a handler raises, without a word: each of ours is guarded, so that `counterfoil doctor` shows it.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import BaseSpanHandler

from counterfoil.guard import guarded
from counterfoil.imports import forget, when_imported
from counterfoil.patches import Patches
from counterfoil_llama_index import humans, models, reads, runs, streams, tools
from counterfoil_llama_index.context import scope
from counterfoil_llama_index.naming import label_of, provider_of, role_of
from counterfoil_llama_index.tracker import Entry, trackers

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

    from counterfoil_llama_index.tracker import Tracker

__all__ = ["attach", "attached", "detach", "record_everywhere"]

#: Where every run of the process is recorded.
_everywhere: tuple[Tracker, ...] = ()
_lock: Final = threading.Lock()
_patches: Final = Patches()
_streams: Final = Patches()
#: Where the class stands that all models derive from.
_MODELS: Final = "llama_index.core.base.llms.base"
#: In the order of their being told: a component's events come inside its span.
_EVENTS: Final[dict[str, Callable[[Tracker, Any], None]]] = {
    "LLMChatStartEvent": models.model_called,
    "LLMChatInProgressEvent": models.model_streamed,
    "LLMChatEndEvent": models.model_answered,
    "LLMCompletionStartEvent": models.model_called,
    "LLMCompletionInProgressEvent": models.model_streamed,
    "LLMCompletionEndEvent": models.model_answered,
    "ExceptionEvent": models.model_failed,
    "EmbeddingStartEvent": models.embedding_started,
    "EmbeddingEndEvent": models.embedding_ended,
    "SparseEmbeddingStartEvent": models.embedding_started,
    "SparseEmbeddingEndEvent": models.embedding_ended,
    "RetrievalStartEvent": reads.retrieval_started,
    "RetrievalEndEvent": reads.retrieval_ended,
    "QueryStartEvent": reads.query_started,
    "QueryEndEvent": reads.query_ended,
    "SpanCancelledEvent": runs.span_cancelled,
}
#: Components inside a span of the same one: `_postprocess_nodes` under `_apostprocess_nodes`, `call` under `__call__`.
_TWINS: Final = frozenset({"chat", "pipeline", "postprocessor", "tool"})


def record_everywhere(tracker: Tracker | None) -> None:
    """Have every run of the process that begins from now on recorded to this store, or to none."""
    global _everywhere
    _everywhere = (tracker,) if tracker is not None else ()


def _told(parent_id: str | None) -> tuple[Tracker, ...]:
    """Give who is told of what begins here."""
    chosen = {*_everywhere, *scope.get().trackers}
    return tuple(one for one in trackers.all() if one in chosen or one.find(parent_id) is not None)


def _knowing(span_id: Any) -> tuple[Tracker, ...]:
    return tuple(one for one in trackers.all() if one.find(span_id) is not None)


# -- spans


class Spans(BaseSpanHandler[Any]):
    """Tells of spans, and keeps none: what the base class keeps of open ones is never let go of where a handler fails."""

    @classmethod
    def class_name(cls) -> str:
        """Give the name by which an earlier one is found."""
        return "CounterfoilSpans"

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        for tracker in _told(parent_id):
            _enter(tracker, id_, bound_args.arguments, instance, parent_id, tags)

    def span_exit(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,
        result: Any = None,
        **_: Any,
    ) -> None:
        for tracker in _knowing(id_):
            _leave(tracker, id_, bound_args.arguments, instance, result, None)

    def span_drop(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,
        err: BaseException | None = None,
        **_: Any,
    ) -> None:
        for tracker in _knowing(id_):
            _leave(tracker, id_, bound_args.arguments, instance, None, err)

    def new_span(self, *_: Any, **__: Any) -> None:
        """Nothing: `span_enter` has told all."""

    def prepare_to_exit_span(self, *_: Any, **__: Any) -> None:
        """Nothing, as above."""

    def prepare_to_drop_span(self, *_: Any, **__: Any) -> None:
        """Nothing, as above."""


def _is_twin(above: Entry | None, role: str, instance: Any) -> bool:
    """Tell whether a component's span stands in one of the same: LlamaIndex wraps tools that know no asyncio."""
    while above is not None and above.role == "folded":
        above = above.parent
    if above is None or above.role != role:
        return False
    if above.ident == id(instance):
        return True
    wrapped = label_of(str(above.key)).startswith("BaseToolAsyncAdapter.")
    return wrapped and above.name == str(getattr(getattr(instance, "metadata", None), "name", None))


@guarded
def _enter(
    tracker: Tracker,
    span_id: str,
    arguments: dict[str, Any],
    instance: Any,
    parent_id: str | None,
    tags: dict[str, Any] | None,
) -> None:
    if tracker.find(span_id) is not None:  # the handlers are attached twice
        return
    above, place = tracker.place(parent_id)
    role = role_of(span_id, instance, arguments)
    # A step's tags are there in all that it calls too; only the step itself stands right in the run.
    if role == "other" and instance is None and tags and "llamaindex.step.input_event" in tags:
        if above is not None and above.run is not None:
            role = "step"
        elif above is None and parent_id is not None:  # of a run that had begun before we were attached
            role = "folded"
    if role in _TWINS and _is_twin(above, role, instance):
        role = "folded"
    entry = Entry(span_id, above, role, id(instance))
    entry.step = place
    tracker.add(entry)
    if role == "run":
        _hear_of_waits()
        runs.run_begins(tracker, entry, instance, arguments)
    elif role == "step":
        runs.step_begins(tracker, entry, arguments)
    elif role == "tool":
        tools.tool_begins(tracker, entry, instance, arguments)
    elif role == "model":
        entry.provider = provider_of(instance)
        streams.note_span(span_id)
    elif role != "folded":
        reads.component_begins(tracker, entry, arguments)


@guarded
def _leave(
    tracker: Tracker,
    span_id: str,
    arguments: dict[str, Any],
    instance: Any,
    result: Any,
    error: BaseException | None,
) -> None:
    entry = tracker.pop(span_id)
    if entry is None:
        return
    try:
        if entry.calls and error is not None:
            models.span_failed(tracker, entry, error)
        if entry.role == "run":
            runs.run_ends(tracker, entry, result, error)
        elif entry.role in {"step", "call"}:
            runs.step_ends(tracker, entry, result, error)
        elif entry.role == "tool":
            tools.tool_ends(tracker, entry, instance, arguments, result, error)
        elif entry.role not in {"folded", "model"}:
            reads.component_ends(tracker, entry, result, error)
    finally:
        if entry.root is entry:
            tracker.close(entry)


# -- events


class Events(BaseEventHandler):
    """Tells of events."""

    @classmethod
    def class_name(cls) -> str:
        """Give the name by which an earlier one is found."""
        return "CounterfoilEvents"

    def handle(self, event: Any, **_: Any) -> None:
        """Tell of an event; of those that are no steps nothing."""
        tell = _EVENTS.get(type(event).__name__)
        # One of the user's may be called alike.
        if tell is None or not type(event).__module__.startswith(("llama_index", "workflows.")):
            return
        begins = tell is models.model_called
        for tracker in _told(event.span_id) if begins else _knowing_call(event.span_id):
            _tell(tracker, tell, event)


def _knowing_call(span_id: Any) -> tuple[Tracker, ...]:
    # A stream's call outlives its span.
    return tuple(
        one
        for one in trackers.all()
        if one.find(span_id) is not None or one.find((span_id, "call")) is not None
    )


@guarded
def _tell(tracker: Tracker, tell: Callable[[Tracker, Any], None], event: Any) -> None:
    tell(tracker, event)


# -- attached


_SPAN_LISTENER: Final = Spans()
_EVENT_LISTENER: Final = Events()


def attach() -> None:
    """Have LlamaIndex tell us. May be called again, also before llama_index.core is imported."""
    with _lock:
        root = get_dispatcher()
        _silence_earlier(root)
        if not any(one is _SPAN_LISTENER for one in root.span_handlers):
            root.add_span_handler(_SPAN_LISTENER)
            root.add_event_handler(_EVENT_LISTENER)
            when_imported(_MODELS, _wrap_models)


def detach() -> None:
    """Undo that. May be called again."""
    with _lock:
        root = get_dispatcher()
        root.span_handlers[:] = [one for one in root.span_handlers if one is not _SPAN_LISTENER]
        root.event_handlers[:] = [one for one in root.event_handlers if one is not _EVENT_LISTENER]
        forget(_wrap_models)
        _patches.undo()
        _streams.undo()


def _wrap_models() -> None:
    streams.wrap_models(_streams)


def attached() -> bool:
    """Tell whether LlamaIndex tells us."""
    return any(one is _SPAN_LISTENER for one in get_dispatcher().span_handlers)


def _silence_earlier(root: Any) -> None:
    """In a notebook this package may be imported anew: the handlers of the one before must record no more."""
    for handlers, ours in ((root.span_handlers, _SPAN_LISTENER), (root.event_handlers, _EVENT_LISTENER)):
        handlers[:] = [one for one in handlers if one is ours or one.class_name() != ours.class_name()]


@guarded
def _hear_of_waits() -> None:
    """Wrap what waits for events, once the package that does so is imported: a run has begun."""
    if len(_patches):
        return
    context = getattr(sys.modules.get("workflows.context.context"), "Context", None)
    if context is not None:
        _patches.replace(context, "wait_for_event", humans.waiting(context.wait_for_event, trackers.all))
        _patches.replace(
            context, "write_event_to_stream", humans.announcing(context.write_event_to_stream, trackers.all)
        )
