"""Which methods of AutoGen's classes are wrapped, also of classes that are made later, and how all of it is undone.

Most are overridden by every subclass, and most subclasses (the clients of models) are imported late.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent
from autogen_agentchat.teams import BaseGroupChat, DiGraphEdge
from autogen_core.logging import LLMCallEvent
from autogen_core.memory import Memory
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, FunctionTool, Workbench

from counterfoil.guard import guarded
from counterfoil.patches import Patches
from counterfoil_autogen import agents, code, edges, memories, models, teams, tools
from counterfoil_autogen.humans import ApprovedCode
from counterfoil_autogen.tools import CarriedFunction
from counterfoil_autogen.wraps import awaited, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["attach", "detach"]

_patches: Final = Patches()

#: Where on AutoGen's class it stands how to detach whoever is attached.
_SILENCE: Final = "_counterfoil_silence"

#: By the class that all others derive from: its methods, and how each is wrapped.
_WRAPPED: Final[dict[type[Any], dict[str, Callable[[Any], Any]]]] = {
    BaseGroupChat: {"run_stream": lambda one: streamed(one, teams)},
    BaseChatAgent: {
        "on_messages": lambda one: awaited(one, agents),
        "on_messages_stream": lambda one: streamed(one, agents),
    },
    CodeExecutorAgent: {"execute_code_block": lambda one: awaited(one, code)},
    ChatCompletionClient: {
        "create": lambda one: awaited(one, models),
        "create_stream": lambda one: streamed(one, models),
        "_create_stream_chunks": models.chunks_read,
        "_create_stream_chunks_beta_client": models.chunks_read,
    },
    BaseTool: {
        "run_json": lambda one: awaited(one, tools),
        "run_json_stream": lambda one: streamed(one, tools),
    },
    Workbench: {
        "call_tool": lambda one: awaited(one, tools),
        "call_tool_stream": lambda one: streamed(one, tools),
    },
    Memory: {
        "query": lambda one: awaited(one, memories),
        "update_context": lambda one: awaited(one, memories),
    },
}
#: These call their tools' own methods.
_LEFT_OUT: Final = ("StaticWorkbench", "StaticStreamWorkbench")


def attach() -> None:
    """Wrap all of them. May be called again."""
    if len(_patches):
        return
    _silence_earlier()
    for base, methods in _WRAPPED.items():
        _patches.in_every_class(base, functools.partial(_wrap, methods=methods))
    _patches.replace(LLMCallEvent, "__init__", models.response_logged(LLMCallEvent.__init__))
    _patches.replace(FunctionTool, "_func", CarriedFunction())
    _patches.replace(CodeExecutorAgent, "_approval_func", ApprovedCode())
    _patches.replace(DiGraphEdge, "check_condition", _following(DiGraphEdge.check_condition))
    _hear_managers()


def detach() -> None:
    """Put everything back. May be called again."""
    _patches.undo()


def _silence_earlier() -> None:
    """In a notebook this package may be imported anew: the one before must record no more."""
    earlier = vars(BaseGroupChat).get(_SILENCE)
    if earlier is not None:
        earlier()
    _patches.replace(BaseGroupChat, _SILENCE, detach)


def _wrap(kind: type[Any], methods: dict[str, Callable[[Any], Any]]) -> None:
    if kind.__module__.startswith("autogen_core.") and kind.__name__ in _LEFT_OUT:
        return
    for name, wrapped in methods.items():
        method = vars(kind).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            _patches.replace(kind, name, wrapped(method))


def _following(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def check_condition(self: Any, message: Any) -> bool:
        met = original(self, message)
        if met:
            edges.followed(self, message)
        return met

    return check_condition


@guarded
def _hear_managers() -> None:
    # Where a version of AutoGen has no such method, only who picked whom is missed.
    from autogen_agentchat.teams._group_chat import (  # noqa: PLC0415  # see above
        _base_group_chat_manager as managers,
    )

    original = managers.BaseGroupChatManager._log_speaker_selection  # noqa: SLF001  # called whether it is logged or not

    @functools.wraps(original)
    async def log(self: Any, speaker_names: list[str]) -> None:
        edges.picked(self, list(speaker_names))
        await original(self, speaker_names)

    _patches.replace(managers.BaseGroupChatManager, "_log_speaker_selection", log)
