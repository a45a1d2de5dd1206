"""Stores made one: every event once, in whatever order, as if all tapes had been drained into one store."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.store import copying, health, ingest, pricing, read, seal, sources, tapes
from counterfoil.store.errors import StoreError
from counterfoil.store.merge import merge
from handmade_tape import SECOND, T0, Tape, run_id, step_id
from worlds import dump, new_store, worlds, write


@pytest.fixture
def a(tmp_path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def b(tmp_path) -> Path:
    return tmp_path / "b.db"


def drain(path: Path, **options) -> ingest.Drained:
    with ingest.Drainer(path) as drainer:
        return drainer.drain(**options)


def rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def tables(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as db:
        return dump(db)


def one_run(tape: Tape, n: int, **given) -> None:
    tape.start(run_id(n), step_id(n), t=T0 + n * SECOND, name=f"agent {n}", agent="a", **given)
    tape.end(run_id(n), step_id(n), t=T0 + n * SECOND + 5, output=f"answer {n}")


def copied(path: Path, source: Path) -> copying.Copied:
    (done,) = merge(path, [source])
    assert done.notices == ()
    return done.copied


def all_holds(path: Path) -> None:
    """The store's own chain, its payloads, and the chains of those that it was copied from."""
    with closing(sqlite3.connect(path)) as db:
        assert seal.verify_chain(db) is None
        assert set(sources.verify_sources(db).values()) <= {None}


# -- any split, any order


def pieces(folder: Path, tape: Tape, db: Path, cut: int) -> None:
    """Copy the first `cut` lines of a tape into the folder of the store at `db`."""
    there = Path(tapes.folder_of(str(db)))
    there.mkdir(mode=0o700, exist_ok=True)
    lines = tape.path.read_bytes().splitlines(keepends=True)
    (there / tape.path.name).write_bytes(b"".join(lines[:cut]))


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data(), world=worlds())
def test_any_split_of_tapes_over_stores_merged_in_any_order_is_as_if_one_store_had_drained_all(data, world):
    folder = Path(tempfile.mkdtemp())
    once, stores = folder / "once.db", [folder / f"{name}.db" for name in "abc"]
    for path in (once, *stores):
        new_store(path)
    with ExitStack() as stack:
        written = [Tape(once) for _ in world]
        for tape, events in zip(written, world, strict=True):
            stack.callback(tape.let_go)
            for event in events:
                write(tape, event)
        for tape in written:
            # The whole tape lies beside one store; others hold some lines of it too, as a copy of the folder does.
            whole = data.draw(st.integers(0, 2))
            for n, store in enumerate(stores):
                cut = 10_000 if n == whole else data.draw(st.integers(0, 8))
                if cut:
                    pieces(folder, tape, store, cut)
        for store in stores:
            # Locked, as by writers that live: nobody decides what became of them.
            for segment in tapes.listing(tapes.folder_of(str(store))):
                fd = os.open(segment.path, os.O_RDONLY)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
        drain(once)
        for into, source in data.draw(
            st.lists(st.permutations(stores), max_size=3).map(lambda all_: [one[:2] for one in all_])
        ):
            merge(into, [source])
        first, *others = data.draw(st.permutations(stores))
        merge(first, others)
        assert tables(first) == tables(once)
        before = rows(first, "SELECT count(*) FROM events")
        assert before == rows(once, "SELECT count(*) FROM events")
        merge(first, others)
        assert rows(first, "SELECT count(*) FROM events") == before
        for store in stores:
            all_holds(store)
    shutil.rmtree(folder)


# -- once


def test_the_same_store_twice_adds_nothing(a, b):
    one_run(Tape(a), 1)
    one_run(Tape(b), 2)
    assert copied(a, b) == copying.Copied(3, 0, 0)
    assert copied(a, b) == copying.Copied(0, 0, 0)
    assert [name for (name,) in rows(a, "SELECT name FROM runs ORDER BY name")] == ["agent 1", "agent 2"]


