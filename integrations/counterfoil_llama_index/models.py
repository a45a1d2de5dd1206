"""Model calls: what was sent, what came back, what it used (mapping.md, section 6). And embeddings, without vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from counterfoil import ids
from counterfoil.adapters import tidy
from counterfoil.recorder import Usage
from counterfoil_llama_index.messages import message_of, messages_of, text_message
from counterfoil_llama_index.naming import label_of
from counterfoil_llama_index.tracker import FRAMEWORK, Entry

if TYPE_CHECKING:
    from counterfoil.recorder import Step
    from counterfoil_llama_index.tracker import Tracker

__all__ = [
    "embedding_ended", "embedding_started", "model_answered", "model_called", "model_failed", "model_streamed",
    "span_failed",
]  # fmt: skip

_EMBEDDINGS: Final = "embedding"


def model_called(tracker: Tracker, event: Any) -> None:
    """A model is called. Its span ends when a stream is handed out, so the call stands by itself."""
    span = tracker.find(event.span_id)
    if span is not None and (span.role == "folded" or _asks_itself(span)):
        return
    kind = _kind(event)
    call = Entry((event.span_id, "call"), span, kind)
    above = _around(span) if span is not None else tracker.place(event.span_id)[1]
    model = event.model_dict or {}
    given = event.additional_kwargs or {}
    messages = messages_of(event.messages) if kind == "Chat" else [text_message("user", event.prompt)]
    offers = given.get("tools")
    label = label_of(str(event.span_id)) if span is not None else str(model.get("class_name") or "llm")
    call.step = tracker.recorder.start(
        "llm",
        tidy(label.partition(".")[0]),
        framework=FRAMEWORK,
        parent=above,
        native_id=str(event.span_id),
        messages=messages,
        offers=offers if isinstance(offers, list) else None,
        provider=span.provider if span is not None else None,
        request_model=_text(model.get("model_name") or model.get("model")),
    )
    call.owns = True
    tracker.add(call)
    if span is not None:
        span.calls = [*(span.calls or ()), call]
        span.step = call.step  # a model may ask another one


def _around(span: Entry) -> Step | None:
    """Give the step that a model's span stands in, also after its first call."""
    first = span.calls[0].step if span.calls else None
    return first.parent if first is not None else span.step


def _asks_itself(span: Entry) -> bool:
    """Tell whether a call is a part of one that is told already: `complete` under `chat` of the same model object."""
    if _open(span) is not None:
        return True
    above = span.parent
    while above is not None and above.role in {"folded", "model"}:
        if above.ident == span.ident and _open(above) is not None:
            return True
        above = above.parent
    return False


def _open(span: Entry) -> Entry | None:
    return next((call for call in span.calls or () if not call.ended), None)


def _kind(event: Any) -> str:
    return "Chat" if type(event).__name__.startswith("LLMChat") else "Completion"


def _call(tracker: Tracker, event: Any) -> Entry | None:
    call = tracker.find((event.span_id, "call"))
    return call if call is not None and call.role == _kind(event) else None


def model_streamed(tracker: Tracker, event: Any) -> None:
    """A piece of a streamed answer came: the first that says something counts."""
    call = _call(tracker, event)
    if call is None or call.step is None:
        return
    response = event.response
    if call.ttft_ns is None and (getattr(response, "delta", None) or _has_call(response)):
        call.ttft_ns = ids.now_ns() - call.step.started_ns
    text = getattr(response, "text", None) or getattr(getattr(response, "message", None), "content", None)
    if isinstance(text, str):
        call.said = text
    finish = _finish(_raw(response))
    if finish is not None:  # the piece after it, with the usage, says no more why
        call.finish = finish


def _has_call(response: Any) -> bool:
    message = getattr(response, "message", None)
    return message is not None and bool(
        message.additional_kwargs.get("tool_calls")
        or any(getattr(one, "block_type", "") == "tool_call" for one in message.blocks)
    )


def model_answered(tracker: Tracker, event: Any) -> None:
    """A model answered; a stream was read to its end."""
    call = _call(tracker, event)
    if call is None or tracker.pop(call.key) is None:
        return
    response = event.response
    if response is None:  # a stream with nothing in it
        tracker.end(call)
        return
    raw = _raw(response)
    message = getattr(response, "message", None)
    streamed = call.ttft_ns is not None
    tracker.end(
        call,
        messages=[message_of(message) if message is not None else text_message("assistant", response.text)],
        usage=_usage(response, streamed=streamed),
        model=_text(_get(raw, "model") or _get(raw, "model_version") or _get(raw, "modelVersion")),
        response_id=_text(_get(raw, "id") or _get(raw, "response_id")),
        finish_reason=_finish(raw) or call.finish,
        ttft_ns=call.ttft_ns,
    )


