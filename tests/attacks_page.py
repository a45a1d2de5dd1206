"""Does every attack to a store of its own, and writes what `verify` says into docs/audit.md: `python tests/attacks_page.py`.

`written` reads the table back, so that tests can hold each row against what it is now.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("core", "integrations", "tests")]

from attacks import ATTACKS, Attack, Verdict, build, opened

__all__ = ["PAGE", "rows", "written"]

PAGE = Path(__file__).parents[1] / "docs" / "audit.md"

_BEGIN = "<!-- written by tests/attacks_page.py -->\n"
_END = "<!-- end -->\n"


def rows(attack: Attack, without: Verdict, with_anchor: Verdict) -> list[str]:
    """Give the cells of an attack's row."""
    cells = [attack.title, str(without), str(with_anchor)]
    return [*cells, attack.unseen] if attack.unseen else cells


def text(found: Mapping[tuple[str, str], list[str]]) -> str:
    """Give both tables: what is seen, and what is not."""
    lines = ["| what was done | without an anchor | with the anchor |", "| --- | --- | --- |"]
    groups = dict.fromkeys(group for group, _ in found)
    for group in groups:
        seen = [cells for (of, _), cells in found.items() if of == group and len(cells) == 3]
        lines += [f"| *{group}* | | |"] * bool(seen) + [f"| {' | '.join(cells)} |" for cells in seen]
    lines += ["", "And what no check can see:", ""]
    lines += ["| what was done | without an anchor | with the anchor | why |", "| --- | --- | --- | --- |"]
    for group in groups:
        unseen = [cells for (of, _), cells in found.items() if of == group and len(cells) == 4]
        lines += [f"| *{group}* | | | |"] * bool(unseen) + [f"| {' | '.join(cells)} |" for cells in unseen]
    return "\n".join(lines) + "\n"


def written(page: str) -> dict[tuple[str, str], list[str]]:
    """Give the cells of each row on the page, by group and title."""
    table = page.split(_BEGIN)[1].split(_END, maxsplit=1)[0]
    found: dict[tuple[str, str], list[str]] = {}
    group = ""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| *"):
            group = cells[0].split("*")[1]
        elif line.startswith("| ") and not line.startswith(("| ---", "| what was done ")):
            found[group, cells[0]] = cells
    return found


def main(folder: Path) -> None:
    template = build(folder / "template")
    found = {}
    for number, attack in enumerate(ATTACKS):
        with opened(template, folder / str(number)) as scene:
            attack.do(scene)
            without, with_anchor = (
                scene.verify(with_anchor=one, is_stranger=attack.is_stranger) for one in (False, True)
            )
        found[attack.group, attack.title] = rows(attack, without, with_anchor)
    page = PAGE.read_text()
    before, rest = page.split(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n{text(found)}\n{_END}{rest.split(_END)[1]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="counterfoil-attacks-") as name:
        main(Path(name))
