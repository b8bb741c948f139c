"""A backend whose answers tell of tokens, or not: the path names the answer."""

import json

from behaviour import render
from endpoint import Endpoint

SSE = "text/event-stream"


def usage(prompt=7, completion=5):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def events(*bodies):
    return b"".join(b"data: " + (b if isinstance(b, bytes) else json.dumps(b).encode()) + b"\n\n" for b in bodies)


CHUNK = {"choices": [{"delta": {"content": "hi"}}], "usage": None}
# name: (status, type, body)
ANSWERS = {
    "json": (200, "application/json", json.dumps({"choices": [], "usage": usage()}).encode()),
    "embeddings": (200, "application/json", json.dumps({"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}).encode()),
    "messages": (200, "application/json", json.dumps({"usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5}}).encode()),
    "ollama": (200, "application/json", json.dumps({"done": True, "prompt_eval_count": 2, "eval_count": 9}).encode()),
    "lies": (200, "application/json", json.dumps({"usage": {"prompt_tokens": -5, "completion_tokens": 2**60, "total_tokens": "9"}}).encode()),
    "plain": (200, "text/plain", b"no tokens"),
    "none": (200, "application/json", b"{}"),
    "error": (500, "application/json", json.dumps({"usage": usage()}).encode()),
    "missing": (404, "application/json", b"{}"),
    "stream": (200, SSE, events(CHUNK, CHUNK, {"choices": [], "usage": usage(10, 20)}, b"[DONE]")),
    "silent": (200, SSE, events(CHUNK, CHUNK, CHUNK)),
    "anthropic": (200, SSE, events({"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
                                   {"type": "content_block_delta", "delta": {"text": "x"}},
                                   {"type": "message_delta", "usage": {"output_tokens": 15}})),
    "responses": (200, SSE, events({"type": "response.completed", "response": {"usage": {"input_tokens": 6, "output_tokens": 2, "total_tokens": 8}}})),
    "ndjson": (200, "application/x-ndjson", b'{"message":{}}\n{"done":true,"prompt_eval_count":4,"eval_count":6}\n'),
}


class UsageBackend(Endpoint):
    """more: a test's own answers, as those of ANSWERS, with header fields behind the body."""

    def __init__(self):
        self.more = {}
        super().__init__()
        self.default = self.answer

    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, peer, call):
        name = call.target.rpartition("/")[2].partition("?")[0]
        if name == "cut":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            data = events(CHUNK, CHUNK)
            peer.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            peer.close()
            return
        status, kind, body, *fields = self.more.get(name) or ANSWERS[name]
        peer.send(render(status, body, [("Content-Type", kind), ("RateLimit", "theirs"), ("x-ratelimit-limit-tokens", "9"), *sum(fields, [])]))
