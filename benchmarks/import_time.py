"""What `import counterfoil` costs beyond the interpreter, and the LangChain handler beyond LangGraph.

python benchmarks/import_time.py [--rounds 15]

CPU time of the import alone, each in a process of its own, in turn; medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

CASES = {
    "msgspec and logging, which it needs": ("", "import logging, msgspec"),
    "import counterfoil": ("", "import counterfoil"),
    "CounterfoilHandler, beside LangGraph": (
        "import langgraph.graph",
        "from counterfoil_langchain import CounterfoilHandler",
    ),
}


def cpu_ms(before: str, code: str) -> float:
    program = (
        f"{before}\nimport time\nt = time.process_time()\n{code}\nprint((time.process_time() - t) * 1e3)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seen: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, (before, code) in CASES.items():
            seen[name].append(cpu_ms(before, code))
    for name, times in seen.items():
        print(f"{name}: {statistics.median(times):.0f} ms CPU ({min(times):.0f}-{max(times):.0f})")


if __name__ == "__main__":
    main()
