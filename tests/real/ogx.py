"""A stock OGX that is told who calls in one of the two ways of conf/llama_stack.conf, as its comments say, and the LLM server behind
it."""

import json
import os
import re
import urllib.request

from behaviour import render
from endpoint import Endpoint
from program import PATIENCE, Program, listens
from server import ROOT, free_port

RESOURCES = """version: 2
distro_name: behind-httpd
apis: [inference, files, responses, tool_runtime, vector_io]
providers:
  inference:
  - provider_id: llm
    provider_type: remote::vllm
    config: {base_url: "%(llm)s/v1", api_token: unused}
  files:
  - provider_id: local
    provider_type: inline::localfs
    config: {storage_dir: %(root)s/files, metadata_store: {table_name: files_metadata, backend: sql}}
  responses:
  - provider_id: builtin
    provider_type: inline::builtin
    config: {persistence: {responses: {table_name: responses, backend: sql}}}
storage:
  backends:
    kv: {type: kv_sqlite, db_path: %(root)s/kv.db}
    sql: {type: sql_sqlite, db_path: %(root)s/sql.db}
  stores:
    metadata: {namespace: registry, backend: kv}
    inference: {table_name: inference_store, backend: sql}
    conversations: {table_name: conversations, backend: sql}
    prompts: {table_name: prompts, backend: sql}
    connectors: {table_name: connectors, backend: sql}
registered_resources:
  models:
  - {model_id: open, provider_id: llm, provider_model_id: open, model_type: llm}
  - {model_id: closed, provider_id: llm, provider_model_id: closed, model_type: llm}
"""

# Who may read which model: by a value with a comma and accents, and by roles that come as a JSON list.
POLICY = """    access_policy:
    - permit: {actions: [read], resource: "model::llm/open"}
    - permit: {actions: [read], resource: "model::llm/closed"}
      when: user with Zürich,Genève in teams
    - permit: {actions: [create, read, update, delete]}
      when: user with admin in roles
    - permit: {actions: [create, read, delete]}
      when: user is owner
"""

MODELS = {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in ("open", "closed")]}


class Llm(Endpoint):
    """An OpenAI-compatible server that knows two models and streams one word."""

    def __init__(self):
        super().__init__()
        self.default = self.answer

    @staticmethod
    def answer(peer, call):
        if call.target.startswith("/v1/chat/completions"):
            choice = {"index": 0, "delta": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "open", "choices": [choice]}
            peer.send(render(200, b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n", [("Content-Type", "text/event-stream")]))
        else:
            peer.send(render(200, MODELS))


WAYS = ("assertions", "headers")


def documented_server(way):
    """The `server:` part that the comments of conf/llama_stack.conf give for this way."""
    lines = (ROOT / "conf" / "llama_stack.conf").read_text().split("\n")
    starts = [number for number, line in enumerate(lines) if line == "#   server:"]
    assert len(starts) == len(WAYS)
    start = starts[WAYS.index(way)]
    return "".join(f"{line[4:]}\n" for line in lines[start:lines.index("#", start)])


class Ogx:
    """Starts `ogx run` and ends it. tls: (certificate, key), or None for --insecure. keys: where httpd's public keys are."""

    def __init__(self, root, way, keys=None, tls=None):
        self.root, self.port, self.scheme, self.secrets = root, free_port(), "https" if tls else "http", set()
        self.llm = Llm()
        root.mkdir()
        server = documented_server(way).replace("server:\n", f"server:\n  port: {self.port}\n", 1)
        if way == "assertions":
            server, count = re.subn(r"(?<=uri: )\S+", keys, server)
            assert count == 1
        if tls:
            server = server.replace("server:\n", f"server:\n  tls_certfile: {tls[0]}\n  tls_keyfile: {tls[1]}\n", 1)
        server = re.sub(r"^  auth:\n", "  auth:\n" + POLICY, server, flags=re.M)
        (root / "config.yaml").write_text(RESOURCES % {"root": root, "llm": self.llm.url("")} + server)
        command = [os.environ["LA_OGX"], "run", root / "config.yaml", *([] if tls else ["--insecure"])]
        self.program = Program(root, "ogx", command, self.is_ready)

    def is_ready(self, program):
        return listens(self.port)

    def url(self):
        return f"{self.scheme}://localhost:{self.port}"  # httpd compares names of certificates, not addresses

    def stop(self):
        self.program.stop()
        self.llm.stop()


def ask_directly(ogx, path, **fields):
    """A request past httpd: status and answer."""
    request = urllib.request.Request(ogx.url() + path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
