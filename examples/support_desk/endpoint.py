"""A model endpoint that follows a script: OpenAI's API on loopback, with no network and no key.

    with Endpoint([Rule(Reply("Hello."))]) as endpoint:
        ChatOpenAI(base_url=endpoint.url, api_key="offline", model="gpt-4.1-mini").invoke("Hi")
        endpoint.ledger[0].usage

It answers POST /v1/chat/completions (streamed or not), POST /v1/embeddings, GET /v1/models, and shows
every POST that it got at GET /_ledger. An answer depends on its request alone, so agents may run in parallel.

Usage is derived from the request and the answer, never made up:

- a token is four characters, rounded up (`tokens`);
- the prompt is the tool definitions and then the messages, each as compact JSON;
- cached tokens are the blocks of 32 that the prompt has in common with the start of an earlier prompt to
  the same model, which is how a provider's prompt cache counts;
- completion tokens are the text, the name and arguments of each tool call, and the reasoning.
"""

import base64
import hashlib
import json
import math
import re
import socket
import socketserver
import struct
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from support_desk.scripting import Json, Reply, Request, Rule, Script, call, encoded, in_turn

__all__ = ["Endpoint", "Entry", "Reply", "Request", "Rule", "Script", "call", "embed", "in_turn", "tokens"]

CHARACTERS_PER_TOKEN = 4
CACHE_BLOCK = 32  # tokens
VECTOR_SIZE = 16


@dataclass
class Entry:
    """What the ledger keeps of one POST."""

    order: int
    path: str
    headers: dict[str, str]  # in lower case, without the key
    model: str
    messages: list[dict[str, Json]]
    tools: list[dict[str, Json]]
    stream: bool
    status: int
    answer: dict[str, Json]  # the message; or the error
    response_id: str | None = None
    usage: dict[str, Json] | None = None  # the truth, told or not
    usage_told: bool = False  # the client has it
    finished: bool = False  # the whole answer was sent, to a client that was still there


@dataclass
class PromptCache:
    """Which blocks of which prompts were seen, each known by all the text up to its end."""

    _seen: set[bytes] = field(default_factory=set)

    def share(self, model: str, prompt: str) -> int:
        """Give how many tokens of `prompt` an earlier one started with, and remember `prompt`."""
        size = CACHE_BLOCK * CHARACTERS_PER_TOKEN
        digest, cached = hashlib.blake2b(model.encode(), digest_size=16), 0
        for start in range(0, len(prompt) - size + 1, size):
            digest.update(prompt[start : start + size].encode("utf-8", "surrogatepass"))
            block = digest.digest()
            cached += CACHE_BLOCK if block in self._seen else 0
            self._seen.add(block)
        return cached


class Endpoint:
    """A server on loopback that answers from `script`, from `with` (or `start`) until its end (or `close`).

    With `strict`, a conversation that OpenAI would refuse (a tool call without its result, a result without
    its call, a name with a blank in it) is refused with status 400.
    """

    def __init__(self, script: Script, *, port: int = 0, strict: bool = False) -> None:
        self.script = script
        self.strict = strict
        self.closing = threading.Event()
        self._port = port
        self._ledger: list[Entry] = []
        self._cache = PromptCache()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def start(self) -> Self:
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        serve = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="endpoint"
        )
        serve.start()
        return self

    def close(self) -> None:
        """Stop, and cut the connections that are still open. May be called twice."""
        self.closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_connections()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL to give to an OpenAI client."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def ledger(self) -> list[Entry]:
        """Every POST so far, in the order in which the endpoint took them."""
        with self._lock:
            return list(self._ledger)

    @property
    def completions(self) -> list[Entry]:
        """The requests that were answered with a whole chat completion."""
        return [e for e in self.ledger if e.finished and e.answer.get("role") == "assistant"]

    def decide(self, request: Request) -> Reply:
        """Ask the script. Raises `LookupError` where it has no answer."""
        if callable(self.script):
            reply = self.script(request)
        else:
            answers = (rule.answer(request) for rule in self.script)
            reply = next((answer for answer in answers if answer is not None), None)
        if reply is None:
            raise LookupError(
                f"the script has no answer to: instructions {request.system[:200]!r}, last user text "
                f"{request.user[:200]!r}, {len(request.results)} tool results since, "
                f"answered calls {[name for name, _ in request.answered]}, tools {request.offered}"
            )
        return reply

    def complete(self, request: Request, reply: Reply) -> tuple[Entry, dict[str, Json]]:
        """Give the completion that `reply` makes of `request`, and its entry in the ledger."""
        completion = _completion(request, reply)
        with self._lock:  # the order in the ledger is the order in which the cache filled
            cached = self._cache.share(request.model, request.prompt)
            usage = completion["usage"] = _usage(request, reply, cached)
            message = completion["choices"][0]["message"]
            entry = self._enter(request, 200, message, response_id=completion["id"], usage=usage)
        return entry, completion

    def enter(self, request: Request, status: int, answer: dict[str, Json], **facts: Json) -> Entry:
        with self._lock:
            return self._enter(request, status, answer, **facts)

    def _enter(self, request: Request, status: int, answer: dict[str, Json], **facts: Json) -> Entry:
        entry = Entry(
            order=len(self._ledger),
            path=request.path,
            headers={k: v for k, v in request.headers.items() if k not in {"authorization", "api-key"}},
            model=request.model,
            messages=request.messages,
            tools=request.body.get("tools") or [],
            stream=request.stream,
            status=status,
            answer=answer,
            **facts,
        )
        self._ledger.append(entry)
        return entry


