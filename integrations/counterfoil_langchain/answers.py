"""What a model answered: its messages, what it used, who served it (mapping.md, section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from counterfoil.events import Message, Usage, message, text_part
from counterfoil_langchain.messages import messages_of

if TYPE_CHECKING:
    from counterfoil.snapshot import Taken

__all__ = ["Answer", "answer_of"]


class Answer(NamedTuple):
    """The facts of one LLMResult, as `Recorder.end` takes them."""

    messages: Sequence[Message | Taken]
    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    cached: bool = False


def answer_of(result: Any, *, streamed: bool) -> Answer:
    """Give the facts of a model's `LLMResult`: of one prompt, with one or more generations."""
    generations = [one for some in result.generations for one in some]
    summary: Mapping[str, Any] = result.llm_output or {}  # legacy: None or {} when streamed
    if not generations:
        return Answer(
            [], _legacy_usage(summary.get("token_usage") or summary.get("usage"), streamed=streamed)
        )
    first = generations[0]
    details: Mapping[str, Any] = first.generation_info or {}
    said = getattr(first, "message", None)
    if said is None:  # a text model
        return Answer(
            [message("assistant", [text_part(one.text)]) for one in generations],
            usage=_legacy_usage(summary.get("token_usage") or details.get("usage"), streamed=streamed),
            model=_text(summary.get("model_name")),
            response_id=_text(summary.get("id")),
            finish_reason=_text(details.get("finish_reason")),
        )
    facts: Mapping[str, Any] = said.response_metadata or {}
    raw = said.usage_metadata
    if raw is None:
        usage = _legacy_usage(
            facts.get("token_usage") or facts.get("usage") or summary.get("token_usage"), streamed=streamed
        )
    else:
        usage = _usage(raw, streamed=streamed)
    return Answer(
        messages_of([one.message for one in generations]),
        usage=usage,
        model=_text(facts.get("model_name") or facts.get("model") or summary.get("model_name")),
        provider=_text(facts.get("model_provider")),
        response_id=_text(facts.get("id") or summary.get("id") or _own_id(said.id)),
        finish_reason=_text(
            facts.get("finish_reason") or facts.get("stop_reason") or details.get("finish_reason")
        ),
        # langchain-core marks a cache's answer so; a provider's own report has no such key.
        cached=bool(raw) and raw.get("total_cost") == 0,
    )


def _usage(raw: Mapping[str, Any], *, streamed: bool) -> Usage | None:
    """LangChain's UsageMetadata: its input includes cached, its output includes reasoning already."""
    given, made = raw.get("input_tokens"), raw.get("output_tokens")
    if not given and not made:
        return None  # 0 and 0: a stream whose provider sent no usage
    into: Mapping[str, Any] = raw.get("input_token_details") or {}
    out: Mapping[str, Any] = raw.get("output_token_details") or {}
    audio = [one for one in (into.get("audio"), out.get("audio")) if one is not None]
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=into.get("cache_read"),
        cache_write_tokens=into.get("cache_creation"),
        reasoning_tokens=out.get("reasoning"),
        audio_tokens=sum(audio) if audio else None,
        raw=dict(raw),
        source="stream" if streamed else "provider",
    )


def _legacy_usage(raw: Any, *, streamed: bool) -> Usage | None:
    """The provider's own object, where an integration fills in no UsageMetadata."""
    if not isinstance(raw, Mapping):
        return None
    given = raw.get("prompt_tokens", raw.get("input_tokens"))
    made = raw.get("completion_tokens", raw.get("output_tokens"))
    if not given and not made:
        return None
    into: Mapping[str, Any] = raw.get("prompt_tokens_details") or {}
    out: Mapping[str, Any] = raw.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=into.get("cached_tokens"),
        reasoning_tokens=out.get("reasoning_tokens"),
        raw=dict(raw),
        source="stream" if streamed else "provider",
    )


def _own_id(native: Any) -> Any:
    """A message's id where the provider gave it; LangChain's own ones name its run."""
    return None if native is None or str(native).startswith(("lc_run-", "run-", "lc_")) else native


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
