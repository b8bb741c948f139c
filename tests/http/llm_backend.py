"""A backend that streams as LLM servers do: OpenAI's chat completions, Anthropic's messages, Llama Stack's chat completion. The first part of
a stream goes out at once, the rest when somebody has asked for /seen."""

import json
import threading
import urllib.parse

from behaviour import render
from endpoint import Endpoint

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PARTS = ("hel", "lo")


def event(body, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(body).encode() + b"\n\n"


def openai(text):
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def anthropic(text):
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}, "content_block_delta")


def llama_stack(text):
    return event({"event": {"event_type": "progress", "delta": {"type": "text", "text": text}}})


OPENAI_USAGE = event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                      "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}})
ANTHROPIC_START = event({"type": "message_start", "message": {
    "id": "c", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 1}}}, "message_start")
ANTHROPIC_USAGE = event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
                        "message_delta")

# path: (beginning, form of a part, end); both usages are 11 and 2
STREAMS = {"/v1/chat/completions": (b"", openai, OPENAI_USAGE + b"data: [DONE]\n\n"),
           "/v1/messages": (ANTHROPIC_START, anthropic, ANTHROPIC_USAGE + event({"type": "message_stop"}, "message_stop")),
           "/v1/inference/chat-completion": (b"", llama_stack, b"")}


class LlmBackend(Endpoint):
    def __init__(self):
        self.seen = threading.Event()
        super().__init__()
        self.default = self.answer

    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, peer, call):
        path = call.target.partition("?")[0]
        if path == "/seen":
            self.seen.set()
            peer.send(render(200, {}))
        elif path.startswith("/v1/models/"):
            peer.send(render(200, {"id": urllib.parse.unquote(path.removeprefix("/v1/models/")), "object": "model"}))
        elif path == "/v1/models":
            models = [{"id": "m", "object": "model", "identifier": "m", "created": 1, "owned_by": "x"}]
            peer.send(render(200, {"object": "list", "data": models}))
        else:
            self.stream(peer, *STREAMS[path])

    def stream(self, peer, beginning, form, end):
        def chunk(data):
            return f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self.seen.clear()
        peer.send(HEAD + chunk(beginning + form(PARTS[0])))
        self.seen.wait(20)
        peer.send(b"".join(chunk(form(part)) for part in PARTS[1:]) + (chunk(end) if end else b"") + b"0\r\n\r\n")
