"""The smallest recorded AutoGen agent: one line, one tool. Run it, then `counterfoil show last`."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

import counterfoil_autogen
from support_desk.endpoint import Endpoint, Reply, call, in_turn


def weather(city: str) -> str:
    """Tell tomorrow's weather in a city."""
    return f"{city}: rain, 9 degrees"


async def main() -> None:
    script = in_turn(Reply(calls=[call("weather", city="Bergen")]), Reply("Take a raincoat."))
    with Endpoint(script) as endpoint:  # a scripted model; with a key of your own, model=... is enough
        dated = "gpt-4.1-mini-2025-04-14"  # else AutoGen warns that an answer does not say the date
        model = OpenAIChatCompletionClient(model=dated, base_url=endpoint.url, api_key="offline")
        agent = AssistantAgent("travel_agent", model, tools=[weather], reflect_on_tool_use=True)
        done = await agent.run(task="What to take to Bergen tomorrow?")
        print(done.messages[-1].to_text())
        await model.close()


counterfoil_autogen.install(quiet=True)  # else it says, once, where it records
asyncio.run(main())
