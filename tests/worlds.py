"""Made-up worlds for hypothesis: what some processes write of shared runs; and the built tables, to be compared."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import strategies as st

from counterfoil.events import Text
from counterfoil.store import schema
from handmade_tape import T0, Tape, run_id, step_id

__all__ = ["dump", "new_store", "worlds", "write"]

KINDS = ["agent", "llm", "tool", "human", "workflow", "embedding", None]
STATUSES = ["ok", "error", "waiting", "denied"]
MESSAGES = [{"role": "user", "parts": [{"type": "text", "content": f"message {n}"}]} for n in range(4)]


def dump(db: sqlite3.Connection) -> dict[str, list[tuple]]:
    """All built tables, with what only numbers the order of ingest put back to what it stands for."""
    bodies = dict(db.execute("SELECT payload_id, body FROM payloads"))
    writers = dict(db.execute("SELECT writer_id, writer FROM writers"))
    found = {}
    for table in schema.BUILT:
        cursor = db.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        rows = []
        for row in cursor:
            shown = dict(zip(names, row, strict=True))
            shown.pop("seq", None)
            for name, value in shown.items():
                if name == "writer_id":
                    shown[name] = writers[value] if value is not None else None
                elif name.endswith("_id") and isinstance(value, int):
                    shown[name] = bodies[value]
                elif name == "offers" and value is not None:
                    shown[name] = [bodies[one] for one in json.loads(value)]
            rows.append(tuple(sorted((key, repr(value)) for key, value in shown.items())))
        found[table] = sorted(rows)
    return found


@st.composite
def worlds(draw: st.DrawFn) -> list[list[dict]]:
    """Give what each of two or three processes writes: events of shared runs, steps, handoffs and approvals."""
    processes = draw(st.integers(2, 3))
    steps = draw(st.integers(1, 5))
    tapes: list[list[dict]] = [[] for _ in range(processes)]
    clock = iter(range(1, 10_000))
    where = st.integers(0, processes - 1)
    maybe = lambda values: draw(st.none() | st.sampled_from(values))  # noqa: E731  # shorter to read in place
    runs = [run_id(draw(st.integers(1, 2))) for _ in range(steps)]
    for n in range(steps):
        same_run = [m for m in range(n) if runs[m] == runs[n]]
        parent = draw(st.none() | st.sampled_from(same_run)) if same_run else None
        base = draw(st.none() | st.sampled_from(same_run)) if same_run else None
        common = {"run": runs[n], "step": step_id(n + 1)}
        if draw(st.integers(0, 9)):
            tapes[draw(where)].append(
                {
                    "kind": "start", "t": T0 + next(clock), **common,
                    "head": {"kind": draw(st.sampled_from(KINDS)), "parent": None if parent is None else step_id(parent + 1),
                             "base": None if base is None else step_id(base + 1), "keep": None if base is None else 1},
                    "text": {"name": f"n{n}", "agent": maybe(["a", "b"]), "framework": maybe(["x", "y"]),
                             "session": maybe(["s1", "s2"]), "provider": maybe(["p"])},
                    "messages": draw(st.none() | st.lists(st.sampled_from(MESSAGES), max_size=3)),
                }
            )  # fmt: skip
        for _ in range(draw(st.integers(0, 2))):
            tapes[draw(where)].append(
                {
                    "kind": "amend", "t": T0 + next(clock), **common,
                    "head": {"kind": maybe(KINDS), "internal": maybe([True]), "status": maybe(["waiting"])},
                    "text": {"name": maybe(["amended", "again"]), "agent": maybe(["c"]), "session": maybe(["s3"]),
                             "stop_reason": maybe(["limit"])},
                }
            )  # fmt: skip
        for ending in draw(st.lists(st.sampled_from(["end", "end", "close", "gone"]), max_size=3)):
            told = ending == "end"
            tapes[draw(where)].append(
                {
                    "kind": ending, "t": T0 + next(clock), **common,
                    "head": {"status": draw(st.sampled_from(STATUSES)) if told else None,
                             "input_tokens": maybe([10, 20]) if told else None,
                             "output_tokens": maybe([1, 2]) if told else None,
                             "cost_nano": maybe([500]) if told else None, "cached": maybe([True]) if told else None},
                    "text": {"response_id": maybe(["r1", "r2"]), "error_type": maybe(["E"])} if told else {},
                    "messages": draw(st.none() | st.lists(st.sampled_from(MESSAGES), max_size=2)) if told else None,
                }
            )  # fmt: skip
        for status in draw(
            st.lists(st.sampled_from(["requested", "accepted", "returned", "failed"]), max_size=3)
        ):
            tapes[draw(where)].append(
                {
                    "kind": "handoff", "t": T0 + next(clock), "run": runs[n], "step": step_id(n + 1),
                    "head": {"handoff": step_id(100 + n), "status": status, "mode": maybe(["transfer", "escalation"])},
                    "text": {"target": maybe(["b", "c"])},
                }
            )  # fmt: skip
        for status in draw(st.lists(st.sampled_from(["waiting", "approved", "rejected"]), max_size=2)):
            tapes[draw(where)].append(
                {
                    "kind": "approval", "t": T0 + next(clock), "run": runs[n], "step": step_id(n + 1),
                    "head": {"item": step_id(200 + n), "status": status}, "text": {"comment": maybe(["no"])},
                }
            )  # fmt: skip
        if draw(st.booleans()):
            tapes[draw(where)].append(
                {"kind": "trouble", "t": T0 + next(clock), "head": {"count": draw(st.integers(1, 9))},
                 "text": {"place": "somewhere"}}
            )  # fmt: skip
    return tapes


def write(tape: Tape, event: dict) -> None:
    head = {key: value for key, value in event["head"].items() if value is not None}
    text = Text(**event["text"]) if event["text"] else None
    if event.get("messages") is not None:
        head["messages"] = event["messages"]
    places = {key: event[key] for key in ("run", "step") if key in event}
    tape.event(event["kind"], t=event["t"], text=text, **places, **head)


@functools.cache
def _empty_store() -> Path:
    path = Path(tempfile.mkdtemp()) / "empty.db"
    schema.open_writer(str(path)).close()
    return path


def new_store(path: Path) -> None:
    """Make an empty store: to make one by migration takes longer than all of an example."""
    shutil.copy(_empty_store(), path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'store_id'", (os.urandom(16).hex(),))
        db.execute("UPDATE meta SET value = ? WHERE key = 'store_key'", (os.urandom(32),))
