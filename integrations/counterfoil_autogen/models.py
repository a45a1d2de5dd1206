"""Model calls: what was sent, what came back, what it used (mapping.md, section 6)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from counterfoil import ids
from counterfoil.guard import guarded
from counterfoil.recorder import Usage
from counterfoil_autogen.calls import Call, ModelCall, TeamRun, begin, ended, given, innermost
from counterfoil_autogen.messages import answer_of, messages_of, plain
from counterfoil_autogen.naming import model_of, provider_of
from counterfoil_autogen.tracker import recording

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["begins", "chunks_read", "gives", "response_logged"]


def begins(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, streamed: bool) -> ModelCall | None:
    """A model is called; what a cache calls in turn is the same call."""
    above = innermost()
    if isinstance(above, ModelCall):
        return None
    call = ModelCall(client, above, streamed=streamed)
    messages = messages_of(given(args, kwargs, 0, "messages") or ())
    offers = [_offer(one) for one in kwargs.get("tools") or ()] or None
    model, provider = model_of(client), provider_of(client)
    for recorder, _ in recording(None, above):
        begin(
            call,
            recorder,
            "llm",
            type(client).__name__,
            messages=messages,
            offers=offers,
            request_model=model,
            provider=provider,
        )
    return call if call.scopes else None


#: A tool makes its schema anew each time it is asked.
_schemas: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _offer(tool: Any) -> Any:
    if isinstance(tool, Mapping):
        return dict(tool)
    try:
        if tool not in _schemas:
            _schemas[tool] = dict(tool.schema)
        return _schemas[tool]
    except TypeError:  # one of the user's that cannot be a key
        return dict(tool.schema)


def gives(call: Call, item: Any, *, own: bool, last: bool) -> None:
    """A piece of the answer came, or all of it."""
    if not own or not isinstance(call, ModelCall) or item is None or (last and call.streamed):
        return
    if isinstance(item, str):
        if item:
            _first_word(call)
        return
    ended(
        call,
        messages=[answer_of(item)],
        usage=_usage(call, item.usage),
        model=call.model,
        response_id=call.response_id,
        finish_reason=call.finish_reason
        or ("tool_calls" if item.finish_reason == "function_calls" else item.finish_reason),
        cached=bool(item.cached),
        ttft_ns=call.ttft_ns,
    )
    for scope in call.scopes.values():
        above = call.above.scopes.get(scope.recorder.path) if isinstance(call.above, TeamRun) else None
        if above is not None and isinstance(item.content, str):
            above.said = scope.step.counts, item.content


def _first_word(call: ModelCall) -> None:
    if call.ttft_ns is None:
        call.ttft_ns = ids.now_ns() - next(iter(call.scopes.values())).step.started_ns


# -- what the provider said: AutoGen's own result has neither its id, nor its model, nor what was cached


def response_logged(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap the making of AutoGen's LLMCallEvent, which holds the provider's response, whether it is logged or not."""

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _note(kwargs.get("response"))

    return init


def chunks_read(
    original: Callable[..., AsyncGenerator[Any, None]],
) -> Callable[..., AsyncGenerator[Any, None]]:
    """Wrap the reading of a stream by AutoGen's OpenAI client, whose own event tells nothing of it."""

    @functools.wraps(original)
    async def chunks(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async for chunk in original(self, *args, **kwargs):
            _note_chunk(chunk)
            yield chunk

    return chunks


@guarded
def _note_chunk(chunk: Any) -> None:
    call = innermost()
    if not isinstance(call, ModelCall):
        return
    call.response_id = chunk.id or call.response_id
    call.model = chunk.model or call.model
    if chunk.usage is not None:
        call.usage = chunk.usage.model_dump()
    if any(one.delta.content or one.delta.tool_calls for one in chunk.choices):
        _first_word(call)


@guarded
def _note(response: Any) -> None:
    call = innermost()
    if not isinstance(call, ModelCall) or not isinstance(response, Mapping):
        return
    call.response_id = _text(response.get("id")) or call.response_id
    call.model = _text(response.get("model")) or call.model
    usage = response.get("usage")
    call.usage = plain(usage) if isinstance(usage, Mapping) else None
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        call.finish_reason = _text(choices[0].get("finish_reason"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _usage(call: ModelCall, told: Any) -> Usage | None:
    """Give the usage; None where AutoGen says 0 and 0, which is what it says where the provider said nothing."""
    source = "stream" if call.streamed else "provider"
    raw = call.usage
    if raw is not None and "prompt_tokens" in raw:  # OpenAI's: input with cached, output with reasoning
        given_, made = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
        return Usage(
            input_tokens=raw.get("prompt_tokens"),
            output_tokens=raw.get("completion_tokens"),
            cache_read_tokens=given_.get("cached_tokens"),
            reasoning_tokens=made.get("reasoning_tokens"),
            audio_tokens=given_.get("audio_tokens"),
            raw=raw,
            source=source,
        )
    if raw is not None and "input_tokens" in raw:  # Anthropic's: input without cached
        read, written = raw.get("cache_read_input_tokens"), raw.get("cache_creation_input_tokens")
        return Usage(
            input_tokens=(raw["input_tokens"] or 0) + (read or 0) + (written or 0),
            output_tokens=raw.get("output_tokens"),
            cache_read_tokens=read,
            cache_write_tokens=written,
            raw=raw,
            source=source,
        )
    if not told.prompt_tokens and not told.completion_tokens:
        return None
    numbers = {"prompt_tokens": told.prompt_tokens, "completion_tokens": told.completion_tokens}
    return Usage(told.prompt_tokens, told.completion_tokens, raw=numbers, source=source)
