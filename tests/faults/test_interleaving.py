"""A real run of several processes, its tapes read in whatever pieces and order: the built tables are the same."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import child
from counterfoil.store import ingest
from counterfoil.store.seal import verify_chain
from tape_reading import segments
from worlds import dump, new_store

pytestmark = pytest.mark.slow

#: A triage process hands over to two others, which record into the same run; each rotates its tape many times. One is
#: killed, one leaves a question to a human open.
DESK = """
    import os, subprocess, sys
    import counterfoil
    from counterfoil import tape
    from counterfoil.events import message, text_part, tool_call_part

    tape.ROTATE_BYTES = 3_000
    recorder = counterfoil.recorder_at()
    here = sys.argv[1] if len(sys.argv) > 1 else None

    def ask_model(talk, said, call=None):
        step = recorder.start(
            "llm", "m", framework="python", parent=recorder.here(), messages=list(talk), offers=[{"name": "find"}]
        )
        talk.append(message("assistant", [text_part(said), *([tool_call_part(*call)] if call else [])]))
        usage = counterfoil.Usage(len(talk), 5)
        recorder.end(step, messages=talk[-1:], usage=usage, model="m", provider="p", response_id=f"r{said}")

    @counterfoil.tool(reads="orders")
    def find(order):
        counterfoil.access("orders", query=order, items=["o1", "o2"])
        if order == "none":
            raise KeyError(order)
        return "x" * 300

    @counterfoil.agent
    def worker(name):
        talk = [message("system", [text_part("Be kind.")]), message("user", [text_part(name)])]
        for turn in range(4):
            ask_model(talk, f"{name} {turn}", (f"c{turn}", "find", {"order": "some"}))
            find("some")
        try:
            find("none")
        except KeyError:
            pass
        counterfoil.score("done", 1.0)

    if here is None:
        with counterfoil.run("desk", session="s", labels={"n": "1"}):
            counterfoil.handoff("worker", mode="transfer", reason="busy")
            worker("first")
            for end in ("ask", "die"):
                subprocess.run([sys.executable, "-c", os.environ["DESK"], counterfoil.traceparent(), end])
    else:
        with counterfoil.run(f"room {sys.argv[2]}", traceparent=here):
            worker(sys.argv[2])
            if sys.argv[2] == "die":
                with counterfoil.step("open"):
                    os.kill(os.getpid(), 9)
            recorder.ask(recorder.here(), "may I?", approval=("refund", {"amount": 5}))
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Give each process's tape of a real run: the names and contents of its segments, oldest first."""
    db = tmp_path_factory.mktemp("recorded") / "x.db"
    child.run(DESK, db=db, DESK=dedent(DESK))
    tapes = {}
    for segment in segments(db):
        tapes.setdefault(segment.name.split(".")[0], []).append((segment.name, segment.read_bytes()))
    assert len(tapes) == 3
    assert all(len(one) > 2 for one in tapes.values())
    return list(tapes.values())


class Growing:
    """A process's tape as it grows, segment after segment, the newest locked as its writer would."""

    def __init__(self, folder: Path, written: list[tuple[str, bytes]]) -> None:
        self._folder = folder
        self._left = [(name, memoryview(content)) for name, content in written]
        self.size = sum(len(content) for _, content in written)
        self._fd = -1
        self._name = ""

    def grow(self, size: int) -> None:
        """Write so many bytes more. A segment comes with its first line at once."""
        while self._left and size > 0:
            name, content = self._left.pop(0)
            part = content[:size]
            if name != self._name:
                part = content[: max(size, bytes(content).index(b"\n") + 1)]
                fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                fcntl.flock(fd, fcntl.LOCK_EX)
                self.let_go()
                self._fd, self._name = fd, name
            os.write(self._fd, part)
            size -= len(part)
            if len(part) < len(content):
                self._left.insert(0, (name, content[len(part) :]))

    def let_go(self) -> None:
        """What the kernel does when the process is gone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def drained(folder, recorded, stages, batch):
    """Have the tapes grow stage by stage, drain after each, and give the built tables."""
    db = folder / "x.db"
    tapes = db.with_name("x.db.tape")
    tapes.mkdir(parents=True)
    new_store(db)  # made once for all: that takes longer than all of an example
    growing = [Growing(tapes, written) for written in recorded]
    with pytest.MonkeyPatch.context() as patch, ingest.Drainer(db) as drainer:
        patch.setattr(ingest, "BATCH_BYTES", batch)
        for stage in stages:
            for which, share in stage:
                growing[which].grow(int(share * growing[which].size))
            drainer.drain()
        for one in growing:
            one.grow(one.size)
        assert drainer.drain().left_bytes == 0
        for one in growing:
            one.let_go()
        drainer.drain()
        assert not list(tapes.glob("*.tape"))
    with closing(sqlite3.connect(db)) as connection:
        assert verify_chain(connection) is None
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        return dump(connection)


stages = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 0.7)), min_size=1, max_size=4), max_size=4
)


@pytest.mark.parametrize("examples", [15, pytest.param(400, marks=pytest.mark.stress)])
def test_a_real_run_gives_the_same_tables_however_its_tapes_are_read_and_rebuilt(recorded, examples):
    with tempfile.TemporaryDirectory() as folder:
        at_once = drained(Path(folder), recorded, [], 1 << 20)
    assert len(at_once["t_steps"]) > 30
    assert len(at_once["t_handoffs"]) > 0
    assert len(at_once["t_approvals"]) == 1

    @settings(max_examples=examples, deadline=None)
    @given(stages=stages, batch=st.sampled_from([500, 4_000, 1 << 20]))
    def same(stages, batch):
        folder = Path(tempfile.mkdtemp())
        try:
            assert drained(folder, recorded, stages, batch) == at_once
            ingest.rebuild(folder / "x.db")
            with closing(sqlite3.connect(folder / "x.db")) as connection:
                assert dump(connection) == at_once
        finally:
            shutil.rmtree(folder)

    same()
