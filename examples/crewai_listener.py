"""The smallest recorded crew: one listener, one tool. Run it, then `counterfoil show last`."""

import logging
import os

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")  # else CrewAI ends 11 s late where it is offline
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")  # else it asks on a terminal, for 20 s
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

from counterfoil_crewai import CounterfoilListener
from support_desk.endpoint import Endpoint, Reply, call, in_turn


@tool
def weather(city: str) -> str:
    """Tell tomorrow's weather in a city."""
    return f"{city}: rain, 9 degrees"


logging.getLogger("crewai.llms").setLevel("ERROR")  # it warns at each call that it estimates tokens
CounterfoilListener()
script = in_turn(Reply(calls=[call("weather", city="Bergen")]), Reply("Take a raincoat."))
with Endpoint(script) as endpoint:  # a scripted model; with a key of your own, LLM(model=...) is enough
    model = LLM(model="openai/gpt-4.1-mini", base_url=endpoint.url, api_key="offline")
    agent = Agent(role="travel agent", goal="No surprise", backstory="Local", llm=model, tools=[weather])
    task = Task(description="What to take to Bergen tomorrow?", expected_output="A list", agent=agent)
    print(Crew(name="travel", agents=[agent], tasks=[task]).kickoff())
