"""What an exception means: a pause, a cancellation, a limit, or an error (mapping.md, section 5)."""

from __future__ import annotations

import inspect
from typing import Any

from counterfoil.steps import control_flow

__all__ = ["is_bad_call", "stop_reason"]

# A tool or a step stops until an event comes; `cancel_run()`.
control_flow({"workflows.WaitingForEvent": "waiting", "workflows.WorkflowCancelledByUser": "cancelled"})


def stop_reason(error: BaseException) -> str | None:
    """Give the limit that ended a run, if one did."""
    if _is(error, "WorkflowTimeoutError"):
        return "timeout"
    # A WorkflowRuntimeError like any other: only its text tells (core 0.14).
    if _is(error, "WorkflowRuntimeError") and str(error).startswith("Max iterations of "):
        return "max_iterations"
    return None


def is_bad_call(tool: Any, arguments: dict[str, Any], error: BaseException) -> bool:
    """Tell whether a tool raised because its arguments do not bind to its signature, or do not fit its schema."""
    if not isinstance(error, (TypeError, ValueError)):
        return False
    return not _binds(tool, arguments) or not _fits(tool, arguments)


def _binds(tool: Any, arguments: dict[str, Any]) -> bool:
    function = getattr(tool, "real_fn", None)
    if function is None:
        return True
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return True
    given = dict(arguments)
    context = getattr(tool, "ctx_param_name", None)
    if context is not None:
        given[context] = None
    try:
        signature.bind(**{**getattr(tool, "partial_params", {}), **given})
    except TypeError:
        return False
    return True


def _fits(tool: Any, arguments: dict[str, Any]) -> bool:
    schema = getattr(getattr(tool, "metadata", None), "fn_schema", None)
    if schema is None:
        return True
    try:
        schema.model_validate(arguments)
    except ValueError:  # pydantic's ValidationError is one
        return False
    return True


def _is(error: BaseException, name: str) -> bool:
    # By name: whoever records need not have imported the package that raises it.
    return any(
        one.__name__ == name and one.__module__.startswith("workflows.") for one in type(error).__mro__
    )
