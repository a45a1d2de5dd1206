"""What an exception means: control flow, a pause, a cancellation, or an error (mapping.md, section 5)."""

from __future__ import annotations

import sys
from typing import Any

from counterfoil.steps import control_flow

__all__ = ["is_recursion_limit", "parent_command", "stop_reason"]

# A graph stops to ask a human, or goes on elsewhere.
control_flow({"langgraph.GraphInterrupt": "waiting", "langgraph.GraphBubbleUp": "ok"})


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
