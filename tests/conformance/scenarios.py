"""What the model says in each scenario, and what must be recorded of it in every framework: one expectation each.

An answer of the model passes control with `passes`, asks an agent with `asks` and a human with `asks_human`; each
framework says that in its own words.
"""

from __future__ import annotations

from typing import Any

from conformance.desk import SUPPORT_DESK
from conformance.scenario import Scenario, Variance
from support_desk.endpoint import Reply, call

__all__ = ["SCENARIOS"]


def passes(to: str, reason: str) -> tuple[str, dict[str, Any]]:
    return call("passes", to=to, reason=reason)


def asks(whom: str, question: str) -> tuple[str, dict[str, Any]]:
    return call("asks", whom=whom, question=question)


def asks_human(question: str) -> tuple[str, dict[str, Any]]:
    return call("asks_human", question=question)


NO_TRANSFER = "CrewAI has no way to pass control for good: its agents delegate, and the answer comes back"

TWO_TOOLS = Scenario(
    "one agent with two tools",
    {
        "clerk": (
            Reply(calls=[call("search", query="tea")]),
            Reply(calls=[call("add", a=1, b=2)]),
            Reply("Three teas."),
        )
    },
    """\
task ok
  agent clerk
    llm
    tool search {"query": "tea"} = found tea
    llm
    tool add {"a": 1, "b": 2} = 3
    llm""",
)

PARALLEL = Scenario(
    "parallel tools",
    {
        "clerk": (
            Reply(calls=[call("search", query="tea"), call("search", query="milk"), call("add", a=1, b=2)]),
            Reply("Three teas."),
        )
    },
    """\
task ok
  agent clerk
    llm
    tool add {"a": 1, "b": 2} = 3
    tool search {"query": "milk"} = found milk
    tool search {"query": "tea"} = found tea
    llm""",
)

RAISES = Scenario(
    "a tool that raises",
    {"clerk": (Reply(calls=[call("search", query="fail")]), Reply("There is none."))},
    """\
task ok
  agent clerk
    llm
    tool search {"query": "fail"} error
    llm""",
)

UNKNOWN = Scenario(
    "an unknown tool",
    {"clerk": (Reply(calls=[call("fly", to="Ceylon")]), Reply("I cannot fly."))},
    """\
task ok
  agent clerk
    llm
    tool fly {"to": "Ceylon"} error (UnknownTool)
    llm""",
)

BAD_ARGUMENTS = Scenario(
    "bad arguments",
    {"clerk": (Reply(calls=[call("add", a="one", c=2)]), Reply("I cannot count."))},
    """\
task ok
  agent clerk
    llm
    tool add {"a": "one", "c": 2} error (InvalidArguments)
    llm""",
)

TRANSFER = Scenario(
    "transfer",
    {"front": (Reply(calls=[passes("back", "The back knows tea.")]),), "back": (Reply("Green."),)},
    """\
task ok
  agent front
    llm
    tool that passes to back
  agent back
    llm
front -> back transfer accepted: The back knows tea.""",
    impossible={"crewai": NO_TRANSFER},
)

REFUSED = Scenario(
    "refused transfer",
    {"front": (Reply(calls=[passes("boss", "The boss knows tea.")]), Reply("I do it."))},
    """\
task ok
  agent front
    llm
    tool that passes to boss
    llm
front -> boss transfer refused by framework: The boss knows tea.""",
    impossible={
        "crewai": NO_TRANSFER,
        "langgraph": "LangGraph has no rule on who may pass control to whom; a tool that does not exist is an unknown tool",
        "autogen": "AutoGen refuses nothing: control passed to somebody whom the team does not know ends the run "
        "with an error, and the transfer failed",
    },
)

TWO_TRANSFERS = Scenario(
    "two transfers at once",
    {
        "front": (Reply(calls=[passes("left", "One."), passes("right", "Two.")]),),
        "left": (Reply("L"),),
        "right": (Reply("R"),),
    },
    """\
task ok
  agent front
    llm
    tool that passes to left
    tool that passes to right
  agent right
    llm
front -> left transfer abandoned: One.
front -> right transfer accepted: Two.""",
    permitted=(
        Variance(
            ("autogen",),
            "the first of two wins, and the text beside the calls is the reason of both",
            {
                "  agent right": "  agent left",
                "front -> left transfer abandoned: One.": "front -> left transfer accepted: One. Two.",
                "front -> right transfer accepted: Two.": "front -> right transfer abandoned: One. Two.",
            },
        ),
        Variance(
            ("langgraph",),
            "LangGraph takes one out of a set: either may win",  # PregelRunner._panic_or_proceed, langgraph 1.2
            {
                "  agent right": "  agent left",
                "front -> left transfer abandoned: One.": "front -> left transfer accepted: One.",
                "front -> right transfer accepted: Two.": "front -> right transfer abandoned: Two.",
            },
            either=True,
        ),
    ),
    impossible={"crewai": NO_TRANSFER},
)

