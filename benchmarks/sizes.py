"""How many bytes an event takes, and a conversation of 100, 200 and 400 turns, on the tape and in the store.

    python benchmarks/sizes.py

A turn is a question and an answer of 500 bytes each; the model is sent all that was said so far, as chat models are. The
reference is the same input written whole with every call.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from counterfoil.events import encode, message, text_part
from counterfoil.recorder import recorder_at
from counterfoil.store import ingest

os.environ["COUNTERFOIL_DRAIN"] = "off"


def converse(path: Path, turns: int) -> tuple[int, int, int]:
    """Give how many events there were, the bytes of tape, and those of all inputs and outputs written whole."""
    recorder = recorder_at(path)
    agent = recorder.start("agent", "desk", framework="python")
    said: list = []
    whole = 0
    for turn in range(turns):
        said.append(message("user", [text_part(f"question {turn}: {'why and how ' * 40}")]))
        answer = message("assistant", [text_part(f"answer {turn}: {'because of that ' * 30}")])
        step = recorder.start(
            "llm", "chat", framework="python", parent=agent, messages=said, request_model="m"
        )
        recorder.end(step, messages=[answer])
        whole += len(encode(said)) + len(encode(answer))
        said.append(answer)
    recorder.end(agent)
    recorder.close()
    tape = sum(file.stat().st_size for file in Path(ingest.tapes.folder_of(str(path))).glob("*.tape"))
    return recorder.events, tape, whole


def main() -> None:
    print(
        f"{'turns':>6} {'events':>7} {'tape':>10} {'store':>10} {'written whole':>14} {'tape/turn':>10} {'store/turn':>11} {'store/event':>12}"
    )
    for turns in (100, 200, 400):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.db")
            events, tape, whole = converse(path, turns)
            with ingest.Drainer(path) as drainer:
                drainer.drain()
                empty = Path(folder, "empty.db")
                ingest.schema.open_writer(str(empty)).close()
            store = path.stat().st_size - empty.stat().st_size
            print(
                f"{turns:6} {events:7} {tape:10,} {store:10,} {whole:14,} {tape / turns:10.0f} {store / turns:11.0f} "
                f"{store / events:12.0f}"
            )


if __name__ == "__main__":
    main()
