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
    tape: Tape,
    n: int,
    *,
    t: int,
    answers: list[dict] | None,
    session: str | None = "s",
    framework: str = "x",
    questions: list[str] | None = None,
    root_status: str = "ok",
):
    """Run `n` goes on with a run that waited; `questions` are the native ids of those that it knows are open."""
    tape.start(
        run_id(n), step_id(n * 10), t=t, kind="workflow", session=session, framework=framework, resuming=True,
        questions=questions,
    )  # fmt: skip
    if answers is not None:
        tape.event("answer", t=t + 1, run=run_id(n), step=step_id(n * 10), bodies={"answer": answers})
    tape.end(run_id(n), step_id(n * 10), t=t + 9, status=root_status)


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


# -- without a session: by the questions that the saved context holds


def test_without_a_session_a_run_resumes_the_one_that_asked_the_questions_it_goes_on_from(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, session=None)
    asking(tape, 2, t=T0 + 100, session=None)
    resuming(
        tape, 3, t=T0 + 200, session=None, questions=["q1"], answers=[{"id": "q1", "value": "yes"}]
    )  # fmt: skip
    assert links(path) == {"1": (None, "1", "ok"), "2": (None, "2", "waiting"), "3": ("1", "1", "ok")}


def test_without_an_answer_it_resumes_too(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, session=None)
    resuming(tape, 2, t=T0 + 100, session=None, questions=["q1"], answers=None, root_status="waiting")
    assert links(path) == {"1": (None, "1", "waiting"), "2": ("1", "1", "waiting")}


@pytest.mark.parametrize(
    ("others", "going_on"),
    [
        ([("asked twice", {"t": T0 + 50, "native_id": "q1"})], {"questions": ["q1"]}),
        ([("of another task", {"t": T0 + 50, "native_id": "q9"})], {"questions": ["q1", "q9"]}),
        ([], {"questions": ["q9"]}),
        ([], {"questions": None}),
        ([], {"questions": ["q1"], "framework": "y"}),
        ([], {"questions": ["q1"], "session": "s"}),
    ],
    ids=[
        "two ask it",
        "two tasks",
        "nobody asks it",
        "none known",
        "other framework",
        "a session of its own",
    ],
)
def test_where_the_questions_do_not_tell_the_run_there_is_no_link(path, others, going_on):
    tape = Tape(path)
    asking(tape, 1, t=T0, session=None)
    for name, question in others:
        tape.start(run_id(8), step_id(80), t=T0 + 40, kind="workflow", framework="x", name=name)
        tape.start(run_id(8), step_id(81), kind="human", parent=step_id(80), framework="x", **question)
        tape.end(run_id(8), step_id(80), t=T0 + 60)
    given = {"session": None, "answers": [{"id": "q1", "value": "yes"}]} | going_on
    resuming(tape, 2, t=T0 + 100, **given)
    found = links(path)
    assert found["1"] == (None, "1", "waiting")
    assert found["2"] == (None, "2", "ok")


def test_a_question_that_was_answered_before_is_nobody_s(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, session=None)
    tape.end(run_id(1), step_id(11), t=T0 + 5)
    resuming(tape, 2, t=T0 + 100, session=None, questions=["q1"], answers=None)
    assert links(path)["2"] == (None, "2", "ok")


def test_the_run_that_asked_may_reach_the_store_later(path):
    late, early = Tape(path), Tape(path)
    resuming(
        early, 2, t=T0 + 100, session=None, questions=["q1"], answers=[{"id": "q1", "value": "yes"}]
    )  # fmt: skip
    drain(path)
    assert links(path) == {"2": (None, "2", "ok")}
    asking(late, 1, t=T0, session=None)
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok")}


# -- a question that stays open through two pauses


