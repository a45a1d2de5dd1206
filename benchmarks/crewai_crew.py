"""What recording costs: one CrewAI crew (1 agent, 3 model calls, 2 tool calls), recorded in turn by

nothing, Counterfoil with redaction off and on, OpenInference's event listener with a batch processor.

    python benchmarks/crewai_crew.py [--rounds 3] [--pairs 8] [--runs 12]

Each case runs in a process of its own, in which batches of runs with and without the recorder take turns: the ratio of a
pair is of one process at one time. CPU time of the thread that calls `kickoff`, and of the whole process, until all that
was recorded is drained or exported: CrewAI works in threads of its own, as do its handlers and Counterfoil's drainer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = {
    "nothing": "nothing, twice",
    "counterfoil-off": "Counterfoil, redaction off",
    "counterfoil": "Counterfoil, redaction on (default)",
    "counterfoil-undrained": "Counterfoil, drained by another process",
    "openinference": "OpenInference, event listener, llm spans",
}
ENVIRONMENT = {
    "counterfoil-off": {"COUNTERFOIL_REDACT": "off"},
    "counterfoil-undrained": {"COUNTERFOIL_DRAIN": "off"},
}
TEXT = "the order was paid on invoice number and the refund policy says that amount please check status"


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
            said: Any = " ".join([TEXT] * 4)
            if done < 2:
                function = {
                    "name": "search",
                    "arguments": {"query": " ".join([TEXT] * 2), "limit": 10 + done},
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
        return " ".join([TEXT] * 8)

    agent = Agent(role="support", goal="help", backstory=" ".join([TEXT] * 6), llm=model, tools=[search])
    task = Task(description=" ".join([TEXT] * 3), expected_output="an answer", agent=agent)
    return Crew(name="support", agents=[agent], tasks=[task])


def attach(case: str, folder: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Attach a recorder; give how to wait until all is stored or exported, and how to detach."""
    if case.startswith("counterfoil"):
        import counterfoil
        from counterfoil_crewai import CounterfoilListener

        db = os.path.join(folder, f"{case}-{os.getpid()}.db")
        listener = CounterfoilListener(db)
        drained_here = os.environ.get("COUNTERFOIL_DRAIN") != "off"
        return lambda: drained_here and counterfoil.flush(db), listener.close
    if case == "openinference":
        from openinference.instrumentation.crewai import CrewAIInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Null(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Null()))
        instrumentor = CrewAIInstrumentor()
        instrumentor.instrument(tracer_provider=provider, use_event_listener=True, create_llm_spans=True)

        def detach() -> None:
            instrumentor.uninstrument()
            provider.shutdown()

        return provider.force_flush, detach
    return lambda: None, lambda: None


def batch(model: Any, runs: int, settle: Callable[[], Any]) -> tuple[float, float]:
    """Give the CPU seconds per run, of the calling thread and of the process."""
    from crewai.events import crewai_event_bus as bus

    crews = [make_crew(model) for _ in range(runs)]
    process, caller = time.process_time(), time.thread_time()
    for crew in crews:
        crew.kickoff()
    caller = time.thread_time() - caller
    bus.flush()
    settle()
    return caller / runs, (time.process_time() - process) / runs


def child(case: str, pairs: int, runs: int, folder: str) -> None:
    """Print pairs of batches, without the recorder and with it."""
    model = make_model()
    measured = []
    for pair in range(pairs + 1):
        alone = batch(model, runs, lambda: None)
        settle, detach = attach(case, folder)
        recorded = batch(model, runs, settle)
        detach()
        if pair:  # the first ones import and compile
            measured.append((alone, recorded))
    print(json.dumps(measured))


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--child")
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.pairs, options.runs, options.folder)
        return
    seen: dict[str, list[Any]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        crewai = {
            "CREWAI_DISABLE_TELEMETRY": "true",
            "CREWAI_TRACING_ENABLED": "false",
            "CREWAI_STORAGE_DIR": folder,
            "HOME": folder,
        }
        for _ in range(options.rounds):
            for case, pairs in seen.items():
                sizes = ["--pairs", str(options.pairs), "--runs", str(options.runs)]
                answer = subprocess.run(
                    [sys.executable, __file__, "--child", case, "--folder", folder, *sizes],
                    env={**os.environ, **crewai, **ENVIRONMENT.get(case, {})},
                    stdin=subprocess.DEVNULL,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                pairs.extend(json.loads(answer.stdout.splitlines()[-1]))
    print(f"{options.rounds * options.pairs} pairs of {options.runs} runs; CPU; medians (quartiles)")
    print(f"{'case':42} {'caller x nothing':>18} {'added ms':>9} {'process x nothing':>18} {'added ms':>9}")
    for case, title in CASES.items():
        told = []
        for thread in (0, 1):
            alone = [pair[0][thread] for pair in seen[case]]
            recorded = [pair[1][thread] for pair in seen[case]]
            told.append(spread([one / other for one, other in zip(recorded, alone, strict=True)]))
            added = statistics.median(one - other for one, other in zip(recorded, alone, strict=True))
            told.append(f"{added * 1e3:.2f}")
        print(f"{title:42} {told[0]:>18} {told[1]:>9} {told[2]:>18} {told[3]:>9}")
    nothing = [pair[0] for pairs in seen.values() for pair in pairs]
    caller, process = (statistics.median(one[thread] for one in nothing) * 1e3 for thread in (0, 1))
    print(f"nothing: {caller:.1f} ms of the caller, {process:.1f} ms of the process a run")


if __name__ == "__main__":
    main()
