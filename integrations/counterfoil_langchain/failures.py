"""What an exception means: control flow, a pause, a cancellation, or an error (mapping.md, section 5)."""

from __future__ import annotations

import sys
from typing import Any

from counterfoil import steps

__all__ = ["is_pause", "is_recursion_limit", "parent_command", "status_of", "stop_reason"]


def status_of(error: BaseException) -> str:
    """Give the status of a step that ended by `error`."""
    if _is(error, "GraphBubbleUp"):
        return "waiting" if _is(error, "GraphInterrupt") else "ok"
    return steps.status_of(error)


def is_pause(error: BaseException) -> bool:
    """Tell whether a graph stopped to ask a human."""
    return _is(error, "GraphInterrupt")


def parent_command(error: BaseException) -> Any:
    """Give the Command that a ParentCommand carries up, else None."""
    return error.args[0] if error.args and _is(error, "ParentCommand") else None


def is_recursion_limit(error: BaseException) -> bool:
    """Tell whether a graph ran out of steps."""
    return _is(error, "GraphRecursionError")


def stop_reason(error: BaseException) -> str | None:
    """Give the limit that ended a run, if one did."""
    if is_recursion_limit(error):
        return "recursion_limit"
    return "timeout" if isinstance(error, TimeoutError) else None


def _is(error: BaseException, name: str) -> bool:
    # Whoever holds such an exception has imported its module: no need to import it for those who have not.
    module = sys.modules.get("langgraph.errors")
    kind = getattr(module, name, None)
    return kind is not None and isinstance(error, kind)