def test_one_into_the_other_and_back_adds_nothing(a, b):
    one_run(Tape(a), 1)
    one_run(Tape(b), 2)
    copied(a, b)
    assert copied(b, a) == copying.Copied(3, 3, 0)
    assert copied(a, b) == copying.Copied(0, 3, 0)
    assert tables(a) == tables(b)
    all_holds(a)
    all_holds(b)


def test_what_was_recorded_since_comes_at_the_next_merge(a, b):
    tape = Tape(b)
    one_run(tape, 1)
    assert copied(a, b).events == 3
    one_run(tape, 2)
    assert copied(a, b) == copying.Copied(2, 0, 0)
    assert rows(a, "SELECT status FROM runs") == [("ok",), ("ok",)]
    all_holds(a)


def test_a_tape_that_is_drained_here_after_it_came_by_a_merge_adds_only_what_is_new(a, b):
    tape = Tape(b)
    one_run(tape, 1)
    tape.raw(b"no event\n")
    copied(a, b)
    one_run(tape, 2)
    shutil.copytree(f"{b}.tape", f"{a}.tape", dirs_exist_ok=True)
    assert drain(a).events == 2
    assert rows(a, "SELECT count(*) FROM events WHERE tape_id IS NOT NULL") == [(5,)]
    assert rows(a, "SELECT raw FROM quarantine") == [(b"no event",)]
    assert rows(a, "SELECT steps, open_steps FROM runs") == [(1, 0), (1, 0)]
    all_holds(a)


def test_a_tape_that_two_stores_drained_is_there_once_and_both_chains_hold(a, b):
    tape = Tape(a)
    one_run(tape, 1)
    shutil.copytree(f"{a}.tape", f"{b}.tape")
    drain(a)
    drain(b)
    assert copied(a, b).known >= 3
    assert rows(a, "SELECT count(*) FROM events WHERE tape_id IS NOT NULL") == [(3,)]
    # Sealed twice, with other salts: the other store's leaves are kept beside.
    assert rows(a, "SELECT count(*) FROM copies WHERE leaf IS NOT NULL") == [(3,)]
    all_holds(a)


def test_a_copy_of_the_file_that_was_written_to_on_both_sides_can_be_merged(a, b):
    one_run(Tape(a), 1)
    drain(a)
    shutil.copy(a, b)
    one_run(Tape(a), 2)
    one_run(Tape(b), 3)
    drain(a)
    assert copied(a, b) == copying.Copied(3, 3, 0)
    assert len(rows(a, "SELECT * FROM runs")) == 3
    all_holds(a)
    other = a.with_name("c.db")
    merge(other, [a, b])
    assert len(rows(other, "SELECT * FROM runs")) == 3
    all_holds(other)
    # One id, two chains: both are kept.
    chains = "SELECT hex(chain) FROM events"
    kept = set(rows(other, "SELECT hex(chain) FROM copies"))
    assert rows(other, "SELECT count(*), count(DISTINCT store) FROM sources") == [(2, 1)]
    assert kept >= set(rows(a, chains)) | set(rows(b, chains))


def test_lines_that_are_no_events_come_along_once(a, b):
    Tape(b).raw(b"no event\n")
    copied(a, b)
    copied(a, b)
    assert rows(a, "SELECT raw FROM quarantine") == [(b"no event",)]


def test_an_event_that_contradicts_one_that_is_here_is_left_out_and_said(a, b):
    tape = Tape(a)
    one_run(tape, 1)
    shutil.copytree(f"{a}.tape", f"{b}.tape")
    changed = Path(f"{b}.tape") / tape.path.name
    changed.write_bytes(changed.read_bytes().replace(b'"status":"ok"', b'"status":"no"'))
    drain(a)
    (done,) = merge(a, [b])
    assert done.copied.contradicting == 1
    assert "one of the two was changed" in done.notices[0]
    assert rows(a, "SELECT status FROM steps") == [("ok",)]
    all_holds(a)


# -- what is copied


