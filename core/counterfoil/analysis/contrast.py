"""Runs of the same task that did not do it: how many, which is nearest, and what sets them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.analysis.acts import doers
from counterfoil.analysis.alignment import same_name
from counterfoil.analysis.bare_steps import BareStep, bare_steps
from counterfoil.analysis.messages import canonical, texts, words
from counterfoil.analysis.pair import pair
from counterfoil.analysis.same_task import MOST
from counterfoil.analysis.traits import Apart, Sample, Trait, apart, could_tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from counterfoil.analysis.acts import Act
    from counterfoil.analysis.same_task import Kin
    from counterfoil.store.read import Store
    from counterfoil.store.records import Run

__all__ = ["STAGES", "Contrast", "Near", "contrast"]

#: What is looked at, in the order in which it comes: words of the input; model, version and the like; tools' results.
STAGES: Final = ("input", "who", "tools")

_OPEN: Final = frozenset({"running", "waiting"})
_INPUTS: Final = "SELECT run_id, input FROM runs WHERE run_id IN (SELECT value FROM json_each(?))"
_HANDED: Final = """SELECT run_id, source, coalesce(target, target_asked) FROM t_handoffs
  WHERE run_id IN (SELECT value FROM json_each(?))"""
_RESULTS: Final = """SELECT step_id, result, error_message FROM tool_calls
  WHERE step_id IN (SELECT value FROM json_each(?))"""


class Near(msgspec.Struct, frozen=True):
    """The run most like this one that did not do it; `parting` says where they part: A is this one, B that."""

    run_id: str
    shared: float
    parting: tuple[str, ...]


class Contrast(msgspec.Struct, frozen=True):
    """Tasks of the same kind, this one among them: `did` and `others` are the ids of their first runs.

    `by` says what they have in common: `task`, or `name` where no task was given. `not_reached` are those of the others
    in which the agent had no turn; `instead` says whom it handed work to in the rest, and in how many. `inputs_did` and
    `inputs_others` count different inputs, `same_input` the tasks with this very one, `same_input_did` those of them that
    did it. `judged` names those of `STAGES` that there is enough of to tell a difference from chance. `more`: there are
    older ones. `unknown` says in sentences what was not recorded.
    """

    by: str
    value: str | None
    did: tuple[str, ...]
    others: tuple[str, ...]
    not_reached: tuple[str, ...]
    instead: tuple[tuple[str, int], ...]
    more: bool
    inputs_did: int
    inputs_others: int
    same_input: int
    same_input_did: int
    judged: tuple[str, ...]
    apart: tuple[Apart, ...]
    near: Near | None
    unknown: tuple[str, ...]


class _Task(msgspec.Struct, frozen=True):
    """What was asked once: the runs of it, in order; `cause` is the step that did it, `at_ns` when."""

    task_id: str
    runs: tuple[str, ...]
    frameworks: tuple[str, ...]
    labels: dict[str, str]
    started_ns: int
    did: bool
    cause: str | None
    at_ns: int


class _Asked(msgspec.Struct, frozen=True):
    """A task's input: in a form that is equal where it is, and its words; None where it was not recorded."""

    form: str
    words: frozenset[str]


def contrast(store: Store, run: Run, kin: Sequence[Kin], act: Act) -> Contrast | None:
    """Set `run`, which did `act`, beside those of `kin` that did not; None for what is no choice of its own."""
    if act.kind not in {"handoff", "tool"}:
        return None
    tasks = _tasks(store, kin, run, act)
    asked = _inputs(store, tasks)
    own = _own(bare_steps(store, (run_id for task in tasks for run_id in task.runs)), tasks, act)
    did = [one for one in tasks if one.did]
    others = [one for one in tasks if not one.did]
    mine = next(one for one in tasks if run.run_id in one.runs)
    by_words, by_label, by_who, by_call, by_result = _groups(store, tasks, asked, own, mine)
    stages = dict(zip(STAGES, (by_words, by_who, by_call), strict=True))
    same = [one for one in tasks if (it := asked[one.task_id]) and it == asked[mine.task_id]]
    unread = sum(asked[one.task_id] is None for one in tasks)
    unknown = []
    if unread:
        few = "The input" if unread == len(tasks) else f"The input of {unread:,} of them"
        unknown.append(f"{few} was not recorded, or was erased: words are not compared there.")
    return Contrast(
        by="task" if run.task is not None else "name",
        value=run.task if run.task is not None else run.name,
        did=tuple(one.task_id for one in did),
        others=tuple(one.task_id for one in others),
        not_reached=tuple(one.task_id for one in others if one.task_id not in own),
        instead=tuple(_instead(store, [one for one in others if one.task_id in own], act)),
        more=len(kin) >= MOST,
        inputs_did=_different(asked, did),
        inputs_others=_different(asked, others),
        same_input=len(same),
        same_input_did=sum(one.did for one in same),
        judged=tuple(stage for stage, samples in stages.items() if could_tell(samples)),
        apart=tuple(apart([by_words, by_label, by_who, by_call, by_result])),
        near=_near(store, run, mine, others, asked),
        unknown=tuple(unknown),
    )


