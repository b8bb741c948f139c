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


class TestClients:
    """Clients that go, connections that end, and answers that have no body."""
    modules = (*PROXY, "cache", "cache_disk")
    expected = ("AH0\\d+",)

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.backend = httpd.endpoints["usage"] = UsageBackend()
        httpd.backend.more.update({
            "empty": (204, JSON, b""), "same": (304, JSON, b"", [("ETag", '"a"')]), "kept": (200, JSON, DOCUMENT, [("Cache-Control", "public, max-age=60")]),
            "error": (502, SSE, events(CHUNK)), "created": (201, JSON, DOCUMENT)})
        (httpd.root / "cache").mkdir()
        (httpd.root / "cache").chmod(0o777)
        return (PROVIDER + quota("tokens", "Tokens 100000/1h", "Reserve 10") + LOG + place("/t", "tokens", backend=httpd.backend) +
                place("/cached", "tokens", backend=httpd.backend) + f'CacheRoot "{httpd.root}/cache"\nCacheEnable disk /cached\nCacheQuickHandler off\n')

    @pytest.mark.parametrize("method, name, expected", [
        ("HEAD", "json", "none 0 0 0"), ("GET", "empty", "none 0 0 0"), ("GET", "same", "none 0 0 0"), ("GET", "error", "none 0 0 0"),
        ("GET", "created", "response 7 5 12"), ("POST", "json", "response 7 5 12")])
    def test_answer(self, httpd, method, name, expected):
        path = f"/t/{method}/{name}"  # no other request's note
        httpd.request(method, path, token=httpd.callers["alice"])
        assert noted(httpd, path) == expected

    def test_cache(self, httpd):
        """What a cache answers used no tokens."""
        for expected in ("response 7 5 12", "none 0 0 0"):
            mark = len((httpd.root / "logs" / "usage.log").read_text().splitlines()) if (httpd.root / "logs" / "usage.log").exists() else 0
            assert httpd.get("/cached/kept", token=httpd.callers["bob"]).status == 200
            await_until(lambda: len((httpd.root / "logs" / "usage.log").read_text().splitlines()) > mark, "the note")
            assert noted(httpd, "/cached/kept") == expected

    @pytest.mark.parametrize("sent", [0, 1])
    def test_client_goes(self, httpd, sent):
        """Before the first event and after it: what was generated by then is charged, at least Reserve."""
        entered, gone = threading.Event(), threading.Event()

        def answer(peer, call):
            def chunk(data):
                return f"{len(data):x}\r\n".encode() + data + b"\r\n"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {SSE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            peer.send(head + chunk(events(CHUNK)) if sent else b"")
            entered.set()
            gone.wait(20)
            try:
                peer.send(b"" if sent else head)
                while True:
                    peer.send(chunk(events(CHUNK) * 100))  # until httpd has noticed
            except OSError:
                peer.close()
        key = httpd.callers["carol" if sent else "dave"]
        httpd.backend.default = answer
        with httpd.connect() as connection:
            connection.send(build("GET", f"/t/gone{sent}", token=key))
            assert entered.wait(20)
            if sent:
                connection.take_until(b"data: ")
        gone.set()
        source, read, written, total = noted(httpd, f"/t/gone{sent}").split()
        httpd.backend.default = httpd.backend.answer
        assert source == "estimate" and int(written) >= 1 and read == "0"
        left = items(httpd.get("/t/json", token=key).header("RateLimit"))["tokens.tokens"]["r"]
        assert left == 100000 - max(10, int(total)) - 10

    def test_first_event(self, httpd):
        """An event arrives while the next one is not sent yet, without any word of mod_proxy's."""
        arrived = threading.Event()

        def answer(peer, call):
            body = events(CHUNK), events({"usage": usage()})
            peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: {SSE}\r\nContent-Length: {sum(map(len, body))}\r\n\r\n".encode() + body[0])
            assert arrived.wait(20)
            peer.send(body[1])
        httpd.backend.default = answer
        with httpd.connect() as connection:
            connection.send(build("GET", "/t/first", token=httpd.callers["erin"]))
            connection.take_until(b"\n\n")
            arrived.set()
            connection.take_until(b"\n\n")
        httpd.backend.default = httpd.backend.answer
        assert noted(httpd, "/t/first") == "response 7 5 12"