ESCALATION = Scenario(
    "escalation",
    {
        "clerk": (Reply(calls=[asks("expert", "Which tea?")]), Reply("Take green.")),
        "expert": (Reply("Green."),),
    },
    """\
task ok
  agent clerk
    llm
    tool that asks expert
      agent expert
        llm
    llm
clerk -> expert escalation returned: Which tea?""",
)

NESTED = Scenario(
    "nested escalation",
    {
        "clerk": (Reply(calls=[asks("expert", "Which tea?")]), Reply("Take green.")),
        "expert": (Reply(calls=[asks("grower", "Which leaf?")]), Reply("Green.")),
        "grower": (Reply("The upper one."),),
    },
    """\
task ok
  agent clerk
    llm
    tool that asks expert
      agent expert
        llm
        tool that asks grower
          agent grower
            llm
        llm
    llm
clerk -> expert escalation returned: Which tea?
expert -> grower escalation returned: Which leaf?""",
)

HUMAN = Scenario(
    "a human is asked",
    {"clerk": (Reply(calls=[asks_human("Which tea?")]), Reply("Green it is."))},
    """\
task ok
  agent clerk
    llm
    llm
clerk -> a human escalation returned: green
human said green""",
    permitted=(
        Variance(
            ("langgraph", "autogen"),
            "a question ends the run, and its answer begins another",
            {"task ok": "task ok in 2 runs"},
        ),
    ),
)

STREAMING = Scenario(
    "streaming",
    {"clerk": (Reply(calls=[call("search", query="tea")]), Reply("The tea is green, and it is hot."))},
    """\
task ok
  agent clerk
    llm, streamed
    tool search {"query": "tea"} = found tea
    llm, streamed""",
)

RETRIEVAL = Scenario(
    "retrieval",
    {"clerk": (Reply(calls=[call("look_up", query="tea")]), Reply("Tea is hot."))},
    """\
task ok
  agent clerk
    llm
    tool look_up {"query": "tea"} = Tea is hot.
      retrieval
    llm
clerk read of tea""",
)

MODEL_ERROR = Scenario(
    "model error with a retry",
    {"clerk": (Reply("Tea is hot."),)},
    """\
task ok
  agent clerk
    llm error
    llm""",
    permitted=(
        Variance(
            ("crewai", "llama_index", "autogen"),
            "what is tried again, by CrewAI itself or by the application, is the agent's whole turn",
            {"  agent clerk": "  agent clerk error", "    llm error": "    llm error\n  agent clerk"},
        ),
    ),
    failures=1,
)

CANCELLED = Scenario(
    "cancelled run",
    {"clerk": (Reply("Too late.", delay=30.0),)},
    """\
task cancelled
  agent clerk cancelled
    llm cancelled""",
    permitted=(
        Variance(
            ("crewai",),
            "the model call goes on in a thread that nobody can cancel, and is answered",
            {"    llm cancelled": "    llm"},
        ),
    ),
)

RESUMED = Scenario(
    "pause and resume",
    {"clerk": (Reply(calls=[asks_human("Which tea?")]), Reply("Green it is."))},
    """\
task ok in 2 runs
  agent clerk
    llm
    llm
clerk -> a human escalation returned: green
human said green""",
    permitted=(
        Variance(
            ("crewai",),
            "a flow's method pauses and asks, which is no agent",
            {
                "clerk -> a human escalation returned: green": "None -> a human escalation returned: green",
            },
        ),
    ),
)

SCENARIOS = (
    SUPPORT_DESK,
    TWO_TOOLS,
    PARALLEL,
    RAISES,
    UNKNOWN,
    BAD_ARGUMENTS,
    TRANSFER,
    REFUSED,
    TWO_TRANSFERS,
    ESCALATION,
    NESTED,
    HUMAN,
    STREAMING,
    RETRIEVAL,
    MODEL_ERROR,
    CANCELLED,
    RESUMED,
)
