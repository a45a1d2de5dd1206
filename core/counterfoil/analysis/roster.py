"""Every agent there ever was: what it is made of, what it did, whom it hands work to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from counterfoil.analysis.handed import Edge, edges
from counterfoil.store import views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from counterfoil.store.read import Store

__all__ = ["KnownAgent", "roster"]

_names: Final = msgspec.json.Decoder(dict[str, int]).decode

# One pass over the agents' steps; the view `agents` looks them up again for each agent and column.
_SUMS: Final = f"""SELECT s.agent, s.framework, max(coalesce(s.internal, 0)), count(*), sum({views.COST}),
    count(s.error_type), min(s.started_ns), max(coalesce(s.ended_ns, s.started_ns))
  FROM t_steps s WHERE s.agent IS NOT NULL GROUP BY 1, 2"""
# How many runs, and the newest: of bare columns SQLite gives those of the row with the maximum.
_RUNS: Final = """SELECT agent.key, r.frameworks, count(*), r.run_id, max(r.started_ns)
  FROM t_runs r, json_each(r.agents) agent GROUP BY 1, 2"""
_RUNS_OF: Final = """SELECT agent, framework, count(DISTINCT run_id), (SELECT n.run_id FROM t_steps n WHERE
    n.agent = s.agent AND n.framework IS s.framework ORDER BY n.started_ns DESC LIMIT 1)
  FROM t_steps s WHERE agent IN (SELECT value FROM json_each(?)) GROUP BY 1, 2"""
_DECLARED: Final = """SELECT agent, framework, version, owner FROM t_steps
  WHERE run_id IN (SELECT value FROM json_each(?)) AND agent IS NOT NULL AND coalesce(version, owner) IS NOT NULL
  ORDER BY started_ns"""
# The index on agents would have each step looked up by itself.
_TOOLS: Final = """SELECT DISTINCT agent, framework, name FROM t_steps NOT INDEXED
  WHERE kind = 'tool' AND agent IS NOT NULL AND name IS NOT NULL ORDER BY 3"""
_MODELS: Final = """SELECT agent, framework, model, max(iif(calls > 0, day, NULL)), sum(calls), sum(unpriced_calls)
  FROM t_spending WHERE agent IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(calls) > 0 ORDER BY 4 DESC, 5 DESC, 3"""


class KnownAgent(msgspec.Struct, frozen=True):
    """An agent in one framework. `models` are those that it called, the one of the last day first.

    `version` and `owner` are those that its newest run declared. `runs` are those in which it took part, `steps` those of
    its turns, `errors` the steps at which an error arose. `cost_nano` is nano-dollars, None where no price is known, and
    at least so much with `unpriced_calls`. `hands_to` are the handoffs from it, whatever framework they were in.
    """

    agent: str
    framework: str | None
    version: str | None
    owner: str | None
    internal: bool
    models: tuple[str, ...]
    tools: tuple[str, ...]
    runs: int
    steps: int
    cost_nano: int | None
    unpriced_calls: int
    errors: int
    first_seen_ns: int | None
    last_seen_ns: int | None
    hands_to: tuple[Edge, ...]


_Key = tuple[str, str | None]


def roster(store: Store) -> list[KnownAgent]:
    """Give every agent, the last seen first."""
    sums = store.sql(_SUMS)[1]
    runs, newest = _runs(store, [(row[0], row[1]) for row in sums])
    declared = _declared(store, newest)
    tools: dict[_Key, list[str]] = {}
    for agent, framework, tool in store.sql(_TOOLS)[1]:
        tools.setdefault((agent, framework), []).append(tool)
    models: dict[_Key, list[str]] = {}
    unpriced: Counter[_Key] = Counter()
    for agent, framework, model, _, _, calls in store.sql(_MODELS)[1]:
        unpriced[agent, framework] += calls
        if model is not None:
            models.setdefault((agent, framework), []).append(model)
    handed: dict[str | None, list[Edge]] = {}
    for edge in edges(store):
        handed.setdefault(edge.source, []).append(edge)
    found = []
    for agent, framework, internal, steps, cost, errors, first, last in sums:
        key = agent, framework
        version, owner = declared.get(key, (None, None))
        found.append(
            KnownAgent(
                agent=agent,
                framework=framework,
                version=version,
                owner=owner,
                internal=bool(internal),
                models=tuple(models.get(key, ())),
                tools=tuple(tools.get(key, ())),
                runs=runs[key],
                steps=steps,
                cost_nano=cost,
                unpriced_calls=unpriced[key],
                errors=errors,
                first_seen_ns=first,
                last_seen_ns=last,
                hands_to=tuple(handed.get(agent, ())),
            )
        )
    return sorted(found, key=lambda one: (-(one.last_seen_ns or 0), one.agent, one.framework or ""))


def _runs(store: Store, keys: Sequence[_Key]) -> tuple[Counter[_Key], dict[_Key, str]]:
    """Give in how many runs each took part, and its newest run.

    A run's row tells its agents and its frameworks, but not who was in which: where that leaves a doubt, the steps are
    asked, which takes longer.
    """
    frameworks: dict[str, set[str | None]] = {}
    for agent, framework in keys:
        frameworks.setdefault(agent, set()).add(framework)
    runs: Counter[_Key] = Counter()
    latest: dict[_Key, tuple[int, str]] = {}
    doubtful = set()
    for agent, used, count, run_id, started_ns in store.sql(_RUNS)[1]:
        mine = frameworks.get(agent, set()) & (_names(used).keys() if used else set())
        if len(mine) != 1:
            doubtful.add(agent)
            continue
        key = agent, mine.pop()
        runs[key] += count
        latest[key] = max(latest.get(key, (0, "")), (started_ns or 0, run_id))
    newest = {key: run_id for key, (_, run_id) in latest.items()}
    if doubtful:
        listed = msgspec.json.encode(sorted(doubtful)).decode()
        for agent, framework, count, run_id in store.sql(_RUNS_OF, (listed,))[1]:
            runs[agent, framework], newest[agent, framework] = count, run_id
    return runs, newest


def _declared(store: Store, newest: dict[_Key, str]) -> dict[_Key, tuple[str | None, str | None]]:
    listed = msgspec.json.encode(sorted(set(newest.values()))).decode()
    declared: dict[_Key, tuple[str | None, str | None]] = {}
    for agent, framework, version, owner in store.sql(_DECLARED, (listed,))[1]:
        before = declared.get((agent, framework), (None, None))
        declared[agent, framework] = version or before[0], owner or before[1]
    return declared
