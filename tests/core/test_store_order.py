"""The built tables do not depend on how the tapes were cut and interleaved, nor on whether they were rebuilt."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.store import ingest, seal
from handmade_tape import T0, Tape, run_id, step_id
from worlds import dump, new_store, worlds, write


def drained(path: Path, world: list[list[dict]], cuts: list[list[int]], batch: int) -> dict[str, list[tuple]]:
    """Write `world` in stages, tape by tape as `cuts` says, and drain after each."""
    new_store(path)
    drainer = ingest.Drainer(path)
    tapes = [Tape(path) for _ in world]
    names = {tape.writer: f"writer {n}" for n, tape in enumerate(tapes)}
    done = [0] * len(world)
    with pytest.MonkeyPatch.context() as patch, drainer:
        patch.setattr(ingest, "BATCH_BYTES", batch)
        for stage in [*cuts, [10_000] * len(world)]:
            for n, (tape, events) in enumerate(zip(tapes, world, strict=True)):
                for event in events[done[n] : done[n] + stage[n]]:
                    write(tape, event)
                done[n] += stage[n]
            assert not drainer.drain().left_bytes
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        assert seal.verify_chain(db) is None
        result = dump(db)
    db.close()
    for tape in tapes:
        tape.let_go()
    shown = repr(result)
    for writer, name in names.items():
        shown = shown.replace(writer, name)
    return eval(shown)  # our own repr of tuples of strings


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    world=worlds(),
    cuts=st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), max_size=3),
    batch=st.sampled_from([100, 400, 4_000, 1 << 20]),
)
def test_every_interleaving_and_batch_size_gives_the_same_tables_and_so_does_a_rebuild(world, cuts, batch):
    folder = Path(tempfile.mkdtemp())
    try:
        once = drained(folder / "once.db", world, [], 1 << 20)
        staged = drained(folder / "staged.db", world, [cut[: len(world)] for cut in cuts], batch)
        assert staged == once
        with sqlite3.connect(folder / "staged.db") as db:
            before = dump(db)
            ingest.rebuild(folder / "staged.db")
            assert dump(db) == before
        db.close()
    finally:
        shutil.rmtree(folder)


def test_a_rebuild_replays_what_was_decided_and_decides_nothing_again(tmp_path):
    path = tmp_path / "x.db"
    tape = Tape(path)
    tape.start(run_id(1), step_id(1), t=T0 + 1, kind="workflow", session="s")
    tape.start(run_id(1), step_id(2), t=T0 + 2, kind="tool", parent=step_id(1))
    tape.let_go()
    with ingest.Drainer(path) as drainer:
        drainer.drain()
        drainer.drain()
    with sqlite3.connect(path) as db:
        events = db.execute("SELECT count(*) FROM events").fetchone()
        before = dump(db)
        assert [row[0] for row in db.execute("SELECT status FROM steps ORDER BY step_id")] == [
            "interrupted"
        ] * 2
        ingest.rebuild(path)
        assert dump(db) == before
        assert db.execute("SELECT count(*) FROM events").fetchone() == events
    db.close()
