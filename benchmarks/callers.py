"""What a recorder call costs its caller while 1, 8 and 32 processes record 500 events a second each.

    python benchmarks/callers.py [--mlflow PYTHON]

Beside it in the same run: raw sqlite3 (a row an event, each committed, all into one file), OpenTelemetry's batch
processor with an exporter that drops everything, and MLflow's SQLite backend. An event of ours is a step's start or
end with 1 KB of text; of the others a row, or half of a span with the same text. PYTHON is one with mlflow-skinny,
sqlalchemy and alembic.
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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 500
CASES = ("counterfoil", "counterfoil, drained elsewhere", "raw sqlite3", "opentelemetry", "mlflow")
TEXT = "the customer order was paid on invoice and refund policy says that this amount " * 13


def counterfoil(folder: Path) -> Callable[[int], object]:
    from counterfoil.recorder import recorder_at

    recorder = recorder_at(folder / "x.db")
    root = recorder.start("agent", "desk", framework="python")
    open_ = []

    def event(n: int) -> None:
        if open_:
            recorder.end(open_.pop(), output=f"{n} {TEXT}")
        else:
            open_.append(
                recorder.start("tool", "look_up", framework="python", parent=root, input=f"{n} {TEXT}")
            )

    return event


def raw_sqlite(folder: Path) -> Callable[[int], object]:
    import sqlite3

    db = sqlite3.connect(folder / "x.db", timeout=60, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, t INTEGER, kind TEXT, body TEXT)")

    def event(n: int) -> None:
        db.execute("INSERT INTO events(t, kind, body) VALUES (?, 'end', ?)", (time.time_ns(), f"{n} {TEXT}"))

    return event


def opentelemetry(folder: Path) -> Callable[[int], object]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Null(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Null()))
    tracer = provider.get_tracer("benchmark")
    open_ = []

    def event(n: int) -> None:
        if open_:
            span = open_.pop()
            span.set_attribute("output.value", json.dumps({"text": f"{n} {TEXT}"}))
            span.end()
        else:
            span = tracer.start_span(
                "look_up", attributes={"input.value": json.dumps({"text": f"{n} {TEXT}"})}
            )
            open_.append(span)

    return event


def mlflow(folder: Path) -> Callable[[int], object]:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("desk")
    open_ = []

    def event(n: int) -> None:
        if open_:
            span = open_.pop()
            span.set_outputs({"text": f"{n} {TEXT}"})
            span.end()
        else:
            span = mlflow.start_span_no_context("look_up")
            span.set_inputs({"text": f"{n} {TEXT}"})
            open_.append(span)

    return event


def record(case: str, folder: Path, seconds: float) -> dict[str, list[int]]:
    """Give what each call took, in nanoseconds: on the clock, and of the caller's CPU."""
    ways = {"raw sqlite3": raw_sqlite, "opentelemetry": opentelemetry, "mlflow": mlflow}
    event = ways.get(case, counterfoil)(folder)
    for n in range(20):  # imports, opens and compiles
        event(n)
    print("ready", flush=True)
    sys.stdin.readline()
    wall, cpu = [], []
    began = time.perf_counter()
    for n in range(int(seconds * RATE)):
        late = began + n / RATE - time.perf_counter()
        if late > 0:
            time.sleep(late)
        used, now = time.thread_time_ns(), time.perf_counter_ns()
        event(n)
        wall.append(time.perf_counter_ns() - now)
        cpu.append(time.thread_time_ns() - used)
    took = time.perf_counter() - began
    return {"wall": wall, "cpu": cpu, "rate": [int(len(wall) / took)]}


def ask(case: str, writers: int, options: argparse.Namespace) -> list[dict[str, list[int]]]:
    """Give what each of so many processes measured, that began together."""
    python = options.mlflow if case == "mlflow" else sys.executable
    environment = dict(os.environ)
    if case != "counterfoil":
        environment["COUNTERFOIL_DRAIN"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        command = [python, __file__, "--child", case, "--folder", folder, "--seconds", str(options.seconds)]
        children = []
        for _ in range(writers):
            children.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL if case == "mlflow" else None,
                    text=True,
                )
            )
            if case == "mlflow":  # the first makes its tables; two at once fail
                children[-1].stdout.readline()
        for child in children:
            if case != "mlflow":
                child.stdout.readline()
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        answers = [child.communicate()[0].splitlines() for child in children]
    return [json.loads(lines[-1]) for lines in answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--mlflow", help="a Python that has MLflow")
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(record(options.child, options.folder, options.seconds)), flush=True)
        return
    print(
        f"{'writers':>7} {'case':32} {'p50 us':>8} {'p99 us':>9} {'max ms':>8} {'p99 us CPU':>11} {'events/s each':>14}"
    )
    for writers in options.writers:
        for case in CASES:
            if case == "mlflow" and (not options.mlflow or writers > 8):
                why = (
                    "left out: give --mlflow PYTHON" if not options.mlflow else "left out: each takes 200 MB"
                )
                print(f"{writers:7} {case:32} {why}")
                continue
            show(writers, case, ask(case, writers, options))
    print(f"load {os.getloadavg()[0]:.1f}")


def show(writers: int, case: str, measured: list[dict[str, list[int]]]) -> None:
    wall = sorted(one for writer in measured for one in writer["wall"])
    cpu = sorted(one for writer in measured for one in writer["cpu"])
    rate = statistics.median(writer["rate"][0] for writer in measured)
    p50, p99, most = wall[len(wall) // 2], wall[len(wall) * 99 // 100], wall[-1]
    print(
        f"{writers:7} {case:32} {p50 / 1e3:8.0f} {p99 / 1e3:9.0f} {most / 1e6:8.1f} "
        f"{cpu[len(cpu) * 99 // 100] / 1e3:11.0f} {rate:14.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
