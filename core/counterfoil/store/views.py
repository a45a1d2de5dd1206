"""The views that users query: SQL contract, version 1. Columns may be added, never renamed or removed.

Only what plain SQLite 3.37 knows: no extension, no registered function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["COST", "LISTED", "VIEWS", "iso", "message_list", "recreate"]


def _link(start: str) -> str:
    """Give the steps that a list of messages goes through, `start` and those that it goes on from, as table `link`."""
    return f"""WITH RECURSIVE link(step_id, direction, upto) AS (
        {start}
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)"""


# Each message of the steps in `link` at its place: their own, and where a step is in another store, or erased, those
# that are kept for whoever goes on from it.
_MESSAGES = """SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps b WHERE b.step_id = l.step_id
            AND iif(l.direction, b.out_count, b.in_count) IS NOT NULL)"""

#: The query for the first messages of a step's input (0) or output (1), those of earlier steps included, each at its
#: place. Bind step, direction, and how many.
LISTED: Final = f"{_link('SELECT ?, ?, ?')} {_MESSAGES}"


def iso(ns: str) -> str:
    """Give the expression that shows nanoseconds as ISO 8601, UTC, to the microsecond."""
    return f"strftime('%Y-%m-%dT%H:%M:%S', {ns} / 1000000000, 'unixepoch') || printf('.%06dZ', {ns} / 1000 % 1000000)"


def _times(**columns: str) -> str:
    return ", ".join(f"{iso(ns)} AS {name}_at, {ns} AS {name}_ns" for name, ns in columns.items())


def _body(payload_id: str) -> str:
    return f"(SELECT body FROM payloads WHERE payload_id = {payload_id})"


def message_list(step: str, direction: int) -> str:
    """Give the expression for all messages of the input (0) or output (1) of the `t_steps` row named `step`.

    A JSON array as text, put together by hand: bodies are JSON already, and one that is none would make
    json() fail the whole query. Put it where rows are few: it follows the conversation back.
    """
    count = f"{step}.{'out' if direction else 'in'}_count"
    return f"""({_link(f"SELECT {step}.step_id, {direction}, {count}")}
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          {_MESSAGES}) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))"""


def _content(step: str, direction: int) -> str:
    """A step's input or output: of an llm step its messages, of others the body, with its messages inside."""
    side = "out" if direction else "in"
    body = _body(f"{step}.{'output' if direction else 'input'}_id")
    listed = message_list(step, direction)
    return f"""CASE WHEN {step}.{side}_count IS NULL THEN {body}
      WHEN {step}.kind = 'llm' AND {step}.{"output" if direction else "input"}_id IS NULL THEN {listed}
      ELSE (SELECT CASE WHEN coalesce(body, '{{}}') IN ('{{}}', 'null') THEN '{{"messages":' || list || '}}'
        WHEN substr(body, 1, 1) = '{{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}}'
        ELSE '{{"value":' || body || ',"messages":' || list || '}}' END
        FROM (SELECT {body} AS body, {listed} AS list)) END"""


# A folded report of a call counts nothing; what a cache answered costs nothing.
COST = "CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END"
# A run that paused once more at a question of an earlier run waits as long as that one does.
_RUN_STATUS = """CASE WHEN r.waiting > 0 AND coalesce(s.status, 'running') NOT IN
      ('error', 'cancelled', 'interrupted', 'denied') THEN 'waiting'
    WHEN s.status = 'waiting' AND NOT (r.resumes IS NOT NULL AND EXISTS (SELECT 1 FROM t_runs asked
      WHERE asked.waiting > 0 AND asked.started_ns < r.started_ns AND (asked.run_id = r.first_run_id
        OR (asked.first_run_id = r.first_run_id AND asked.first_run_id <> asked.run_id)))) THEN 'ok'
    ELSE coalesce(s.status, 'running') END"""


# What came back: said by an event, else the result of the tool call that waited for it, else the target's output.
_ANSWER = f"""CASE WHEN h.answer_id IS NOT NULL THEN {_body("h.answer_id")} WHEN h.status = 'returned' THEN
      (SELECT {_content("s", 1)} FROM t_steps s WHERE s.step_id = (
        SELECT iif(asker.kind = 'tool' AND asker.ended_ns >= target.ended_ns, asker.step_id, target.step_id)
        FROM t_steps target LEFT JOIN t_steps asker ON asker.step_id = h.step_id
        WHERE target.step_id = h.target_step_id)) END"""


def _usage(column: str) -> str:
    return f"iif(s.folded_into IS NULL, s.{column}, NULL) AS {column}"


