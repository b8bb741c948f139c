"""Many requests: bursts whose requests are all under way together, load in the background, and floods."""

import random
import re
import select
import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from itertools import islice
from pathlib import Path

from behaviour import accept
from client import PATIENCE, build

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def name_of(token):
    """Who a token of conftest.new_token() stands for: told by the token, but telling nothing of it."""
    return "-".join(token.split("-")[:2])


def by_name(peer, call):
    """Accepts everybody under the name of their token, with a role that fits."""
    accept(name_of(call.token), {"roles": ["role-of-" + name_of(call.token)]})(peer, call)


def check_own(token, response):
    """The answer is about this caller and no other."""
    assert response.status == 200, response
    assert response.note("user") == response.note("principal") == name_of(token), response
    assert response.note("attribute.roles") == "role-of-" + name_of(token), response


class Burst:
    """Requests on connections of their own, all sent before the first answer is read."""

    def __init__(self, httpd, requests):
        """requests: pairs of path and token."""
        self.connections = []
        for path, token in requests:
            connection = httpd.connect()
            connection.send(build("GET", path, token=token))
            self.connections.append(connection)

    def answered(self):
        """How many have an answer that can be read; waits for a moment if none has."""
        return len(select.select([connection.socket for connection in self.connections], [], [], 0.01)[0])

    def read(self):
        """The answers in order; None where the connection ended without one."""
        answers = [self.read_one(connection) for connection in self.connections]
        for connection in self.connections:
            connection.close()
        return answers

    @staticmethod
    def read_one(connection):
        try:
            if not connection.buffer and not connection.fill():
                return None
            return connection.read()
        except ConnectionResetError:
            return None


class Load:
    """Clients that ask one request after another until the `with` ends; a failed check of any of them fails there.

    choose(random) gives path and token, judge(token, response) checks the answer. With keep=False each request has a
    connection of its own. With may_break=True a connection may die, and another is opened.
    """

    def __init__(self, httpd, choose, judge, clients=8, keep=True, may_break=False):
        self.httpd = httpd
        self.choose = choose
        self.judge = judge
        self.keep = keep
        self.may_break = may_break
        self.stopping = threading.Event()
        self.failures = []
        self.lock = threading.Lock()
        self.answers = 0
        self.broken = 0
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.failures and kind is None:
            raise self.failures[0]

    def run(self, seed):
        chance = random.Random(seed)
        try:
            while not self.stopping.is_set():
                self.talk(chance)
        except BaseException as error:  # handed to the test's own thread
            self.failures.append(error)
            self.stopping.set()

    def talk(self, chance):
        """One connection's life."""
        with self.httpd.connect() as connection:
            while not self.stopping.is_set():
                path, token = self.choose(chance)
                response = self.ask(connection, path, token)
                with self.lock:
                    self.answers += response is not None
                    self.broken += response is None
                if response is None:
                    assert self.may_break, "a connection broke"
                    return
                self.judge(token, response)
                if not self.keep or response.header("Connection") == "close":
                    return

    def ask(self, connection, path, token):
        try:
            headers = () if self.keep else (("Connection", "close"),)
            connection.send(build("GET", path, token=token, headers=headers))
        except (ConnectionResetError, BrokenPipeError):
            return None
        return Burst.read_one(connection)


# ---- floods ------------------------------------------------------------------------------------------


class Pipe:
    """One connection of a flood: the next batch goes out when the last one is answered. httpd may close a connection
    between two requests; what was not answered then is sent over a new one."""

    def __init__(self, port, selector):
        self.port = port
        self.selector = selector
        self.requests = []
        self.open()

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.selector.register(self.socket, selectors.EVENT_READ, self)
        self.tail = b""

    def close(self):
        self.selector.unregister(self.socket)
        self.socket.close()

    def send(self, requests):
        self.requests = requests
        try:
            self.socket.sendall(b"".join(requests))
        except (ConnectionResetError, BrokenPipeError):
            pass  # the next read finds it closed

    def read(self):
        """The statuses that came."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            self.close()
            self.open()
            self.send(self.requests)
            return []
        text = self.tail + data
        found = STATUS.findall(text)
        last = text.rfind(b"HTTP/1.1 ")
        self.tail = text[last:] if last >= 0 and len(text) - last < 13 else text[-8:]
        del self.requests[:len(found)]
        return found


def flood(port, requests, connections=8, depth=64):
    """Sends all requests (bytes, pipelined over a few connections); returns how often each status came."""
    requests = iter(requests)
    statuses = Counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            Pipe(port, selector).send(list(islice(requests, depth)))
        while selector.get_map():
            ready = selector.select(PATIENCE)
            assert ready, f"no answer for {PATIENCE} s"
            for pipe in [key.data for key, _ in ready]:
                statuses.update(int(status) for status in pipe.read())
                if not pipe.requests:
                    pipe.send(list(islice(requests, depth)))
                if not pipe.requests:
                    pipe.close()
    return statuses


class Doorman:
    """An endpoint in a process of its own (doorman.py), for more calls than endpoint.py is made for."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("doorman.py")), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def calls(self):
        """How many came so far."""
        self.process.stdin.write("calls\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    # As httpd.endpoints expects of what it stops.
    secrets = frozenset()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
