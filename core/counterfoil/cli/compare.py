"""`counterfoil compare`: groups of tasks, or two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from counterfoil.analysis import compare
from counterfoil.analysis.groups import key_of
from counterfoil.analysis.success import rule
from counterfoil.cli import screen
from counterfoil.cli.compared_groups import group_lines
from counterfoil.cli.compared_runs import pair_json, pair_lines
from counterfoil.cli.group import COMMANDS
from counterfoil.cli.options import Moment, common
from counterfoil.cli.reading import reading
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["command"]

#: What chooses tasks and groups, and says nothing of two runs.
_CHOOSING: Final = ("agent", "task", "since", "until", "success", "only")


class _Checked(click.ParamType[str]):
    """Text that `check` takes; what it raises is a mistake in what was typed."""

    name = "text"

    def __init__(self, check: Callable[[str], object]) -> None:
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the text as it is."""
        try:
            self._check(value)
        except StoreError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command("compare", short_help=COMMANDS["compare"])
@click.argument("runs", metavar="[RUN_A RUN_B]", nargs=-1)
@click.option(
    "--by",
    metavar="KEY",
    type=_Checked(key_of),
    help="Compare tasks by framework, agent (the first that worked on it), version (of that agent), model or label:KEY.",
)
@click.option(
    "--agent", metavar="NAME", help="Tasks in which this agent took part; `--by version` is of this agent."
)
@click.option("--task", metavar="TASK", help="Tasks of this kind.")
@click.option(
    "--since",
    metavar="WHEN",
    type=Moment(),
    help="Tasks begun then or later: 90m, 24h, 7d ago, or an ISO time.",
)
@click.option("--until", metavar="WHEN", type=Moment(), help="Tasks begun before.")
@click.option(
    "--success",
    metavar="RULE",
    type=_Checked(rule),
    help="What success is: SCORE>=X (or >, <=, <, =), or SCORE=LABEL. [default: it ended ok]",
)
@click.option("--only", metavar="GROUP", multiple=True, help="This group; give it again for others.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=compare.LIMIT,
    show_default=True,
    help="Of the newest N runs.",
)
@click.option("--full", is_flag=True, help="Of two runs every step, also where they did the same.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    db: str | None,
    as_json: bool,
    runs: Sequence[str],
    by: str | None,
    agent: str | None,
    task: str | None,
    since: int | None,
    until: int | None,
    success: str | None,
    only: Sequence[str],
    limit: int,
    full: bool,
) -> None:
    """Compare groups of tasks, or two runs step by step.

    A task is a run with those that resume it. Cost, time and tokens are medians, counts and scores means, each with its
    interval of 95 %. Time leaves out waits for humans. That groups differ is said only where chance would part them so
    in at most 1 of 100 such comparisons.
    """
    if by is None:
        _check_runs(ctx, runs)
        with reading(db) as store:
            pair = compare.runs(store, *runs)
            if as_json:
                screen.put_json(pair_json(pair))
            else:
                screen.put(pair_lines(store, pair, screen.width(), full=full))
        return
    if runs:
        raise click.UsageError("Give two runs or --by KEY, not both.")
    with reading(db) as store:
        groups = compare.groups(
            store,
            by=by,
            agent=agent,
            task=task,
            since=since,
            until=until,
            success=success,
            only=only,
            limit=limit,
        )
    if as_json:
        screen.put_json(groups)
    else:
        screen.put(group_lines(groups, screen.width()))


def _check_runs(ctx: click.Context, runs: Sequence[str]) -> None:
    if len(runs) != 2:
        many = {0: "Say what to compare", 1: "One run has nothing to be compared with"}
        raise click.UsageError(
            f"{many.get(len(runs), 'Only two runs are compared')}: give two runs, or --by KEY."
        )
    chosen = [name for name in _CHOOSING if ctx.params[name]]
    if chosen:
        raise click.UsageError(f"--{chosen[0]} goes with --by, not with two runs.")
