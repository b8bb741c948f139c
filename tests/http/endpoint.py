"""The endpoint of a `custom` provider, real enough to misbehave: it records every call and does with each what
the test chose for its token (behaviour.py). Plain or TLS; it also stands in as an http proxy."""

import json
import socket
import ssl
import threading
from itertools import count

from behaviour import accept
from errorlog import await_until


class Call:
    """One recorded request; `connection` numbers the TCP connection it came on."""

    def __init__(self, head, body, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        self.body = body
        self.connection = connection

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def token(self):
        try:
            return self.json["api_key"]
        except (ValueError, KeyError, TypeError):
            return None


class Peer:
    """One connection from the server under test, as a behaviour sees it."""

    def __init__(self, endpoint, connection, number):
        self.endpoint = endpoint
        self.socket = connection
        self.number = number
        self.open = True
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def wait(self, seconds=None):
        """Lets time pass; True when the endpoint is being stopped."""
        return self.endpoint.stopping.wait(seconds)

    def hang(self):
        """Says nothing until the other side gives up."""
        while self.socket.recv(65536):
            pass
        self.open = False

    def close(self):
        self.open = False
        self.socket.close()

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def read_call(self):
        """The next request, or None at the end of the connection and for what is not HTTP."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill() or not self.buffer[:1].isalpha():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        call = Call(head, b"", self.number)
        if (call.header("Transfer-Encoding") or "").lower() == "chunked":
            return self.read_chunks(call)
        length = int(call.header("Content-Length") or 0)
        while len(self.buffer) < length:
            if not self.fill():
                return None
        call.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return call

    def read_chunks(self, call):
        while True:
            while b"\r\n" not in self.buffer:
                if not self.fill():
                    return None
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            while len(self.buffer) < size + 2:
                if not self.fill():
                    return None
            call.body, self.buffer = call.body + self.buffer[:size], self.buffer[size + 2:]
            if size == 0:
                return call

    def fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)


class Endpoint:
    """Listens as soon as it is made. tls: an ssl.SSLContext for the server side, or None."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.tls = tls
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.calls = []
        self.connections = 0
        self.failed_handshakes = 0
        self.default = accept("alice")
        self.behaviours = {}
        self.peers = set()
        self.secrets = set()
        self.numbers = count(1)
        self.listener = socket.create_server((host, 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.listen, daemon=True)
        self.acceptor.start()

    def url(self, path="/validate", host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def on(self, token, behaviour):
        """Chooses what happens to this token; returns the token."""
        self.behaviours[token] = behaviour
        return token

    def calls_for(self, token):
        with self.lock:
            return [c for c in self.calls if c.token == token]

    def call(self, token):
        """The only call made for a token."""
        calls = self.calls_for(token)
        assert len(calls) == 1, f"{len(calls)} calls for {token}"
        return calls[0]

    def await_call(self, token):
        return await_until(lambda: self.calls_for(token), f"a call for {token}")[0]

    def close_connections(self):
        """Ends every open connection, as a server does with idle ones."""
        with self.lock:
            peers = list(self.peers)
        for peer in peers:
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        await_until(lambda: not self.peers & set(peers), "connections to end")

    def stop(self):
        """Ends it; a second time does nothing."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor: it must not meet the next listener under this number
        self.acceptor.join()
        self.listener.close()
        with self.lock:
            peers = list(self.peers)
        for peer in peers:
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # ---- threads ---------------------------------------------------------------------------------

    def listen(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.connections += 1
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError):
            with self.lock:
                self.failed_handshakes += 1
            connection.close()
            return
        peer = Peer(self, connection, next(self.numbers))
        with self.lock:
            self.peers.add(peer)
        try:
            self.converse(peer)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            connection.close()
            with self.lock:
                self.peers.discard(peer)

    def converse(self, peer):
        while peer.open and not self.stopping.is_set():
            call = peer.read_call()
            if call is None:
                return
            with self.lock:
                self.calls.append(call)
            behaviour = self.behaviours.get(call.token, self.default)
            behaviour(peer, call)
