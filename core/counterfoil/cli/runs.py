"""`counterfoil runs`: the list of runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from counterfoil.cli import screen
from counterfoil.cli.amounts import tokens
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.json_text import record
from counterfoil.cli.money import money
from counterfoil.cli.options import Labels, Moment, common
from counterfoil.cli.preview import short
from counterfoil.cli.reading import reading
from counterfoil.cli.run_ids import short_ids
from counterfoil.cli.table import Column, table
from counterfoil.cli.times import age, duration, local
from counterfoil.events import STEP_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = ["command"]

#: A screen this wide has room for the whole time, and for "handoffs".
WIDE: Final = 130

#: However much room there is, a name gets no more.
LONGEST: Final = 60

#: What a list of runs leaves out: it is long, and `show --json --full` has it.
PAYLOADS: Final = frozenset({"input", "output"})

_COLUMNS: Final = (
    Column("RUN"),
    Column("NAME", cut=True),
    Column("FRAMEWORK", "FW", cut=True, drop=6),
    Column("TASK", cut=True, drop=4),
    Column("STARTED", "AGE", right=True),
    Column("TOOK", right=True),
    Column("STATUS"),
    Column("AGENTS", "AG", right=True, drop=5),
    Column("LLM", right=True, drop=2),
    Column("TOOLS", "TL", right=True, drop=3),
    Column("HANDOFFS", "HO", right=True, drop=1),
    Column("ERRORS", "ERR", right=True, drop=1),
    Column("TOKENS", "TOK", right=True),
    Column("COST", right=True),
)


@click.command("runs", short_help=COMMANDS["runs"])
@click.option("--agent", metavar="NAME", help="Runs in which this agent took part.")
@click.option(
    "--framework", metavar="NAME", help="Runs in which this framework took part: langchain, python, ..."
)
@click.option("--task", metavar="TASK", help="Runs of this kind of task.")
@click.option("--session", metavar="ID", help="Runs of this session (conversation, thread).")
@click.option(
    "--status",
    metavar="STATUS",
    type=click.Choice(STEP_STATUSES),
    help=f"Runs with this status: {', '.join(STEP_STATUSES)}.",
)
@click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    type=Labels(),
    multiple=True,
    help="Runs with this label; may be given again.",
)
@click.option(
    "--since",
    metavar="WHEN",
    type=Moment(),
    help="Runs that started then or later: 90m, 24h, 7d ago, or an ISO time.",
)
@click.option("--until", metavar="WHEN", type=Moment(), help="Runs that started before.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many, the newest first.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also bare model and tool calls, outside of any agent."
)
@common
def command(
    db: str | None,
    as_json: bool,
    agent: str | None,
    framework: str | None,
    task: str | None,
    session: str | None,
    status: str | None,
    labels: Sequence[tuple[str, str]],
    since: int | None,
    until: int | None,
    limit: int,
    everything: bool,
) -> None:
    """List runs, newest first.

    A cost with ≥ before it is at least that: some calls have no known price. What is not known is ?.
    On a narrow screen FW is framework, AG agents, TL tool calls, HO handoffs, TOK tokens.
    """
    with reading(db) as store:
        runs = store.runs(
            agent=agent,
            framework=framework,
            task=task,
            session=session,
            status=status,
            label="=".join(labels[0]) if labels else None,
            since=since,
            until=until,
            limit=limit if len(labels) < 2 else None,
            all=everything,
        )
        for key, value in labels[1:]:
            runs = [run for run in runs if (run.labels or {}).get(key) == value]
        runs = runs[:limit]
        if as_json:
            screen.put_json([record(run, leave_out=PAYLOADS) for run in runs])
        elif runs:
            screen.put(
                _lines(runs, short_ids(store, [run.run_id for run in runs]), screen.width(), time.time_ns())
            )
        else:
            filtered = any((agent, framework, task, session, status, labels, since, until))
            screen.put([_nothing(store, everything=everything, filtered=filtered)])


def _nothing(store: Store, *, everything: bool, filtered: bool) -> str:
    if filtered:
        return (
            "No runs match."
            if everything
            else "No runs match. With --all, bare model and tool calls are looked at too."
        )
    if not everything and store.runs(limit=1, all=True):
        return "No runs of agents, only bare model or tool calls: --all lists them."
    return "No runs have been recorded."


def _lines(runs: Sequence[Run], ids: Mapping[str, str], width: int | None, now: int) -> list[Text]:
    roomy = width is None or width >= WIDE
    # Where all are of one framework, its name on every line says nothing.
    several = len({tuple(sorted(run.frameworks)) for run in runs}) > 1
    rows = [_row(run, ids[run.run_id], now, roomy=roomy, framework=several) for run in runs]
    return table(_COLUMNS, rows, width)


def _row(run: Run, short_id: str, now: int, *, roomy: bool, framework: bool) -> list[Text]:
    took = run.duration_ns
    if took is None and run.status == "running" and run.started_ns is not None:
        took = max(0, now - run.started_ns)
    models = bool(run.llm_calls or run.unpriced_calls)
    return [
        Text(short_id),
        Text(short(run.name or "?", LONGEST), style="bold"),
        Text(short(", ".join(run.frameworks), LONGEST) if framework else ""),
        Text(short(run.task or "", LONGEST)),
        Text(local(run.started_ns) if roomy else age(run.started_ns, now), style="dim"),
        Text(duration(took)),
        Text(run.status, style=screen.STATUS_STYLES.get(run.status, "")),
        Text(str(run.agents)),
        Text(str(run.llm_calls)),
        Text(str(run.tool_calls)),
        Text(str(run.handoffs or "")),
        Text(str(run.errors or ""), style="red"),
        Text(_tokens(run, nothing="?" if models else "")),
        Text(money(run.cost_nano, unpriced=run.unpriced_calls, nothing="?" if models else "")),
    ]


def _tokens(run: Run, nothing: str) -> str:
    return tokens(run.input_tokens, run.output_tokens, unknown=run.unknown_usage_calls, nothing=nothing)
