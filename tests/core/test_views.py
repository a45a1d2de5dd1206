"""The SQL contract: what the views hold, and what their columns mean."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest

from counterfoil.events import Text, message, reasoning_part, text_part, tool_call_part, tool_response_part
from counterfoil.store import contribution, ingest, records, rows, schema, views
from handmade_tape import SECOND, T0, Tape, run_id, step_id

CONTRACT = {
    "runs": "run_id, name, task, session_id, status, stop_reason, resumes, first_run_id, frameworks, started_at, ended_at, "
    "duration_ms, human_wait_ms, steps, agents, llm_calls, tool_calls, handoffs, escalations, errors, input_tokens, "
    "output_tokens, cost_usd, unpriced_calls, unknown_usage_calls, labels, input, output",
    "steps": "step_id, run_id, parent_id, kind, name, agent, framework, status, evidence, started_at, ended_at, duration_ms, "
    "input_tokens, output_tokens, cost_usd, input, output, error_type, error_message, native_id, process_id",
    "llm_calls": "step_id, run_id, agent, framework, provider, model, request_model, response_id, started_at, duration_ms, "
    "ttft_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, usage_source, cached, "
    "cost_usd, price_source, finish_reason, status, error_type, error_message",
    "tool_calls": "step_id, run_id, agent, framework, tool, call_id, started_at, duration_ms, arguments, result, status, "
    "error_type, error_message, cost_usd, decided_by, evidence",
    "messages": "run_id, step_id, direction, position, role, content, tool_calls, call_id",
    "handoffs": "handoff_id, run_id, step_id, mode, source, target, target_asked, target_type, coordinator, reason, payload, "
    "answer, status, refused_by, error_message, evidence, decided_by, target_step_id, framework, requested_at, accepted_at, "
    "returned_at",
    "accesses": "run_id, step_id, agent, source, query, item_id, score, bytes, at",
    "decisions": "decision_id, run_id, step_id, call_id, agent, action, resource, verdict, rule, reason, policy, "
    "policy_version, enforced, at",
    "approvals": "approval_id, run_id, step_id, agent, tool, arguments, status, asked_at, answered_at, answered_by, comment",
    "scores": "run_id, step_id, name, value, label, source, comment, at",
    "findings": "finding_id, run_id, step_id, detector, severity, summary, cost_usd, at",
    "erasures": "run_id, kind, erased_by, reason, what, events, texts, at",
    "agents": "agent, framework, version, owner, internal, model, tools, runs, steps, cost_usd, errors, first_seen, last_seen",
    "processes": "process_id, host, pid, started_at, ended_at, alive, versions",
}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def tape(path) -> Tape:
    return Tape(path)


@pytest.fixture
def select(path):
    """Drain, and give rows as dicts: with plain sqlite3, nothing of ours registered."""
    opened = []

    def run(query: str) -> list[dict]:
        with ingest.Drainer(path) as drainer:
            drainer.drain()
        db = sqlite3.connect(path)
        opened.append(db)
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]

    yield run
    for db in opened:
        db.close()


def columns(path: Path, name: str) -> list[str]:
    db = schema.open_writer(str(path))
    try:
        return [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
    finally:
        db.close()


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_has_the_columns_of_the_contract_first_and_in_its_order(path, view):
    promised = CONTRACT[view].split(", ")
    assert [name for name in columns(path, view) if name in promised] == promised


@pytest.mark.parametrize("view", CONTRACT)
def test_every_time_has_its_nanoseconds_and_every_cost_its_nano_dollars(path, view):
    there = columns(path, view)
    twins = {
        "first_seen": "first_seen_ns",
        "last_seen": "last_seen_ns",
        "at": "at_ns",
        "cost_usd": "cost_nano",
    }
    twins |= {name: name[:-3] + "_ns" for name in there if name.endswith("_at")}
    twins |= {name: name[:-3] + "_ns" for name in there if name.endswith("_ms")}
    assert [twin for name, twin in twins.items() if name in there and twin not in there] == []


def test_every_view_can_be_read_whole_from_an_empty_store(path):
    db = schema.open_writer(str(path))
    assert [view for view in CONTRACT if db.execute(f"SELECT * FROM {view}").fetchall()] == []
    db.close()


@pytest.mark.parametrize(
    ("kind", "view"),
    [
        (records.Run, "runs"), (records.Step, "steps"), (records.LlmCall, "llm_calls"), (records.ToolCall, "tool_calls"),
        (records.Message, "messages"), (records.Handoff, "handoffs"), (records.Access, "accesses"),
        (records.Decision, "decisions"), (records.Approval, "approvals"), (records.Score, "scores"),
        (records.Finding, "findings"), (records.Erasure, "erasures"), (records.Agent, "agents"), (records.Process, "processes"),
    ],
)  # fmt: skip
def test_a_record_has_the_columns_of_its_view(path, kind, view):
    assert list(kind.__struct_fields__) == columns(path, view)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (rows.StepRow, "t_steps"), (rows.RunRow, "t_runs"), (rows.HandoffRow, "t_handoffs"),
        (rows.ApprovalRow, "t_approvals"), (rows.ProcessRow, "t_processes"),
    ],
)  # fmt: skip
def test_a_row_has_the_columns_of_its_table(path, kind, table):
    assert list(kind.__struct_fields__) == columns(path, table)


def test_all_built_tables_are_known_to_the_rebuild(path):
    db = schema.open_writer(str(path))
    there = {
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 't\\_%' ESCAPE '\\'"
        )
    }
    db.close()
    assert there == set(schema.BUILT)


def test_what_a_step_contributes_names_columns_of_its_run():
    assert set(contribution.Contribution.SUMS) < set(rows.RunRow.__struct_fields__)
    assert len(contribution.NOTHING.sums) == len(contribution.Contribution.SUMS)


NEWER = (
    r"->", r"\bunixepoch\(", r"\btimediff\(", r"\bconcat(_ws)?\(", r"\bstring_agg\(", r"\bjson_pretty\(", r"\bjsonb",
    r"\boctet_length\(", r"\bRIGHT JOIN\b", r"\bFULL (OUTER )?JOIN\b", r"\bDISTINCT FROM\b", r"\bformat\(", r"\bORDER BY [^)]*\)\s*FILTER",
)  # fmt: skip


@pytest.mark.parametrize("newer", NEWER)
def test_views_use_nothing_newer_than_sqlite_3_37(newer):
    assert [name for name, select in views.VIEWS.items() if re.search(newer, select, re.IGNORECASE)] == []


def test_times_are_iso_utc_to_the_microsecond(tape, select):
    tape.start(run_id(1), step_id(1), t=T0 + 1_234_567)
    tape.end(run_id(1), step_id(1), t=T0 + SECOND)
    (run,) = select("SELECT * FROM runs")
    assert run["started_at"] == "2023-11-14T22:13:20.001234Z"
    assert run["ended_at"] == "2023-11-14T22:13:21.000000Z"
    assert run["duration_ms"] == pytest.approx(998.765433)
    assert run["started_ns"] == T0 + 1_234_567


def test_a_run_takes_its_facts_from_its_root(tape, select):
    tape.start(
        run_id(1), step_id(1), t=T0, kind="workflow", name="desk", task="tickets", session="s", labels={"env": "test"},
        input={"ticket": 1},
    )  # fmt: skip
    tape.start(
        run_id(1), step_id(2), t=T0 + 1, parent=step_id(1), name="inner", agent="triage", framework="crewai"
    )
    tape.end(run_id(1), step_id(2), t=T0 + 2)
    tape.end(run_id(1), step_id(1), t=T0 + 3, output="done", stop_reason="limit")
    (run,) = select("SELECT * FROM runs")
    wanted = {
        "name": "desk", "task": "tickets", "session_id": "s", "labels": '{"env":"test"}', "input": '{"ticket":1}',
        "output": '"done"', "stop_reason": "limit", "steps": 2, "agents": 1, "agent_names": '["triage"]',
        "frameworks": '["crewai","python"]', "first_run_id": run_id(1), "resumes": None, "status": "ok",
    }  # fmt: skip
    assert {key: run[key] for key in wanted} == wanted


def test_a_run_is_seen_while_it_runs(tape, select):
    tape.start(run_id(1), step_id(1), t=T0)
    (run,) = select("SELECT * FROM runs")
    assert (run["status"], run["ended_at"], run["duration_ms"], run["open_steps"]) == (
        "running",
        None,
        None,
        1,
    )


@pytest.mark.parametrize(
    ("root", "question", "status"),
    [
        ("ok", None, "waiting"), ("waiting", None, "waiting"), (None, None, "waiting"), ("error", None, "error"),
        ("cancelled", None, "cancelled"), ("denied", None, "denied"), ("ok", "ok", "ok"), ("waiting", "ok", "ok"),
        (None, "ok", "running"),
    ],
)  # fmt: skip
def test_a_run_waits_while_a_question_is_open_unless_it_ended_badly(tape, select, root, question, status):
    tape.start(run_id(1), step_id(1), t=T0, kind="workflow")
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="human", parent=step_id(1))
    if root:
        tape.end(run_id(1), step_id(1), t=T0 + 2, status=root)
    if question:
        tape.end(run_id(1), step_id(2), t=T0 + 5, status=question)
    (run,) = select("SELECT * FROM runs")
    assert run["status"] == status
    assert run["human_wait_ns"] == (4 if question else 0)


def test_an_open_question_is_waiting_not_running(tape, select):
    tape.start(run_id(1), step_id(1), t=T0, kind="human")
    tape.start(run_id(1), step_id(2), t=T0, kind="tool")
    assert select("SELECT kind, status FROM steps ORDER BY step_id") == [
        {"kind": "human", "status": "waiting"},
        {"kind": "tool", "status": "running"},
    ]


def test_unknown_usage_is_null_and_sums_are_of_what_is_known(tape, select):
    for n, tokens in enumerate([(10, 1), (None, None), (5, None)], 2):
        tape.start(run_id(1), step_id(n), t=T0 + n, kind="llm")
        tape.end(run_id(1), step_id(n), t=T0 + n, input_tokens=tokens[0], output_tokens=tokens[1])
    tape.start(run_id(2), step_id(9), t=T0, kind="llm")
    tape.end(run_id(2), step_id(9), t=T0 + 1)
    found = select(
        "SELECT llm_calls, input_tokens, output_tokens, unknown_usage_calls, cost_usd FROM runs ORDER BY run_id"
    )
    assert [tuple(run.values()) for run in found] == [(3, 15, 1, 2, None), (1, None, None, 1, None)]


def test_only_model_calls_carry_usage(tape, select):
    tape.start(run_id(1), step_id(1), t=T0, kind="agent")
    tape.end(run_id(1), step_id(1), t=T0 + 1, input_tokens=10, output_tokens=1)
    (run,) = select("SELECT * FROM runs")
    assert (run["input_tokens"], run["llm_calls"], run["unpriced_calls"]) == (None, 0, 0)


def test_an_attempt_that_paused_for_a_human_is_no_tool_call(tape, select):
    tape.start(run_id(1), step_id(1), t=T0)
    for n, status in ((2, "waiting"), (3, "ok")):
        tape.start(
            run_id(1),
            step_id(n),
            t=T0 + n,
            kind="tool",
            name="pay",
            parent=step_id(1),
            call_id="c",
            input={"amount": 1},
        )
        tape.end(run_id(1), step_id(n), t=T0 + n, status=status, output="paid")
    (tool_call,) = select("SELECT * FROM tool_calls")
    assert (tool_call["step_id"], tool_call["arguments"], tool_call["result"]) == (
        step_id(3),
        '{"amount":1}',
        '"paid"',
    )
    assert select("SELECT tool_calls FROM runs") == [{"tool_calls": 1}]


def test_an_error_counts_where_it_happened_not_where_it_passed(tape, select):
    tape.start(run_id(1), step_id(1), t=T0)
    tape.start(run_id(1), step_id(2), t=T0, kind="tool", parent=step_id(1))
    tape.end(run_id(1), step_id(2), t=T0 + 1, status="error", error_type="ValueError", error_message="no")
    tape.end(run_id(1), step_id(1), t=T0 + 1, status="error")
    assert select("SELECT errors, status FROM runs") == [{"errors": 1, "status": "error"}]


REPORTS = {
    "one inside the other": ((0, 10), (2, 8), {}, 1),
    "overlapping": ((0, 10), (5, 15), {}, 1),
    "one after the other": ((0, 10), (20, 30), {}, 2),
    "a cache hit": ((0, 10), (2, 8), {"cached": True}, 2),
}


@pytest.mark.parametrize(("outer", "inner", "more", "calls"), REPORTS.values(), ids=REPORTS.keys())
def test_two_reports_of_one_call_count_once(tape, select, outer, inner, more, calls):
    for n, (start, end) in ((1, outer), (2, inner)):
        tape.start(run_id(1), step_id(n), t=T0 + start, kind="llm")
        given = more if n == 2 else {}
        tape.end(
            run_id(1),
            step_id(n),
            t=T0 + end,
            response_id="r",
            input_tokens=10,
            output_tokens=1,
            cost_nano=7,
            **given,
        )
    (run,) = select("SELECT * FROM runs")
    assert (run["llm_calls"], run["input_tokens"], run["steps"]) == (calls, calls * 10, 2)
    kept = select("SELECT step_id FROM llm_calls ORDER BY 1")
    assert [one["step_id"] for one in kept] == [step_id(n) for n in range(3 - calls, 3)]
    assert sum(one["n"] or 0 for one in select("SELECT input_tokens AS n FROM steps")) == run["input_tokens"]


def test_the_same_response_id_in_another_run_is_another_call(tape, select):
    for n in (1, 2):
        tape.start(run_id(n), step_id(n), t=T0, kind="llm")
        tape.end(run_id(n), step_id(n), t=T0 + 10, response_id="r", input_tokens=10, output_tokens=1)
    assert len(select("SELECT * FROM llm_calls")) == 2


def test_the_deepest_of_three_reports_stays_also_when_told_last(tape, select):
    for n in (1, 2, 3):
        tape.start(run_id(1), step_id(n), t=T0 + n, kind="llm")
        tape.end(run_id(1), step_id(n), t=T0 + 20 - n, response_id="r", input_tokens=10, output_tokens=1)
        select("SELECT 1")
    assert [one["step_id"] for one in select("SELECT step_id FROM llm_calls")] == [step_id(3)]
    assert select("SELECT llm_calls, input_tokens FROM runs") == [{"llm_calls": 1, "input_tokens": 10}]


SYSTEM = message("system", [text_part("be brief")])
HELLO = message("user", [text_part("hello"), text_part("there")])
CALL = message("assistant", [reasoning_part("hm"), tool_call_part("c1", "search", {"q": "x"})])
RESULT = message("tool", [tool_response_part("c1", "found")])
DONE = message("assistant", [text_part("done")])


def conversation(tape: Tape) -> None:
    tape.start(run_id(1), step_id(1), t=T0)
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="llm", parent=step_id(1), messages=[SYSTEM, HELLO])
    tape.end(run_id(1), step_id(2), t=T0 + 2, messages=[CALL])
    tape.start(
        run_id(1),
        step_id(3),
        t=T0 + 3,
        kind="llm",
        parent=step_id(1),
        base=step_id(2),
        keep=2,
        messages=[CALL, RESULT],
    )
    tape.end(run_id(1), step_id(3), t=T0 + 4, messages=[DONE])
    tape.end(
        run_id(1), step_id(1), t=T0 + 5, base=step_id(3), keep=4, messages=[DONE], output={"state": 1},
    )  # fmt: skip
    tape.start(
        run_id(1),
        step_id(4),
        t=T0 + 6,
        kind="tool",
        base=step_id(1),
        base_output=True,
        keep=3,
        messages=[HELLO],
    )


def test_the_input_of_a_call_is_its_whole_conversation(tape, select):
    conversation(tape)
    found = {row["step_id"]: row for row in select("SELECT step_id, input, output FROM steps")}
    assert json.loads(found[step_id(2)]["input"]) == [SYSTEM, HELLO]
    assert json.loads(found[step_id(3)]["input"]) == [SYSTEM, HELLO, CALL, RESULT]
    assert json.loads(found[step_id(3)]["output"]) == [DONE]


def test_messages_of_other_steps_stand_inside_of_what_else_they_were_given(tape, select):
    conversation(tape)
    found = {row["step_id"]: row for row in select("SELECT step_id, input, output FROM steps")}
    assert json.loads(found[step_id(1)]["output"]) == {
        "state": 1,
        "messages": [SYSTEM, HELLO, CALL, RESULT, DONE],
    }
    assert json.loads(found[step_id(4)]["input"]) == {"messages": [SYSTEM, HELLO, CALL, HELLO]}


def test_messages_lists_what_was_new_to_each_call_at_its_place_in_the_whole(tape, select):
    conversation(tape)
    found = select(
        f"SELECT * FROM messages WHERE step_id IN ('{step_id(2)}', '{step_id(3)}') ORDER BY step_id, position"
    )
    assert [(row["direction"], row["position"], row["role"], row["content"]) for row in found] == [
        ("input", 0, "system", "be brief"),
        ("input", 1, "user", "hello\nthere"),
        ("output", 2, "assistant", None),
        ("input", 2, "assistant", None),
        ("input", 3, "tool", None),
        ("output", 4, "assistant", "done"),
    ]
    assert json.loads(found[2]["tool_calls"]) == [tool_call_part("c1", "search", {"q": "x"})]
    assert found[4]["call_id"] == "c1"


def test_a_worked_query_gives_a_whole_input_too(tape, select):
    conversation(tape)
    query = f"""
      WITH RECURSIVE link(step_id, upto) AS (
        SELECT step_id, in_count FROM t_steps WHERE step_id = '{step_id(3)}'
        UNION SELECT s.in_base, min(link.upto, s.in_keep) FROM link JOIN t_steps s USING (step_id) WHERE s.in_base IS NOT NULL)
      SELECT m.role FROM link JOIN messages m ON m.step_id = link.step_id AND m.direction = 'input' AND m.position < link.upto
      ORDER BY m.position"""
    assert [row["role"] for row in select(query)] == ["system", "user", "assistant", "tool"]


def test_a_conversation_grows_linearly_in_the_store(tape, select):
    said = [message("user", [text_part(f"turn {n} " + "x" * 100)]) for n in range(200)]
    for n in range(200):
        given = {"base": step_id(n), "keep": n} if n else {}
        tape.start(run_id(1), step_id(n + 1), t=T0 + n, kind="llm", messages=[said[n]], **given)
    assert json.loads(select("SELECT input FROM steps ORDER BY step_id DESC LIMIT 1")[0]["input"]) == said
    assert select("SELECT count(*) AS n FROM t_messages") == [{"n": 200}]


def test_inputs_that_continue_each_other_in_a_circle_do_not_hang(tape, select):
    tape.start(run_id(1), step_id(1), t=T0, kind="llm", base=step_id(2), keep=1, messages=[HELLO])
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="llm", base=step_id(1), keep=1, messages=[DONE])
    assert [json.loads(row["input"]) for row in select("SELECT input FROM steps ORDER BY step_id")] == [
        [HELLO],
        [DONE],
    ]


def test_a_body_that_is_no_json_breaks_no_view(tape, select):
    head = b'{"k":"start","t":%d,"q":9,"run":"%s","step":"%s","kind":"llm","refs":[1],"parts":["m1"]}' % (
        T0, run_id(1).encode(), step_id(1).encode(),
    )  # fmt: skip
    tape.raw(head + b"\t{torn\n")
    for view in views.VIEWS:
        select(f"SELECT * FROM {view}")
    assert select("SELECT role, content FROM messages") == [{"role": None, "content": "{torn"}]


def test_what_a_model_could_choose_from_is_shown(tape, select):
    offer = {"name": "search"}
    tape.raw(
        b'{"k":"start","t":1,"q":9,"run":"%s","step":"%s","kind":"llm","offers":[7],"parts":["m7"]}\t%s\n'
        % (run_id(1).encode(), step_id(1).encode(), json.dumps(offer).encode())
    )
    assert json.loads(select("SELECT tools FROM llm_calls")[0]["tools"]) == [offer]


def test_a_handoff_shows_its_latest_state_and_when_each_was_reached(tape, select):
    tape.start(run_id(1), step_id(1), t=T0)
    common = {"run": run_id(1), "step": step_id(1), "handoff": step_id(9)}
    tape.event(
        "handoff", t=T0 + 1, mode="transfer", status="requested", target_type="agent", evidence="native",
        decided=step_id(3), decided_evidence="native", text=Text(source="a", target="b", target_asked="B", reason="why"),
        bodies={"payload": {"x": 1}}, **common,
    )  # fmt: skip
    tape.event("handoff", t=T0 + 2, status="accepted", target_step=step_id(2), **common)
    tape.event("handoff", t=T0 + 3, mode="escalation", status="returned", bodies={"answer": "yes"}, **common)
    (handoff,) = select("SELECT * FROM handoffs")
    wanted = {
        "mode": "escalation", "source": "a", "target": "b", "target_asked": "B", "reason": "why", "payload": '{"x":1}',
        "answer": '"yes"', "status": "returned", "requested_ns": T0 + 1, "accepted_ns": T0 + 2, "returned_ns": T0 + 3,
        "target_step_id": step_id(2), "decided_by": step_id(3), "step_id": step_id(1),
    }  # fmt: skip
    assert {key: handoff[key] for key in wanted} == wanted
    assert select("SELECT handoffs, escalations FROM runs") == [{"handoffs": 1, "escalations": 1}]


def test_an_access_is_a_row_per_item_or_one_without(tape, select):
    common = {"t": T0 + 1, "run": run_id(1), "step": step_id(1)}
    tape.start(run_id(1), step_id(1), t=T0, agent="a")
    items = [
        {"item_id": "d1", "score": 0.5, "bytes": None, "source": None},
        {"item_id": "d2", "source": "other"},
    ]
    tape.event("access", text=Text(source="kb", query="why"), bodies={"items": items}, **common)
    tape.event("access", text=Text(source="file"), bytes=7, **common)
    found = select("SELECT agent, source, query, item_id, score, bytes FROM accesses ORDER BY item_id")
    assert [tuple(row.values()) for row in found] == [
        ("a", "file", None, None, None, 7),
        ("a", "kb", "why", "d1", 0.5, None),
        ("a", "other", "why", "d2", None, None),
    ]


def test_decisions_scores_and_approvals_are_shown_as_they_were_recorded(tape, select):
    common = {"run": run_id(1), "step": step_id(1)}
    tape.start(run_id(1), step_id(1), t=T0, agent="a")
    tape.event(
        "decision", t=T0 + 1, item="d", verdict="deny", enforced=True,
        text=Text(agent="a", action="call_tool", resource="pay", rule="r", policy="p", policy_version="1"), **common,
    )  # fmt: skip
    tape.event("score", t=T0 + 2, value=0.5, text=Text(name="quality", source="user"), **common)
    tape.event(
        "approval",
        t=T0 + 3,
        item="q",
        status="waiting",
        text=Text(name="pay"),
        bodies={"payload": {"n": 1}},
        **common,
    )
    tape.event(
        "approval",
        t=T0 + 4,
        item="q",
        status="edited",
        text=Text(answered_by="ann", comment="less"),
        **common,
    )
    (decision,) = select("SELECT * FROM decisions")
    assert (decision["verdict"], decision["resource"], decision["enforced"], decision["at_ns"]) == (
        "deny",
        "pay",
        1,
        T0 + 1,
    )
    (score,) = select("SELECT * FROM scores")
    assert (score["name"], score["value"], score["source"]) == ("quality", 0.5, "user")
    (approval,) = select("SELECT * FROM approvals")
    assert [approval[key] for key in ("agent", "tool", "arguments", "status", "asked_ns", "answered_ns", "answered_by")] == [
        "a", "pay", '{"n":1}', "edited", T0 + 3, T0 + 4, "ann",
    ]  # fmt: skip


def test_an_agent_is_summed_up_over_all_runs(tape, select):
    for n in (1, 2):
        step = step_id(n * 10)
        tape.start(run_id(n), step, t=T0 + n, name="triage", agent="triage", version=f"v{n}", owner="support")
        tape.start(run_id(n), step_id(n * 10 + 1), t=T0 + n + 1, kind="llm", parent=step, agent="triage")
        tape.end(
            run_id(n),
            step_id(n * 10 + 1),
            t=T0 + n + 2,
            model=f"m{n}",
            cost_nano=5,
            input_tokens=1,
            output_tokens=1,
        )
        tape.start(
            run_id(n),
            step_id(n * 10 + 2),
            t=T0 + n + 3,
            kind="tool",
            parent=step,
            agent="triage",
            name="search",
        )
        tape.end(run_id(n), step_id(n * 10 + 2), t=T0 + n + 4, status="error", error_type="E")
    (agent,) = select("SELECT * FROM agents")
    wanted = {
        "agent": "triage", "framework": "python", "version": "v2", "owner": "support", "internal": 0, "model": "m2",
        "tools": '["search"]', "runs": 2, "steps": 6, "cost_nano": 10, "errors": 2, "first_seen_ns": T0 + 1,
        "last_seen_ns": T0 + 6,
    }  # fmt: skip
    assert {key: agent[key] for key in wanted} == wanted


def test_a_step_that_turns_out_to_be_something_else_counts_as_that(tape, select):
    tape.start(run_id(1), step_id(1), t=T0, kind="task", name="node")
    tape.start(run_id(1), step_id(2), t=T0 + 1, kind="llm", parent=step_id(1))
    select("SELECT 1")
    tape.event(
        "amend", t=T0 + 2, run=run_id(1), step=step_id(1), kind="agent", evidence="inferred",
        text=Text(name="planner", agent="planner", session="late"),
    )  # fmt: skip
    (run,) = select("SELECT * FROM runs")
    assert (run["name"], run["agents"], run["session_id"], run["root_kind"]) == (
        "planner",
        1,
        "late",
        "agent",
    )


def test_a_run_known_only_by_a_late_part_is_shown_without_a_root(tape, select):
    tape.end(run_id(1), step_id(1), t=T0)
    (run,) = select("SELECT * FROM runs")
    assert (run["name"], run["status"], run["steps"]) == (None, "running", 1)


def test_a_structs_row_reads_back_what_was_written(path, tape):
    tape.start(run_id(1), step_id(1), t=T0, resuming=True, internal=True)
    with ingest.Drainer(path) as drainer:
        drainer.drain()
    db = sqlite3.connect(path)
    row = db.execute("SELECT * FROM t_steps").fetchone()
    db.close()
    assert msgspec.structs.astuple(rows.StepRow(*row)) == row
