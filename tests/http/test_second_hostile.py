"""What a Redis that means no good, or something else that listens at its port, can make the module do: nothing but spend the time that
LlamaAuthCacheShared gives it."""

import socket
import threading
import time

import pytest

from conftest import new_token
from errorlog import await_until
from endpoint import Endpoint
from server import Httpd, sanitizer_environment
from test_second import MODULES, operations, status, text
from traffic import by_name

SERVER = b"# Server\r\nrun_id:0123456789012345678901234567890123456789\r\n"


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(*values):
    return b"*%d\r\n" % len(values) + b"".join(map(bulk, values))


def listen(host="127.0.0.1"):
    """At a free port of the address that the module will find for that host first."""
    family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family)


class FakeRedis:
    """Answers each command by a function of its words; counts the connections, and the questions that came over each."""

    def __init__(self, answer, tls=None, host="127.0.0.1"):
        self.tls = tls
        self.listener = listen(host)
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        self.questions = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.questions.append(0)
            threading.Thread(target=self.serve, args=(connection, len(self.questions) - 1), daemon=True).start()

    @staticmethod
    def words(stream):
        count = stream.readline()
        if not count:
            return None
        return [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(count[1:]))]

    def serve(self, connection, number):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
        except OSError:  # a handshake that failed, too
            return connection.close()
        with connection, connection.makefile("rb") as stream:
            try:
                while words := self.words(stream):
                    if words[0] == b"INFO":
                        connection.sendall(bulk(SERVER))
                        continue
                    self.questions[number] += 1
                    for part in self.answer(words):
                        connection.sendall(part)
            except OSError:
                pass

    def stop(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)  # else it takes one more, while a thread waits in accept()
        self.listener.close()


def nothing_found(words):
    """The answer of a Redis without entries, whose purges are those of no era."""
    yield array(*[None] * (len(words) - 1)) if words[0] == b"MGET" else b"-ERR not here\r\n"


def endless(part, pause=0.0):
    def answer(_):
        while True:
            yield part
            time.sleep(pause)
    return answer


REPLIES = {
    "none": lambda words: iter(()),
    "a huge list": lambda words: iter([b"*400000000\r\n$-1\r\n"]),
    "a huge list in a list": lambda words: iter([b"*1\r\n*1\r\n*400000000\r\n"]),
    "a list of many": lambda words: iter([b"*1000000\r\n" + b":1\r\n" * 1000000]),
    "lists without end": endless(b"*1\r\n" * 1000),
    "a huge string": lambda words: iter([b"$2000000000\r\n"]),
    "a string of a gigabyte": lambda words: iter([b"$2000000\r\n"] + [b"x" * 1000000] * 1000),
    "a line without end": endless(b"+" * 65536),
    "a byte now and then": endless(b"+", 0.02),
    "another protocol": lambda words: iter([b"HTTP/1.1 200 OK\r\n\r\n"]),
    "another type": lambda words: iter([b":7\r\n"]),
    "too few": lambda words: iter([array(None)]),
}


@pytest.fixture
def endpoint():
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


@pytest.fixture
def start(endpoint):
    """Starts an httpd at a Redis that answers so."""
    made = []

    def start(answer, words="timeout=100ms connect_timeout=1s"):
        fake = FakeRedis(answer)
        httpd = Httpd(modules=MODULES, expected=("LA0052"))
        made.append((httpd, fake))
        httpd.configure(text(httpd, endpoint.url(), f"redis://127.0.0.1:{fake.port}", words=words))
        httpd.start()
        return httpd, fake
    yield start
    for httpd, fake in made:
        wrong = httpd.stop()
        httpd.remove()
        fake.stop()
        assert not wrong, wrong


def memory_mb(httpd, field):
    """The largest of all children: VmPeak for what was asked for, VmHWM for what was used."""
    peaks = []
    for pid in httpd.children():
        with open(f"/proc/{pid}/status") as lines:
            peaks.extend(int(line.split()[1]) for line in lines if line.startswith(field))
    return max(peaks) / 1024


class TestReplies:
    @pytest.mark.parametrize("reply", REPLIES)
    def test_costs_its_time_and_no_more(self, start, reply):
        httpd, fake = start(REPLIES[reply])
        used, asked = memory_mb(httpd, "VmHWM"), memory_mb(httpd, "VmPeak")
        began = time.monotonic()
        for _ in range(4):
            assert httpd.get("/v1", token=new_token()).status == 200
        # Three failures at most open the breaker, each 100 ms; a header that is believed costs seconds.
        assert time.monotonic() - began < 10
        if not sanitizer_environment():  # AddressSanitizer keeps freed memory
            assert memory_mb(httpd, "VmHWM") - used < 16
        assert memory_mb(httpd, "VmPeak") - asked < 1024  # malloc's arenas among it
        assert not operations(httpd).get("hit")

    @pytest.mark.parametrize("behind", [b"$-1\r\n", b"+OK\r\n", b"x"])
    def test_what_stands_behind_a_reply_is_never_read(self, start, behind):
        """A connection that has more than the answer is closed: the rest would be the answer to the next question."""
        def answer(words):
            yield next(nothing_found(words)) + behind
        httpd, fake = start(answer)
        for _ in range(3):
            assert httpd.get("/v1", token=new_token()).status == 200
        assert max(fake.questions) == 1
        assert status(httpd)["shared_cache"]["breaker"]["state"] == "closed"

    def test_what_comes_late_is_never_read(self, start):
        """As above, in a packet of its own while the connection rests."""
        def answer(words):
            yield next(nothing_found(words))
            if words[0] == b"EVAL":  # the last command of a request
                yield b"+late\r\n"
                spoilt[threading.current_thread()] = time.monotonic()  # the connection has its own

        def check(words):
            # What is sent before it arrives cannot be helped.
            if time.monotonic() - spoilt.get(threading.current_thread(), time.monotonic()) > 0.1:
                reused.append(words)
            return answer(words)
        spoilt, reused = {}, []
        httpd, fake = start(check)
        await_until(lambda: httpd.get("/v1", token=new_token()).status == 200 and len(spoilt) > 3, "late replies")
        assert not reused

    def test_connections_are_used_again(self, start):
        httpd, fake = start(nothing_found)
        with httpd.connect() as connection:
            for _ in range(10):
                assert connection.get("/v1", token=new_token()).status == 200
        assert max(fake.questions) > 5

    def test_a_time_beyond_24_days(self, start):
        """poll() takes an int of milliseconds: 2**32 of them are not none."""
        def answer(words):
            time.sleep(0.2)
            yield next(nothing_found(words))
        httpd, fake = start(answer, words="timeout=4294967296ms connect_timeout=4294967296ms")
        assert httpd.get("/v1", token=new_token()).status == 200
        assert operations(httpd)["unavailable"] == 0
