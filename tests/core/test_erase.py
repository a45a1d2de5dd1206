"""What an erasure takes, what it leaves to others that hold it too, and how it is recorded."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from counterfoil.events import Text
from counterfoil.store import audit, ingest, read, seal, signing
from counterfoil.store.erase import Selection, erase, foresee
from counterfoil.store.errors import StoreError
from everything import Words, everything_happens, said
from handmade_tape import SECOND, T0, Tape, run_id, step_id

RUN, OTHER = run_id(1), run_id(2)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def tape(path):
    tape = Tape(path)
    yield tape
    tape.let_go()


@pytest.fixture
def store(path):
    """The store, drained, each time that it is asked for; checked at the end against a rebuild."""
    opened = []

    def open_() -> read.Store:
        opened.append(read.open(path))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()
    assert ingest.rebuild(path).changed == ()


def rows(path: Path, query: str, *params: Any) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query, params).fetchall()


def call(
    tape: Tape, run: str, step: str, t: int, *messages: dict[str, Any], answer: str | None = None, **head: Any
):
    """A model call of one run, with its messages."""
    tape.start(run, step, t=T0 + t, kind="llm", name="chat", messages=list(messages), **head)
    tape.end(run, step, t=T0 + t + 1, model="m", messages=[said(answer)] if answer else None)


def inputs(store: read.Store, *steps: str) -> list[list[str | None]]:
    return [[one and one["parts"][0]["content"] for one in store.messages(step).input] for step in steps]


def gone(path: Path, selection: Selection, **more: Any):
    return erase(path, selection, by="ada", **more)


class TestWhatGoes:
    def test_a_runs_texts_go_and_that_it_was_stays(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", session="s", task="refund", input="charged twice")
        tape.end(
            RUN, step_id(1), t=T0 + 2, status="error", error_type="E", error_message="no", output="sorry"
        )
        store()
        done = gone(path, Selection("run", RUN))
        assert (done.runs, done.events, done.texts, done.kept) == ((RUN,), 2, 4, 0)
        run = store().run("last")
        assert (run.name, run.session_id, run.task, run.input, run.output) == (None,) * 5
        assert (run.status, run.duration_ns, run.steps, run.errors) == ("error", 1, 1, 1)

    def test_a_session_is_all_runs_of_it(self, path, tape, store):
        for n, session in enumerate(("s", "t", "s"), 1):
            tape.start(run_id(n), step_id(n), t=T0 + n, name=f"name {n}", session=session)
        store()
        assert gone(path, Selection("session", "s")).runs == (run_id(1), run_id(3))
        assert [run.name for run in store().runs()] == [None, "name 2", None]

    def test_the_chain_over_what_is_left_holds(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", input="charged twice")
        store()
        gone(path, Selection("run", RUN))
        with closing(sqlite3.connect(path)) as db:
            assert seal.verify_chain(db) is None

    def test_done_again_it_finds_nothing(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", agent="triage", input="charged twice")
        tape.end(RUN, step_id(1), t=T0 + 2, status="error", error_type="E")
        store()
        for selection in (
            Selection("run", RUN),
            Selection("run", RUN, everywhere=True),
            Selection("match", "twice"),
        ):
            gone(path, selection)
        for selection in (
            Selection("run", RUN),
            Selection("run", RUN, everywhere=True),
            Selection("match", "twice"),
        ):
            assert gone(path, selection).is_nothing
        assert len(store().erasures()) == 1

    def test_what_would_go_can_be_asked_first_and_nothing_goes(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", input="charged twice")
        store()
        found = foresee(path, Selection("run", RUN))
        assert store().run("last").input == "charged twice"
        assert found == gone(path, Selection("run", RUN))

    def test_where_nothing_was_recorded_that_is_said(self, path):
        with pytest.raises(StoreError, match=r"x\.db: nothing has been recorded here"):
            gone(path, Selection("run", RUN))


class TestOlderThan:
    THEN = T0 + 100 * SECOND

    def old(self, path: Path) -> tuple[str, ...]:
        return gone(path, Selection("older-than", self.THEN)).runs

    def test_takes_runs_that_ended_before_then(self, path, tape, store):
        for n, t in ((1, 50), (2, 150)):
            tape.start(run_id(n), step_id(n), t=T0 + 10 * SECOND, name="n")
            tape.end(run_id(n), step_id(n), t=T0 + t * SECOND)
        store()
        assert self.old(path) == (RUN,)

    def test_takes_one_that_never_ended_and_was_last_heard_of_before_then(self, path, store):
        tape = Tape(path, boot="then", host="there", machine="that")
        tape.start(RUN, step_id(1), t=T0 + 50 * SECOND, name="n")
        tape.let_go()
        store()
        assert self.old(path) == (RUN,)

    def test_never_takes_one_that_is_under_way_in_a_living_process(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 50 * SECOND, name="n")
        store()
        assert self.old(path) == ()

    def test_never_takes_one_whose_process_was_heard_of_since(self, path, store):
        tape = Tape(path, boot="then", host="there", machine="that")
        tape.start(RUN, step_id(1), t=T0 + 50 * SECOND, name="n")
        tape.start(OTHER, step_id(2), t=T0 + 150 * SECOND, name="n")
        tape.let_go()
        store()
        assert self.old(path) == ()

    def test_takes_one_that_only_waits_for_a_human(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 50 * SECOND, name="n")
        tape.start(RUN, step_id(2), t=T0 + 50 * SECOND, kind="human", parent=step_id(1))
        tape.end(RUN, step_id(1), t=T0 + 51 * SECOND, status="waiting")
        store()
        assert self.old(path) == (RUN,)
        assert store().run("last").status == "waiting"


class TestWhatOthersHold:
    def test_a_text_that_another_runs_event_holds_goes_with_its_last_holder(self, path, tape, store):
        for n in (1, 2):
            tape.start(run_id(n), step_id(n), t=T0 + n, name=f"n{n}", input="the same question")
        store()
        done = gone(path, Selection("run", RUN))
        assert (done.kept, done.holders) == (1, ((OTHER, 1),))
        assert [run.input for run in store().runs()] == ["the same question", None]
        assert gone(path, Selection("run", OTHER)).kept == 0
        assert rows(path, "SELECT body FROM payloads WHERE body LIKE '%question%'") == []

    def test_a_message_that_another_run_refers_to_stays_for_that_one_alone(self, path, tape, store):
        call(tape, RUN, step_id(1), 1, said("be kind"), said("mine"))
        call(tape, OTHER, step_id(2), 5, said("be kind"), said("yours"))
        store()
        done = gone(path, Selection("run", RUN))
        assert (done.kept, done.holders) == (3, ((OTHER, 3),))  # and names: of the step, of the model
        assert inputs(store(), step_id(1), step_id(2)) == [[], ["be kind", "yours"]]
        gone(path, Selection("run", OTHER))
        assert rows(path, "SELECT * FROM refs") == []
        assert rows(path, "SELECT body FROM payloads WHERE body LIKE '%kind%'") == []

    def test_messages_that_another_run_goes_on_from_stay_for_that_one_alone(self, path, tape, store):
        call(tape, RUN, step_id(1), 1, said("one"), said("two"), answer="three")
        call(tape, OTHER, step_id(2), 5, said("four"), base=step_id(1), keep=2)
        call(tape, run_id(3), step_id(3), 9, said("five"), base=step_id(2), keep=3)
        before = [["one", "two"], ["one", "two", "four"], ["one", "two", "four", "five"]]
        assert inputs(store(), *map(step_id, (1, 2, 3))) == before
        done = gone(path, Selection("run", RUN))
        assert dict(done.holders)[OTHER] == 4  # two messages, and names: of the step, of the model
        assert inputs(store(), *map(step_id, (1, 2, 3))) == [[], *before[1:]]
        gone(path, Selection("run", OTHER))
        assert inputs(store(), *map(step_id, (1, 2, 3))) == [[], [], before[2]]
        gone(path, Selection("run", run_id(3)))
        assert rows(path, "SELECT * FROM borrowed") == []
        assert rows(path, "SELECT body FROM payloads WHERE body LIKE '%one%'") == []

    def test_an_event_that_had_no_text_of_its_own_does_not_show_what_others_hold(self, path, tape, store):
        call(tape, OTHER, step_id(1), 1, said("kept"))
        tape.start(RUN, step_id(2), t=T0 + 5, kind="agent", name="n")
        tape.event("end", t=T0 + 6, run=RUN, step=step_id(2), status="ok", messages=[said("kept")])
        store()
        gone(path, Selection("run", RUN))
        assert store().messages(step_id(2)).output == []
        assert inputs(store(), step_id(1)) == [["kept"]]

    def test_tools_that_another_run_offered_stay(self, path, tape, store):
        call(tape, RUN, step_id(1), 1, said("tool"))
        tape.start(OTHER, step_id(2), t=T0 + 5, kind="llm", offers=(1,))
        store()
        assert gone(path, Selection("run", RUN)).holders == ((OTHER, 1),)
        assert store().llm_calls(OTHER)[0].tools == [said("tool")]

    def test_what_is_outside_of_runs_holds_texts_too(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, input="words")
        tape.event("access", t=T0 + 2, text=Text(source="kb"), bodies={"query": "words"})
        store()
        assert gone(path, Selection("run", RUN)).holders == ((None, 1),)

    def test_everywhere_takes_bodies_from_all_but_not_the_short_strings_of_others(self, path, tape, store):
        for n in (1, 2):
            tape.start(run_id(n), step_id(n), t=T0 + n, name="desk", input="the same question")
            call(tape, run_id(n), step_id(10 + n), 10 * n, said("be kind"), said(f"{n}"))
        call(tape, run_id(3), step_id(30), 50, said("more"), base=step_id(11), keep=2)
        store()
        done = gone(path, Selection("run", RUN, everywhere=True))
        assert done.runs == (RUN, OTHER)
        found = store()
        assert [(run.name, run.input) for run in found.runs(all=True)] == [
            ("chat", [None, None, said("more")]),
            ("desk", None),
            (None, None),
        ]
        assert inputs(found, step_id(12)) == [[None, "2"]]
        assert (
            rows(path, "SELECT body FROM payloads WHERE body LIKE '%question%' OR body LIKE '%kind%'") == []
        )


class TestMatch:
    @pytest.mark.parametrize(
        ("text", "body"),
        [
            ("Zoë", "I am Zoë."),
            ('say "no"', {"quoted": 'they say "no" to it'}),
            ("C:\\temp", ["in C:\\temp\\x"]),
            ("two\nlines", json.dumps({"arguments": "two\nlines"})),
            ('Zoë "Größe"', json.dumps({"name": 'Zoë "Größe"'})),
            ('Zoë "Größe"', json.dumps({"inner": json.dumps({"name": 'Zoë "Größe"'})}, ensure_ascii=False)),
            ('Zoë "Größe"', json.dumps({"inner": json.dumps({"name": 'Zoë "Größe"'}, ensure_ascii=False)})),
        ],
    )  # fmt: skip
    def test_finds_a_text_as_json_writes_it_and_in_json_in_json(self, path, tape, store, text, body):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", input=body)
        tape.start(OTHER, step_id(2), t=T0 + 1, name="desk", input="else")
        store()
        done = gone(path, Selection("match", text))
        assert (done.runs, done.texts) == ((RUN,), 1)
        assert [(run.name, run.input) for run in store().runs()] == [("desk", "else"), ("desk", None)]

    def test_tells_capitals_apart(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, input="Smith")
        store()
        assert gone(path, Selection("match", "smith")).is_nothing

    def test_takes_a_text_from_whoever_holds_it_also_by_number(self, path, tape, store):
        call(tape, RUN, step_id(1), 1, said("call Smith"), said("now"))
        call(tape, OTHER, step_id(2), 5, said("call Smith"), said("later"))
        call(tape, run_id(3), step_id(3), 9, said("again"), base=step_id(1), keep=2)
        store()
        done = gone(path, Selection("match", "Smith"))
        assert (done.runs, done.events, done.texts, done.kept) == ((RUN, OTHER), 1, 1, 0)
        assert inputs(store(), *map(step_id, (1, 2, 3))) == [
            [None, "now"],
            [None, "later"],
            [None, "now", "again"],
        ]

    def test_takes_names_too(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, agent="Smith's agent", name="x", input="else")
        store()
        gone(path, Selection("match", "Smith"))
        (step,) = store().steps(RUN)
        assert (step.agent, step.name, step.input) == ("erased 1", None, "else")

    def test_takes_a_name_from_the_record_of_an_earlier_erasure_but_not_which_events_it_named(
        self, path, tape, store
    ):
        tape.start(RUN, step_id(1), t=T0 + 1, input="x")
        store()
        gone(path, Selection("run", RUN), because="Smith asked")
        ((body,),) = rows(path, "SELECT body FROM payloads WHERE body LIKE '[[%'")
        gone(path, Selection("match", "Smith"))
        assert gone(path, Selection("match", json.loads(body)[0][0])).is_nothing
        assert [one.reason for one in store().erasures()] == [None, None]
        assert rows(path, "SELECT count(*) FROM payloads WHERE body = ?", body) == [(1,)]

    def test_empties_lines_that_were_no_events_and_they_stay_known(self, path, tape, store):
        tape.raw(b"a line of Smith's\n")
        tape.raw(b"another\n")
        store()
        done = gone(path, Selection("match", "Smith"))
        assert (done.lines, done.runs) == (1, ())
        assert [(one.reason, one.raw) for one in store().quarantine()] == [
            ("its content was erased", b""),
            ("the head is no event: JSON is malformed: invalid character (byte 0)", b"another"),
        ]
        assert [(one.run_id, one.texts) for one in store().erasures()] == [(None, 1)]


class TestTheRecord:
    def test_says_who_when_why_how_it_was_chosen_and_how_much_but_not_what(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", session="secret session", input="charged twice")
        store()
        gone(path, Selection("session", "secret session"), because="ticket 7")
        (one,) = store().erasures(RUN)
        assert (one.kind, one.erased_by, one.reason, one.what, one.events, one.texts) == (
            "erasure", "ada", "ticket 7", "session", 1, 2,
        )  # fmt: skip
        assert one.at_ns > T0
        assert rows(path, "SELECT * FROM payloads WHERE body LIKE '%secret%'") == []

    def test_names_events_by_their_leaves_and_the_parts_that_went_or_all(self, path, tape, store):
        tape.start(RUN, step_id(1), t=T0 + 1, name="desk", input="Smith")
        tape.start(OTHER, step_id(2), t=T0 + 2, name="desk", input="Smith")
        store()
        gone(path, Selection("match", "Smith"))
        gone(path, Selection("run", RUN))
        leaves = [
            seal.leaf(head, commitments)[:16].hex()
            for head, commitments in rows(
                path, "SELECT CAST(head AS BLOB), commitments FROM events WHERE kind = 'start' ORDER BY seq"
            )
        ]
        bodies = rows(
            path,
            """SELECT e.run_id, json(p.body) FROM events e JOIN event_payloads USING (seq) JOIN payloads p USING (payload_id)
            WHERE kind = 'erasure' AND slot = 1 ORDER BY seq""",
        )
        assert [(run, json.loads(body)) for run, body in bodies] == [
            (RUN, [[leaves[0], [1]]]),
            (OTHER, [[leaves[1], [1]]]),
            (RUN, [[leaves[0], None]]),
        ]

    def test_a_large_one_is_several_events(self, path, tape, store):
        for n in range(2_001):
            tape.event("score", t=T0 + n, run=RUN, text=Text(name=f"n{n}"))
        tape.start(RUN, step_id(1), t=T0, name="desk")
        store()
        gone(path, Selection("run", RUN))
        assert [one.events for one in store().erasures(RUN)] == [2_000, 2]


def test_an_erasure_is_signed_at_once_where_the_key_is_here(path, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    tape = Tape(path)
    everything_happens(tape, 1, Words("word"))
    tape.exit(t=T0 + 10**15)
    signing.begin(path)
    erase(path, Selection("run", run_id(1)), by="ada")
    unsigned = {check.name: check.level for check in audit.verify(path).checks}["unsigned"]
    assert unsigned == "ok"
