"""One model call told twice: by a model object, and by the one that it calls in turn (mapping.md, section 6).

LlamaIndex's `LangChainLLM`, a client of AutoGen's that asks a LangChain model: the outer report often has no response id.
Then it counts as one with a call inside only where what both say of the answer or its tokens is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.steps import Step

__all__ = ["Told", "counted", "note"]

#: Of the calls inside one call: a model that tries again for hours.
MOST: Final = 64

_json: Final = msgspec.json.Decoder()


class Told(NamedTuple):
    """What was told of a model call at its end. `said` are its messages, each as JSON."""

    step_id: str  # of the step that counts
    status: str
    response_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    said: Sequence[bytes] = ()
    cached: bool = False


def note(step: Step, told: Told) -> None:
    """Remember an llm step that has ended, where another one stands around it."""
    for above in step.above():
        if above.kind == "llm":
            inside = above.inside
            above.inside = [*inside[-MOST + 1 :], told]
            return


def counted(step: Step, told: Told) -> str | None:
    """Give the step inside this llm step that tells of the same call; None where it is a call of its own."""
    if not step.inside or told.cached:
        return None
    alike = [one for one in step.inside if one.status == told.status]
    if told.response_id is not None:
        found = [one for one in alike if one.response_id == told.response_id and not one.cached]
    elif told.status != "ok":
        # What broke the call inside broke this one, unless another one was answered since.
        found = alike if step.inside[-1].status == told.status and not _known(told) else []
    elif _known(told):
        found = [one for one in alike if _tokens(one) == _tokens(told)]
        found = found or [one for one in alike if not _known(one) and _same_answer(told, one)]
        if not found and _tokens(told) == _sum(alike):
            found = alike
    else:
        found = [one for one in alike if _same_answer(told, one)]
    return found[-1].step_id if found else None


def _known(told: Told) -> bool:
    return told.input_tokens is not None or told.output_tokens is not None


def _tokens(told: Told) -> tuple[int | None, int | None]:
    return told.input_tokens, told.output_tokens


def _sum(calls: Sequence[Told]) -> tuple[int, int]:
    return sum(one.input_tokens or 0 for one in calls), sum(one.output_tokens or 0 for one in calls)


def _same_answer(outer: Told, inner: Told) -> bool:
    calls, text = _answer(outer.said)
    asked, said = _answer(inner.said)
    if calls or asked:
        return calls == asked
    # What is made of an answer may be shorter: cut at a stop word.
    return bool(text) and said.startswith(text)


def _answer(said: Sequence[bytes]) -> tuple[set[str], str]:
    """Give the ids of the tool calls in an answer, and its text."""
    calls: set[str] = set()
    texts: list[str] = []
    for one in map(_json.decode, said):
        parts: Any = one.get("parts") if isinstance(one, dict) else None
        for part in parts if isinstance(parts, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "tool_call":
                calls.add(str(part.get("id") or part.get("name")))
            elif kind == "text" and isinstance(part.get("content"), str):
                texts.append(part["content"])
    return calls, "".join(texts).strip()
