"""Reading tapes as the format says, line by line: for tests of what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from counterfoil.events import Head, Text, decode_head, decode_text


class Line(NamedTuple):
    """An event as it stands on a tape: `parts` holds the JSON values by their names, but for the text."""

    head: Head
    text: Text
    parts: dict[str, Any]
    writer: str


def segments(db: Path) -> list[Path]:
    """Give the files of tape of the store at `db`: by process, oldest first."""
    return sorted(Path(f"{db}.tape").glob("*.tape"))


def lines(db: Path, *kinds: str) -> list[Line]:
    """Give every event on the tapes of `db`, or those of these kinds; fails on a line that is none."""
    found = []
    for segment in segments(db):
        content = segment.read_bytes()
        assert content.endswith(b"\n")
        for line in content.removesuffix(b"\n").split(b"\n"):
            raw_head, *raw_parts = line.split(b"\t")
            head = decode_head(raw_head)
            assert len(head.parts) == len(raw_parts)
            named = dict(zip(head.parts, raw_parts, strict=True))
            text = decode_text(named.pop("text", b"{}"))
            parts = {name: json.loads(part) for name, part in named.items()}
            found.append(Line(head, text, parts, segment.name.split(".", maxsplit=1)[0]))
    return [line for line in found if not kinds or line.head.k in kinds]


def line_of(db: Path, kind: str, name: str) -> Line:
    """Give the one event of this kind whose text has this name."""
    (line,) = (line for line in lines(db, kind) if line.text.name == name)
    return line


def end_of(db: Path, name: str) -> Line:
    """Give the one event that ended the step of this name."""
    step = line_of(db, "start", name).head.step
    (line,) = (line for line in lines(db, "end", "close") if line.head.step == step)
    return line


def input_messages(db: Path, step: str, *, output: bool = False) -> list[Any]:
    """Give the messages of a step's input or output, put together again from what the tapes refer to."""
    numbered = {
        (line.writer, int(name[1:])): value
        for line in lines(db)
        for name, value in line.parts.items()
        if name[0] == "m" and name[1:].isdecimal()
    }
    of = {(line.head.step, line.head.k != "start"): line for line in lines(db, "start", "end")}

    def whole(step: str, output: bool) -> list[Any]:
        line = of[step, output]
        head = line.head
        kept = whole(head.base, bool(head.base_output))[: head.keep] if head.base is not None else []
        assert len(kept) == (head.keep or 0)
        return kept + [numbered[line.writer, number] for number in head.refs]

    return whole(step, output)


def statuses(db: Path) -> list[tuple[str | None, str, str | None]]:
    """Give how each step ended: its event and its status, in the order of their ends."""
    names = {line.head.step: line.text.name for line in lines(db, "start")}
    return [(names[one.head.step], one.head.k, one.head.status) for one in lines(db, "end", "close")]


def outline(db: Path) -> str:
    """Give each step as `kind name [agent] status`, indented below its parent, in the order of their starts."""
    ended = {}
    for line in lines(db, "end", "close"):
        ended.setdefault(line.head.step, line.head.status)
    depths, told = {}, []
    for line in sorted(lines(db, "start"), key=lambda one: (one.head.t, one.head.q)):
        depth = depths[line.head.step] = depths.get(line.head.parent, -1) + 1
        agent = f" [{line.text.agent}]" if line.text.agent else ""
        told.append(
            f"{'  ' * depth}{line.head.kind} {line.text.name}{agent} {ended.get(line.head.step, 'running')}"
        )
    return "\n".join(told)