@pytest.mark.parametrize("session", ["s", None], ids=["by session", "by its questions"])
@pytest.mark.parametrize("answered", ["q1", None], ids=["by id", "in order"])
def test_an_answer_reaches_the_question_of_the_run_before_the_last(path, session, answered):
    tape = Tape(path)
    known = {"session": session, "questions": ["q1"]}
    asking(tape, 1, t=T0, session=session)
    resuming(tape, 2, t=T0 + 100, answers=None, root_status="waiting", **known)
    assert links(path) == {"1": (None, "1", "waiting"), "2": ("1", "1", "waiting")}
    resuming(tape, 3, t=T0 + 200, answers=[{"id": answered, "value": "yes"}], **known)
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok"), "3": ("2", "1", "ok")}
    with read.open(path) as store:
        question = store.step(step_id(11))
        assert (question.status, question.output, question.ended_ns) == ("ok", "yes", T0 + 201)
        assert store.run(run_id(1)).human_wait_ns == 200


@pytest.mark.parametrize("answered", ["q1", None], ids=["by id", "in order"])
def test_asked_again_under_its_id_it_is_the_same_question(path, answered):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=None, root_status="waiting")
    tape.start(run_id(2), step_id(21), t=T0 + 101, kind="human", parent=step_id(20), native_id="q1")
    resuming(tape, 3, t=T0 + 200, answers=[{"id": answered, "value": "yes"}])
    assert links(path) == {"1": (None, "1", "ok"), "2": ("1", "1", "ok"), "3": ("2", "1", "ok")}
    with read.open(path) as store:
        assert [store.step(step_id(n)).output for n in (11, 21)] == ["yes", "yes"]


def test_an_answer_without_a_name_is_for_the_newest_question(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=None, root_status="waiting")
    tape.start(run_id(2), step_id(21), t=T0 + 101, kind="human", parent=step_id(20), native_id="q2")
    resuming(tape, 3, t=T0 + 200, answers=[{"id": None, "value": "yes"}])
    with read.open(path) as store:
        assert [store.step(step_id(n)).output for n in (11, 21)] == [None, "yes"]
        assert store.run(run_id(1)).status == "waiting"


def test_a_question_that_the_answering_run_asks_itself_is_not_answered_by_it(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    resuming(tape, 2, t=T0 + 100, answers=None)
    tape.start(run_id(2), step_id(21), t=T0 + 100, kind="human", parent=step_id(20))
    answers = [{"id": None, "value": "yes"}, {"id": None, "value": "more"}]
    tape.event("answer", t=T0 + 101, run=run_id(2), step=step_id(20), bodies={"answer": answers})
    with read.open(path) as store:
        assert [store.step(step_id(n)).output for n in (11, 21)] == ["yes", None]


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


def built(path: Path) -> list[list[tuple]]:
    with sqlite3.connect(path) as db:
        found = [
            db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("t_runs", "t_steps", "t_handoffs", "t_approvals", "t_answers")
        ]
    db.close()
    return found


def test_a_rebuild_gives_the_same_where_no_session_told(path):
    tape = Tape(path)
    asking(tape, 1, t=T0, session=None)
    known = {"session": None, "questions": ["q1"]}
    resuming(tape, 2, t=T0 + 100, answers=None, root_status="waiting", **known)
    resuming(tape, 3, t=T0 + 200, answers=[{"id": "q1", "value": "yes"}], **known)
    drain(path)
    before = built(path)
    assert links(path)["3"] == ("2", "1", "ok")
    ingest.rebuild(path)
    drain(path)
    assert built(path) == before


def test_open_questions_are_found_by_an_index(path):
    tape = Tape(path)
    asking(tape, 1, t=T0)
    drain(path)
    with sqlite3.connect(path) as db:
        (plan,) = db.execute(
            "EXPLAIN QUERY PLAN SELECT 1 FROM t_steps s WHERE s.kind = 'human' AND s.end_rank = 0 AND s.native_id IN (?, ?)",
            ("a", "b"),
        ).fetchall()
    db.close()
    assert "t_steps_asked" in plan[3]
