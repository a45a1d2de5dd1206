"""A run as text, to be compared with what a test expects: its steps as a tree, and the handoffs between its agents."""

from __future__ import annotations

import counterfoil
from counterfoil.store.read import Store
from counterfoil.store.records import Handoff, Node, Run, Step

__all__ = ["outline", "outlines"]


def outline(store: Store | str, run: Run | str = "last") -> str:
    """Give a run as text.

    A step is `kind name [agent] status`; the agent where it is not the step's own, the status where it is not `ok`. A
    handoff is `source -> target mode status evidence: reason`.
    """
    if not isinstance(store, Store):
        with counterfoil.open(store) as opened:
            return outline(opened, run)
    found = store.run(run) if isinstance(run, str) else run
    lines: list[str] = []
    for node in store.tree(found):
        _add(lines, node, 0)
    if found.status != "ok":
        lines.append(f"run: {found.status}" + (f" ({found.stop_reason})" if found.stop_reason else ""))
    lines += [_handoff(one) for one in store.handoffs(found)]
    return "\n".join(lines)


def outlines(store: Store | str) -> str:
    """Give every run as text, the first one first."""
    if not isinstance(store, Store):
        with counterfoil.open(store) as opened:
            return outlines(opened)
    runs = sorted(store.runs(all=True), key=lambda run: run.started_ns or 0)
    return "\n--\n".join(outline(store, run) for run in runs)


def _add(lines: list[str], node: Node, depth: int) -> None:
    lines.append("  " * depth + _step(node.step))
    for child in node.children:
        _add(lines, child, depth + 1)


def _step(step: Step) -> str:
    words = [str(step.kind), str(step.name)]
    if step.agent and (step.kind != "agent" or step.agent != step.name):
        words.append(f"[{step.agent}]")
    if step.status != "ok":
        words.append(step.status)
    if step.error_type:
        words.append(f"({step.error_type})")
    if step.evidence != "native":
        words.append(f"~{step.evidence}")
    return " ".join(words)


def _handoff(one: Handoff) -> str:
    words = [f"{one.source} -> {one.target}", str(one.mode), str(one.status), str(one.evidence)]
    if one.target_type != "agent":
        words.append(f"to a {one.target_type}")
    if one.coordinator:
        words.append(f"by {one.coordinator}")
    if one.refused_by:
        words.append(f"refused by {one.refused_by}")
    return " ".join(words) + (f": {one.reason}" if one.reason else "")
