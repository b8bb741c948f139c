"""Tokens read from answers of every kind of handler, while they pass: nothing is held back, memory stays flat."""

import gzip
import json
import threading
import time

import pytest

from client import build
from errorlog import await_until
from fastcgi import FastCgi
from processes import resident
from test_quota import PROVIDER, PROXY, Callers, items, place, quota
from usage_backend import CHUNK, SSE, UsageBackend, events, usage

LOG = ('LogFormat "%{llama_auth.usage.source}n %{llama_auth.usage.input_tokens}n %{llama_auth.usage.output_tokens}n '
       '%{llama_auth.usage.total_tokens}n %U" usage\nCustomLog logs/usage.log usage\n')
JSON = "application/json"
DOCUMENT = json.dumps({"choices": [], "usage": usage()}).encode()


def noted(httpd, path):
    """The notes of the last request for the path."""
    log = httpd.root / "logs" / "usage.log"

    def lines():
        return [line.split()[:4] for line in log.read_text().splitlines() if line.endswith(" " + path)] if log.exists() else []
    await_until(lines, f"a line about {path}")
    return " ".join(lines()[-1])


def script(httpd, name, *lines):
    path = httpd.write(f"cgi/{name}", "#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)


class TestHandlers:
    """CGI, FastCGI, files, mod_deflate, SSI: each hands its bytes on in another way."""
    modules = (*PROXY, "proxy_fcgi", "cgid", "deflate", "filter", "include")
    expected = ("AH01075", "AH0\\d+: Error dispatching request", "proxy_fcgi")

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.backend = httpd.endpoints["usage"] = UsageBackend()
        httpd.fcgi = FastCgi()
        httpd.endpoints["fcgi"] = httpd.fcgi
        httpd.backend.more["gzip"] = (200, JSON, gzip.compress(DOCUMENT), [("Content-Encoding", "gzip")])
        httpd.backend.more["gzip-events"] = (200, SSE, gzip.compress(events(CHUNK)), [("Content-Encoding", "gzip")])
        script(httpd, "whole", f"printf 'Content-Type: {JSON}\\n\\n'", f"printf '%s' '{DOCUMENT.decode()}'")
        script(httpd, "waits", f"printf 'Content-Type: {SSE}\\n\\n'", "printf 'data: {}\\n\\n'",
               f"while [ ! -e {httpd.root}/htdocs/go ]; do sleep 0.02; done",
               "printf 'data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\\n\\n'")
        script(httpd, "large", f"printf 'Content-Type: {JSON}\\n\\n'", "printf '{\"text\":\"'", "head -c 300000000 /dev/zero | tr '\\0' x",
               f"printf '\",\"usage\":{json.dumps(usage())}}}'")
        httpd.write("htdocs/file/a.json", DOCUMENT)
        with open(httpd.write("htdocs/file/large.json", '{"text":"'), "r+b") as file:
            file.seek(300_000_000)  # zeros take no room on the disk
            file.write(b'","usage":' + json.dumps(usage()).encode() + b"}")
        httpd.write("htdocs/ssi/page.shtml", '<!--#include virtual="/file/a.json" -->')
        log = f"{LOG}AddType {JSON} .json\nAddType text/html .shtml\nScriptSock cgisock\n"
        return (PROVIDER + quota("tokens", "Tokens 100000/1h", "Reserve 10") + quota("ssi", "Requests 5/1h", "Tokens 1000/1h") + log +
                f'ScriptAlias /cgi {httpd.root}/cgi\n' + place("/cgi", "tokens") + place("/file", "tokens ssi", "EnableMMAP off") +
                place("/ssi", "ssi", "Options +Includes", "SetOutputFilter INCLUDES") +
                place("/fcgi", "tokens", f"ProxyPass fcgi://127.0.0.1:{httpd.fcgi.port}") +
                place("/inflate", "tokens", "SetOutputFilter INFLATE", backend=httpd.backend) +
                place("/encoded", "tokens", backend=httpd.backend))

    @pytest.mark.parametrize("path, expected", [("/cgi/whole", "response 7 5 12"), ("/file/a.json", "response 7 5 12"),
                                                ("/inflate/gzip", "response 7 5 12"), ("/encoded/gzip", "none 0 0 0"),
                                                ("/encoded/gzip-events", "estimate 0 0 0")])
    def test_answer(self, httpd, path, expected):
        answer = httpd.get(path, token=httpd.callers["alice"])
        assert answer.status == 200 and items(answer.header("RateLimit"))["tokens.tokens"]["r"] > 0
        assert noted(httpd, path) == expected

    def test_nothing_waits(self, httpd):
        """The script goes on only once its first event has arrived."""
        with httpd.connect() as connection:
            connection.send(build("GET", "/cgi/waits", token=httpd.callers["bob"]))
            assert b"data: {}" in connection.take_until(b"data: {}\n") + b"data: {}"
            httpd.write("htdocs/go", "")
            connection.take_until(b"output_tokens")
        assert noted(httpd, "/cgi/waits") == "response 3 4 7"

    @pytest.mark.parametrize("path", ["/cgi/large", "/file/large.json"])
    def test_flat_memory(self, httpd, path):
        """300 MB of a script and of a file, in one line."""
        before = sum(resident(pid) for pid in httpd.children())
        peak = []
        done = threading.Event()

        def watch():
            while not done.is_set():
                peak.append(sum(resident(pid) for pid in httpd.children()))
                time.sleep(0.02)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with httpd.connect() as connection:
                connection.send(build("GET", path, token=httpd.callers["carol"], version="1.0"))
                received = 0
                while data := connection.socket.recv(1 << 20):
                    received += len(data)
        finally:
            done.set()
            watcher.join()
        assert received > 300_000_000
        assert noted(httpd, path) == "response 7 5 12"
        assert max(peak) - before < 32 << 20, (max(peak), before)

    def test_included(self, httpd):
        """A subrequest is charged nothing, and its answer is no answer of the model."""
        key = httpd.callers["dave"]
        answer = httpd.get("/ssi/page.shtml", token=key)
        assert answer.status == 200 and b"usage" in answer.body, answer
        assert noted(httpd, "/ssi/page.shtml") == "none 0 0 0"
        assert items(answer.header("RateLimit"))["ssi.requests"]["r"] == 4
        assert items(httpd.get("/ssi/page.shtml", token=key).header("RateLimit"))["ssi.requests"]["r"] == 3

    @pytest.mark.parametrize("name, expected", [("whole", "response 7 5 12"), ("events", "response 1 2 3"), ("cut", "estimate 0 1 1"),
                                                ("reset", "estimate 0 1 1")])
    def test_fastcgi(self, httpd, name, expected):
        httpd.fcgi.server.answer = {
            "whole": (JSON, DOCUMENT, "end"), "events": (SSE, events(CHUNK, {"usage": usage(1, 2)}), "end"),
            "cut": (SSE, events(CHUNK), "close"), "reset": (SSE, events(CHUNK), "reset")}[name]
        with httpd.connect() as connection:
            connection.send(build("GET", f"/fcgi/{name}", token=httpd.callers["erin"], version="1.0"))
            connection.take_rest()
        assert noted(httpd, f"/fcgi/{name}") == expected
