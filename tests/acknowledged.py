"""A process that records until it comes to harm, what it acknowledged, and the comparison of that with the store."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import child
from counterfoil.store.read import Store
from counterfoil.store.seal import verify_chain

__all__ = [
    "Doomed",
    "assert_the_counts_agree",
    "assert_the_store_is_whole",
    "assert_what_was_told_is_there_once",
    "missing",
]

#: Records with all of the public API from three threads, rotates its tape every few hundred events, and writes a line to
#: its output once a call of the recorder has returned. `drain`: it drains as well. `may lose`: a call that could not
#: record says `lost`. `end`, and what to do: it does that when a line comes in.
AGENTS = """
    import os, signal, sys, threading
    import counterfoil
    from counterfoil import tape
    from counterfoil.recorder import Recorder

    tape.ROTATE_BYTES = 60_000
    tape.RETRY_SECONDS = 0.1
    signal.alarm(600)  # nobody may come to kill it

    def acknowledging(name, told):
        inner = getattr(Recorder, name)
        def call(self, *args, **more):
            before = self.dropped
            made = inner(self, *args, **more)
            recorded = self.dropped == before
            assert recorded or "may lose" in sys.argv
            os.write(1, f"{name} {told(made, *args)}\\n".encode() if recorded else b"lost\\n")
            return made
        setattr(Recorder, name, call)

    acknowledging("start", lambda made, *_: made.step_id)
    acknowledging("end", lambda _, step, *__: step.step_id)
    acknowledging("access", lambda _, step, *__: step.step_id)
    acknowledging("handoff", lambda made, *_: made.handoff_id)

    @counterfoil.tool(reads="kb")
    def search(question):
        counterfoil.access("crm", query=question, items=["c1", "c2"])
        return "x" * 500

    @counterfoil.agent
    def billing(question):
        return search(question)

    @counterfoil.agent
    def triage(question):
        with counterfoil.step("model", kind="llm", input=question) as span:
            span.set(usage=counterfoil.Usage(10, 5), model="m", output="ask billing")
        counterfoil.handoff("billing", mode="escalation", reason=question)
        return billing(question)

    def serve(name):
        number = 0
        while True:
            number += 1
            with counterfoil.run(name, task="ticket", session=f"{name} {number}", labels={"n": str(number)}):
                triage(f"question {number}")

    def keep_draining():
        while True:
            counterfoil.flush(timeout=5)

    threads = [threading.Thread(target=serve, args=(f"desk {n}",), daemon=True) for n in range(3)]
    if "drain" in sys.argv:
        threads.append(threading.Thread(target=keep_draining, daemon=True))
    for one in threads:
        one.start()
    if "end" in sys.argv:
        sys.stdin.readline()
        exec(sys.argv[-1])
    for one in threads:
        one.join()
"""


class Doomed:
    """A process that records to `db`, and how often it has acknowledged what."""

    def __init__(self, db: Path, *arguments: str, **more: object) -> None:
        self._process = child.start(AGENTS, *arguments, db=db, stderr=None, **more)
        self.pid = self._process.pid
        self.told: Counter[str] = Counter()

    def read(self, acknowledgements: int | None = None) -> None:
        """Take so many acknowledgements; None: all that come until the process is gone."""
        while acknowledgements is None or acknowledgements > 0:
            line = self._process.stdout.readline()
            if not line.endswith("\n"):
                assert acknowledgements is None, "the process ended by itself"
                return
            self.told[line.rstrip()] += 1
            if acknowledgements is not None:
                acknowledgements -= 1

    def read_until_lost(self, count: int) -> None:
        """Take acknowledgements until so many calls more could not record."""
        until = self.told["lost"] + count
        while self.told["lost"] < until:
            self.read(1)

    def stop(self) -> None:
        """Have the process stand still, each thread of it."""
        os.kill(self.pid, signal.SIGSTOP)
        while any(_state(task) != "T" for task in Path(f"/proc/{self.pid}/task").iterdir()):
            time.sleep(0.001)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self, how: int = signal.SIGKILL) -> None:
        os.kill(self.pid, how)
        assert self._gone() == -how

    def end(self) -> int:
        """Have it do what it was started to do at its end; give its exit status."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._gone()

    def end_if_alive(self) -> None:
        if self._process.poll() is None:
            self.kill()

    def _gone(self) -> int:
        self.read()
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(child.SECONDS)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def _written_by(store: Store, pid: int) -> list[tuple]:
    """Give the events of a process: kind, step, handoff, status, and the process's own number."""
    _, rows = store.sql(
        """SELECT e.kind, e.step_id, json_extract(e.head, '$.handoff'), json_extract(e.head, '$.status'),
          w.writer || ' ' || json_extract(e.head, '$.q')
        FROM events e JOIN tapes USING (tape_id) JOIN writers w USING (writer_id) WHERE w.writer LIKE ?""",
        (f"%-{pid}-%",),
    )
    return rows


def _there(events: list[tuple]) -> Counter[str]:
    there = Counter(f"{kind} {step}" for kind, step, *_ in events)
    there += Counter(f"handoff {handoff}" for kind, _, handoff, status, _ in events if status == "requested")
    return there


def missing(store: Store, pid: int, told: Counter[str]) -> dict[str, int]:
    """Give what was told and is not in the store."""
    there = _there(_written_by(store, pid))
    return {line: count for line, count in told.items() if line != "lost" and there[line] < count}


def assert_what_was_told_is_there_once(
    store: Store, process: Doomed, told: Counter[str] | None = None
) -> Counter[str]:
    """Compare what a process that is gone acknowledged with what the store holds; give how its steps ended."""
    told = process.told if told is None else told
    assert missing(store, process.pid, told) == {}
    events = _written_by(store, process.pid)
    numbers = Counter(number for *_, number in events)
    assert set(numbers.values()) == {1}
    there = _there(events)
    assert {line for line, count in there.items() if line.startswith(("start", "end")) and count > 1} == set()
    _, rows = store.sql(
        "SELECT step_id, status FROM steps JOIN processes p USING (process_id) WHERE p.pid = ?",
        (process.pid,),
    )
    statuses = dict(rows)
    assert len(rows) == len(statuses)
    assert set(statuses.values()) <= {"ok", "interrupted"}
    ended = {line.split()[1] for line in told if line.startswith("end ")}
    assert {statuses[step] for step in ended & statuses.keys()} <= {"ok"}
    return Counter(statuses.values())


def assert_the_store_is_whole(db: Path, store: Store) -> None:
    """Nothing twice, the chain holds, and nothing was set aside but what a process was about to write when it ended."""
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
    assert store.troubles() == []
    # A write(2) of several pages may be cut by the kill: its call had not returned.
    assert {one.reason for one in store.quarantine()} <= {"the last line is torn"}
    assert_the_counts_agree(store)


def assert_the_counts_agree(store: Store) -> None:
    """What is counted per run is what there is."""
    assert store.undrained_bytes == 0
    _, ((steps, runs, open_steps),) = store.sql("SELECT sum(steps), count(*), sum(open_steps) FROM runs")
    _, ((counted,),) = store.sql("SELECT count(*) FROM steps")
    assert (counted, runs) == (steps, len(store.runs(all=True, limit=None)))
    assert open_steps == 0