def _tasks(store: Store, kin: Sequence[Kin], run: Run, act: Act) -> list[_Task]:
    """Give the tasks that those runs were of, as far as they are over, with this one."""
    done = doers(store, act, (one.run_id for one in kin))
    chains: dict[str, list[Kin]] = {}
    for one in kin:
        chains.setdefault(one.first_run_id, []).append(one)
    tasks = []
    for first, chain in chains.items():
        doing = next((done[one.run_id] for one in chain if one.run_id in done), None)
        if any(one.run_id == run.run_id for one in chain):
            doing = act.step_id, act.at_ns or 0
        frameworks = {name for one in chain for name in one.frameworks}
        task = _Task(
            task_id=first,
            runs=tuple(one.run_id for one in chain),
            frameworks=tuple(sorted(frameworks - {"python"} or frameworks)),
            labels=chain[0].labels,
            started_ns=chain[0].started_ns,
            did=doing is not None,
            cause=None if doing is None else doing[0],
            at_ns=0 if doing is None else doing[1],
        )
        if task.did or chain[-1].status not in _OPEN:  # what goes on may do it yet
            tasks.append(task)
    return tasks


def _json(values: Iterable[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _inputs(store: Store, tasks: Sequence[_Task]) -> dict[str, _Asked | None]:
    found = dict(store.sql(_INPUTS, (_json(one.runs[0] for one in tasks),))[1])
    asked: dict[str, _Asked | None] = {}
    for task in tasks:
        value = _decoded(found.get(task.runs[0]))
        if value is None or _lacks(value):
            asked[task.task_id] = None
            continue
        said = list(texts(value))
        form = canonical([" ".join(one.split()) for one in said])
        asked[task.task_id] = _Asked(form, frozenset().union(*map(words, said)))
    return asked


def _lacks(value: Any) -> bool:
    """Tell whether messages of an input were erased."""
    messages = value.get("messages") if isinstance(value, dict) else value
    return isinstance(messages, list) and None in messages


def _decoded(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _different(asked: Mapping[str, _Asked | None], tasks: Iterable[_Task]) -> int:
    return len({found.form for task in tasks if (found := asked[task.task_id]) is not None})


def _own(steps: Iterable[BareStep], tasks: Sequence[_Task], act: Act) -> dict[str, list[BareStep]]:
    """Give of each task the steps of the agent that did it; all of them where it was nobody's."""
    wanted, forms = same_name(act.agent), dict[str | None, str]()
    task_of = {run_id: task.task_id for task in tasks for run_id in task.runs}
    own: dict[str, list[BareStep]] = {}
    for step in steps:
        if step.agent not in forms:
            forms[step.agent] = same_name(step.agent)
        if not wanted or forms[step.agent] == wanted:
            own.setdefault(task_of[step.run_id], []).append(step)
    return own


def _instead(store: Store, others: Sequence[_Task], act: Act) -> Iterator[tuple[str, int]]:
    if act.kind != "handoff":
        return
    task_of = {run_id: task.task_id for task in others for run_id in task.runs}
    targets: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for run_id, source, target in store.sql(_HANDED, (_json(task_of),))[1]:
        if target is not None and same_name(source) == same_name(act.agent):
            names.setdefault(same_name(target), target)
            targets.setdefault(same_name(target), set()).add(task_of[run_id])
    yield from sorted(
        ((names[form], len(found)) for form, found in targets.items()), key=lambda one: (-one[1], one[0])
    )


# -- traits


def _groups(
    store: Store,
    tasks: Sequence[_Task],
    asked: Mapping[str, _Asked | None],
    own: Mapping[str, Sequence[BareStep]],
    mine: _Task,
) -> Iterator[list[Sample]]:
    """Give what is counted: inputs by words and labels, tasks by who worked on them, inputs by tools called and results.

    The same input given twice proves no more about its words than once: of those that did it one is counted, and of
    those that did not.
    """
    reached = [task for task in tasks if task.task_id in own]
    once: dict[tuple[str, bool], _Task] = {}
    for task in reversed(tasks):
        if (found := asked[task.task_id]) is not None:
            once.setdefault((found.form, task.did), task)
    known = {task.task_id for task in once.values()}
    yield [
        Sample(task.task_id, task.did, frozenset(Trait(0, "word", "", word) for word in found.words))
        for task in tasks
        if task.task_id in known and (found := asked[task.task_id]) is not None
    ]
    counted = [task for task in tasks if task.task_id in known or asked[task.task_id] is None]
    yield [Sample(task.task_id, task.did, frozenset(_labels(task))) for task in counted]
    yield [Sample(task.task_id, task.did, frozenset(_who(task, own[task.task_id]))) for task in reached]
    earlier = _earlier([task for task in counted if task.task_id in own], own, mine)
    reached = [task for task in reached if task.task_id in earlier]
    yield [Sample(task.task_id, task.did, frozenset(_called(earlier[task.task_id]))) for task in reached]
    told = _told(store, earlier)
    # One whose results were not recorded says nothing of the words in them.
    yield [
        Sample(task.task_id, task.did, frozenset(_gave(earlier[task.task_id], told)))
        for task in reached
        if all(told.get(step.step_id) is not None for step in earlier[task.task_id])
    ]


def _labels(task: _Task) -> Iterator[Trait]:
    for key, value in task.labels.items():
        yield Trait(0, "label", "", f"{key}={value}")


def _who(task: _Task, steps: Sequence[BareStep]) -> Iterator[Trait]:
    """Give the framework, the agent's version, and the model of its first call: what was so before it chose."""
    for name in task.frameworks:
        yield Trait(1, "framework", "", name)
    version = next((step.version for step in steps if step.version is not None), None)
    model = next((step.model for step in steps if step.kind == "llm" and step.model is not None), None)
    for kind, value in (("version", version), ("model", model)):
        if value is not None:
            yield Trait(1, kind, "", value)


def _earlier(
    tasks: Sequence[_Task], own: Mapping[str, Sequence[BareStep]], mine: _Task
) -> dict[str, list[BareStep]]:
    """Give the agent's tool calls before it chose, of tasks in which it came as far.

    As far is: to a model call of the same number. Those that did it at an earlier or later one are left out: to have
    called more tools, or fewer, would set them apart by itself.
    """
    number = _number(own.get(mine.task_id, ()), mine)
    found: dict[str, list[BareStep]] = {}
    for task in tasks:
        steps = own[task.task_id]
        calls = [step for step in steps if step.kind == "llm"]
        if number is None or number >= len(calls) or (task.did and _number(steps, task) != number):
            continue
        upto = calls[number].started_ns
        found[task.task_id] = [
            step
            for step in steps
            if step.kind == "tool" and step.status != "waiting" and step.started_ns < upto
        ]
    return found


def _number(steps: Sequence[BareStep], task: _Task) -> int | None:
    """Give the number of the agent's model call that chose it, else of the last before; from 0."""
    calls = [step for step in steps if step.kind == "llm"]
    chosen_by = next((step.decided_by for step in steps if step.step_id == task.cause), None)
    number = None
    for at, call in enumerate(calls):
        if call.step_id == chosen_by:
            return at
        if call.started_ns <= task.at_ns:
            number = at
    return number


def _told(store: Store, earlier: Mapping[str, Sequence[BareStep]]) -> dict[str, set[str] | None]:
    """Give the words of what tools gave, or of their errors; None where that was not recorded."""
    listed = _json(step.step_id for steps in earlier.values() for step in steps)
    told: dict[str, set[str] | None] = {}
    for step_id, result, error in store.sql(_RESULTS, (listed,))[1]:
        if result is None and error is None:
            told[step_id] = None
        else:
            told[step_id] = words(error or "").union(*map(words, texts(_decoded(result))))
    return told


def _called(steps: Iterable[BareStep]) -> Iterator[Trait]:
    for step in steps:
        yield Trait(2, "called", step.name or "", "")
        if step.status == "error":
            yield Trait(2, "failed", step.name or "", step.error_type or "")


def _gave(steps: Iterable[BareStep], told: Mapping[str, set[str] | None]) -> Iterator[Trait]:
    for step in steps:
        for word in told.get(step.step_id) or ():
            yield Trait(2, "result", step.name or "", word)


# -- the nearest


def _near(
    store: Store, run: Run, mine: _Task, others: Sequence[_Task], asked: Mapping[str, _Asked | None]
) -> Near | None:
    """Give the run of the others whose input shares most words with this one's, of the same framework if there is one."""
    if not others:
        return None

    def alike(task: _Task) -> float:
        one, other = asked[mine.task_id], asked[task.task_id]
        if one is None or other is None:
            return 0.0
        return 1.0 if one == other else len(one.words & other.words) / max(1, len(one.words | other.words))

    best = max(others, key=lambda task: (task.frameworks == mine.frameworks, alike(task), task.started_ns))
    return Near(best.runs[-1], alike(best), pair(store, run, best.runs[-1]).parting)
