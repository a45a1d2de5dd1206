"""Which run resumes which, and what the answers that it brought do to the steps that waited for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text
from counterfoil.ids import now_ns
from counterfoil.store.made import Made

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["is_wanted", "links"]

#: Resuming runs that found nothing to resume are tried again, the newest of them.
TRIED: Final = 200


class _Answer(msgspec.Struct):
    id: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    status: str | None = None
    comment: str | None = None


_answers = msgspec.json.Decoder(list[_Answer])


class _Question(NamedTuple):
    step_id: str
    run_id: str
    native_id: str | None


#: The runs of one task, `:first` and all that go on from it.
_CHAIN: Final = "(r.run_id = :first OR (r.first_run_id = :first AND r.first_run_id <> r.run_id))"
#: A run that ended `waiting` with no question open waits until one run has resumed it.
_WAITS: Final = """(r.waiting > 0 OR (s.status = 'waiting' AND s.end_rank > 0 AND NOT EXISTS (SELECT 1 FROM t_runs later
    WHERE later.first_run_id = r.first_run_id AND later.first_run_id <> later.run_id AND later.resumes = r.run_id)))"""
#: Runs that resume one that is not found yet, and those whose answers have not reached the steps that wait.
_UNLINKED: Final = """SELECT r.run_id, root.started_ns FROM t_runs r JOIN t_steps root ON root.step_id = r.root_id
  WHERE r.unlinked = 1 AND root.started_ns < ? ORDER BY r.started_ns DESC LIMIT ?"""
_UNAPPLIED: Final = """SELECT DISTINCT r.run_id, r.started_ns FROM t_answers a JOIN t_runs r USING (run_id)
  WHERE a.applied = 0 AND r.resumes IS NOT NULL"""
_ids: Final = msgspec.json.Decoder(list[str])


def is_wanted(db: sqlite3.Connection) -> bool:
    """Tell whether there are runs that `links` would try to tie, or answers that it would bring to their steps."""
    return bool(db.execute(_UNLINKED, (now_ns(), 1)).fetchone() or db.execute(_UNAPPLIED).fetchone())


def links(db: sqlite3.Connection, *, before_ns: int) -> Iterator[list[Made]]:
    """Give the events that tie resuming runs to those they resume, and answers to the steps that wait.

    Each group must be stored before the next is asked for. Only runs that began before `before_ns`, when the
    pass over the tapes began: of what they resume, all is in the store by now.
    """
    rows = db.execute(_UNLINKED, (before_ns, TRIED)).fetchall() + db.execute(_UNAPPLIED).fetchall()
    for run_id, _ in sorted(rows, key=lambda row: (row[1], row[0])):
        if link := _link(db, run_id):
            yield [link]
        if applied := _apply(db, run_id):
            yield applied


def _link(db: sqlite3.Connection, run_id: str) -> Made | None:
    """Find the newest run that waits for a human and began before, of the same framework and session.

    Without a session: of the task whose open questions are those that this run says it goes on from.
    """
    root = db.execute(
        """SELECT s.framework, s.session, s.questions, s.started_ns FROM t_runs r
        JOIN t_steps s ON s.step_id = r.root_id WHERE r.run_id = ? AND r.resumes IS NULL""",
        (run_id,),
    ).fetchone()
    if root is None:
        return None
    framework, session, questions, started_ns = root
    among: tuple[str, dict[str, str]] = ("s.session = :session", {"session": session})
    if session is None:
        first = (
            _asked_by(db, _ids.decode(questions), framework, started_ns) if questions is not None else None
        )
        if first is None:
            return None
        among = (_CHAIN, {"first": first})
    found = db.execute(
        f"""SELECT r.run_id, r.first_run_id FROM t_steps s JOIN t_runs r ON r.root_id = s.step_id
        WHERE {among[0]} AND s.framework IS :framework AND s.started_ns < :began AND r.run_id <> :run AND {_WAITS}
        ORDER BY s.started_ns DESC, r.run_id DESC LIMIT 1""",
        {"framework": framework, "began": started_ns, "run": run_id, **among[1]},
    ).fetchone()
    if found is None:
        return None
    return Made(
        Head(k="resume", t=started_ns, q=0, run=run_id, resumes=found[0], first_run=found[1] or found[0])
    )


def _asked_by(
    db: sqlite3.Connection, questions: Sequence[str], framework: str | None, before_ns: int
) -> str | None:
    """Give the first run of the task that asked these questions, if each that is open was asked by that one alone."""
    found = db.execute(
        f"""SELECT s.native_id, coalesce(r.first_run_id, s.run_id) FROM t_steps s LEFT JOIN t_runs r USING (run_id)
        WHERE s.kind = 'human' AND s.end_rank = 0 AND s.native_id IN ({",".join("?" * len(questions))})
        AND s.framework IS ? AND s.started_ns < ?""",
        (*questions, framework, before_ns),
    ).fetchall()
    tasks = {first for _, first in found}
    # The same question of two: who asks cannot be told.
    return (
        tasks.pop() if len(tasks) == 1 and len(found) == len({native_id for native_id, _ in found}) else None
    )


def _apply(db: sqlite3.Connection, run_id: str) -> list[Made]:
    """Let the open questions of the task end with the answers that `run_id` brought."""
    brought = db.execute(
        """SELECT a.at_ns, a.q, p.body, r.first_run_id FROM t_answers a JOIN t_runs r USING (run_id)
        LEFT JOIN payloads p USING (payload_id)
        WHERE a.run_id = ? AND a.applied = 0 AND r.resumes IS NOT NULL ORDER BY a.at_ns, a.q LIMIT 1""",
        (run_id,),
    ).fetchone()
    if brought is None:
        return []
    at_ns, q, body, first = brought
    try:
        answers = _answers.decode(body) if body is not None else []
    except msgspec.DecodeError:
        answers = []
    questions = [
        _Question(*row)
        for row in db.execute(
            f"""SELECT s.step_id, s.run_id, s.native_id FROM t_runs r JOIN t_steps s ON s.run_id = r.run_id
            WHERE {_CHAIN} AND r.run_id <> :run AND s.kind = 'human' AND s.end_rank = 0 AND s.started_ns < :at
            ORDER BY r.started_ns DESC, r.run_id, s.started_ns, s.q, s.step_id""",
            {"first": first, "run": run_id, "at": at_ns},
        )
    ]
    made: list[Made] = []
    for question, given in _matched(questions, answers):
        made += _answered(db, question, given, at_ns, q)
    made.append(Made(Head(k="answer", t=at_ns, q=q, run=run_id)))
    return made


def _matched(
    questions: Iterable[_Question], answers: Sequence[_Answer]
) -> Iterator[tuple[_Question, list[_Answer]]]:
    """Give each question that is answered with what was said to it: by its own id, else in order, the newest run first.

    What was asked again under the same id, by a run that paused once more, is the same question.
    """
    said: dict[str, list[_Answer]] = {}
    for answer in answers:
        if answer.id is not None:
            said.setdefault(answer.id, []).append(answer)
    unnamed = [answer for answer in answers if answer.id is None]
    for question in questions:
        native_id = question.native_id
        if unnamed and (native_id is None or native_id not in said):
            given = [unnamed.pop(0)]
            if native_id is not None:
                said[native_id] = given
            yield question, given
        elif native_id is not None and native_id in said:
            yield question, said[native_id]


def _answered(
    db: sqlite3.Connection, question: _Question, given: Sequence[_Answer], at_ns: int, q: int
) -> Iterator[Made]:
    step_id, run_id, _ = question
    values = [bytes(answer.value) for answer in given]
    body = values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]"
    yield Made(Head(k="end", t=at_ns, q=q, run=run_id, step=step_id, status="ok"), body=body)
    approvals = db.execute(
        "SELECT approval_id FROM t_approvals WHERE step_id = ? AND run_id = ? AND status = 'waiting' "
        "ORDER BY asked_ns, approval_id",
        (step_id, run_id),
    ).fetchall()
    for at, (approval_id,) in enumerate(approvals):
        answer = given[min(at, len(given) - 1)]
        if answer.status is not None:
            text = Text(comment=answer.comment) if answer.comment is not None else None
            head = Head(
                k="approval", t=at_ns, q=q, run=run_id, step=step_id, item=approval_id, status=answer.status
            )
            yield Made(head, text)
    asked = db.execute(
        """SELECT handoff_id FROM t_handoffs WHERE run_id = ? AND target_step_id = ? AND target_type = 'human'
        AND status IN ('requested', 'accepted') ORDER BY handoff_id""",
        (run_id, step_id),
    ).fetchall()
    for (handoff_id,) in asked:
        head = Head(k="handoff", t=at_ns, q=q, run=run_id, handoff=handoff_id, status="returned")
        yield Made(head, body=body, part="answer")
