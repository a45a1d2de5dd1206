"""`CounterfoilListener`: what users of CrewAI expect, a listener that listens once it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crewai.events import BaseEventListener

from counterfoil.adapters import warn_of_versions
from counterfoil.recorder import recorder_at
from counterfoil_crewai import delivery
from counterfoil_crewai.tracker import trackers
from counterfoil_crewai.versions import SUPPORTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from counterfoil.redact import Redactor

__all__ = ["CounterfoilListener"]


class CounterfoilListener(BaseEventListener):
    """Records every crew, flow and agent of this process, from its making until `close()`, to the store `db`.

    `db` is the store's path, else `$COUNTERFOIL_DB`, else `counterfoil.db` here. `capture="metadata"` records no
    content at all; `redactors` take out more than the secrets that are taken out anyway. Two on one store record once.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] | None = None,
        *,
        capture: str | None = None,
        redactors: Iterable[Redactor] = (),
        durability: str | None = None,
    ) -> None:
        warn_of_versions(SUPPORTED)
        self._tracker = trackers.of(
            recorder_at(db, capture=capture, redactors=redactors, durability=durability)
        )
        self._open = False
        super().__init__()

    def setup_listeners(self, crewai_event_bus: Any) -> None:  # noqa: ARG002  # there is one bus in a process
        """Attach; called by CrewAI's own constructor."""
        if not self._open:
            self._open = True
            delivery.attach(self._tracker)

    def close(self) -> None:
        """Record no more. May be called again."""
        if self._open:
            self._open = False
            delivery.detach(self._tracker)
