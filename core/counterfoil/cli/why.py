"""`counterfoil why`: why a tool was called or work was handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.text import Text

from counterfoil.analysis import why
from counterfoil.cli import screen
from counterfoil.cli.cause_lines import cause_lines, said_line
from counterfoil.cli.contrast_lines import contrast_lines, runs_shown
from counterfoil.cli.escape import visible
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.knowledge_lines import knowledge_lines
from counterfoil.cli.options import common
from counterfoil.cli.preview import arguments, gist
from counterfoil.cli.reading import reading
from counterfoil.cli.run_ids import short_ids
from counterfoil.cli.run_sections import decision_lines, human_lines
from counterfoil.cli.table import hanging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from counterfoil.analysis.why import Act, Why
    from counterfoil.store.read import Store

__all__ = ["command"]

_VERBS = {"transfer": "handed off to", "escalation": "asked", "route": "was followed by"}


@click.command("why", short_help=COMMANDS["why"])
@click.argument("step", metavar="STEP|HANDOFF|last")
@common
def command(db: str | None, as_json: bool, step: str) -> None:
    """Say why something was done, and where it was not.

    By whose choice, after what, with what else on offer; and what was different in runs of the same task. Give the id of
    a tool call, a handoff or another step, or any beginning of it that no other has. `last` is the last handoff of the
    newest run, else its last tool call; a run's id means the same of that run. No model is asked: what stands there was
    recorded or counted.
    """
    with reading(db) as store:
        answer = why.why(store, step)
        if as_json:
            screen.put_json(answer)
        else:
            screen.put(_lines(store, answer, screen.width()))


def _lines(store: Store, answer: Why, width: int | None) -> Iterator[Text]:
    act = answer.act
    against = runs_shown(answer.contrast, act) if answer.contrast is not None else []
    ids = short_ids(store, [act.run_id, *against])
    yield from _head(act, ids[act.run_id], width)
    yield from cause_lines(answer, width)
    yield from decision_lines(answer.decisions, width)
    yield from human_lines((), answer.approvals, width, 0)
    if answer.knowledge is not None:
        yield from knowledge_lines(answer.knowledge, act, width)
    if answer.contrast is not None:
        yield from contrast_lines(answer.contrast, act, ids, width)
    if answer.others:
        yield Text("")
        others = ", ".join(f"{one} to {visible(target or '?')}" for one, target in answer.others[:4])
        more = ", …" if len(answer.others) > 4 else ""
        yield from said_line("", f"Other handoffs of this run: {others}{more}", width, lines=4)


def _head(act: Act, run_id: str, width: int | None) -> Iterator[Text]:
    who, name = visible(act.agent or "nobody"), visible(act.name or "?")
    title = Text(who, style="bold")
    if act.kind == "handoff":
        title.append(f" {_VERBS.get(act.mode or '', 'handed off to')} ", style="default")
        title.append(name, style="bold")
        kind = f"{act.mode or '?'}" + (
            f" to a {act.target_type}" if act.target_type not in {None, "agent"} else ""
        )
    elif act.kind == "tool":
        title.append(" called ", style="default").append(name, style="bold")
        kind = ""
    else:
        title.append(f": {act.kind} ", style="default").append(name, style="bold")
        kind = ""
    title.append(f"  {kind}" if kind else "", style="dim")
    title.append(f"  {act.status or '?'}", style=screen.STATUS_STYLES.get(act.status or "", ""))
    yield from hanging(title, 2, width)
    ids = [
        f"handoff {act.handoff_id}" if act.handoff_id else "",
        f"step {act.step_id}" if act.step_id else "",
    ]
    yield from said_line(
        "rows", ", ".join([*filter(None, ids), f"run {run_id}"]), width, style="dim", lines=4
    )
    if act.evidence not in {None, "native"}:
        yield from said_line("known", f"{act.evidence}: the framework did not say so itself", width)
    if act.coordinator:
        yield from said_line("by", f"coordinator {act.coordinator}", width)
    if act.reason:
        yield from said_line("reason", act.reason, width, lines=2)
    if act.given is not None and act.kind != "agent":
        given = arguments(act.given) if act.kind == "tool" else gist(act.given)
        if given and given != act.reason and (act.reason is None or act.reason not in given):
            yield from said_line("given", given, width, lines=2)
    if act.error:
        yield from said_line("error", act.error, width, lines=2, style="red")
    elif act.result is not None:
        yield from said_line("came", gist(act.result), width, lines=2)
