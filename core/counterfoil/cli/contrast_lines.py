"""Runs that did not do it, on the screen: how many, what sets them apart, the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from counterfoil.cli.cause_lines import said_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from counterfoil.analysis.contrast import Contrast
    from counterfoil.analysis.traits import Apart, Trait
    from counterfoil.analysis.why import Act

__all__ = ["contrast_lines", "runs_shown"]

INDENT: Final = "  "
#: Of differences, and of words that the same runs have.
MOST: Final = 5
WORDS: Final = 6
_NOUNS: Final = {
    "input": "words of the input",
    "who": "model, version and framework",
    "tools": "tools and their results",
}


def runs_shown(contrast: Contrast, act: Act) -> list[str]:
    """Give the runs that `contrast_lines` names."""
    near = [contrast.near.run_id] if contrast.near is not None else []
    return near + [run_id for one in contrast.apart[:MOST] for run_id in _rows(one, act)]


def contrast_lines(contrast: Contrast, act: Act, ids: Mapping[str, str], width: int | None) -> Iterator[Text]:
    """Give how many tasks did the same and how many did not, and what sets them apart as far as chance does not.

    `ids` are short ones for `runs_shown`.
    """
    yield Text("")
    yield Text("Where it was not done", style="bold")
    room = None if width is None else width - len(INDENT)
    lines: list[Text] = []
    for sentence in _sentences(contrast, act, ids):
        lines += said_line("", sentence, room, lines=4)
    for sentence in contrast.unknown:
        lines += said_line("", sentence, room, lines=2, style="yellow")
    for line in lines:
        yield Text(INDENT).append_text(line)


def _sentences(contrast: Contrast, act: Act, ids: Mapping[str, str]) -> Iterator[str]:
    did, others = len(contrast.did), len(contrast.others)
    kind = f"of the kind '{contrast.value}'" if contrast.by == "task" else f"named '{contrast.value or '?'}'"
    newest = "newest " if contrast.more else ""
    if not others:
        all_of = f"All {newest}{did:,} tasks" if did > 1 else "The only task"
        yield f"{all_of} {kind} did it: there is nothing to set it against."
        return
    yield f"{did:,} of the {newest}{did + others:,} tasks {kind} did it, {others:,} did not{_otherwise(contrast, act)}."
    yield from _same_input(contrast)
    for one in contrast.apart[:MOST]:
        yield _said(one, act, ids)
    if len(contrast.apart) > MOST:
        yield f"… {len(contrast.apart) - MOST} more; --json has them."
    told = {_stage(one) for one in contrast.apart}
    alike = [_NOUNS[stage] for stage in contrast.judged if stage not in told]
    if alike:
        yield f"No difference that chance would not make: {'; '.join(alike)}."
    few = [_NOUNS[stage] for stage in _NOUNS if stage not in contrast.judged]
    if few:
        counts = f"{contrast.inputs_did} and {contrast.inputs_others} different inputs"
        yield f"Too few to tell from chance{f' ({counts})' if 'input' not in contrast.judged else ''}: {'; '.join(few)}."
    if contrast.near is not None:
        near = contrast.near
        yield f"The nearest that did not is run {ids[near.run_id]}; this one is A, that one B. {' '.join(near.parting)}"


def _stage(one: Apart) -> str:
    return tuple(_NOUNS)[one.traits[0].stage]


def _otherwise(contrast: Contrast, act: Act) -> str:
    """Say what the agent did in those that did not: whom else it handed work to, or that it had no turn."""
    parts = []
    if contrast.not_reached:
        parts.append(f"{act.agent} had no turn in {len(contrast.not_reached):,}")
    parts += [f"in {count:,} {act.agent} handed work to {target}" for target, count in contrast.instead[:3]]
    return f" ({'; '.join(parts)})" if parts else ""


def _same_input(contrast: Contrast) -> Iterator[str]:
    if contrast.same_input < 2:
        return
    if contrast.same_input == contrast.same_input_did:
        yield f"All {contrast.same_input:,} with this very input did it."
    else:
        yield (
            f"With this very input {contrast.same_input_did:,} of {contrast.same_input:,} did it: "
            "the input alone does not decide."
        )


def _said(one: Apart, act: Act, ids: Mapping[str, str]) -> str:
    first = one.traits[0]
    alike = [trait for trait in one.traits if (trait.kind, trait.tool) == (first.kind, first.tool)]
    others = len(one.traits) - len(alike)
    also = f" (and {others} more that the same tasks have)" if others else ""
    instead = [
        trait.name
        for trait in one.against
        if trait.kind == first.kind and trait.tool == first.tool and trait.name
    ]
    if instead:
        also += f" (the rest: {', '.join(instead[:WORDS])})"
    named = " against ".join(f"run {ids[run_id]}" for run_id in _rows(one, act))
    return (
        f"{_what(alike)}{also}: {one.did:,} of {one.of_did:,} that did it, {one.others:,} of {one.of_others:,} that did "
        f"not{f' ({named})' if named else ''}."
    )


def _rows(one: Apart, act: Act) -> list[str]:
    """Give a run that did it and one that did not, that differ in what sets them apart; the newest, not this one itself."""
    more = one.did * one.of_others > one.others * one.of_did
    sides = (one.did_with, one.others_without) if more else (one.did_without, one.others_with)
    return [run_id for side in sides for run_id in [*(one for one in side if one != act.run_id)][-1:]]


def _what(traits: Sequence[Trait]) -> str:
    first = traits[0]
    quoted = first.kind in {"word", "result"}
    names = [f"'{trait.name}'" if quoted else trait.name for trait in traits[:WORDS]]
    listed = ", ".join(names) + (f" and {len(traits) - WORDS} more" if len(traits) > WORDS else "")
    words = f"The word{'s' if len(traits) > 1 else ''} {listed}"
    match first.kind:
        case "word":
            return f"{words} in the input"
        case "result":
            return f"{words} in a result of {first.tool}"
        case "called":
            return f"{first.tool} was called before"
        case "failed":
            return f"{first.tool} had failed ({listed})" if listed else f"{first.tool} had failed"
        case kind:
            return f"{kind.capitalize()} {listed}"
