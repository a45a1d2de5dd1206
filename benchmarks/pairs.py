"""How a benchmark compares recorders: batches of runs with and without one take turns, in one process per recorder.

The ratio of a pair is of one process at one time. CPU time of the thread that calls the framework, and of the whole
process, until all that was recorded is drained or exported: frameworks work in threads of their own, as does
Counterfoil's drainer.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
ROOT = Path(__file__).parents[1]
_WORDS = "the order was paid on invoice number and the refund policy says that amount please check status"


def text(times: int) -> str:
    """Give a text of so many sentences."""
    return " ".join([_WORDS] * times)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One framework at work. `prepare(runs)` builds a batch, off the clock, and gives what does it.

    `finish` waits for what the framework itself still does. `instrumentor` is OpenInference's, `module:class`, and
    `instrument` how it is switched on. `environment` is that of each process; `{folder}` stands for one that goes away.
    """

    framework: str
    script: str
    prepare: Callable[[int], Callable[[], object]]
    instrumentor: str
    instrument: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[], object] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)


def compare(benchmark: Benchmark, *, runs: int) -> None:
    """Print what each recorder costs, in batches of `runs` unless the command line says another number."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--child")
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(benchmark, options)))
        return
    seen: dict[str, list[Any]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for case, pairs in seen.items():
                pairs.extend(_ask(benchmark, case, options, folder))
    _show(seen, options)


def _ask(benchmark: Benchmark, case: str, options: Any, folder: str) -> list[Any]:
    """Give the pairs that a process of its own measures."""
    ours = {name: value.format(folder=folder) for name, value in benchmark.environment.items()}
    # Scripted models are those of the tests, which use the endpoint of the examples.
    paths = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")])
    sizes = ["--pairs", str(options.pairs), "--runs", str(options.runs)]
    answer = subprocess.run(
        [sys.executable, benchmark.script, "--child", case, "--folder", folder, *sizes],
        env={**os.environ, "PYTHONPATH": paths, **ours, **ENVIRONMENT.get(case, {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def _measure(benchmark: Benchmark, options: Any) -> list[Any]:
    """Give pairs of batches: the CPU seconds per run of the caller and of the process, without and with the recorder."""
    measured = []
    for pair in range(options.pairs + 1):
        alone = _batch(benchmark, options.runs, lambda: None)
        settle, detach = _attach(benchmark, options.child, options.folder)
        recorded = _batch(benchmark, options.runs, settle)
        detach()
        if pair:  # the first ones import and compile
            measured.append((alone, recorded))
    return measured


def _batch(benchmark: Benchmark, runs: int, settle: Callable[[], object]) -> tuple[float, float]:
    work = benchmark.prepare(runs)
    process, caller = time.process_time(), time.thread_time()
    work()
    caller = time.thread_time() - caller
    benchmark.finish()
    settle()
    return caller / runs, (time.process_time() - process) / runs


def _attach(
    benchmark: Benchmark, case: str, folder: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Attach a recorder; give how to wait until all is stored or exported, and how to detach."""
    if case.startswith("counterfoil"):
        import counterfoil

        db = os.path.join(folder, f"{case}-{os.getpid()}.db")
        adapter = importlib.import_module(f"counterfoil_{benchmark.framework}")
        adapter.install(db, quiet=True)
        drained_here = os.environ.get("COUNTERFOIL_DRAIN") != "off"
        return lambda: drained_here and counterfoil.flush(db), adapter.uninstall
    if case == "openinference":
        return _instrument(benchmark)
    return lambda: None, lambda: None


def _instrument(benchmark: Benchmark) -> tuple[Callable[[], object], Callable[[], object]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Null(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    module, name = benchmark.instrumentor.split(":")
    instrumentor = getattr(importlib.import_module(module), name)()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Null()))
    instrumentor.instrument(tracer_provider=provider, **benchmark.instrument)

    def detach() -> None:
        instrumentor.uninstrument()
        provider.shutdown()

    return provider.force_flush, detach


def _show(seen: Mapping[str, list[Any]], options: Any) -> None:
    print(f"{options.rounds * options.pairs} pairs of {options.runs} runs; CPU; medians (quartiles)")
    print(f"{'case':42} {'caller x nothing':>18} {'added ms':>9} {'process x nothing':>18} {'added ms':>9}")
    for case, title in CASES.items():
        told = []
        for thread in (0, 1):
            alone = [pair[0][thread] for pair in seen[case]]
            recorded = [pair[1][thread] for pair in seen[case]]
            told.append(_spread([one / other for one, other in zip(recorded, alone, strict=True)]))
            added = statistics.median(one - other for one, other in zip(recorded, alone, strict=True))
            told.append(f"{added * 1e3:.2f}")
        print(f"{title:42} {told[0]:>18} {told[1]:>9} {told[2]:>18} {told[3]:>9}")
    nothing = [pair[0] for pairs in seen.values() for pair in pairs]
    caller, process = (statistics.median(one[thread] for one in nothing) * 1e3 for thread in (0, 1))
    print(f"nothing: {caller:.1f} ms of the caller, {process:.1f} ms of the process a run")


def _spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"
