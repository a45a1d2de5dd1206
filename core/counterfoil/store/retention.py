"""What the settings of a store say about old runs, done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.ids import now_ns
from counterfoil.store import erase, prune, settings
from counterfoil.store.erase import Selection

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["apply"]

#: Who erased, where nobody asked for it that day.
BY: Final = "settings"


def apply(path: str | os.PathLike[str]) -> Iterator[str]:
    """Erase and drop what is older than the settings allow; tell in sentences what was done, and what could not be.

    Raises StoreError with one sentence.
    """
    made = settings.made(path)
    before = {name: now_ns() - settings.nanoseconds(value) for name, value in made.items()}
    # First what goes whole: its content need not be erased apart.
    if settings.PRUNE_AFTER in before:
        because = f"{settings.PRUNE_AFTER} {made[settings.PRUNE_AFTER]}"
        pruned = prune.prune(path, before[settings.PRUNE_AFTER], by=BY, because=because)
        if pruned.runs:
            yield f"{len(pruned.runs)} runs dropped, as {because} says."
        yield from pruned.notices
    if settings.ERASE_AFTER in before:
        because = f"{settings.ERASE_AFTER} {made[settings.ERASE_AFTER]}"
        erased = erase.erase(
            path, Selection("older-than", before[settings.ERASE_AFTER]), by=BY, because=because
        )
        if not erased.is_nothing:
            yield f"the content of {len(erased.runs)} runs erased, as {because} says."
        yield from erased.notices
