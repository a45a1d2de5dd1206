"""`counterfoil tail`: what is being recorded, as it comes."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final

import click
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import compact, counted
from counterfoil.cli.complaint import complain, until_ctrl_c
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.money import money
from counterfoil.cli.options import common
from counterfoil.cli.preview import arguments, short
from counterfoil.cli.reading import reading
from counterfoil.cli.run_ids import short_ids
from counterfoil.cli.times import clock, duration
from counterfoil.store.read import store_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil.store.read import Store

__all__ = ["command"]

#: Events read at a time.
BATCH: Final = 500
#: Characters of a run's id; lines of different runs stay aligned.
LEAST: Final = 10
#: A screen this wide has room for milliseconds.
ROOMY: Final = 100
#: Of a tool's arguments or result, so much is looked at.
SAID: Final = 600

#: The kinds of events that say something to a person; the others are about the record itself.
_SHOWN: Final = """('start', 'end', 'close', 'gone', 'handoff', 'access', 'decision', 'approval', 'score', 'resume',
  'trouble')"""

_SELECT: Final = f"""
SELECT e.seq, e.t_ns, e.kind AS event, e.run_id, e.step_id, s.kind, s.name,
  coalesce(s.agent, (SELECT agent FROM t_accesses WHERE seq = e.seq LIMIT 1)) AS agent,
  CASE WHEN e.kind IN ('end', 'close', 'gone') THEN s.status ELSE json_extract(e.head, '$.status') END AS status,
  CASE WHEN e.kind = 'end' THEN s.ended_ns - s.started_ns END AS duration_ns,
  CASE WHEN e.kind = 'end' THEN s.model END AS model, CASE WHEN e.kind = 'end' THEN s.input_tokens END AS input_tokens,
  CASE WHEN e.kind = 'end' THEN s.output_tokens END AS output_tokens,
  CASE WHEN e.kind = 'end' THEN iif(s.cached, 0, s.cost_nano) END AS cost_nano,
  CASE WHEN e.kind = 'end' THEN s.error_type WHEN e.kind = 'trouble' THEN t.error_type END AS error_type,
  CASE WHEN e.kind = 'end' THEN s.error_message WHEN e.kind = 'trouble' THEN t.error_message END AS error_message,
  CASE WHEN s.kind = 'tool' AND e.kind IN ('start', 'end') THEN (SELECT substr(body, 1, {SAID}) FROM payloads
    WHERE payload_id = iif(e.kind = 'start', s.input_id, s.output_id)) END AS said,
  h.mode, h.source, coalesce(h.target, h.target_asked) AS target, h.reason,
  (SELECT source FROM t_accesses WHERE seq = e.seq LIMIT 1) AS read,
  (SELECT count(item_id) FROM t_accesses WHERE seq = e.seq) AS items,
  d.verdict, d.action, d.resource, p.tool, c.name AS score, c.value, c.label, t.place
