"""What holds of many runs of the office at once: each is whole, and holds nothing of another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import accumulate
from types import ModuleType

from counterfoil.store.read import Store

__all__ = ["assert_each_run_is_whole", "assert_each_step_has_its_own_end", "most_at_once"]


def assert_each_run_is_whole(
    store: Store,
    office: ModuleType,
    runs: int,
    *,
    passed: str = "transfer",
    chosen: str = "native",
    wordless: Collection[tuple[str, str]] = (),
) -> None:
    """Each run has the shape of its office's, and every text in it has its token and no other.

    `passed` is the mode in which the front passes the case to the clerk, `chosen` how it is known who chose a tool,
    `wordless` are the steps some of which are given no words, by kind and agent.
    """
    tokens = {}
    for run in store.runs(all=True, limit=None):
        assert (run.status, run.llm_calls, run.tool_calls) == ("ok", office.LLM_CALLS, office.TOOL_CALLS)
        assert set(run.agent_names) == office.AGENTS
        assert (run.errors, run.open_steps, run.waiting, run.handoffs, run.escalations) == (0, 0, 0, 2, 1)
        tokens[run.run_id] = office.token_of(str(run.input))
    assert sorted(tokens.values()) == [f"token-{number:05}" for number in range(runs)]

    def is_its_own(run_id: str, *texts: object) -> bool:
        return set(office.TOKEN.findall(" ".join(map(str, texts)))) == {tokens[run_id]}

    shapes: Counter[tuple[str, str | None]] = Counter()
    _, steps = store.sql("SELECT run_id, kind, agent, status, input, output FROM steps")
    for run_id, kind, agent, status, given, made in steps:
        assert is_its_own(run_id, given) or (kind, agent) in wordless, (kind, agent)
        assert is_its_own(run_id, tokens[run_id], given, made), (kind, agent)
        assert status == "ok"
        shapes[kind, agent] += 1
    assert shapes == {shape: count * runs for shape, count in office.STEPS.items()}

    _, astray = store.sql(
        "SELECT count(*) FROM steps s JOIN steps p ON p.step_id = s.parent_id WHERE p.run_id <> s.run_id"
    )
    assert astray == [(0,)]
    _, chose = store.sql(
        """SELECT t.decided_evidence, d.run_id = t.run_id, d.agent = t.agent, d.kind
        FROM tool_calls t LEFT JOIN steps d ON d.step_id = t.decided_by"""
    )
    assert Counter(chose) == {(chosen, 1, 1, "llm"): runs * office.TOOL_CALLS}
    _, reads = store.sql("SELECT run_id, agent, query FROM accesses")
    assert len(reads) == runs * office.STEPS["tool", "expert"]  # each of them reads
    assert all(is_its_own(run_id, query) and agent == "expert" for run_id, agent, query in reads)
    handoffs = store.handoffs()
    assert Counter((one.mode, one.source, one.target, one.status) for one in handoffs) == {
        ("escalation", "front", "expert", "returned"): runs,
        (passed, "front", "clerk", "accepted"): runs,
    }
    assert all(is_its_own(one.run_id, one.reason, one.payload, one.answer) for one in handoffs)


def most_at_once(store: Store) -> int:
    """Give how many runs were under way at one moment."""
    moments = [(run.started_ns, 1) for run in store.runs(limit=None)]
    moments += [(run.ended_ns, -1) for run in store.runs(limit=None)]
    return max(accumulate(change for _, change in sorted(moments)))


def assert_each_step_has_its_own_end(store: Store) -> None:
    """Every step was begun once and ended once, by its own event, and none of our own errors came up."""
    _, told = store.sql(
        """SELECT kinds, count(*) FROM (
             SELECT step_id, group_concat(kind) AS kinds FROM (SELECT step_id, kind FROM events
               WHERE kind IN ('start', 'end', 'close', 'gone') AND step_id IS NOT NULL ORDER BY step_id, t_ns, seq)
             GROUP BY step_id)
           GROUP BY kinds"""
    )
    _, steps = store.sql("SELECT count(*) FROM steps")
    assert told == [("start,end", steps[0][0])]
    assert (store.quarantine(), store.troubles()) == ([], [])
