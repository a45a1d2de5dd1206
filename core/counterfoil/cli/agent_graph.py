"""Who hands work to whom, drawn: for Mermaid, for Graphviz, or as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from counterfoil.cli.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from counterfoil.analysis.handed import Edge
    from counterfoil.analysis.roster import KnownAgent

__all__ = ["FORMS", "graph_lines"]

FORMS: Final = ("mermaid", "dot", "text")


def graph_lines(agents: Sequence[KnownAgent], form: str) -> Iterator[Text]:
    """Give the lines of the graph in one of `FORMS`; an agent of several frameworks is one."""
    names = dict.fromkeys(one.agent for one in agents)
    edges = {edge: None for one in agents for edge in one.hands_to}
    names |= dict.fromkeys(edge.target or "?" for edge in edges)
    draw = {"mermaid": _mermaid, "dot": _dot, "text": _text}[form]
    for line in draw(list(names), list(edges)):
        yield Text(line)


def _label(edge: Edge) -> str:
    label = f"{edge.mode or '?'} {edge.count:,}"
    for word, number in (("refused", edge.refused), ("failed", edge.failed), ("abandoned", edge.abandoned)):
        label += f", {number:,} {word}" if number else ""
    return label


def _mermaid(names: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    at = {name: f"a{number}" for number, name in enumerate(names)}
    humans = {edge.target or "?" for edge in edges if edge.target_type == "human"}
    yield "flowchart LR"
    for name, node in at.items():
        label = _quoted(name)
        yield f'  {node}(["{label}"])' if name in humans else f'  {node}["{label}"]'
    for edge in edges:
        arrow = "-.->" if edge.mode == "route" else "-->"
        yield f'  {at[edge.source or "?"]} {arrow}|"{_quoted(_label(edge))}"| {at[edge.target or "?"]}'


def _quoted(text: str) -> str:
    """Give text for a Mermaid label: `#` and `;` make entities there, and quotes end it."""
    escaped = {"#": "#35;", ";": "#59;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    return "".join(escaped.get(one, one) for one in visible(text))


def _dot(names: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    humans = {edge.target or "?" for edge in edges if edge.target_type == "human"}
    yield "digraph agents {"
    yield "  rankdir=LR; node [shape=box];"
    for name in names:
        yield f"  {_string(name)}{' [shape=oval]' if name in humans else ''};"
    for edge in edges:
        style = ", style=dashed" if edge.mode == "route" else ""
        yield f"  {_string(edge.source or '?')} -> {_string(edge.target or '?')} [label={_string(_label(edge))}{style}];"
    yield "}"


def _string(text: str) -> str:
    escaped = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(names: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    for name in names:
        mine = [edge for edge in edges if edge.source == name]
        yield visible(name)
        for edge in mine:
            branch = "└─" if edge is mine[-1] else "├─"
            yield f"{branch} {visible(edge.target or '?')}  {_label(edge)}"
