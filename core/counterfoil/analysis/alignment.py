"""Two runs' steps beside each other, aligned by meaning: who did what with what, whatever the framework."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from counterfoil.store.read import Store
    from counterfoil.store.records import Handoff, Node, Run, Step

__all__ = ["Entry", "Relation", "Row", "align", "entries", "same_name"]

#: What every framework has. Workflows, tasks and the like differ by nature, and are gone through.
_KINDS: Final = frozenset({"agent", "llm", "tool", "retrieval", "memory", "human"})
#: What a tool or retriever did inside of a tool is part of the tool: some frameworks tell it, some do not.
_READS: Final = frozenset({"retrieval", "memory", "embedding"})
#: How much it is worth to have two steps beside each other. A model call is like any other of the same agent.
_WORTH: Final = {"llm": 1, "agent": 6}
_SAME, _ALIKE = 8, 4
#: Beyond so many pairs of steps, only what is equal is put beside each other.
_MOST_PAIRS: Final = 1_000_000

Relation: TypeAlias = Literal["same", "changed", "only a", "only b"]


class Entry(msgspec.Struct, frozen=True):
    """A step or a handoff, as far as it can be compared. `name` is the agent, model, tool or source, or who was handed to.

    `given` are a tool's arguments, a query, a question. `depth` is how many agents and tools it stands in.
    """

    kind: str
    name: str | None
    agent: str | None
    mode: str | None
    step_id: str | None
    started_ns: int | None
    status: str | None
    error_type: str | None
    given: Any
    result: Any
    framework: str | None
    depth: int
    like: tuple[str, ...]  # what must be equal for two to stand beside each other
    told: str  # what else must be for them to be the same


class Row(msgspec.Struct, frozen=True):
    """Entries beside each other; `changed` names what is different: `agent`, `given`, `status`, `result`."""

    relation: Relation
    a: Entry | None
    b: Entry | None
    changed: tuple[str, ...]


def same_name(name: str | None) -> str:
    """Give a name without what frameworks write differently: `Billing Specialist` is `billing_specialist`."""
    return re.sub(r"[\W_]+", "", name or "").casefold()


def _canonical(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# -- entries


def entries(store: Store, runs: Iterable[Run]) -> list[Entry]:
    """Give what was done in `runs`, one after the other, in the order of start."""
    return [entry for run in runs for entry in _entries(store, run)]


def _entries(store: Store, run: Run) -> list[Entry]:
    models = {call.step_id: call.model or call.request_model for call in store.llm_calls(run)}
    roots = store.tree(run)
    steps = {node.step.step_id: node.step for node, _ in _walk(roots)}
    human = any(step.kind == "human" for step in steps.values())
    asked: dict[str, list[Handoff]] = {}  # by the tool that asked
    begun: dict[str, list[Handoff]] = {}  # by the agent that took over
    left = []
    for one in store.handoffs(run):
        if one.target_type == "human" and human:
            continue  # the question tells it
        asker = steps.get(one.step_id or "")
        if asker is not None and asker.kind == "tool":
            asked.setdefault(asker.step_id, []).append(one)
        elif one.target_step_id in steps:
            begun.setdefault(one.target_step_id, []).append(one)
        else:
            left.append(one)
    made: list[Entry] = []
    for node, depth in _walk(roots):
        step = node.step
        made += [_handed(one, None, depth) for one in begun.get(step.step_id, ())]
        if step.step_id in asked:
            made += [_handed(one, step, depth) for one in asked[step.step_id]]
        elif (
            step.kind in _KINDS
            and step.folded_into is None
            and not (step.kind == "agent" and step.internal)
            and not (step.kind == "tool" and step.status == "waiting")
            and not (step.kind in _READS and _in_tool(step, steps))
        ):
            made.append(_entry(step, models.get(step.step_id), depth))
    for one in left:
        at = next(
            (n for n, entry in enumerate(made) if (entry.started_ns or 0) > (one.requested_ns or 0)),
            len(made),
        )
        made.insert(at, _handed(one, None, made[at - 1].depth if at else 0))
    return made


def _walk(roots: Sequence[Node]) -> Iterator[tuple[Node, int]]:
    """Give every node, parents first, and how many agents and tools it stands in; a run may be deeper than Python's stack."""
    waiting = [(root, 0) for root in reversed(_in_order(roots))]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        below = depth + (node.step.kind in {"agent", "tool"})
        waiting += [(child, below) for child in reversed(_in_order(node.children))]


def _in_order(nodes: Sequence[Node]) -> list[Node]:
    """Give siblings in their order, but tools that one answer asked for together by name: which began first means nothing."""
    ordered: list[Node] = []
    for decided_by, together in groupby(
        nodes, lambda node: node.step.kind == "tool" and node.step.decided_by
    ):
        same = list(together)
        if decided_by:
            same.sort(key=lambda node: (same_name(node.step.name), _canonical(node.step.input)))
        ordered += same
    return ordered


def _in_tool(step: Step, steps: Mapping[str, Step]) -> bool:
    """Tell whether the nearest tool or agent that the step stands in is a tool."""
    above, seen = steps.get(step.parent_id or ""), set[str]()
    while above is not None and above.kind not in {"tool", "agent"} and above.step_id not in seen:
        seen.add(above.step_id)
        above = steps.get(above.parent_id or "")
    return above is not None and above.kind == "tool"


