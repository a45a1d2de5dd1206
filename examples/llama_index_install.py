"""The smallest recorded LlamaIndex agent: one line, one tool. Run it, then `counterfoil show last`."""

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from openai import AsyncOpenAI

import counterfoil_llama_index
from support_desk.endpoint import Endpoint, Reply, call, in_turn


def weather(city: str) -> str:
    """Tell tomorrow's weather in a city."""
    return f"{city}: rain, 9 degrees"


async def main() -> None:
    script = in_turn(Reply(calls=[call("weather", city="Bergen")]), Reply("Take a raincoat."))
    with Endpoint(script) as endpoint:  # a scripted model; with a key of your own, model=... is enough
        client = AsyncOpenAI(base_url=endpoint.url, api_key="offline")
        model = OpenAI(model="gpt-4.1-mini", async_openai_client=client)
        agent = FunctionAgent(name="travel_agent", llm=model, tools=[weather], streaming=False)
        print(await agent.run("What to take to Bergen tomorrow?"))
        await client.close()


counterfoil_llama_index.install(quiet=True)  # else it says, once, where it records
asyncio.run(main())