VIEWS: Final[dict[str, str]] = {
    "runs": f"""
  SELECT r.run_id, s.name, s.task, s.session AS session_id, {_RUN_STATUS} AS status, s.stop_reason, r.resumes,
    r.first_run_id,
    (SELECT json_group_array(key) FROM json_each(r.frameworks)) AS frameworks,
    {_times(started="r.started_ns", ended="s.ended_ns")},
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    r.human_wait_ns / 1e6 AS human_wait_ms, r.human_wait_ns,
    r.steps, (SELECT count(*) FROM json_each(r.agents)) AS agents, r.llm_calls, r.tool_calls, r.handoffs,
    r.escalations, r.errors,
    iif(r.input_known, r.input_tokens, NULL) AS input_tokens,
    iif(r.output_known, r.output_tokens, NULL) AS output_tokens,
    iif(r.priced_calls, r.cost_nano / 1e9, NULL) AS cost_usd, iif(r.priced_calls, r.cost_nano, NULL) AS cost_nano,
    r.unpriced_calls, r.unknown_usage_calls, s.labels, {_content("s", 0)} AS input, {_content("s", 1)} AS output,
    r.waiting, r.open_steps, s.framework, s.agent, s.kind AS root_kind, r.root_id AS root_step_id,
    (SELECT json_group_array(key) FROM json_each(r.agents)) AS agent_names
  FROM t_runs r LEFT JOIN t_steps s ON s.step_id = r.root_id""",
    "steps": f"""
  SELECT s.step_id, s.run_id, s.parent_id, s.kind, s.name, s.agent, s.framework, s.status, s.evidence,
    {_times(started="s.started_ns", ended="s.ended_ns")},
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    {_usage("input_tokens")}, {_usage("output_tokens")},
    {COST} / 1e9 AS cost_usd, {COST} AS cost_nano, {_content("s", 0)} AS input, {_content("s", 1)} AS output,
    s.error_type, s.error_message, s.native_id, w.writer AS process_id, s.q AS process_seq, s.call_id, s.stop_reason,
    s.decided_by, s.decided_evidence, coalesce(s.internal, 0) AS internal, s.version, s.owner, s.folded_into
  FROM t_steps s LEFT JOIN writers w USING (writer_id)""",
    "llm_calls": f"""
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.provider, s.model, s.request_model, s.response_id,
    {_times(started="s.started_ns")},
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    s.ttft_ns / 1e6 AS ttft_ms, s.ttft_ns,
    s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.reasoning_tokens, s.audio_tokens,
    s.usage_source, coalesce(s.cached, 0) AS cached, {COST} / 1e9 AS cost_usd, {COST} AS cost_nano, s.price_source,
    s.finish_reason, s.status, s.error_type, s.error_message, s.name, s.evidence, {_body("s.usage_id")} AS raw_usage,
    (SELECT '[' || group_concat(coalesce(p.body, 'null'), ',') || ']' FROM json_each(s.offers) o
      LEFT JOIN payloads p ON p.payload_id = o.value) AS tools
  FROM t_steps s WHERE s.kind = 'llm' AND s.folded_into IS NULL""",
    "tool_calls": f"""
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.name AS tool, s.call_id, {_times(started="s.started_ns")},
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    {_content("s", 0)} AS arguments, {_content("s", 1)} AS result, s.status, s.error_type, s.error_message,
    {COST} / 1e9 AS cost_usd, {COST} AS cost_nano, s.decided_by, s.decided_evidence, s.evidence
  FROM t_steps s WHERE s.kind = 'tool' AND s.status <> 'waiting'""",
    "messages": """
  SELECT s.run_id, m.step_id, iif(m.direction, 'output', 'input') AS direction,
    m.position + iif(m.direction AND s.kind = 'llm', coalesce(s.in_count, 0), 0) AS position,
    iif(json_valid(p.body), json_extract(p.body, '$.role'), NULL) AS role,
    iif(json_valid(p.body), (SELECT group_concat(json_extract(value, '$.content'), char(10))
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'text'), p.body) AS content,
    iif(json_valid(p.body), (SELECT nullif(json_group_array(json(value)), '[]')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call'), NULL) AS tool_calls,
    iif(json_valid(p.body), (SELECT json_extract(value, '$.id')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call_response' LIMIT 1), NULL)
      AS call_id,
    p.body AS message
  FROM t_messages m JOIN t_steps s USING (step_id) LEFT JOIN payloads p USING (payload_id)""",
    "handoffs": f"""
  SELECT h.handoff_id, h.run_id, h.step_id, h.mode, h.source, h.target, h.target_asked, h.target_type, h.coordinator,
    h.reason, {_body("h.payload_id")} AS payload, {_ANSWER} AS answer, h.status, h.refused_by,
    h.error_message, h.evidence, h.decided_by, h.decided_evidence, h.target_step_id, h.framework,
    {_times(requested="coalesce(h.requested_ns, h.asked_ns)", accepted="h.accepted_ns", returned="h.returned_ns")}
  FROM t_handoffs h""",
    "accesses": f"""
  SELECT a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.source,
    coalesce(a.query, (SELECT iif(json_valid(body) AND substr(body, 1, 1) = '"', json_extract(body, '$'), body)
      FROM payloads WHERE payload_id = a.query_id)) AS query, a.item_id, a.score, a.bytes,
    {iso("a.at_ns")} AS at, a.at_ns
  FROM t_accesses a LEFT JOIN t_steps s USING (step_id)""",
    "decisions": f"""
  SELECT d.decision_id, d.run_id, d.step_id, d.call_id, d.agent, d.action, d.resource, d.verdict, d.rule, d.reason,
    d.policy, d.policy_version, d.enforced, {iso("d.at_ns")} AS at, d.at_ns
  FROM t_decisions d""",
    "approvals": f"""
  SELECT a.approval_id, a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.tool,
    {_body("a.arguments_id")} AS arguments, a.status, {_times(asked="a.asked_ns", answered="a.answered_ns")},
    a.answered_by, a.comment
  FROM t_approvals a LEFT JOIN t_steps s USING (step_id)""",
    "scores": f"""
  SELECT c.run_id, c.step_id, c.name, c.value, c.label, c.source, c.comment, {iso("c.at_ns")} AS at, c.at_ns
  FROM t_scores c""",
    "findings": f"""
  SELECT f.finding_id, f.run_id, f.step_id, f.detector, f.severity, f.summary, f.cost_nano / 1e9 AS cost_usd,
    f.cost_nano, {iso("f.at_ns")} AS at, f.at_ns
  FROM t_findings f""",
    "erasures": f"""
  SELECT e.run_id, e.kind, e.erased_by, e.reason, e.what, e.events, e.texts, {iso("e.at_ns")} AS at, e.at_ns
  FROM t_erasures e""",
    "agents": f"""
  SELECT g.agent, g.framework,
    (SELECT s.version FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.version IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS version,
    (SELECT s.owner FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.owner IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS owner,
    g.internal,
    (SELECT coalesce(s.model, s.request_model) FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework
      AND s.kind = 'llm' AND coalesce(s.model, s.request_model) IS NOT NULL ORDER BY s.started_ns DESC LIMIT 1) AS model,
    (SELECT json_group_array(name) FROM (SELECT DISTINCT s.name FROM t_steps s WHERE s.agent = g.agent
      AND s.framework IS g.framework AND s.kind = 'tool' AND s.name IS NOT NULL ORDER BY s.name)) AS tools,
    g.runs, g.steps, g.cost_nano / 1e9 AS cost_usd, g.cost_nano, g.errors,
    {iso("g.first_seen_ns")} AS first_seen, g.first_seen_ns, {iso("g.last_seen_ns")} AS last_seen, g.last_seen_ns
  FROM (SELECT s.agent, s.framework, max(coalesce(s.internal, 0)) AS internal, count(DISTINCT s.run_id) AS runs,
      count(*) AS steps, sum({COST}) AS cost_nano, count(s.error_type) AS errors, min(s.started_ns) AS first_seen_ns,
      max(coalesce(s.ended_ns, s.started_ns)) AS last_seen_ns
    FROM t_steps s WHERE s.agent IS NOT NULL GROUP BY s.agent, s.framework) g""",
    "processes": f"""
  SELECT w.writer AS process_id, p.host, p.pid, {_times(started="p.started_ns", ended="p.ended_ns")},
    p.ended_ns IS NULL AS alive, p.versions, p.gone, {iso("p.last_ns")} AS last_seen, p.last_ns AS last_seen_ns
  FROM (SELECT *, iif(exit_ns >= last_ns, exit_ns, gone_ns) AS ended_ns, gone_ns IS NOT NULL AS gone
    FROM t_processes) p JOIN writers w USING (writer_id)""",
}


def recreate(db: sqlite3.Connection) -> None:
    """Put the views of this version in place of those that are there."""
    for name, select in VIEWS.items():
        db.execute(f"DROP VIEW IF EXISTS {name}")
        db.execute(f"CREATE VIEW {name} AS {select}")
