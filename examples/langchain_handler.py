"""The smallest recorded agent: one handler, two tools. Run it, then `counterfoil show last`."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from counterfoil_langchain import CounterfoilHandler
from support_desk.endpoint import Endpoint, Reply, call, in_turn


def weather(city: str) -> str:
    """Tell tomorrow's weather in a city."""
    return f"{city}: rain, 9 degrees"


def trains(start: str, end: str) -> str:
    """Tell tomorrow's trains from one city to another."""
    return f"{start} to {end}: 08:04, 12:04"


look = Reply(calls=[call("weather", city="Bergen"), call("trains", start="Oslo", end="Bergen")])
script = in_turn(look, Reply("Take the 08:04 and a raincoat."))

with Endpoint(
    script
) as endpoint:  # a scripted model; with a key of your own, ChatOpenAI(model=...) is enough
    model = ChatOpenAI(model="gpt-4.1-mini", base_url=endpoint.url, api_key="offline")
    agent = create_agent(model, [weather, trains], name="travel_agent")
    question = {"messages": [("user", "I go from Oslo to Bergen tomorrow. What do I need?")]}
    print(agent.invoke(question, {"callbacks": [CounterfoilHandler()]})["messages"][-1].text)
