"""What recording costs: one CrewAI crew (1 agent, 3 model calls, 2 tool calls), recorded in turn by

nothing, Counterfoil with redaction off and on, OpenInference's event listener (llm spans included) with a batch processor.

    python benchmarks/crewai_crew.py [--rounds 3] [--pairs 8] [--runs 12]

`pairs.py` says how they are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairs import Benchmark, compare, text

if TYPE_CHECKING:
    from collections.abc import Callable


def make_model() -> Any:
    from crewai.events.types.llm_events import LLMCallType
    from crewai.llms.base_llm import BaseLLM, llm_call_context

    class Scripted(BaseLLM):
        def supports_function_calling(self) -> bool:
            return True

        def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
            return 800  # CrewAI's own way of counting warns at every call

        def call(
            self,
            messages: Any,
            tools: Any = None,
            callbacks: Any = None,
            available_functions: Any = None,
            from_task: Any = None,
            from_agent: Any = None,
            response_model: Any = None,
        ) -> Any:
            told = {"from_task": from_task, "from_agent": from_agent}
            done = sum(message["role"] == "tool" for message in messages)
            said: Any = text(4)
            if done < 2:
                function = {
                    "name": "search",
                    "arguments": {"query": text(2), "limit": 10 + done},
                }
                said = [{"id": f"call_{done}", "type": "function", "function": function}]
            with llm_call_context():
                self._emit_call_started_event(messages, tools=tools, **told)
                self._emit_call_completed_event(
                    said,
                    LLMCallType.TOOL_CALL if done < 2 else LLMCallType.LLM_CALL,
                    messages=messages,
                    usage={"prompt_tokens": 800, "completion_tokens": 40, "total_tokens": 840},
                    **told,
                )
            return said

    return Scripted(model="scripted-1")


def make_crew(model: Any) -> Any:
    from crewai import Agent, Crew, Task
    from crewai.tools import tool

    @tool("search")
    def search(query: str, limit: int) -> str:
        """Search the knowledge base."""
        return text(8)

    agent = Agent(role="support", goal="help", backstory=text(6), llm=model, tools=[search])
    task = Task(description=text(3), expected_output="an answer", agent=agent)
    return Crew(name="support", agents=[agent], tasks=[task])


def prepare(runs: int) -> Callable[[], object]:
    model = make_model()
    crews = [make_crew(model) for _ in range(runs)]
    return lambda: [crew.kickoff() for crew in crews]


def finish() -> None:
    from crewai.events import crewai_event_bus

    crewai_event_bus.flush()


if __name__ == "__main__":
    compare(
        Benchmark(
            framework="crewai",
            script=__file__,
            prepare=prepare,
            finish=finish,
            instrumentor="openinference.instrumentation.crewai:CrewAIInstrumentor",
            instrument={"use_event_listener": True, "create_llm_spans": True},
            environment={
                "CREWAI_DISABLE_TELEMETRY": "true",
                "CREWAI_TRACING_ENABLED": "false",
                "CREWAI_STORAGE_DIR": "{folder}",
                "HOME": "{folder}",
            },
        ),
        runs=12,
    )
