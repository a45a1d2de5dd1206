"""Write a small store as this version makes it, to `store_<version>.sql` beside this file.

Run it once when the schema has a new version, with `core` and `tests` on PYTHONPATH, and never again for a version that
was released: the file is what users have.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from counterfoil.events import Text, message, text_part
from counterfoil.store import ingest, schema
from handmade_tape import SECOND, T0, Tape, run_id, step_id

FOLDER = Path(__file__).parent


def record(db: Path) -> None:
    """One task of two runs, in which something of every kind happens, and a process that dies."""
    desk, later, doomed = (Tape(db, boot="then", host="there", machine="that") for _ in range(3))
    first, agent, call, tool, human = map(step_id, range(1, 6))
    run = {"run": run_id(1)}
    asked = [message("system", [text_part("Be brief.")]), message("user", [text_part("Refund?")])]
    desk.start(
        run_id(1),
        first,
        t=T0,
        kind="workflow",
        name="desk",
        session="s",
        task="refund",
        labels={"tier": "gold"},
    )
    desk.start(
        run_id(1), agent, t=T0 + 1, parent=first, name="triage", agent="triage", version="2", owner="support"
    )
    desk.start(
        run_id(1), call, t=T0 + 2, kind="llm", parent=agent, agent="triage", messages=asked, name="chat"
    )
    desk.end(
        run_id(1), call, t=T0 + 3, model="gpt-4.1-mini", provider="openai", input_tokens=90, output_tokens=9,
        cost_nano=1_000, price_source="the test", messages=[message("assistant", [text_part("Yes.")])],
    )  # fmt: skip
    desk.start(
        run_id(1),
        tool,
        t=T0 + 4,
        kind="tool",
        parent=agent,
        agent="triage",
        name="look_up",
        input={"id": 7},
        decided=call,
    )
    desk.event(
        "access",
        t=T0 + 5,
        **run,
        step=tool,
        text=Text(source="kb", query="refunds"),
        bodies={"items": [{"item_id": "d1", "score": 0.5}]},
    )
    desk.end(
        run_id(1), tool, t=T0 + 6, status="error", error_type="LookupError", error_message="no customer 7"
    )
    desk.event(
        "decision",
        t=T0 + 7,
        **run,
        step=tool,
        item="d" * 16,
        verdict="allow",
        text=Text(action="look_up", rule="all"),
    )
    desk.event(
        "handoff",
        t=T0 + 8,
        **run,
        step=agent,
        handoff="e" * 16,
        mode="transfer",
        target_type="agent",
        evidence="native",
        status="requested",
        text=Text(source="triage", target="billing", reason="charged twice"),
    )
    desk.event("score", t=T0 + 9, **run, value=0.9, text=Text(name="helpful"))
    desk.start(run_id(1), human, t=T0 + 10, kind="human", parent=first, name="approve", native_id="q1")
    desk.event(
        "approval",
        t=T0 + 11,
        **run,
        step=human,
        item="f" * 16,
        status="waiting",
        text=Text(name="refund"),
        bodies={"payload": {"amount": 5}},
    )
    desk.end(run_id(1), agent, t=T0 + 12, output="to billing")
    desk.end(run_id(1), first, t=T0 + 13, status="waiting")
    desk.event(
        "trouble",
        t=T0 + 14,
        count=2,
        text=Text(place="somewhere", error_type="ValueError", error_message="our own"),
    )
    desk.exit(t=T0 + 15)
    later.start(
        run_id(2), step_id(6), t=T0 + SECOND, kind="workflow", name="desk", session="s", resuming=True
    )
    later.event(
        "answer",
        t=T0 + SECOND + 1,
        run=run_id(2),
        bodies={"answer": [{"id": "q1", "value": "yes", "status": "approved"}]},
    )
    later.end(run_id(2), step_id(6), t=T0 + SECOND + 2, output="refunded")
    later.exit(t=T0 + SECOND + 3)
    doomed.start(run_id(3), step_id(7), t=T0 + 2 * SECOND, name="doomed", agent="doomed")
    doomed.raw(b"no event\n")
    doomed.let_go()


def main() -> None:
    """Record, drain, and write the dump."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "x.db"
        record(db)
        with ingest.Drainer(db) as drainer:
            drainer.drain()
        with closing(sqlite3.connect(db)) as store:
            lines = [
                f"PRAGMA application_id={schema.APPLICATION_ID};",
                f"PRAGMA user_version={schema.VERSION};",
                *store.iterdump(),
            ]
    (FOLDER / f"store_{schema.VERSION}.sql").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
