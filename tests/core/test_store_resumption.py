"""A run that goes on after a human answered is tied to the run that asked; its answers reach the questions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from counterfoil.events import Text
from counterfoil.store import ingest, read
from handmade_tape import T0, Tape, run_id, step_id


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


def drain(path: Path) -> None:
    with ingest.Drainer(path) as drainer:
        drainer.drain()


def asking(
    tape: Tape, n: int, *, t: int, session: str | None = "s", questions: int = 1, root_status: str = "ok"
) -> None:
    """Run `n` asks a human and ends. Its question's native id is `q<n>` (`q<n>-2` the second)."""
    tape.start(
        run_id(n), step_id(n * 10), t=t, kind="workflow", session=session, framework="x", name=f"run {n}"
    )
    for at in range(1, questions + 1):
        native = f"q{n}" if at == 1 else f"q{n}-{at}"
        tape.start(
            run_id(n), step_id(n * 10 + at), t=t + at, kind="human", parent=step_id(n * 10), native_id=native,
            framework="x", input="May I?",
        )  # fmt: skip
    tape.end(run_id(n), step_id(n * 10), t=t + 9, status=root_status)


def resuming(
    tape: Tape, n: int, *, t: int, answers: list[dict] | None, session: str | None = "s", framework: str = "x"
):
    tape.start(
        run_id(n), step_id(n * 10), t=t, kind="workflow", session=session, framework=framework, resuming=True
    )
    if answers is not None:
        tape.event("answer", t=t + 1, run=run_id(n), step=step_id(n * 10), bodies={"answer": answers})
    tape.end(run_id(n), step_id(n * 10), t=t + 9)


def links(path: Path) -> dict[str, tuple]:
    with read.open(path) as store:
        return {
            run.run_id[-1]: (run.resumes and run.resumes[-1], run.first_run_id[-1], run.status)
            for run in store.runs()
        }


def test_a_run_resumes_the_newest_waiting_run_of_its_session(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    asking(tape, 2, t=T0 + 100)
    asking(tape, 3, t=T0 + 200, session="another")
    resuming(tape, 4, t=T0 + 300, answers=[{"id": None, "value": "yes"}])
    assert links(path) == {
        "1": (None, "1", "waiting"),
        "2": (None, "2", "ok"),
        "3": (None, "3", "waiting"),
        "4": ("2", "2", "ok"),
    }


def test_the_answer_ends_the_question_at_its_time_with_its_value(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 1_000, answers=[{"id": None, "value": {"go": True}}])
    with read.open(path) as store:
        question = store.step(step_id(11))
        assert (question.status, question.output, question.ended_ns) == ("ok", {"go": True}, T0 + 1_001)
        assert store.run(run_id(1)).human_wait_ns == 1_000
        assert store.run(run_id(1)).waiting == 0


def test_answers_find_their_questions_by_id_whatever_their_order(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, questions=3)
    answers = [{"id": "q1-3", "value": 3}, {"id": None, "value": "first without a name"}]
    resuming(tape, 2, t=T0 + 100, answers=answers)
    with read.open(path) as store:
        assert [store.step(step_id(10 + n)).output for n in (1, 2, 3)] == ["first without a name", None, 3]
        assert store.run(run_id(1)).status == "waiting"


def test_a_chain_of_resumptions_has_one_first_run(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=[{"value": "yes"}])
    tape.start(run_id(2), step_id(29), t=T0 + 105, kind="human", parent=step_id(20), native_id="again")
    resuming(tape, 3, t=T0 + 200, answers=[{"value": "yes"}])
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok"), "3": ("2", "1", "ok")}


def test_a_run_that_ended_waiting_without_a_question_is_resumed_once(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, questions=0, root_status="waiting")
    resuming(tape, 2, t=T0 + 100, answers=None)
    resuming(tape, 3, t=T0 + 200, answers=None)
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok"), "3": (None, "3", "ok")}


@pytest.mark.parametrize(
    "other",
    [{"session": None}, {"session": "t"}, {"framework": "y"}],
    ids=["no session", "other session", "other framework"],
)
def test_what_does_not_belong_together_is_not_tied(path, other):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=[{"value": "yes"}], **other)
    assert links(path)["2"] == (None, "2", "ok")
    assert links(path)["1"] == (None, "1", "waiting")


def test_the_asking_run_may_reach_the_store_after_the_run_that_resumes_it(path):
    late, early = Tape(path), Tape(path)
    resuming(early, 2, t=T0 + 100, answers=[{"value": "yes"}])
    drain(path)
    asking(late, 1, t=T0)
    drain(path)
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok")}


def test_an_answer_that_reaches_the_store_after_its_run_was_tied_counts(path):
    tape, other = Tape(path), Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=None)
    drain(path)
    assert links(path)["1"] == (None, "1", "waiting")
    other.event("answer", t=T0 + 101, run=run_id(2), step=step_id(20), bodies={"answer": [{"value": "yes"}]})
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok")}


def test_an_earlier_link_found_late_lengthens_the_history(path):
    tape, late = Tape(path), Tape(path)
    resuming(tape, 2, t=T0 + 100, answers=None)
    tape.start(run_id(2), step_id(29), t=T0 + 105, kind="human", parent=step_id(20))
    resuming(tape, 3, t=T0 + 200, answers=[{"value": "yes"}])
    drain(path)
    assert links(path)["3"] == ("2", "2", "ok")
    asking(late, 1, t=T0)
    assert links(path) == {"1": (None, "1", "waiting"), "2": ("1", "1", "ok"), "3": ("2", "1", "ok")}


def test_approvals_and_the_handoff_to_the_human_are_answered_too(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    for n, tool in enumerate(("pay", "mail")):
        tape.event(
            "approval", t=T0 + 2 + n, run=run_id(1), step=step_id(11), item=step_id(500 + n), status="waiting",
            text=Text(name=tool), bodies={"payload": {"amount": n}},
        )  # fmt: skip
    tape.event(
        "handoff", t=T0 + 2, run=run_id(1), step=step_id(10), handoff=step_id(600), status="accepted", mode="escalation",
        target_type="human", target_step=step_id(11), text=Text(target="human"),
    )  # fmt: skip
    answers = [
        {"id": "q1", "value": "ok", "status": "approved", "comment": None},
        {"id": "q1", "value": "no", "status": "rejected", "comment": "too much"},
    ]
    resuming(tape, 2, t=T0 + 100, answers=answers)
    with read.open(path) as store:
        assert store.step(step_id(11)).output == ["ok", "no"]
        assert [(a.tool, a.status, a.comment, a.answered_ns) for a in store.approvals()] == [
            ("pay", "approved", None, T0 + 101),
            ("mail", "rejected", "too much", T0 + 101),
        ]
        assert [(h.status, h.answer) for h in store.handoffs()] == [("returned", ["ok", "no"])]


def test_answers_are_sealed_events_and_a_rebuild_does_not_make_them_again(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=[{"value": "yes"}])
    before = links(path)
    with sqlite3.connect(path) as db:
        made = db.execute("SELECT kind FROM events WHERE tape_id IS NULL ORDER BY seq").fetchall()
    assert made == [("resume",), ("end",), ("answer",)]
    ingest.rebuild(path)
    drain(path)
    assert links(path) == before
    assert db.execute("SELECT count(*) FROM events WHERE tape_id IS NULL").fetchone() == (3,)
    db.close()
