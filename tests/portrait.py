"""All that was recorded of a run as text: who called and read what, who passed it to whom, and by which choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from counterfoil.store.read import Store
from counterfoil.store.records import Node, Run

__all__ = ["portrait"]


def portrait(store: Store, run: Run) -> str:
    """Give a run as text. A model call has a number, by which others say that it chose them."""
    calls = {call.step_id: f"call {at}" for at, call in enumerate(store.llm_calls(run), 1)}
    lines = [f"{run.name}: {run.status}, {run.llm_calls} calls, {run.tool_calls} tools"]
    for node in store.tree(run):
        lines += _of(node, calls, 1)
    for one in store.handoffs(run):
        lines.append(f"{one.source} -> {one.target}: {one.mode} {one.status} ({one.evidence})")
        chosen = f"chosen by {calls[one.decided_by]} ({one.decided_evidence}), " if one.decided_by else ""
        lines.append(f"  {chosen}because: {_first_line(one.reason)}")
        if one.answer is not None:
            lines.append(f"  answer: {_last_said(one.answer)}")
    lines += sorted(f"{one.agent} read {one.source} {one.item_id}" for one in store.accesses(run))
    return "\n".join(lines)


def _of(node: Node, calls: Mapping[str, str], depth: int) -> Iterator[str]:
    step = node.step
    words = [str(step.kind), str(step.name) if step.kind != "llm" else calls[step.step_id]]
    if step.kind == "tool":
        words.append(f"by {calls[step.decided_by]}")
    if step.status != "ok":
        words.append(f"{step.status}: {step.error_message}")
    yield "  " * depth + " ".join(words)
    # Tools that one call of the model chose run at once: by name.
    for chosen, children in groupby(node.children, lambda child: child.step.decided_by):
        for child in sorted(children, key=lambda child: child.step.name) if chosen else children:
            yield from _of(child, calls, depth + 1)


def _last_said(answer: Any) -> Any:
    return answer if isinstance(answer, str) else answer["messages"][-1]["parts"][-1]["content"]


def _first_line(reason: str | None) -> str | None:
    first, _, more = (reason or "").partition("\n")
    return f"{first} ..." if more else reason
