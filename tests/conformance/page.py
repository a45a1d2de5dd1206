"""Plays every scenario in every framework and writes docs/conformance.md: `python tests/conformance/page.py`.

Needs Counterfoil and all frameworks installed. `written` reads the cells back, so that tests can hold each against what
it is now.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "examples")]
    os.environ["COUNTERFOIL_DRAIN"] = "off"
    # Before Counterfoil registers what it does at the end, so that this is done after it.
    FOLDER = Path(tempfile.mkdtemp(prefix="counterfoil-conformance-"))
    atexit.register(shutil.rmtree, FOLDER)

from conformance.cells import Cell, play
from conformance.scenario import FRAMEWORKS
from conformance.scenarios import SCENARIOS

__all__ = ["PAGE", "text", "written"]

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

_TITLES = {"langgraph": "LangGraph", "crewai": "CrewAI", "llama_index": "LlamaIndex", "autogen": "AutoGen"}

_HEAD = """\
# Conformance

Written by `python tests/conformance/page.py`, never by hand: each cell is an application built on that framework, run
against the same scripted endpoint, and its record held against the one expectation of its scenario
(`tests/conformance/scenarios.py`). What is compared: the turns of agents, model calls (each against the endpoint's
ledger: prompt, answer, usage, finish), tool calls with arguments, results and status, handoffs with mode, source,
target, reason and status, retrievals, questions to humans, and how the run ended. Steps of kind `workflow` and `task`
differ by nature, and are not compared.

- **same**: the record is the one that is expected; a number stands for the variance that the expectation permits there.
- **differs**: it is not, and a test fails.
- **impossible**: the framework has no way to do this; a number stands for why.
"""


def text(cells: Mapping[tuple[str, str], Cell]) -> str:
    """Give the page; cells are by scenario and framework."""
    rows = [["scenario", *_TITLES.values()], ["---"] * (len(FRAMEWORKS) + 1)]
    notes: list[str] = []
    for scenario in SCENARIOS:
        found = [cells[scenario.name, framework] for framework in FRAMEWORKS]
        rows.append([scenario.name, *(_numbered(cell, notes) for cell in found)])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    told = "\n".join(f"{at}. {note}" for at, note in enumerate(notes, 1))
    return f"{_HEAD}\n{table}\n\n{told}\n"


def written(page: str) -> dict[tuple[str, str], str]:
    """Give the cells of a page as text, by scenario and framework."""
    lines = page.splitlines()
    notes = {
        number: note
        for number, dot, note in (line.partition(". ") for line in lines)
        if dot and number.isdigit()
    }
    table = [[one.strip() for one in line.strip("|").split("|")] for line in lines if line.startswith("|")][
        2:
    ]
    return {
        (name, framework): _whole(cell, notes)
        for name, *cells in table
        for framework, cell in zip(FRAMEWORKS, cells, strict=True)
    }


def _numbered(cell: Cell, notes: list[str]) -> str:
    if not cell.told:
        return cell.verdict
    if cell.told not in notes:
        notes.append(cell.told)
    return f"{cell.verdict} ({notes.index(cell.told) + 1})"


def _whole(cell: str, notes: Mapping[str, str]) -> str:
    verdict, _, number = cell.rstrip(")").partition(" (")
    return f"{verdict}: {notes[number]}" if number else verdict


def main(folders: Path) -> int:
    cells = {}
    for scenario in SCENARIOS:
        for framework in FRAMEWORKS:
            folder = folders / framework / scenario.name.replace(" ", "-")
            folder.mkdir(parents=True)
            cell = cells[scenario.name, framework] = play(scenario, framework, folder)
            print(f"{scenario.name}, {_TITLES[framework]}: {cell}")
    PAGE.write_text(text(cells))
    return 1 if any(cell.verdict == "differs" for cell in cells.values()) else 0


if __name__ == "__main__":
    sys.exit(main(FOLDER))
