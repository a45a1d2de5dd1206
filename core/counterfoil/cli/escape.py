"""What agents said is hostile text: none of it may steer the terminal, or hide or reorder what stands there."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["hostile", "visible", "visible_lines"]

# Unicode's Cc, Cf, Cs, Co, Zl and Zp, and what shows as nothing though it is a letter or a mark (fillers, joiners,
# variation selectors but for the emoji one): text can be hidden in any of them.
_HIDDEN: Final = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"
)
_MARKS: Final = "\u0300-\u034e\u0350-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"

#: A hidden character, or the fourth and later of marks stacked on one letter (they paint over other lines).
_HOSTILE: Final = re.compile(f"[{_HIDDEN}]|(?<=[{_MARKS}]{{3}})[{_MARKS}]")

_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def hostile(text: str) -> bool:
    """Tell whether `text` holds a character that `visible` would escape."""
    return _HOSTILE.search(text) is not None


def visible(text: str) -> str:
    r"""Give `text` on one line, with every control, bidi, zero-width and other hidden character as `\x1b`, `\u202e`."""
    return _HOSTILE.sub(_escaped, text)


def visible_lines(text: str) -> list[str]:
    """Give the lines of `text`, each made visible; tabs become blanks."""
    return [visible(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]