def model_failed(tracker: Tracker, event: Any) -> None:
    """A stream broke off, or its reader closed it."""
    call = tracker.find((event.span_id, "call"))
    if call is None or tracker.pop(call.key) is None:
        return
    said = [text_message("assistant", call.said)] if call.said else None
    tracker.fail(call, event.exception, ttft_ns=call.ttft_ns, messages=said)


def span_failed(tracker: Tracker, span: Entry, error: BaseException) -> None:
    """The span of a model or an embedding raised: what was under way in it has no end of its own."""
    for call in span.calls or ():
        if tracker.pop(call.key) is not None:
            tracker.fail(call, error)


# -- embeddings


def embedding_started(tracker: Tracker, event: Any) -> None:
    """An embedding of one text or a batch begins; several may be under way in one span."""
    span = tracker.find(event.span_id)
    if span is None:
        return
    number = len(span.calls or ())
    call = Entry((event.span_id, _EMBEDDINGS, number), span, _EMBEDDINGS)
    model = getattr(event, "model_dict", None) or {}
    call.step = tracker.recorder.start(
        "embedding",
        tidy(label_of(str(event.span_id)).partition(".")[0]),
        framework=FRAMEWORK,
        parent=span.step,
        native_id=str(event.span_id),
        provider=span.provider,
        request_model=_text(model.get("model_name")),
    )
    call.owns = True
    tracker.add(call)
    span.calls = [*(span.calls or ()), call]


def embedding_ended(tracker: Tracker, event: Any) -> None:
    """An embedding ended; batches end in the order in which they began."""
    span = tracker.find(event.span_id)
    call = _open(span) if span is not None else None
    if call is None or tracker.pop(call.key) is None:
        return
    vectors = event.embeddings
    first = vectors[0] if vectors else None
    said = {"texts": len(event.chunks)}
    if isinstance(first, (list, tuple)):
        said["dimensions"] = len(first)
    tracker.end(call, output=said)


# -- what providers tell, each in its own shape


def _usage(response: Any, *, streamed: bool) -> Usage | None:
    """Give the tokens from wherever the integration left them; None where it left none."""
    raw = _raw(response)
    extra = getattr(response, "additional_kwargs", None)
    for found in (
        _get(raw, "usage"),
        _get(raw, "usage_metadata") or _get(raw, "usageMetadata"),
        raw,
        extra if isinstance(extra, Mapping) else None,
    ):
        usage = _numbers(_plain(found), streamed=streamed)
        if usage is not None:
            return usage
    return None


def _numbers(found: Mapping[str, Any] | None, *, streamed: bool) -> Usage | None:
    if not found:
        return None
    given = _first(
        found, "prompt_tokens", "input_tokens", "inputTokens", "prompt_token_count", "prompt_eval_count"
    )
    made = _first(
        found, "completion_tokens", "output_tokens", "outputTokens", "candidates_token_count", "eval_count"
    )
    if not given and not made:
        return None  # 0 and 0: nothing was told
    inputs = _plain(_either(found, "prompt_tokens_details", "input_tokens_details")) or {}
    outputs = _plain(_either(found, "completion_tokens_details", "output_tokens_details")) or {}
    cached = _first(inputs, "cached_tokens")
    written = None
    thought = _first(outputs, "reasoning_tokens")
    apart = _first(found, "cache_read_input_tokens", "cacheReadInputTokens")
    if apart is not None or "cache_creation_input_tokens" in found:  # Anthropic counts these beside the input
        cached = apart
        written = _first(found, "cache_creation_input_tokens", "cacheWriteInputTokens")
        given = (given or 0) + (cached or 0) + (written or 0)
    if "candidates_token_count" in found:  # Google counts what was thought beside the output
        cached = _first(found, "cached_content_token_count")
        thought = _first(found, "thoughts_token_count")
        made = (made or 0) + (thought or 0)
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thought,
        raw={key: value for key, value in found.items() if _is_count(value) or isinstance(value, Mapping)},
        source="stream" if streamed else "provider",
    )


def _finish(raw: Any) -> str | None:
    choices = _get(raw, "choices") or _get(raw, "candidates")
    if isinstance(choices, (list, tuple)) and choices:
        found = _get(choices[0], "finish_reason")
        return _text(getattr(found, "value", found))
    return _text(_get(raw, "stop_reason") or _get(raw, "finish_reason") or _get(raw, "done_reason"))


def _raw(response: Any) -> Any:
    return getattr(response, "raw", None)


def _get(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)


def _plain(value: Any) -> Mapping[str, Any] | None:
    """Give a provider's object of numbers as a mapping."""
    if isinstance(value, Mapping):
        # Asked of its class: pydantic 2.11 warns where it is asked of an object.
        return {
            key: one if not hasattr(type(one), "model_fields") else dict(vars(one))
            for key, one in value.items()
        }
    if value is None or not hasattr(type(value), "model_fields"):
        return None
    return _plain(vars(value))


def _either(found: Mapping[str, Any], *names: str) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _first(found: Mapping[str, Any], *names: str) -> int | None:
    value = _either(found, *names)
    return value if _is_count(value) else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
