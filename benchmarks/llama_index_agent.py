"""What recording costs: one agent of LlamaIndex (3 model calls, 2 tool calls), recorded in turn by

nothing, Counterfoil with redaction off and on, OpenInference's instrumentor with a batch processor.

    python benchmarks/llama_index_agent.py [--rounds 3] [--pairs 8] [--runs 25]

`pairs.py` says how they are compared.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pairs import Benchmark, compare, text

if TYPE_CHECKING:
    from collections.abc import Callable


def make_agent() -> Any:
    from llama_index.core.agent.workflow import FunctionAgent

    import llama_index_office

    def says(messages: list[Any]) -> Any:
        done = sum(one.role.value == "tool" for one in messages)
        return [("search", {"query": text(2), "limit": 10 + done})] if done < 2 else text(4)

    llama_index_office.office_says = says

    def search(query, limit):
        """Search the knowledge base."""
        return text(8)

    return FunctionAgent(
        name="support",
        system_prompt=text(6),
        llm=llama_index_office.OfficeModel(),
        tools=[search],
        streaming=False,
    )


def prepare(runs: int) -> Callable[[], object]:
    agent = make_agent()

    async def work() -> None:
        for _ in range(runs):
            await agent.run(text(3))

    return lambda: asyncio.run(work())


if __name__ == "__main__":
    compare(
        Benchmark(
            framework="llama_index",
            script=__file__,
            prepare=prepare,
            instrumentor="openinference.instrumentation.llama_index:LlamaIndexInstrumentor",
        ),
        runs=25,
    )
