"""How a text may stand in a payload: as JSON writes it, and as JSON in JSON, once or twice more."""

from __future__ import annotations

import json
from typing import Final

__all__ = ["DEPTHS", "needles"]

#: How often escaped: a message in a payload, a tool's arguments in it, JSON in those.
DEPTHS: Final = 3


def needles(text: str) -> tuple[str, ...]:
    r"""Give every form in which `text` is looked for, itself first.

    Many an encoder writes letters beyond ASCII as `\uXXXX`, ours does not: each inner one may have.
    """
    forms = {text: None}
    deepest = {text}
    for _ in range(DEPTHS):
        deepest = {_escaped(one, ascii_only=ascii_only) for one in deepest for ascii_only in (False, True)}
        forms |= dict.fromkeys(sorted(deepest))
    return tuple(forms)


def _escaped(text: str, *, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]
