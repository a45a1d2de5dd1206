"""Who passed control to whom: each pattern of LangChain and LangGraph is the handoff row that mapping.md says."""

from typing import Annotated

import pytest
from deepagents import create_deep_agent
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Send
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

import counterfoil
from langgraph_apps import HI, add, asks, graph
from ordered_model import calls, model
from outline import outline


def passes_to(name, *, send=False, graph=Command.PARENT):
    """Give a tool that passes control to another agent."""

    @tool(f"to_{name}")
    def pass_on(reason: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """Pass control on."""
        said = {"messages": [ToolMessage("passed", tool_call_id=tool_call_id)]}
        if send:
            return Command(goto=[Send(name, HI)], graph=graph)
        return Command(goto=name, graph=graph, update=said)

    return pass_on


def agent(name, *answers, tools=(), **options):
    return create_agent(model(*answers), list(tools), name=name, **options)


def arrows(db):
    """Give the handoffs of a run as lines; of agents that ran at once either may be first."""
    return sorted(line for line in outline(db).splitlines() if " -> " in line)


def handoffs(db):
    with counterfoil.open(db) as store:
        return store.handoffs("last")


class TestTransfer:
    def test_a_command_to_the_parent_graph_is_one(self, db, config):
        alice = agent("alice", calls(("to_bob", {"reason": "needs math"})), tools=[passes_to("bob")])
        graph((START, "alice"), name="team", alice=alice, bob=agent("bob", "done")).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent alice
    llm OrderedModel [alice]
    tool to_bob [alice]
  agent bob
    llm OrderedModel [bob]
alice -> bob transfer accepted native: needs math\
""")

    def test_it_knows_who_decided_it_and_where_it_led(self, db, config):
        alice = agent("alice", calls(("to_bob", {"reason": "needs math"})), tools=[passes_to("bob")])
        graph((START, "alice"), alice=alice, bob=agent("bob", "done")).invoke(HI, config)
        with counterfoil.open(db) as store:
            (row,) = store.handoffs("last")
            steps = {step.step_id: step for step in store.steps("last")}
            assert steps[row.step_id].name == "to_bob"
            assert steps[row.target_step_id].name == "bob"
            assert row.decided_by == store.llm_calls()[0].step_id
            assert row.payload == {"reason": "needs math"}
            assert row.requested_ns <= row.accepted_ns

    def test_the_models_words_are_the_reason_where_the_tool_takes_none(self, db, config):
        chosen = calls(("transfer_to_bob", {}), text="Bob knows math.")
        alice = agent("alice", chosen, tools=[create_handoff_tool(agent_name="bob")])
        graph((START, "alice"), alice=alice, bob=agent("bob", "done")).invoke(HI, config)
        assert [row.reason for row in handoffs(db)] == ["Bob knows math."]

    def test_a_node_of_another_name_than_its_agent_is_found(self, db, config):
        alice = agent("alice", calls(("to_desk", {"reason": "needs math"})), tools=[passes_to("desk")])
        graph((START, "alice"), name="team", alice=alice, desk=agent("bob", "done")).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent alice
    llm OrderedModel [alice]
    tool to_desk [alice]
  task desk
    agent bob
      llm OrderedModel [bob]
alice -> bob transfer accepted native: needs math\
""")
        assert [(row.target, row.target_asked) for row in handoffs(db)] == [("bob", "desk")]

    def test_of_two_at_once_only_the_one_that_starts_is_accepted(self, db, config):
        both = calls(("to_bob", {"reason": "math"}), ("to_carol", {"reason": "law"}))
        alice = agent("alice", both, tools=[passes_to("bob", send=True), passes_to("carol", send=True)])
        graph(
            (START, "alice"), name="team", alice=alice, bob=agent("bob", "b"), carol=agent("carol", "c")
        ).invoke(HI, config)
        rows = {row.status: row.target for row in handoffs(db)}
        assert set(rows) == {"accepted", "abandoned"}
        with counterfoil.open(db) as store:
            assert store.run("last").agent_names == sorted(["alice", rows["accepted"]])

    def test_a_node_without_an_agent_passes_it_on_to_the_next(self, db, config):
        alice = agent("alice", calls(("to_mail", {"reason": "post it"})), tools=[passes_to("mail")])
        graph(
            (START, "alice"),
            ("mail", "bob"),
            name="team",
            alice=alice,
            mail=lambda state: {},
            bob=agent("bob", "done"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent alice
    llm OrderedModel [alice]
    tool to_mail [alice]
  task mail
  agent bob
    llm OrderedModel [bob]
alice -> bob transfer accepted native: post it\
""")

    def test_a_tool_of_a_graph_of_ones_own_may_go_to_a_node_beside_it(self, db, config):
        handing = calls(("to_bob", {"reason": "needs math"}))
        graph(
            (START, "alice"),
            ("alice", tools_condition),
            name="team",
            alice=asks(handing),
            tools=ToolNode([passes_to("bob", graph=None)]),
            bob=asks("done"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent alice ~inferred
    llm OrderedModel [alice]
  task tools [alice]
    tool to_bob [alice]
  agent bob ~inferred
    llm OrderedModel [bob]
alice -> bob transfer accepted native: needs math\
""")

    def test_a_command_of_a_node_is_one(self, db, config):
        alice = asks("Bob is better at this.")
        graph(
            (START, "alice"),
            name="team",
            alice=lambda state: Command(goto="bob", update=alice(state)),
            bob=asks("done"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent alice ~inferred
    llm OrderedModel [alice]
  agent bob ~inferred
    llm OrderedModel [bob]
alice -> bob transfer accepted native: Bob is better at this.\
""")

    def test_a_command_to_the_end_is_none(self, db, config):
        alice = asks("done")
        graph((START, "alice"), alice=lambda state: Command(goto=END, update=alice(state))).invoke(HI, config)
        assert handoffs(db) == []

    def test_a_command_without_a_destination_is_none(self, db, config):
        @tool
        def note(text: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
            """Note."""
            return Command(update={"messages": [ToolMessage("noted", tool_call_id=tool_call_id)]})

        agent("alice", calls(("note", {"text": "a"})), "done", tools=[note]).invoke(HI, config)
        assert handoffs(db) == []

    def test_a_swarms_is_one_and_its_own_choice_of_speaker_is_not(self, db, config):
        alice = agent(
            "alice", calls(("transfer_to_bob", {})), "x", tools=[create_handoff_tool(agent_name="bob")]
        )
        swarm = create_swarm([alice, agent("bob", "done")], default_active_agent="alice")
        swarm.compile(checkpointer=InMemorySaver()).invoke(HI, config | {"configurable": {"thread_id": "1"}})
        assert outline(db) == snapshot("""\
workflow LangGraph
  agent alice
    llm OrderedModel [alice]
    tool transfer_to_bob [alice]
  agent bob
    llm OrderedModel [bob]
alice -> bob transfer accepted native\
""")

    def test_a_swarms_that_raises_has_failed(self, db, config):
        @tool("transfer_to_bob")
        def broken() -> str:
            """Pass control on, in vain."""
            raise RuntimeError("the line is dead")

        broken.metadata = {"__handoff_destination": "bob"}
        alice = agent("alice", calls(("transfer_to_bob", {})), tools=[broken])
        swarm = create_swarm([alice, agent("bob", "done")], default_active_agent="alice").compile()
        with pytest.raises(RuntimeError):
            swarm.invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow LangGraph error
  agent alice error
    llm OrderedModel [alice]
    tool transfer_to_bob [alice] error (RuntimeError)
run: error
alice -> bob transfer failed native\
""")
        assert [row.error_message for row in handoffs(db)] == ["the line is dead"]

    def test_control_that_went_up_is_no_error(self, db, config):
        alice = agent("alice", calls(("to_bob", {"reason": "needs math"})), tools=[passes_to("bob")])
        graph((START, "alice"), alice=alice, bob=agent("bob", "done")).invoke(HI, config)
        with counterfoil.open(db) as store:
            assert store.run("last").errors == 0
            assert {step.status for step in store.steps("last")} == {"ok"}


class TestEscalation:
    def test_an_agent_behind_a_tool_is_one(self, db, config):
        expert = agent("expert", "because")

        @tool
        def ask(why: str) -> str:
            """Ask an expert."""
            return expert.invoke({"messages": [("user", why)]})["messages"][-1].text

        agent("boss", calls(("ask", {"why": "why is it so?"})), "done", tools=[ask]).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent boss
  llm OrderedModel [boss]
  tool ask [boss]
    agent expert
      llm OrderedModel [expert]
  llm OrderedModel [boss]
boss -> expert escalation returned inferred: why is it so?\
""")

    def test_a_supervisors_transfer_that_comes_back_is_one(self, db, config):
        with pytest.warns(DeprecationWarning, match="create_react_agent"):
            supervisor = create_supervisor(
                [agent("bob", "done")],
                model=model(calls(("transfer_to_bob", {})), "all done"),
                supervisor_name="boss",
            ).compile(name="team")
        supervisor.invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent boss ~inferred
    llm OrderedModel [boss]
    tool transfer_to_bob [boss]
  agent bob
    llm OrderedModel [bob]
  agent boss ~inferred
    llm OrderedModel [boss]
boss -> bob escalation returned native\
""")

    def test_one_that_only_its_edges_bring_back_is_inferred(self, db, config):
        bob = agent("bob", "done")
        boss = asks("bob", "end")

        def choose(state):
            said = boss(state)
            return Command(goto="bob" if said["messages"][0].text == "bob" else END, update=said)

        graph((START, "boss"), ("bob", "boss"), name="team", boss=choose, bob=bob).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent boss ~inferred
    llm OrderedModel [boss]
  agent bob
    llm OrderedModel [bob]
  agent boss ~inferred
    llm OrderedModel [boss]
boss -> bob escalation returned inferred: bob\
""")

    def test_a_deep_agents_task_is_one_by_name(self, db, config):
        deep = create_deep_agent(
            model=model(calls(("task", {"description": "find X", "subagent_type": "finder"})), "done"),
            subagents=[
                {"name": "finder", "description": "d", "system_prompt": "s", "model": model("X"), "tools": []}
            ],
            name="deep",
        )
        deep.invoke(HI, config)
        # Which middleware Deep Agents brings differs from version to version (0.6, 0.7).
        told = [line for line in outline(db).splitlines() if not line.lstrip().startswith("guardrail ")]
        assert "\n".join(told) == snapshot("""\
agent deep
  llm OrderedModel [deep]
  tool task [deep]
    agent finder
      llm OrderedModel [finder]
  llm OrderedModel [deep]
deep -> finder escalation returned native: find X\
""")

    def test_a_task_for_nobody_is_refused(self, db, config):
        deep = create_deep_agent(
            model=model(calls(("task", {"description": "find X", "subagent_type": "nobody"})), "done"),
            subagents=[
                {"name": "finder", "description": "d", "system_prompt": "s", "model": model("X"), "tools": []}
            ],
            name="deep",
        )
        deep.invoke(HI, config)
        assert arrows(db) == snapshot(
            ["deep -> nobody escalation refused native refused by framework: find X"]
        )

    def test_a_sub_agent_that_fails_has_failed(self, db, config):
        expert = agent("expert", RuntimeError)

        @tool
        def ask(why: str) -> str:
            """Ask an expert."""
            return expert.invoke({"messages": [("user", why)]})["messages"][-1].text

        with pytest.raises(RuntimeError):
            agent("boss", calls(("ask", {"why": "why is it so?"})), tools=[ask]).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent boss error
  llm OrderedModel [boss]
  tool ask [boss] error
    agent expert error
      llm OrderedModel [expert] error (RuntimeError)
run: error
boss -> expert escalation failed inferred: why is it so?\
""")

    def test_a_team_behind_a_tool_is_asked_as_a_whole(self, db, config):
        reader = agent("reader", calls(("to_writer", {"reason": "write it up"})), tools=[passes_to("writer")])
        team = graph((START, "reader"), name="press", reader=reader, writer=agent("writer", "written"))

        @tool
        def publish(what: str) -> str:
            """Have it published."""
            return team.invoke({"messages": [("user", what)]})["messages"][-1].text

        agent("boss", calls(("publish", {"what": "news"})), "done", tools=[publish]).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent boss
  llm OrderedModel [boss]
  tool publish [boss]
    workflow press [boss]
      agent reader ~inferred
        llm OrderedModel [reader]
        tool to_writer [reader]
      agent writer ~inferred
        llm OrderedModel [writer]
  llm OrderedModel [boss]
