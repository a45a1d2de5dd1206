"""How fast a CPU-bound application in pure Python is while it records.

    python benchmarks/busy_app.py

Windows with and without recording take turns in one process; the speed of a window is beside that of the two around it.
Speed is work by the process's CPU time: the interpreter runs one thread at a time, so what the drainer uses is what the
application loses, and what the neighbours on the machine take is left out. On the clock it stands beside.
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

CASES = {
    "500 a second, drained inside": (500, "on"),
    "500 a second, drained elsewhere": (500, "off"),
    "5 000 a second, drained elsewhere": (5_000, "off"),
    "nothing, twice": (0, "off"),
}
WINDOW = 0.8
TEXT = "the customer order was paid on invoice and refund policy says that this amount " * 13


def work() -> None:
    n = 0
    for _ in range(600):
        n = n * 31 % 1_000_003


def measure(rate: int, folder: Path, windows: int) -> list[tuple[float, float]]:
    """Give each window's units of work by second of CPU and of the clock; every other one records."""
    from counterfoil.recorder import recorder_at

    recorder = recorder_at(folder / "x.db")
    root = recorder.start("agent", "desk", framework="python")
    open_: list = []
    speeds = []
    for window in range(2 * windows + 1):
        recording = rate if window % 2 else 0
        units = events = 0
        cpu, began = time.process_time(), time.perf_counter()
        # By CPU time: so many events for so much work, whatever else the machine does.
        while (used := time.process_time() - cpu) < WINDOW:
            work()
            units += 1
            while recording and events < used * recording:
                events += 1
                if open_:
                    recorder.end(open_.pop(), output=TEXT)
                else:
                    open_.append(
                        recorder.start("tool", "look_up", framework="python", parent=root, input=TEXT)
                    )
        if recording:  # what the drainer is behind with is this window's
            time.sleep(0.5)
        speeds.append((units / (time.process_time() - cpu), units / (time.perf_counter() - began)))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(CASES[options.child][0], options.folder, options.windows)))
        return
    print(f"{'case':36} {'speed, CPU (quartiles)':>26}")
    for case, (_, drain) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            answer = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--child",
                    case,
                    "--folder",
                    folder,
                    "--windows",
                    str(options.windows),
                ],
                env={**os.environ, "COUNTERFOIL_DRAIN": drain},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
        speeds = [one for one, _ in json.loads(answer.stdout)]
        ratios = [2 * speeds[at] / (speeds[at - 1] + speeds[at + 1]) for at in range(1, len(speeds) - 1, 2)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{case:36} {middle:12.3f} ({low:.3f}-{high:.3f})", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