def test_payloads_lie_under_the_key_of_the_store_that_they_are_in_and_once(a, b):
    one_run(Tape(a), 1, input="the same question")
    one_run(Tape(b), 2, input="the same question")
    drain(a)
    key = "SELECT hex(key) FROM payloads WHERE body = '\"the same question\"'"
    before = rows(a, key)
    copied(a, b)
    assert rows(a, key) == before != rows(b, key)


def test_heads_and_commitments_and_so_the_leaf_stay_as_they_are(a, b):
    one_run(Tape(b), 1)
    copied(a, b)
    sealed = "SELECT head, commitments FROM events ORDER BY seq"
    assert rows(a, sealed) == rows(b, sealed)


def test_messages_that_writers_numbered_are_found_whoever_numbered_the_same(a, b):
    for path, n in ((a, 1), (b, 2)):
        said = {"role": "user", "parts": [{"type": "text", "content": f"message of {n}"}]}
        tape = Tape(path)
        tape.start(run_id(n), step_id(n), t=T0 + n, kind="llm", messages=[said])
        tape.start(run_id(n), step_id(10 + n), t=T0 + 10 + n, kind="llm", messages=[said])
    copied(a, b)
    assert rows(a, "SELECT run_id, content FROM messages ORDER BY step_id") == [
        (run_id(n), f"message of {n}") for n in (1, 2, 1, 2)
    ]


def test_an_erased_text_stays_erased(a, b):
    one_run(Tape(b), 1, input="secret")
    copied(a, b)
    with closing(sqlite3.connect(a)) as db:
        (payload_id,) = db.execute("SELECT payload_id FROM payloads WHERE body = '\"secret\"'").fetchone()
        db.execute("DELETE FROM event_payloads WHERE payload_id = ?", (payload_id,))
        db.execute("DELETE FROM payloads WHERE payload_id = ?", (payload_id,))
        db.commit()
    copied(a, b)
    other = a.with_name("c.db")
    merge(other, [a])
    for path in (a, other):
        assert rows(path, "SELECT input FROM steps") == [(None,)]
        all_holds(path)


def test_a_process_that_lives_and_records_elsewhere_is_not_taken_for_lost(a, b):
    tape = Tape(b)
    tape.start(run_id(1), step_id(1), t=T0)
    copied(a, b)
    with read.open(a) as store:
        checks = {one.name: one for one in health.contents(str(a), lambda query: store.sql(query)[1])}
    assert checks["unfinished"].level == "ok"
    assert "copied from another store" in checks["other hosts"].found[0]


# -- what was decided


def test_a_price_found_in_both_stores_is_the_same_whoever_comes_first(tmp_path, monkeypatch):
    pytest.importorskip("genai_prices")
    stores = {}
    for version in ("0.0.1", "0.0.2"):
        monkeypatch.setattr(pricing, "_version", lambda version=version: version)
        path = tmp_path / f"{version}.db"
        stores[version] = path
        if version == "0.0.2":
            shutil.copytree(f"{stores['0.0.1']}.tape", f"{path}.tape")
        else:
            tape = Tape(path)
            tape.start(run_id(1), step_id(1), t=T0, kind="llm")
            tape.end(
                run_id(1),
                step_id(1),
                t=T0 + 1,
                model="gpt-4o-mini",
                provider="openai",
                input_tokens=9,
                output_tokens=9,
            )
            locked = tape
        drain(path, price=True)
    one, other = stores.values()
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    merge(first, [one, other])
    merge(second, [other, one])
    assert rows(first, "SELECT price_source FROM llm_calls") == [("genai-prices 0.0.1",)]
    assert rows(second, "SELECT price_source FROM llm_calls") == [("genai-prices 0.0.1",)]
    ingest.rebuild(first)
    assert tables(first) == tables(second)
    locked.let_go()


def waiting_and_resuming(a: Path, b: Path) -> None:
    asked, answered = Tape(a), Tape(b)
    asked.start(run_id(1), step_id(1), t=T0, kind="workflow", session="s")
    asked.start(run_id(1), step_id(2), t=T0 + 1, kind="human", parent=step_id(1), native_id="q1")
    asked.end(run_id(1), step_id(1), t=T0 + 2, status="waiting")
    answered.start(run_id(2), step_id(3), t=T0 + 10, kind="workflow", session="s", resuming=True)
    answered.event("answer", t=T0 + 11, run=run_id(2), bodies={"answer": [{"id": "q1", "value": "yes"}]})
    answered.end(run_id(2), step_id(3), t=T0 + 12)


