"""The scripted model endpoint: what it answers, what it says that was used, what its ledger keeps."""

import base64
import contextlib
import http.client
import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support_desk.endpoint import Endpoint, Reply, Rule, call, in_turn

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PARTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class Client:
    """One keep-alive connection to an endpoint."""

    def __init__(self, endpoint):
        host, port = endpoint.url.removeprefix("http://").removesuffix("/v1").split(":")
        self.http = http.client.HTTPConnection(host, int(port), timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def post(self, path, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.http.request("POST", path, data, headers or {})
        response = self.http.getresponse()
        return response.status, response.read(), response

    def get(self, path):
        self.http.request("GET", path)
        response = self.http.getresponse()
        return response.status, json.loads(response.read())

    def chat(self, *messages, headers=None, **body):
        messages = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        body = {"model": "gpt-4.1-mini", "messages": messages, **body}
        status, data, _ = self.post("/v1/chat/completions", body, headers)
        return status, json.loads(data)

    def stream(self, *messages, **body):
        """Give the chunks, [DONE] left out."""
        messages = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        body = {"model": "gpt-4.1-mini", "messages": messages, "stream": True, **body}
        status, data, _ = self.post("/v1/chat/completions", body)
        assert status == 200
        lines = [line.removeprefix("data: ") for line in data.decode().split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]


@pytest.fixture
def serve():
    """Give a function that opens an endpoint for a script, and a client of it."""
    with contextlib.ExitStack() as stack:

        def serve(*replies, **options):
            script = (
                replies[0]
                if callable(replies[0])
                else [r if isinstance(r, Rule) else Rule(r) for r in replies]
            )
            endpoint = stack.enter_context(Endpoint(script, **options))
            return endpoint, stack.enter_context(Client(endpoint))

        yield serve


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def deltas(chunks):
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


class TestUsage:
    def test_counts_four_characters_of_prompt_and_answer_as_a_token(self, serve):
        _, client = serve(Reply("Hi there!"))
        _, answer = client.chat("Hello")
        # {"role":"user","content":"Hello"} has 33 characters, Hi there! has 9
        assert answer["usage"]["prompt_tokens"] == 9
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["usage"]["total_tokens"] == 12

    def test_counts_the_tools_on_offer_into_the_prompt(self, serve):
        _, client = serve(Reply("Hi there!"))
        _, bare = client.chat("Hello")
        _, armed = client.chat("Hello", tools=TOOLS)
        assert armed["usage"]["prompt_tokens"] > bare["usage"]["prompt_tokens"]

    def test_counts_a_tool_calls_name_and_arguments_as_completion(self, serve):
        _, client = serve(Reply(calls=[call("look", at="sea")]))
        _, answer = client.chat("Hello")
        assert answer["usage"]["completion_tokens"] == 1 + 4  # look; {"at": "sea"}

    def test_counts_reasoning_inside_the_completion_and_does_not_show_it(self, serve):
        _, client = serve(Reply("Yes.", reasoning="x" * 40))
        _, answer = client.chat("Hello")
        assert answer["usage"]["completion_tokens"] == 1 + 10
        assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 10
        assert "xxxx" not in json.dumps(answer)

    def test_a_prompt_that_goes_on_from_an_earlier_one_is_cached_in_blocks_of_32(self, serve):
        endpoint, client = serve(Reply("Yes."))
        first = {"role": "user", "content": "word " * 100}  # 530 characters: four blocks of 128
        client.chat(first)
        client.chat(first, {"role": "assistant", "content": "Yes."}, "And now?")
        cached = [e.usage["prompt_tokens_details"]["cached_tokens"] for e in endpoint.ledger]
        assert cached == [0, 4 * 32]

    def test_a_prompt_that_differs_at_its_start_is_not_cached(self, serve):
        _, client = serve(Reply("Yes."))
        client.chat("a" + "word " * 100)
        _, answer = client.chat("b" + "word " * 100)
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0

    def test_a_prompt_that_differs_in_its_middle_is_cached_up_to_there(self, serve):
        _, client = serve(Reply("Yes."))
        client.chat("word " * 30 + "a" + "word " * 100)
        _, answer = client.chat("word " * 30 + "b" + "word " * 100)  # differs after 176 characters
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 32

    def test_another_model_has_another_cache(self, serve):
        _, client = serve(Reply("Yes."))
        client.chat("word " * 100, model="gpt-4.1")
        _, answer = client.chat("word " * 100, model="gpt-4.1-mini")
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0

    @pytest.mark.parametrize(
        "reply",
        [
            Reply("Two words, and  a blank \n"),
            Reply("Why:", calls=[call("look", at="sea"), call("look", at="sky")]),
        ],
        ids=["text", "tools"],
    )
    def test_is_the_same_streamed_or_not(self, serve, reply):
        _, client = serve(reply)
        _, whole = client.chat("Hello", tools=TOOLS)
        *_, last = client.stream("Hello", tools=TOOLS, stream_options={"include_usage": True})
        assert last["choices"] == []
        assert {k: last["usage"][k] for k in PARTS} == {k: whole["usage"][k] for k in PARTS}

    def test_of_a_stream_is_kept_back_unless_asked_for(self, serve):
        endpoint, client = serve(Reply("Yes."))
        chunks = client.stream("Hello")
        assert all("usage" not in chunk for chunk in chunks)
        entry = endpoint.ledger[0]
        assert entry.finished
        assert not entry.usage_told
        assert entry.usage["completion_tokens"] == 1

    def test_can_be_withheld_by_the_script(self, serve):
        endpoint, client = serve(Reply("Yes.", usage=False))
        _, answer = client.chat("Hello")
        assert "usage" not in answer
        assert not endpoint.ledger[0].usage_told


class TestStream:
    def test_text_comes_in_pieces_that_make_the_whole(self, serve):
        text = " Two words,\n and  a blank at the end \n"
        _, client = serve(Reply(text))
        pieces = [d["content"] for d in deltas(client.stream("Hello")) if d.get("content")]
        assert len(pieces) > 5
        assert "".join(pieces) == text

    def test_a_tool_call_comes_in_pieces_that_make_the_whole(self, serve):
        arguments = {"at": "the sea, far out", "for": "a ship with two masts"}
        _, client = serve(Reply(calls=[("look", arguments), ("wait", {"minutes": 5})]))
        chunks = client.stream("Hello")
        pieces = [d["tool_calls"][0] for d in deltas(chunks) if d.get("tool_calls")]
        heads = [piece for piece in pieces if "id" in piece]
        assert [(h["index"], h["function"]["name"]) for h in heads] == [(0, "look"), (1, "wait")]
        first = [p["function"]["arguments"] for p in pieces if p["index"] == 0]
        assert len(first) > 3
        assert json.loads("".join(first)) == arguments
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"

    def test_a_piece_arrives_while_the_answer_is_still_being_made(self, serve):
        endpoint, client = serve(Reply("one two three", pause=3600))
        body = {"model": "m", "messages": [{"role": "user", "content": "count"}], "stream": True}
        client.http.request("POST", "/v1/chat/completions", json.dumps(body))
        lines = iter(client.http.getresponse().readline, b"")
        assert any(b"one" in line for line in lines)
        assert not endpoint.ledger[0].finished

    def test_the_connection_serves_the_next_request(self, serve):
        _, client = serve(Reply("Yes."))
        client.chat("Hello")
        socket = client.http.sock
        client.stream("Hello")
        client.chat("Hello")
        assert client.http.sock is socket


class TestBadDays:
    @pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_exceeded"), (500, "server_error")])
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_scripted_error_has_openais_shape(self, serve, status, kind, stream):
        endpoint, client = serve(Reply(error=status))
        got, answer = client.chat("Hello", stream=stream)
        assert got == status
        assert answer["error"]["type"] == kind
        assert [(e.status, e.usage) for e in endpoint.ledger] == [(status, None)]
        assert endpoint.completions == []

    def test_a_clients_retry_can_be_told_from_its_first_attempt(self, serve):
        _, client = serve(Rule(Reply(error=500), when=lambda request: request.attempt == 0), Reply("Yes."))
        assert client.chat("Hello")[0] == 500
        assert client.chat("Hello", headers={"x-stainless-retry-count": "1"})[0] == 200

    @pytest.mark.parametrize(
        ("stream", "after", "arrived"),
        [(False, 1, None), (True, 0, []), (True, 2, ["one", " two"]), (True, 99, ["one", " two", " three"])],
    )
    def test_a_hang_up_cuts_the_answer_and_the_ledger_says_so(self, serve, stream, after, arrived):
        endpoint, client = serve(Reply("one two three", hang_up=after))
        body = {"model": "m", "messages": [{"role": "user", "content": "count"}], "stream": stream}
        client.http.request("POST", "/v1/chat/completions", json.dumps(body))
        with pytest.raises(http.client.IncompleteRead) as cut:
            client.http.getresponse().read()
        if stream:
            events = [json.loads(e.removeprefix(b"data: ")) for e in cut.value.partial.split(b"\n\n") if e]
            assert [d["content"] for d in deltas(events) if d.get("content")] == arrived
        (entry,) = endpoint.ledger
        assert (entry.status, entry.finished, entry.usage_told) == (200, False, False)
        assert endpoint.completions == []

    def test_a_client_that_leaves_while_it_waits_got_no_completion(self, serve):
        left = threading.Event()

        def script(request):
            if request.user == "leave":
                left.wait(10)
            return Reply("Yes.")

        endpoint, client = serve(script)
        body = {"model": "m", "messages": [{"role": "user", "content": "leave"}]}
        client.http.request("POST", "/v1/chat/completions", json.dumps(body))
        client.http.close()
        left.set()
        with Client(endpoint) as other:
            other.chat("stay")
        wait_for(lambda: len(endpoint.ledger) == 2)
        assert {e.messages[0]["content"]: e.finished for e in endpoint.ledger} == {
            "leave": False,
            "stay": True,
        }

    def test_closing_does_not_wait_for_a_delayed_answer(self, serve):
        endpoint, client = serve(Reply("Late.", delay=3600))
        body = {"model": "m", "messages": [{"role": "user", "content": "wait"}]}
        client.http.request("POST", "/v1/chat/completions", json.dumps(body))
        wait_for(lambda: endpoint.ledger)
        endpoint.close()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            client.http.getresponse()

    def test_a_request_that_no_rule_fits_is_an_error_that_says_what_it_was(self, serve):
        _, client = serve(Rule(Reply("Yes."), user="ships"))
        status, answer = client.chat(
            {"role": "system", "content": "You look at the sea."}, "What of the birds?"
        )
        assert status == 500
        assert "You look at the sea." in answer["error"]["message"]
        assert "What of the birds?" in answer["error"]["message"]

    def test_a_script_that_raises_is_an_error_that_says_so(self, serve):
        def script(request):
            raise KeyError(request.user)

        _, client = serve(script)
        status, answer = client.chat("birds")
        assert (status, answer["error"]["message"]) == (500, "KeyError: 'birds'")

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"messages": "Hello"}', b"\xff"])
    def test_a_body_that_makes_no_sense_is_refused(self, serve, body):
        _, client = serve(Reply("Yes."))
        status, data, _ = client.post("/v1/chat/completions", body)
        assert status == 400
        assert json.loads(data)["error"]["type"] == "invalid_request_error"

    def test_an_unknown_path_is_refused_and_in_the_ledger(self, serve):
        endpoint, client = serve(Reply("Yes."))
        assert client.post("/v1/images", {})[0] == 404
        assert [(e.path, e.status) for e in endpoint.ledger] == [("/v1/images", 404)]


class TestStrict:
    ASKED = {  # noqa: RUF012 -- read only
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }

    @pytest.mark.parametrize(
        ("messages", "status"),
        [
            (["Hello", ASKED, {"role": "tool", "tool_call_id": "c1", "content": "a ship"}], 200),
            (["Hello", ASKED], 400),
            (["Hello", ASKED, "What now?"], 400),
            (["Hello", {"role": "tool", "tool_call_id": "c1", "content": "a ship"}], 400),
            (["Hello", {"role": "assistant", "name": "first mate", "content": "Aye"}], 400),
        ],
        ids=["complete", "no result at the end", "no result between", "no call", "blank in a name"],
    )
    def test_a_conversation_that_openai_refuses_is_refused(self, serve, messages, status):
        _, client = serve(Reply("Yes."), strict=True)
        assert client.chat(*messages)[0] == status

    def test_is_off_unless_asked_for(self, serve):
        _, client = serve(Reply("Yes."))
        assert client.chat("Hello", self.ASKED)[0] == 200


class TestScript:
    def test_the_first_rule_that_fits_answers(self, serve):
        _, client = serve(
            Rule(Reply("sailor"), system="sea", user="ship"),
            Rule(Reply("bird"), system="sea"),
            Rule(Reply("other")),
        )
        sea = {"role": "system", "content": "You look at the sea."}
        said = [client.chat(*m)[1] for m in ([sea, "a ship"], [sea, "a gull"], ["a ship"])]
        assert [answer["choices"][0]["message"]["content"] for answer in said] == ["sailor", "bird", "other"]

    def test_a_rule_can_count_the_tool_results_since_the_user_spoke(self, serve):
        _, client = serve(Rule(Reply("none"), results=0), Rule(Reply("one"), results=1))
        result = {"role": "tool", "tool_call_id": "c1", "content": "a ship"}
        said = [client.chat(*m)[1] for m in (["Look"], ["Look", result], ["Look", result, "Again"])]
        assert [answer["choices"][0]["message"]["content"] for answer in said] == ["none", "one", "none"]

    def test_answers_in_turn_follow_the_tool_calls_that_have_a_result(self, serve):
        _, client = serve(
            in_turn(
                Reply(calls=[call("look"), call("look")]),
                Reply(calls=[call("look")]),
                Reply(calls=[call("row", to="it")]),
                Reply("There."),
            )
        )
        messages = [{"role": "user", "content": "A ship?"}]
        path = []
        for _ in range(4):
            message = client.chat(*messages)[1]["choices"][0]["message"]
            path.append([c["function"]["name"] for c in message.get("tool_calls", [])] or message["content"])
            results = [
                {"role": "tool", "tool_call_id": c["id"], "content": "done"}
                for c in message.get("tool_calls", [])
            ]
            messages += [message, *results]
        assert path == [["look", "look"], ["look"], ["row"], "There."]

    def test_arguments_given_as_text_are_sent_as_they_are(self, serve):
        _, client = serve(Reply(calls=[("look", '{"at": ')]))
        message = client.chat("Hello")[1]["choices"][0]["message"]
        assert message["tool_calls"][0]["function"]["arguments"] == '{"at": '

    def test_the_model_that_answers_can_differ_from_the_one_asked(self, serve):
        endpoint, client = serve(Reply("Yes.", model="gpt-4.1-mini-2025-04-14"))
        assert client.chat("Hello")[1]["model"] == "gpt-4.1-mini-2025-04-14"
        assert endpoint.ledger[0].model == "gpt-4.1-mini"


class TestLedger:
    def test_keeps_what_was_asked_and_answered(self, serve):
        endpoint, client = serve(Reply(calls=[call("look", at="sea")]))
        _, answer = client.chat(
            "Hello", tools=TOOLS, headers={"Authorization": "Bearer k", "traceparent": "00-1"}
        )
        (entry,) = endpoint.ledger
        assert entry.order == 0
        assert entry.path == "/v1/chat/completions"
        assert entry.messages == [{"role": "user", "content": "Hello"}]
        assert entry.tools == TOOLS
        assert not entry.stream
        assert entry.status == 200
        assert entry.answer == answer["choices"][0]["message"]
        assert entry.response_id == answer["id"]
        assert entry.usage == answer["usage"]
        assert entry.headers["traceparent"] == "00-1"
        assert "authorization" not in entry.headers

    def test_is_read_over_http_from_another_process_alike(self, serve):
        endpoint, client = serve(Reply("Yes."))
        client.chat("Hello")
        status, entries = client.get("/_ledger")
        assert status == 200
        assert [e["response_id"] for e in entries] == [e.response_id for e in endpoint.ledger]

    @pytest.mark.slow
    def test_is_complete_and_in_cache_order_under_64_threads(self, serve):
        endpoint, _ = serve(lambda request: Reply(f"You said {request.user[-9:]}"))
        start, told = threading.Barrier(64), {}

        def work(number):
            start.wait()
            with Client(endpoint) as client:
                for i in range(10):
                    text = f"{'word ' * (i * 20)}{number:03}-{i:05}"
                    if i % 2:
                        *chunks, last = client.stream(text, stream_options={"include_usage": True})
                        said = "".join(d.get("content") or "" for d in deltas(chunks))
                        told[last["id"]] = (text, said, last["usage"])
                    else:
                        answer = client.chat(text)[1]
                        said = answer["choices"][0]["message"]["content"]
                        told[answer["id"]] = (text, said, answer["usage"])

        with ThreadPoolExecutor(64) as threads:
            list(threads.map(work, range(64)))
        ledger = endpoint.completions
        assert [e.order for e in ledger] == list(range(640))
        assert told == {
            e.response_id: (e.messages[0]["content"], e.answer["content"], e.usage) for e in ledger
        }
        assert all(said == f"You said {text[-9:]}" for text, said, _ in told.values())
        # Played again, one after the other in the ledger's order, the same prompts are cached the same.
        again, client = serve(Reply("Yes."))
        for entry in ledger:
            client.chat(*entry.messages)
        cached = [
            [e.usage["prompt_tokens_details"]["cached_tokens"] for e in x.ledger] for x in (endpoint, again)
        ]
        assert cached[0] == cached[1]
        assert sum(cached[0]) > 0


class TestOtherPaths:
    def test_embeddings_are_the_same_each_time_and_near_for_the_same_words(self, serve):
        _, client = serve(Reply("Yes."))
        texts = ["orange light", "a steady orange light", "parcel in Rotterdam"]
        answers = [
            json.loads(client.post("/v1/embeddings", {"model": "e", "input": texts})[1]) for _ in range(2)
        ]
        light, steady, parcel = (item["embedding"] for item in answers[0]["data"])
        assert answers[0] == answers[1]
        assert dot(light, light) == pytest.approx(1, abs=1e-4)
        assert dot(light, steady) > dot(light, parcel)

    def test_embeddings_come_packed_where_asked_and_are_counted(self, serve):
        endpoint, client = serve(Reply("Yes."))
        body = {"model": "e", "input": "orange light", "dimensions": 4}
        plain = json.loads(client.post("/v1/embeddings", body)[1])
        packed = json.loads(client.post("/v1/embeddings", {**body, "encoding_format": "base64"})[1])
        unpacked = struct.unpack("<4f", base64.b64decode(packed["data"][0]["embedding"]))
        assert unpacked == pytest.approx(plain["data"][0]["embedding"])
        assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        assert endpoint.ledger[0].usage == plain["usage"]
        assert endpoint.completions == []

    def test_models_are_listed(self, serve):
        _, client = serve(Reply("Yes."))
        status, models = client.get("/v1/models")
        assert status == 200
        assert "gpt-4.1-mini" in [model["id"] for model in models["data"]]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))
