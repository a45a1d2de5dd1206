"""What recording costs: one agent of LlamaIndex (3 model calls, 2 tool calls), recorded in turn by

nothing, Counterfoil with redaction off and on, OpenInference's instrumentor with a batch processor.

    python benchmarks/llama_index_agent.py [--rounds 3] [--pairs 8] [--runs 25]

Each case runs in a process of its own, in which batches of runs with and without the recorder take turns: the ratio of a
pair is of one process at one time. CPU time of the thread that runs the loop, and of the whole process, until all that
was recorded is drained or exported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = {
    "nothing": "nothing, twice",
    "counterfoil-off": "Counterfoil, redaction off",
    "counterfoil": "Counterfoil, redaction on (default)",
    "counterfoil-undrained": "Counterfoil, drained by another process",
    "openinference": "OpenInference",
}
ENVIRONMENT = {
    "counterfoil-off": {"COUNTERFOIL_REDACT": "off"},
    "counterfoil-undrained": {"COUNTERFOIL_DRAIN": "off"},
}
TEXT = "the order was paid on invoice number and the refund policy says that amount please check status"
ROOT = Path(__file__).parents[1]


def make_agent() -> Any:
    from llama_index.core.agent.workflow import FunctionAgent

    import llama_index_office

    def says(messages: list[Any]) -> Any:
        done = sum(one.role.value == "tool" for one in messages)
        asked = {"query": " ".join([TEXT] * 2), "limit": 10 + done}
        return [("search", asked)] if done < 2 else " ".join([TEXT] * 4)

    llama_index_office.office_says = says

    def search(query, limit):
        """Search the knowledge base."""
        return " ".join([TEXT] * 8)

    return FunctionAgent(
        name="support",
        system_prompt=" ".join([TEXT] * 6),
        llm=llama_index_office.OfficeModel(),
        tools=[search],
        streaming=False,
    )


def attach(case: str, folder: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Attach a recorder; give how to wait until all is stored or exported, and how to detach."""
    if case.startswith("counterfoil"):
        import counterfoil
        import counterfoil_llama_index

        db = os.path.join(folder, f"{case}-{os.getpid()}.db")
        counterfoil_llama_index.install(db, quiet=True)
        drained_here = os.environ.get("COUNTERFOIL_DRAIN") != "off"
        return lambda: drained_here and counterfoil.flush(db), counterfoil_llama_index.uninstall
    if case == "openinference":
        from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Null(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Null()))
        instrumentor = LlamaIndexInstrumentor()
        instrumentor.instrument(tracer_provider=provider)

        def detach() -> None:
            instrumentor.uninstrument()
            provider.shutdown()

        return provider.force_flush, detach
    return lambda: None, lambda: None


def batch(agent: Any, runs: int, settle: Callable[[], Any]) -> tuple[float, float]:
    """Give the CPU seconds per run, of the loop's thread and of the process."""

    async def work() -> None:
        for _ in range(runs):
            await agent.run(" ".join([TEXT] * 3))

    process, caller = time.process_time(), time.thread_time()
    asyncio.run(work())
    caller = time.thread_time() - caller
    settle()
    return caller / runs, (time.process_time() - process) / runs


def child(case: str, pairs: int, runs: int, folder: str) -> None:
    """Print pairs of batches, without the recorder and with it."""
    agent = make_agent()
    measured = []
    for pair in range(pairs + 1):
        alone = batch(agent, runs, lambda: None)
        settle, detach = attach(case, folder)
        recorded = batch(agent, runs, settle)
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
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--child")
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.pairs, options.runs, options.folder)
        return
    seen: dict[str, list[Any]] = {case: [] for case in CASES}
    # The scripted model is the tests' own.
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for case, pairs in seen.items():
                sizes = ["--pairs", str(options.pairs), "--runs", str(options.runs)]
                answer = subprocess.run(
                    [sys.executable, __file__, "--child", case, "--folder", folder, *sizes],
                    env={**os.environ, "PYTHONPATH": paths, **ENVIRONMENT.get(case, {})},
                    stdin=subprocess.DEVNULL,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                pairs.extend(json.loads(answer.stdout.splitlines()[-1]))
    print(f"{options.rounds * options.pairs} pairs of {options.runs} runs; CPU; medians (quartiles)")
    print(f"{'case':42} {'loop x nothing':>18} {'added ms':>9} {'process x nothing':>18} {'added ms':>9}")
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
    print(f"nothing: {caller:.1f} ms of the loop's thread, {process:.1f} ms of the process a run")


if __name__ == "__main__":
    main()