class _Server(socketserver.ThreadingTCPServer):
    # Not ThreadingHTTPServer: that one looks the host's name up, which can take seconds offline.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        for connection in tuple(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that leaves in the middle is a scenario, and the ledger shows it.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a small answer waits 40 ms for the client's ACK
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass

    def do_GET(self) -> None:
        if self.path == "/_ledger":
            self._send(200, [asdict(entry) for entry in self.server.endpoint.ledger])
        elif self.path == "/v1/models":
            names = ("gpt-4.1-mini", "text-embedding-3-small")  # any other name is answered, too
            models = [{"id": n, "object": "model", "created": 0, "owned_by": "script"} for n in names]
            self._send(200, {"object": "list", "data": models})
        else:
            self._send(404, _error(404, f"no such path: {self.path}"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw)
            complaint = None if isinstance(body, dict) else "the body is not a JSON object"
        except ValueError:
            body, complaint = None, "the body is not JSON"
        path = self.path.partition("?")[0]
        request = Request(path, headers, body if isinstance(body, dict) else {})
        if complaint is not None:
            self._refuse(request, 400, complaint)
        elif path == "/v1/chat/completions":
            self._chat(request)
        elif path == "/v1/embeddings":
            self._embed(request)
        else:
            self._refuse(request, 404, f"no such path: {path}")

    def _chat(self, request: Request) -> None:
        endpoint = self.server.endpoint
        complaint = _complaint(request, strict=endpoint.strict)
        if complaint is not None:
            self._refuse(request, 400, complaint)
            return
        try:
            reply = endpoint.decide(request)
        except Exception as error:
            self._refuse(request, 500, f"{type(error).__name__}: {error}")
            return
        if reply.error is not None:
            endpoint.closing.wait(reply.delay)
            self._refuse(request, reply.error, f"scripted error {reply.error}", retry=True)
            return
        entry, completion = endpoint.complete(request, reply)
        endpoint.closing.wait(reply.delay)
        if endpoint.closing.is_set():
            self.close_connection = True
        elif request.stream:
            self._stream(request, reply, entry, completion)
        else:
            if not reply.usage:
                del completion["usage"]
            self._send(200, completion, entry=entry, cut=reply.hang_up is not None)

    def _stream(self, request: Request, reply: Reply, entry: Entry, completion: dict[str, Json]) -> None:
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        with_usage = reply.usage and bool((request.body.get("stream_options") or {}).get("include_usage"))
        sent = 0
        for piece, chunk in _chunks(completion, with_usage=with_usage):
            at_end = any(choice["finish_reason"] for choice in chunk["choices"])
            if reply.hang_up is not None and (sent == reply.hang_up or at_end):
                self.close_connection = True
                return
            self.wfile.write(_event(_wire(chunk)))
            sent += piece
            if piece and self.server.endpoint.closing.wait(reply.pause):
                self.close_connection = True
                return
        self._write_last(entry, _event(b"[DONE]") + b"0\r\n\r\n", told=with_usage)

    def _embed(self, request: Request) -> None:
        given = request.body.get("input", "")
        texts = given if isinstance(given, list) and not all(isinstance(i, int) for i in given) else [given]
        texts = [t if isinstance(t, str) else " ".join(map(str, t)) for t in texts]
        size = int(request.body.get("dimensions") or VECTOR_SIZE)
        packed = request.body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": _packed(v) if packed else v}
            for i, v in enumerate(embed(text, size) for text in texts)
        ]
        count = sum(map(tokens, texts))
        usage = {"prompt_tokens": count, "total_tokens": count}
        answer = {"object": "list", "model": request.model, "data": data, "usage": usage}
        self._send(200, answer, entry=self.server.endpoint.enter(request, 200, answer, usage=usage))

    def _refuse(self, request: Request, status: int, sentence: str, *, retry: bool = False) -> None:
        answer = _error(status, sentence)
        entry = self.server.endpoint.enter(request, status, answer["error"])
        # A mistake in a script would otherwise be retried by the client, seconds long.
        self._send(status, answer, entry=entry, head="" if retry else "x-should-retry: false\r\n")

    def _send(
        self, status: int, answer: Json, *, entry: Entry | None = None, head: str = "", cut: bool = False
    ) -> None:
        body = _wire(answer)
        start = (
            f"HTTP/1.1 {status} {_phrase(status)}\r\ncontent-type: application/json\r\n"
            f"{head}content-length: {len(body)}\r\n\r\n"
        ).encode()
        if cut:
            self.close_connection = True
            self.wfile.write(start + body[: len(body) // 2])
        elif entry is None:
            self.wfile.write(start + body)
        else:
            self._write_last(entry, start + body, told="usage" in answer)

    def _write_last(self, entry: Entry, data: bytes, *, told: bool) -> None:
        """Write the end of an answer; the entry says so before the client can know."""
        if self._client_left():
            self.close_connection = True
            return
        entry.usage_told, entry.finished = told, True
        try:
            self.wfile.write(data)
        except OSError:
            entry.usage_told = entry.finished = False
            self.close_connection = True

    def _client_left(self) -> bool:
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def tokens(text: str) -> int:
    """Give the tokens of a text: its characters by four, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def embed(text: str, size: int = VECTOR_SIZE) -> list[float]:
    """Give a unit vector that is near to those of texts with the same words."""
    vector = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [""]:
        vector[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % size] += 1.0
    length = math.hypot(*vector)
    return [round(x / length, 6) for x in vector]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _completion(request: Request, reply: Reply) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": encoded(arguments)},
            }
            for name, arguments in reply.calls
        ]
    else:
        message["content"] = reply.text
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": reply.model or request.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "tool_calls" if reply.calls else "stop",
            }
        ],
    }


def _usage(request: Request, reply: Reply, cached: int) -> dict[str, Json]:
    prompt, reasoning = tokens(request.prompt), tokens(reply.reasoning)
    called = sum(tokens(name) + tokens(encoded(arguments)) for name, arguments in reply.calls)
    completion = tokens(reply.text) + called + reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _chunks(completion: dict[str, Json], *, with_usage: bool) -> Iterator[tuple[bool, dict[str, Json]]]:
    """Give the completion as OpenAI streams it; before each chunk, whether it holds a piece of the answer."""
    base = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    if with_usage:
        base["usage"] = None
    choice = completion["choices"][0]
    message = choice["message"]

    def chunk(delta: dict[str, Json], finish: str | None = None) -> dict[str, Json]:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return {**base, "choices": choices}

    yield False, chunk({"role": "assistant", "content": None if message["content"] is None else ""})
    for word in re.findall(r"\s*\S+|\s+$", message["content"] or ""):
        yield True, chunk({"content": word})
    for index, asked in enumerate(message.get("tool_calls", ())):
        function = asked["function"]
        start = {**asked, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield True, chunk({"tool_calls": [start]})
        for piece in re.findall(r"(?s).{1,12}", function["arguments"]):
            yield True, chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield False, chunk({}, choice["finish_reason"])
    if with_usage:
        yield False, {**base, "choices": [], "usage": completion["usage"]}


def _complaint(request: Request, *, strict: bool) -> str | None:
    """Give what is wrong with a request, as OpenAI would see it."""
    messages = request.messages
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "role" in m for m in messages):
        return "messages is not a list of messages"
    if not messages:
        return "messages is empty"
    if (request.body.get("n") or 1) != 1:
        return "this endpoint gives one choice: n must be 1"
    open_calls: set[str] = set()
    for message in messages if strict else ():
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return "a message of role tool must answer a tool call of the assistant message before it"
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            return f"these tool calls have no result: {sorted(open_calls)}"
        open_calls = {asked["id"] for asked in message.get("tool_calls") or ()}
        if not re.fullmatch(r"[^\s<|\\/>]+", message.get("name") or "-"):
            return f"a message's name may hold no blank, nor any of < | \\ / >: {message['name']!r}"
    return f"these tool calls have no result: {sorted(open_calls)}" if open_calls else None


def _error(status: int, sentence: str) -> dict[str, Json]:
    kinds = {401: "authentication_error", 429: "rate_limit_exceeded"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": sentence, "type": kind, "param": None, "code": kind}}


def _event(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Scripted"


def _wire(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
