"""What counts as success: by default that a task ended `ok`, else a score of one name and its threshold."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterfoil.analysis.tasks import Task

__all__ = ["ENDED_OK", "Rule", "rule"]

_SIGNS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_RULE: Final = re.compile(
    r"\s*(?P<score>[^<>=]*[^<>=\s])\s*(?P<sign>>=|<=|>|<|=)\s*(?P<wanted>[^<>=]*[^<>=\s])\s*"
)


class Rule(msgspec.Struct, frozen=True):
    """Success is that the newest score named `score` compares so to `wanted`; without a name, that the task ended ok."""

    text: str
    score: str | None = None
    sign: str = "="
    wanted: float | str = ""

    def met(self, task: Task) -> bool | None:
        """Tell whether `task` succeeded; None where it has no such score."""
        if self.score is None:
            return task.status == "ok"
        judged = task.scores.get(self.score)
        found = None if judged is None else judged.label if isinstance(self.wanted, str) else judged.value
        return None if found is None else _SIGNS[self.sign](found, self.wanted)


ENDED_OK: Final = Rule("ended ok")


def rule(text: str | None) -> Rule:
    """Give the rule that `text` writes: `helpful>=0.8`, or `verdict=good` for a score's label; None is `ENDED_OK`.

    Raises StoreError with one sentence.
    """
    if text is None:
        return ENDED_OK
    found = _RULE.fullmatch(text)
    if found is not None:
        score, sign, wanted = found.group("score", "sign", "wanted")
        try:
            return Rule(text.strip(), score, sign, float(wanted))
        except ValueError:
            if sign == "=":
                return Rule(text.strip(), score, sign, wanted)
    raise StoreError(f"{text!r} is no rule for success: give SCORE>=X, like helpful>=0.8, or SCORE=LABEL.")
