"""What recording costs the caller: one LangGraph agent run (3 model calls, 2 tool calls), recorded in turn by

nothing, a handler that does nothing, Counterfoil with redaction off and on, OpenInference with a batch processor.

    python benchmarks/langgraph_agent.py [--rounds 9] [--runs 40]

Each case runs in a process of its own, rounds interleaved. CPU time of the calling thread; medians over rounds;
ratios to the handler that does nothing. A callback is one call that LangChain makes to a handler.
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
from typing import Any

CASES = {
    "nothing": "no handler",
    "noop": "a handler that does nothing",
    "counterfoil-off": "Counterfoil, redaction off",
    "counterfoil": "Counterfoil, redaction on (default)",
    "openinference": "OpenInference, batch processor, null exporter",
}
TEXT = "the order was paid on invoice number and the refund policy says that amount please check status"


def build_agent() -> Any:
    from langchain.agents import create_agent
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool

    class Scripted(BaseChatModel):
        model_name: str = "scripted-1"

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            offered = [{"type": "function", "function": {"name": t.name, "parameters": {}}} for t in tools]
            return self.bind(tools=offered)

        def _generate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            done = sum(1 for message in messages if message.type == "tool")
            usage = {"input_tokens": 800, "output_tokens": 40, "total_tokens": 840}
            calls = []
            if done < 2:
                arguments = {"query": " ".join([TEXT] * 2), "limit": 10}
                calls = [{"name": "search", "args": arguments, "id": f"call_{done}", "type": "tool_call"}]
            answer = AIMessage(
                content=" ".join([TEXT] * 4),
                tool_calls=calls,
                usage_metadata=usage,
                response_metadata={"model_name": self.model_name, "finish_reason": "stop"},
            )
            return ChatResult(generations=[ChatGeneration(message=answer)])

    @tool
    def search(query: str, limit: int) -> str:
        """Search the knowledge base."""
        return " ".join([TEXT] * 8)

    return create_agent(Scripted(), [search], name="support", system_prompt=" ".join([TEXT] * 6))


def noop_handler() -> Any:
    from langchain_core.callbacks import BaseCallbackHandler

    class Noop(BaseCallbackHandler):
        run_inline = True
        calls = 0

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            Noop.calls += 1

        on_chain_end = on_chain_error = on_chat_model_start = on_llm_end = on_llm_error = on_chain_start
        on_tool_start = on_tool_end = on_tool_error = on_llm_new_token = on_chain_start

    return Noop()


def child(case: str, runs: int, folder: str) -> None:
    """Print the caller's CPU seconds per run, and how many callbacks a run makes."""
    config: dict[str, Any] = {}
    counter = noop_handler()
    agent = build_agent()
    if case == "noop":
        config = {"callbacks": [counter]}
    elif case.startswith("counterfoil"):
        from counterfoil_langchain import CounterfoilHandler

        config = {"callbacks": [CounterfoilHandler(os.path.join(folder, f"{case}-{os.getpid()}.db"))]}
    elif case == "openinference":
        from openinference.instrumentation.langchain import LangChainInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Null(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Null()))
        LangChainInstrumentor().instrument(tracer_provider=provider)
    prompt = {"messages": [("user", " ".join([TEXT] * 3))]}
    agent.invoke(prompt, {"callbacks": [counter]})
    callbacks = type(counter).calls
    for _ in range(5):
        agent.invoke(prompt, config)
    times = []
    for _ in range(runs):
        # A support desk is not a tight loop: the drainer's thread gets its turn between runs, not inside.
        time.sleep(0.005)
        started = time.thread_time()
        agent.invoke(prompt, config)
        times.append(time.thread_time() - started)
    print(json.dumps({"cpu": statistics.median(times), "callbacks": callbacks}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--child")
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.runs, options.folder)
        return
    seen: dict[str, list[float]] = {case: [] for case in CASES}
    callbacks = 0
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            order = list(CASES)
            for case in order[turn % len(order) :] + order[: turn % len(order)]:
                environment = {**os.environ, "COUNTERFOIL_QUIET": "1"}
                if case == "counterfoil-off":
                    environment["COUNTERFOIL_REDACT"] = "off"
                answer = subprocess.run(
                    [
                        sys.executable,
                        __file__,
                        "--child",
                        case,
                        "--runs",
                        str(options.runs),
                        "--folder",
                        folder,
                    ],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                one = json.loads(answer.stdout.splitlines()[-1])
                seen[case].append(one["cpu"])
                callbacks = one["callbacks"]
    base = seen["noop"]
    print(
        f"{callbacks} callbacks a run; {options.rounds} rounds of {options.runs} runs; caller's CPU, medians"
    )
    print(f"{'case':48} {'ms a run':>9} {'x no-op (min-max)':>20} {'added us a callback':>20}")
    for case, title in CASES.items():
        ratios = [mine / theirs for mine, theirs in zip(seen[case], base, strict=True)]
        added = [(mine - theirs) / callbacks * 1e6 for mine, theirs in zip(seen[case], base, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(
            f"{title:48} {statistics.median(seen[case]) * 1e3:9.2f} {spread:>20} {statistics.median(added):20.1f}"
        )


if __name__ == "__main__":
    main()