FROM events e LEFT JOIN t_steps s ON s.step_id = e.step_id
LEFT JOIN t_handoffs h ON h.handoff_id = json_extract(e.head, '$.handoff')
LEFT JOIN t_decisions d ON e.kind = 'decision' AND d.decision_id = json_extract(e.head, '$.item')
LEFT JOIN t_approvals p ON e.kind = 'approval' AND p.approval_id = json_extract(e.head, '$.item')
LEFT JOIN t_scores c ON c.seq = e.seq
LEFT JOIN tapes ON e.kind = 'trouble' AND tapes.tape_id = e.tape_id
LEFT JOIN t_troubles t ON t.writer_id = tapes.writer_id AND t.at_ns = e.t_ns
WHERE e.kind IN {_SHOWN} AND (:run IS NULL OR e.run_id = :run) AND e.seq > :after ORDER BY e.seq LIMIT {BATCH}"""

_NTH_LAST: Final = f"""SELECT seq FROM events WHERE kind IN {_SHOWN} AND (:run IS NULL OR run_id = :run)
ORDER BY seq DESC LIMIT 1 OFFSET :lines"""


@click.command("tail", short_help=COMMANDS["tail"])
@click.option("--run", metavar="RUN", help="Of this run alone: the beginning of its id, or `last`.")
@click.option(
    "--lines",
    "-n",
    metavar="N",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Begin with the last N.",
)
@click.option("--no-follow", is_flag=True, help="End after those.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05),
    default=0.5,
    show_default=True,
    help="How often to look.",
)
@common
def command(
    db: str | None, as_json: bool, run: str | None, lines: int, no_follow: bool, every: float
) -> None:
    """Follow what is being recorded, live.

    One line for each event. Drains the tapes as it goes, where it may. Ctrl-C ends it, with exit code 0. `--json` gives one object a line.
    """
    with until_ctrl_c():
        if not no_follow:
            _await(store_path(db), every)
        with reading(db) as store:
            run_id = store.run(run).run_id if run is not None else None
            after = _begin(store, run_id, lines)
            told = set(store.notices)
            while True:
                after = _put_new(store, run_id, after, as_json=as_json)
                if no_follow:
                    return
                time.sleep(every)
                store.refresh()
                for one in store.notices:
                    if one not in told:
                        told.add(one)
                        complain(one)


def _await(path: str, every: float) -> None:
    """Wait until something is recorded at `path`: who follows may be there first."""
    said = False
    while os.path.isdir(os.path.dirname(path)) and not (
        os.path.exists(path) or os.path.isdir(f"{path}.tape")
    ):
        if not said:
            complain(f"nothing has been recorded at {path} yet; waiting.")
            said = True
        time.sleep(every)


def _begin(store: Store, run_id: str | None, lines: int) -> int:
    """Give the number of the event after which to begin."""
    rows = store.sql(_NTH_LAST, {"run": run_id, "lines": lines})[1]
    return int(rows[0][0]) if rows else 0


def _put_new(store: Store, run_id: str | None, after: int, *, as_json: bool) -> int:
    while True:
        names, rows = store.sql(_SELECT, {"run": run_id, "after": after})
        events = [dict(zip(names, row, strict=True)) for row in rows]
        if as_json:
            for event in events:
                screen.put_json(event, indent=None)
        elif events:
            ids = short_ids(store, {event["run_id"] for event in events if event["run_id"]}, least=LEAST)
            width = screen.width()
            screen.put_now(_line(event, ids, width) for event in events)
        if not events:
            return after
        after = events[-1]["seq"]


def _line(event: Mapping[str, Any], ids: Mapping[str, str], width: int | None) -> Text:
    word, what = _told(event)
    short_id = ids.get(event["run_id"] or "", "")
    when = clock(event["t_ns"])
    if width is not None and width < ROOMY:
        when = when[:8]  # no milliseconds
    line = Text(f"{when} {short_id} ", style="dim")
    line.append(
        f"{word:<8} ", style=screen.STATUS_STYLES.get(word, "bold" if word == "handoff" else "default")
    )
    room = None if width is None else max(20, width - len(line.plain))
    return line.append(short(what, room), style="default")


def _told(event: Mapping[str, Any]) -> tuple[str, str]:
    """Give the word for an event, and what it says, not yet visible."""
    kind, status = event["event"], event["status"] or "?"
    step = f"{event['kind'] or 'step'} {event['model'] or event['name'] or '?'}"
    if event["agent"] and event["kind"] != "agent":
        step += f" ({event['agent']})"
    if kind == "start":
        return "start", f"{step}  {_said(event)}".rstrip()
    if kind in {"end", "close"}:
        return status, "  ".join(
            part for part in (step, _usage(event), _error(event) or _said(event)) if part
        )
    if kind == "gone":
        return (
            ("interrupted", f"{step}  its process died")
            if event["step_id"]
            else ("gone", "a recording process died")
        )
    if kind == "handoff":
        who = f"{event['source'] or '?'} → {event['target'] or '?'}"
        because = f": {event['reason']}" if event["reason"] and status == "requested" else ""
        return "handoff", f"{who}  {event['mode'] or '?'} {status}{because}"
    if kind == "access":
        items = f"  {counted(event['items'], 'item')}" if event["items"] else ""
        return "read", f"{event['read'] or '?'}{items}  ({event['agent'] or '?'})"
    if kind == "decision":
        return "decision", " ".join(
            part for part in (event["verdict"], event["action"], event["resource"]) if part
        )
    if kind == "approval":
        return "approval", f"{event['tool'] or '?'}  {status}"
    if kind == "score":
        worth = "" if event["value"] is None else f"{event['value']:g}"
        return "score", " ".join(part for part in (event["score"], worth, event["label"], step) if part)
    if kind == "trouble":
        return "trouble", f"Counterfoil itself, in {event['place'] or '?'}: {_error(event) or '?'}"
    return kind, step


def _usage(event: Mapping[str, Any]) -> str:
    parts = [duration(event["duration_ns"])] if event["duration_ns"] is not None else []
    if event["kind"] in {"llm", "embedding"} and event["event"] == "end":
        given, made = (
            "?" if event[side] is None else compact(event[side]) for side in ("input_tokens", "output_tokens")
        )
        parts += [money(event["cost_nano"]), f"{given} in, {made} out"]
    return "  ".join(parts)


def _error(event: Mapping[str, Any]) -> str:
    said = ": ".join(part for part in (event["error_type"], event["error_message"]) if part)
    return f"! {said}" if said else ""


def _said(event: Mapping[str, Any]) -> str:
    said = event["said"]
    if said is None:
        return ""
    try:
        value = json.loads(said)
    except ValueError:  # cut
        value = said
    shown = arguments(value)
    return shown if event["event"] == "start" else f"→ {shown}"
