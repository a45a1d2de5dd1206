"""What no leaf commits to is held against the events: where lines came from, what numbers mean, how tables are made."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from counterfoil.events import message, text_part
from counterfoil.store import export, ingest, merge, read, schema, seal, unsealed
from handmade_tape import T0, Tape, run_id, step_id

DUMPS = sorted((Path(__file__).parents[1] / "data").glob("store_*.sql"))


def said(text):
    return message("user", [text_part(text)])


def talk(tape, n, *messages, base=None):
    """Write run `n`: one agent that calls a model with `messages`, after the first two of run `base`."""
    agent, call = step_id(2 * n), step_id(2 * n + 1)
    before = {} if base is None else {"base": step_id(2 * base + 1), "keep": 2}
    tape.start(run_id(n), agent, t=T0 + 10 * n, name="desk", agent="desk")
    tape.start(
        run_id(n), call, t=T0 + 10 * n + 1, kind="llm", parent=agent, messages=[said(one) for one in messages], **before
    )  # fmt: skip
    tape.end(run_id(n), call, t=T0 + 10 * n + 2, messages=[said(f"answer {n}")])
    tape.end(run_id(n), agent, t=T0 + 10 * n + 3)


def drain(path):
    with ingest.Drainer(path) as drainer:
        drainer.drain()


@pytest.fixture
def store(tmp_path):
    """A store of two runs, the second of which goes on from the first; its process lives."""
    path = tmp_path / "x.db"
    tape = Tape(path)
    talk(tape, 1, "pay 5", "pay 500")
    talk(tape, 2, "and 7", base=1)
    drain(path)
    return path, tape


def found(path):
    """Give what is wrong with the store at `path`: the event, or the sentence where no event says otherwise."""
    with closing(sqlite3.connect(path)) as db:
        all_of_it = (unsealed.numbers(db), unsealed.lines(db), unsealed.definitions(db))
    return [one.seq or one.says for one in all_of_it if one is not None]


def change(path, *statements):
    """Do what whoever can write the file can do: the guard rails are put back as they were."""
    with closing(sqlite3.connect(path)) as db:
        rails = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in rails:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _, sql in rails:
            db.execute(sql)
        db.commit()
        assert seal.verify_chain(db) is None  # every seal holds


def seq_of(path, condition):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT seq FROM events WHERE {condition} ORDER BY seq LIMIT 1").fetchone()[0]


def test_a_store_as_it_was_recorded_has_nothing_wrong(store):
    path, tape = store
    tape.rotate()
    talk(tape, 3, "pay 5", "later")
    tape.exit(t=T0 + 100)
    drain(path)
    assert found(path) == []
    with closing(sqlite3.connect(path)) as db:
        unsealed.numbers(db)
        assert unsealed.uncommitted(db) == 0


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_store_of_every_version_is_as_this_one_makes_it_once_it_was_opened(tmp_path, dump):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text())
    schema.open_writer(str(path)).close()
    assert found(path) == []


# -- numbers


def test_a_message_that_means_another_ones_text_is_found_at_the_event_that_brought_it(store):
    path, _ = store
    change(path, "UPDATE refs SET payload_id = (SELECT payload_id FROM refs WHERE n = 2) WHERE n = 1")
    assert found(path) == [seq_of(path, "kind = 'start' AND head LIKE '%\"m1\"%'")]


def test_a_message_whose_text_nobody_brought_is_found(store):
    path, _ = store
    change(
        path,
        """INSERT INTO payloads(key, body) VALUES (x'00', '{"role":"user","parts":[]}')""",
        "UPDATE refs SET payload_id = last_insert_rowid() WHERE n = 2",
    )
    assert found(path) == [seq_of(path, "kind = 'start' AND head LIKE '%\"m2\"%'")]


def test_a_number_that_means_nothing_any_more_is_found(store):
    path, _ = store
    change(path, "DELETE FROM refs WHERE n = 3")
    assert found(path) == [seq_of(path, "head LIKE '%\"m3\"%'")]


def test_a_number_that_no_event_gave_is_found(store):
    path, tape = store
    change(path, "INSERT INTO refs SELECT writer_id, 99, payload_id FROM refs WHERE n = 1")
    assert found(path) == [
        f"no event of process {tape.writer} gave a message the number 99, which means a text"
    ]


def test_an_exported_run_that_goes_on_from_another_has_nothing_wrong_and_its_loans_are_counted(
    store, tmp_path
):
    path, _ = store
    with read.open(path) as source:
        export.export(source, [run_id(2)], tmp_path / "one.db", only=True)
    assert found(tmp_path / "one.db") == []
    with closing(sqlite3.connect(tmp_path / "one.db")) as db:
        unsealed.numbers(db)
        # The two messages of the first run, whose events are not there.
        assert unsealed.uncommitted(db) == 2


def test_merged_stores_have_nothing_wrong(store, tmp_path):
    path, _ = store
    other = tmp_path / "y.db"
    talk(Tape(other), 5, "pay 5")
    drain(other)
    merge.merge(other, [path])
    assert found(other) == []


# -- lines


def replay(path, tape, name):
    shutil.copy(tape.path, tape.folder / name)
    tape.let_go()
    drain(path)


def test_a_tape_read_again_under_another_number_is_found(store):
    path, tape = store
    replay(path, tape, f"{tape.writer}.000002.tape")
    assert found(path) == [seq_of(path, "kind = 'open' AND seq > 1")]


def test_a_tape_read_again_under_another_name_is_found(store):
    path, tape = store
    replay(path, tape, "00000000000000aa-1-abcdef.000001.tape")
    assert found(path) == [seq_of(path, "kind = 'open' AND seq > 1")]


def test_lines_written_once_more_to_their_own_tape_are_found(store):
    path, tape = store
    tape.raw(tape.path.read_bytes().splitlines(keepends=True)[-1])
    drain(path)
    assert found(path) == [10]


def test_a_process_that_is_called_otherwise_is_found(store):
    path, _ = store
    change(path, "UPDATE writers SET writer = '00000000000000ff-1-abcdef'")
    assert found(path) == [1]


def test_a_recorded_event_that_is_said_to_be_the_stores_own_is_found(store):
    path, _ = store
    start = seq_of(path, "kind = 'start'")
    change(path, f"UPDATE events SET tape_id = NULL, offset = NULL WHERE seq = {start}")
    assert found(path)[-1] == start


# -- definitions


def test_a_view_that_leaves_rows_out_is_found(store):
    path, _ = store
    change(path, "DROP VIEW runs", "CREATE VIEW runs AS SELECT * FROM t_runs WHERE errors = 0")
    assert found(path) == ["not as this version makes them: view runs"]


def test_a_trigger_that_somebody_added_is_found(store):
    path, _ = store
    change(path, "CREATE TRIGGER quiet AFTER INSERT ON t_steps BEGIN UPDATE t_steps SET status = 'ok'; END")
    assert found(path) == ["not as this version makes them: trigger quiet"]


def test_guard_rails_that_were_taken_away_are_found(store):
    path, _ = store
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER events_are_kept")
    assert found(path) == ["not as this version makes them: trigger events_are_kept"]


def test_a_table_view_or_index_that_somebody_added_is_theirs(store):
    path, _ = store
    change(
        path,
        "CREATE TABLE mine(x)",
        "CREATE INDEX mine_x ON mine(x)",
        "CREATE VIEW my_runs AS SELECT * FROM runs",
    )
    assert found(path) == []