def test_a_run_that_resumes_one_of_another_store_is_tied_to_it_when_they_meet(tmp_path, a, b):
    waiting_and_resuming(a, b)
    drain(b)
    assert rows(b, "SELECT resumes FROM runs") == [(None,)]
    other = tmp_path / "c.db"
    merge(other, [b, a])
    assert rows(other, "SELECT run_id, status, resumes FROM runs ORDER BY run_id") == [
        (run_id(1), "ok", None),
        (run_id(2), "ok", run_id(1)),
    ]
    copied(a, b)
    assert tables(a) == tables(other)
    # Decided in both, each for itself: it stays decided once.
    merge(other, [a])
    merge(a, [other])
    assert tables(a) == tables(other)
    all_holds(a)


def test_of_two_runs_that_two_stores_found_resumed_the_newer_counts_in_whatever_order(tmp_path):
    made = []
    for n, name in enumerate(("old.db", "new.db"), 1):
        tape = Tape(tmp_path / name)
        tape.start(run_id(n), step_id(n), t=T0 + n, kind="workflow", session="s")
        tape.end(run_id(n), step_id(n), t=T0 + n + 5, status="waiting")
        made.append(tmp_path / name)
    tape = Tape(made[0])
    tape.start(run_id(9), step_id(9), t=T0 + 100, kind="workflow", session="s", resuming=True)
    drain(made[0])
    Path(f"{made[1]}.tape", tape.path.name).write_bytes(tape.path.read_bytes())
    drain(made[1])
    for order in (made, made[::-1]):
        into = tmp_path / f"into {order[0].stem}.db"
        merge(into, order)
        assert rows(into, f"SELECT resumes, first_run_id FROM runs WHERE run_id = '{run_id(9)}'") == [
            (run_id(2), run_id(2))
        ]


def test_a_task_has_one_first_run_in_whatever_order_its_runs_came_together(tmp_path):
    """One store has tied the second run to the first, another the third to the second."""
    early, late = tmp_path / "early.db", tmp_path / "late.db"
    written = []
    for n, path in ((1, early), (2, early), (3, late)):
        tape = Tape(path)
        resuming = True if n > 1 else None
        tape.start(run_id(n), step_id(n), t=T0 + n * 10, kind="workflow", session="s", resuming=resuming)
        tape.end(run_id(n), step_id(n), t=T0 + n * 10 + 5, status="waiting" if n < 3 else "ok")
        written.append(tape)
    Path(f"{late}.tape", written[1].path.name).write_bytes(written[1].path.read_bytes())
    query = "SELECT first_run_id, resumes FROM runs ORDER BY run_id"
    drain(early)
    drain(late)
    assert rows(early, query) == [(run_id(1), None), (run_id(1), run_id(1))]
    assert rows(late, query) == [(run_id(2), None), (run_id(2), run_id(2))]
    for order in ((early, late), (late, early)):
        into = tmp_path / f"into {order[0].stem}.db"
        merge(into, order)
        for _ in range(2):
            assert rows(into, query) == [(run_id(1), None), (run_id(1), run_id(1)), (run_id(1), run_id(2))]
            ingest.rebuild(into)


# -- chains of other stores