boss -> press escalation returned inferred to a workflow: news
reader -> writer transfer accepted native: write it up\
""")


class TestRoute:
    def test_an_edge_is_one_from_each_agent_of_the_step_before(self, db, config):
        graph(
            (START, "a"),
            (START, "b"),
            ("a", "c"),
            ("b", "c"),
            name="team",
            a=agent("a", "1"),
            b=agent("b", "2"),
            c=agent("c", "3"),
        ).invoke(HI, config)
        assert arrows(db) == ["a -> c route accepted inferred", "b -> c route accepted inferred"]

    def test_a_join_waits_for_agents_of_several_steps(self, db, config):
        graph(
            (START, "a"),
            (START, "b"),
            ("a", "a2"),
            (["a2", "b"], "c"),
            name="team",
            a=agent("a", "1"),
            a2=agent("a2", "1"),
            b=agent("b", "2"),
            c=agent("c", "3"),
        ).invoke(HI, config)
        assert arrows(db) == snapshot(
            [
                "a -> a2 route accepted inferred",
                "a2 -> c route accepted inferred",
                "b -> a2 route accepted inferred",
                "b -> c route accepted inferred",
            ]
        )

    def test_a_routers_choice_is_native_and_names_it(self, db, config):
        def choose(state):
            return "b"

        graph(
            (START, "a"),
            ("a", choose, ["b", "c"]),
            name="team",
            a=agent("a", "1"),
            b=agent("b", "2"),
            c=agent("c", "3"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent a
    llm OrderedModel [a]
  agent b
    llm OrderedModel [b]
a -> b route accepted native by choose\
""")

    def test_a_routers_own_words_for_nodes_are_followed(self, db, config):
        graph(
            (START, "a"),
            ("a", lambda state: "good", {"good": "b", "bad": END}),
            name="team",
            a=agent("a", "1"),
            b=agent("b", "2"),
        ).invoke(HI, config)
        assert arrows(db) == snapshot(["a -> b route accepted inferred by router"])

    def test_a_routers_first_pick_is_its_own(self, db, config):
        def choose(state):
            return ["a", "b"]

        graph(
            (START, choose, ["a", "b", "c"]),
            name="team",
            a=agent("a", "1"),
            b=agent("b", "2"),
            c=agent("c", "3"),
        ).invoke(HI, config)
        assert arrows(db) == snapshot(
            ["choose -> a route accepted native by choose", "choose -> b route accepted native by choose"]
        )

    def test_the_first_node_of_a_graph_is_reached_by_none(self, db, config):
        graph((START, "a"), a=agent("a", "1")).invoke(HI, config)
        assert handoffs(db) == []

    def test_each_send_is_one(self, db, config):
        graph(
            (START, "plan"),
            ("plan", lambda state: [Send("work", HI), Send("work", HI)], ["work"]),
            name="team",
            plan=agent("plan", "two"),
            work=agent("work", "done"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent plan
    llm OrderedModel [plan]
  agent work
    llm OrderedModel [work]
  agent work
    llm OrderedModel [work]
plan -> work route accepted native by router
plan -> work route accepted native by router\
""")

    def test_a_node_without_an_agent_is_passed_through(self, db, config):
        graph(
            (START, "a"),
            ("a", "tidy"),
            ("tidy", "b"),
            name="team",
            a=agent("a", "1"),
            tidy=lambda state: {},
            b=agent("b", "2"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent a
    llm OrderedModel [a]
  task tidy
  agent b
    llm OrderedModel [b]
a -> b route accepted inferred\
""")

    def test_the_same_agent_again_is_none(self, db, config):
        rounds = iter(["again", "enough"])
        graph(
            (START, "a"),
            ("a", lambda state: "a" if next(rounds) == "again" else END, ["a", END]),
            name="team",
            a=agent("a", "1"),
        ).invoke(HI, config)
        assert handoffs(db) == []

    def test_the_first_agent_of_a_graph_within_is_reached_from_without(self, db, config):
        inner = graph((START, "b"), ("b", "c"), b=agent("b", "2"), c=agent("c", "3"))
        graph(
            (START, "a"),
            ("a", "within"),
            ("within", "d"),
            name="team",
            a=agent("a", "1"),
            within=inner,
            d=agent("d", "4"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent a
    llm OrderedModel [a]
  workflow within
    agent b
      llm OrderedModel [b]
    agent c
      llm OrderedModel [c]
  agent d
    llm OrderedModel [d]
a -> b route accepted inferred
b -> c route accepted inferred
c -> d route accepted inferred\
""")

    def test_tools_of_a_graph_of_ones_own_are_no_stop(self, db, config):
        graph(
            (START, "a"),
            ("a", lambda state: "tools" if state["messages"][-1].tool_calls else "b", ["tools", "b"]),
            ("tools", "a"),
            name="team",
            a=asks(calls(("add", {"a": 1, "b": 2})), "1"),
            tools=ToolNode([add]),
            b=agent("b", "2"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow team
  agent a ~inferred
    llm OrderedModel [a]
  task tools [a]
    tool add [a]
  task a [a]
    llm OrderedModel [a]
  agent b
    llm OrderedModel [b]
a -> b route accepted native by router\
""")