def _entry(step: Step, model: str | None, depth: int) -> Entry:
    kind = "retrieval" if step.kind == "memory" else str(step.kind)
    like: tuple[str, ...] = (kind,)
    told = ""
    if kind == "agent":
        like = (kind, same_name(step.name))
    elif kind == "llm":
        like = (kind, same_name(step.agent))
    elif kind == "tool":
        like, told = (kind, same_name(step.name)), _canonical(step.input)
    else:
        told = _canonical(step.input)
    return Entry(
        kind=kind,
        name=model or step.name,
        agent=step.agent,
        mode=None,
        step_id=step.step_id,
        started_ns=step.started_ns,
        status=step.status,
        error_type=step.error_type,
        given=step.input if kind in {"tool", "retrieval", "human"} else None,
        result=step.output if kind in {"tool", "retrieval", "human"} else None,
        framework=step.framework,
        depth=depth,
        like=like,
        told=told,
    )


def _handed(one: Handoff, tool: Step | None, depth: int) -> Entry:
    """A handoff is one to the same agent, however the framework does it: a tool of its own, a message, the order."""
    target = one.target or one.target_asked
    return Entry(
        kind="handoff",
        name=target,
        agent=one.source,
        mode=one.mode,
        step_id=one.step_id if tool is None else tool.step_id,
        started_ns=one.requested_ns if tool is None else tool.started_ns,
        status="refused" if one.status in {"refused", "failed", "abandoned"} else "ok",
        error_type=None,
        given=one.reason,
        result=None,
        framework=one.framework,
        depth=depth,
        like=("handoff", same_name(target)),
        told="",
    )


# -- alignment


def align(first: Sequence[Entry], second: Sequence[Entry]) -> list[Row]:
    """Put as much as possible that is alike beside each other, in order: Needleman and Wunsch, what is equal counts twice."""
    start = 0
    while start < min(len(first), len(second)) and _is_same(first[start], second[start]):
        start += 1
    end = 0
    while end < min(len(first), len(second)) - start and _is_same(first[-1 - end], second[-1 - end]):
        end += 1
    middle_a, middle_b = first[start : len(first) - end], second[start : len(second) - end]
    rows = [_row(a, b) for a, b in zip(first[:start], second[:start], strict=True)]
    if len(middle_a) * len(middle_b) <= _MOST_PAIRS:
        rows += _best(middle_a, middle_b)
    else:
        rows += _equal(middle_a, middle_b)
    tail = zip(first[len(first) - end :], second[len(second) - end :], strict=True)
    return rows + [_row(a, b) for a, b in tail]


def _is_same(a: Entry, b: Entry) -> bool:
    return a.like == b.like and a.told == b.told


def _worth(a: Entry, b: Entry) -> int:
    if a.like != b.like:
        return 0
    return _WORTH.get(a.kind) or (_SAME if a.told == b.told else _ALIKE)


def _best(first: Sequence[Entry], second: Sequence[Entry]) -> list[Row]:
    worth = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) - 1, -1, -1):
        row, below, one = worth[i], worth[i + 1], first[i]
        for j in range(len(second) - 1, -1, -1):
            best = max(row[j + 1], below[j])
            if one.like == second[j].like:
                best = max(best, below[j + 1] + _worth(one, second[j]))
            row[j] = best
    rows: list[Row] = []
    i = j = 0
    while i < len(first) and j < len(second):
        here = _worth(first[i], second[j])
        if here and worth[i][j] == worth[i + 1][j + 1] + here:
            rows.append(_row(first[i], second[j]))
            i, j = i + 1, j + 1
        elif worth[i][j] == worth[i + 1][j]:
            rows.append(_row(first[i], None))
            i += 1
        else:
            rows.append(_row(None, second[j]))
            j += 1
    return [*rows, *(_row(a, None) for a in first[i:]), *(_row(None, b) for b in second[j:])]


def _equal(first: Sequence[Entry], second: Sequence[Entry]) -> list[Row]:
    keys = [[(entry.like, entry.told) for entry in side] for side in (first, second)]
    rows: list[Row] = []
    for how, a0, a1, b0, b1 in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if how == "equal":
            rows += [_row(a, b) for a, b in zip(first[a0:a1], second[b0:b1], strict=True)]
        else:
            rows += [_row(a, None) for a in first[a0:a1]]
            rows += [_row(None, b) for b in second[b0:b1]]
    return rows


def _row(a: Entry | None, b: Entry | None) -> Row:
    if a is None or b is None:
        return Row("only b" if a is None else "only a", a, b, ())
    changed = []
    if same_name(a.agent) != same_name(b.agent):
        changed.append("agent")
    if a.told != b.told:
        changed.append("given")
    if a.status != b.status or a.error_type != b.error_type:
        changed.append("status")
    # Frameworks hand on the same result in wrappings of their own.
    elif a.framework == b.framework and _canonical(a.result) != _canonical(b.result):
        changed.append("result")
    return Row("changed" if changed else "same", a, b, tuple(changed))
