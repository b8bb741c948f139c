"""Row 38: bodies sent one byte a second, never finished, larger than announced, many at once at the limit. And the temporary files of large
ones: a full disk."""

import os
import socket
import threading

import pytest

from client import build
from processes import resident
from server import sanitizer_environment
from test_model import Backend, JSON, PROVIDER, callers, place

PROXY = ("proxy", "proxy_http", "reqtimeout")
LIMIT = 1024 * 1024


def begin(httpd, length, body, who="alice", path="/own/x"):
    connection = httpd.connect()
    connection.send(build("POST", path, token=httpd.keys[who], headers=[JSON, ("Content-Length", str(length))]) + body)
    return connection


class TestSlow:
    modules = PROXY

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Backend()
        return (PROVIDER + "RequestReadTimeout body=2\nTimeout 5\n" + place("/own", "RequireModel attribute:models", "LlamaAuthBodyLimit 1M", backend=backend))

    def works(self, httpd):
        response = httpd.request("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON], body=b'{"model": "gpt-4"}')
        assert response.status == 200

    def test_never_finished(self, httpd):
        with begin(httpd, 100, b'{"model"') as connection:
            self.works(httpd)
            assert connection.read("POST").status == 408
        httpd.log.await_line("LA0282.*answering 408")

    def test_byte_by_byte(self, httpd):
        """httpd's own deadline holds, however often a byte comes."""
        with begin(httpd, 100, b"") as connection:
            done = threading.Event()

            def drip():
                try:
                    while not done.wait(0.2):
                        connection.send(b" ")
                except OSError:
                    pass
            sender = threading.Thread(target=drip)
            sender.start()
            self.works(httpd)
            assert connection.read("POST").status == 408
            done.set()
            sender.join()

    def test_larger_than_announced(self, httpd):
        """What is beyond the length is another request, and none of the body."""
        backend = httpd.endpoints["backend"]
        backend.take()
        body = b'{"model": "gpt-4"}'
        with begin(httpd, len(body), body + b', "model": "x"}\r\n\r\n') as connection:
            assert connection.read("POST").status == 200
            assert connection.read("POST").status == 400
        assert [call.body for call in backend.take()] == [body]

    def test_shorter_than_announced(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        with begin(httpd, 100, b'{"model": "gpt-4"}') as connection:
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.closed() or connection.read("POST").status == 400
        assert backend.take() == []

    def test_strangers_are_not_waited_for(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/own/x", token="nobody", headers=[JSON, ("Content-Length", "100000")]))
            assert connection.read("POST").status == 401


@pytest.mark.skipif(bool(sanitizer_environment()) or "LA_VALGRIND" in os.environ, reason="tools take memory themselves")
class TestMany:
    """256 bodies at the limit, all at once: in memory is a quarter of each, and nothing of it stays."""

    modules = PROXY
    processes = 1

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Backend()
        return (PROVIDER + "ThreadLimit 280\nThreadsPerChild 280\nMaxRequestWorkers 280\nMaxSpareThreads 280\nRequestReadTimeout body=60\n" + place("/own", "RequireModel attribute:models", "LlamaAuthBodyLimit 1M", backend=backend))

    def test_memory(self, httpd):
        body = b'{"model": "claude", "p": "' + b"p" * (LIMIT - 28) + b'"}'
        assert len(body) == LIMIT
        child, = httpd.children()
        count = 256
        before = resident(child)
        connections = []
        for _ in range(count):
            connections.append(begin(httpd, len(body), b""))
        senders = [threading.Thread(target=c.send, args=(body[:-1],)) for c in connections]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        held = resident(child) - before
        other = httpd.request("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON], body=b'{"model": "gpt-4"}')
        assert other.status == 200
        for connection in connections:
            connection.send(body[-1:])
        assert {connection.read("POST").status for connection in connections} == {403}
        for connection in connections:
            connection.close()
        assert held < count * 600 * 1024, f"{held >> 20} MB for {count} bodies"