def test_the_chain_of_every_store_holds_however_far_its_events_went(tmp_path, a, b):
    for n, path in enumerate((a, b), 1):
        one_run(Tape(path), n)
    middle, far = tmp_path / "middle.db", tmp_path / "far.db"
    merge(middle, [a, b])
    merge(far, [middle])
    with closing(sqlite3.connect(far)) as db:
        assert len(sources.verify_sources(db)) == 3
    all_holds(far)
    tips = dict(
        rows(
            far,
            "SELECT store, max(hex(chain)) FROM copies JOIN sources USING (source_id) WHERE source_seq = 3 GROUP BY 1",
        )
    )
    for path in (a, b):
        ((store,),) = rows(path, "SELECT value FROM meta WHERE key = 'store_id'")
        assert rows(path, "SELECT hex(chain) FROM events WHERE seq = 3") == [(tips[store],)]


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE events SET head = replace(head, 'agent', 'human') WHERE seq = 2",
        "UPDATE copies SET chain = zeroblob(32) WHERE source_seq = 2",
        "DELETE FROM copies WHERE source_seq = 2",
        "UPDATE copies SET seq = 3 WHERE source_seq = 2",
        "UPDATE copies SET seq = 99 WHERE source_seq = 2",
    ],
)
def test_what_was_changed_after_it_was_copied_is_found_in_the_chain_of_its_source(a, b, deed):
    one_run(Tape(b), 1)
    copied(a, b)
    with closing(sqlite3.connect(a)) as db:
        db.execute("DROP TRIGGER events_stay_as_they_are")
        db.execute(deed)
        (bad,) = sources.verify_sources(db).values()
    assert bad in {2, 3}


# -- trouble


@pytest.mark.slow
def test_a_merge_killed_at_any_moment_leaves_a_store_that_opens_and_done_again_completes_it(tmp_path, a, b):
    tape = Tape(b)
    for n in range(1, 1_500):
        one_run(tape, n)
    drain(b)
    code = """
import os, signal, sys
from counterfoil.store import copying, merge
left = int(sys.argv[3])
done = 0
real = copying.sources.note
def note(db, claims):
    global done
    real(db, claims)
    done += 1
    if done == left:
        os.kill(os.getpid(), signal.SIGKILL)
copying.sources.note = note
merge.merge(sys.argv[1], [sys.argv[2]])
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for left in (1, 3):
        killed = subprocess.run([sys.executable, "-c", code, a, b, str(left)], env=env, timeout=120)
        assert killed.returncode == -signal.SIGKILL
        with read.open(a) as store:
            assert 0 <= len(store.runs(limit=None)) < 1_499
        all_holds(a)
    assert copied(a, b).events > 0
    assert len(rows(a, "SELECT * FROM t_runs")) == 1_499
    assert tables(a) == tables(b)
    all_holds(a)


FULL = """
import resource, signal, sys
from counterfoil.store import merge
from counterfoil.store.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
try:
    merge.merge(sys.argv[1], [sys.argv[2]])
except StoreError as error:
    print(error)
"""


@pytest.mark.slow
def test_no_room_in_the_middle_leaves_whole_transactions_and_is_one_sentence(a, b):
    tape = Tape(b)
    for n in range(1, 1_500):
        one_run(tape, n)
    drain(b)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, a, b], env=env, timeout=120, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(a))
    assert done.stdout.count("\n") == 1
    all_holds(a)
    copied(a, b)
    assert tables(a) == tables(b)


def test_a_store_is_not_merged_with_itself_under_another_name(a, tmp_path):
    one_run(Tape(a), 1)
    drain(a)
    (tmp_path / "link.db").symlink_to(a)
    os.link(a, tmp_path / "hard.db")
    for other in (a, tmp_path / "link.db", tmp_path / "hard.db"):
        with pytest.raises(StoreError, match="named twice"):
            merge(a, [other])


def test_where_a_source_is_none_nothing_is_made(tmp_path, a):
    (tmp_path / "text.db").write_text("no store " * 1_000)
    for name in ("text.db", "nothing.db"):
        with pytest.raises(StoreError, match=name) as refused:
            merge(a, [tmp_path / name])
        assert "--db" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.db"]


def test_while_another_drains_the_store_merged_into_it_is_said(a, b, monkeypatch):
    from filelock import FileLock

    from counterfoil.store import schema

    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    one_run(Tape(a), 1)
    one_run(Tape(b), 2)
    with FileLock(f"{a}.tape/drain.lock"), pytest.raises(StoreError, match="another process is draining"):
        merge(a, [b])
