"""WebSockets, spoken by wsproto: a backend that echoes and says what its handshake told it, and a client."""

import json
import socket

import wsproto
from wsproto import events

from client import PATIENCE
from endpoint import Endpoint


class WebSocketBackend(Endpoint):
    """Accepts every handshake (its first subprotocol), and answers each text with the text, the handshake's request line and fields."""

    def __init__(self):
        super().__init__()
        self.default = self.talk

    def talk(self, peer, call):
        lines = [f"{call.method} {call.target} {call.version}", *(f"{name}: {value}" for name, value in call.headers)]
        connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        connection.receive_data(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        while peer.open:
            for event in connection.events():
                self.answer(peer, call, connection, event)
            if peer.open and peer.fill():
                data, peer.buffer = peer.buffer, b""
                connection.receive_data(data)
            else:
                peer.open = False

    @staticmethod
    def answer(peer, call, connection, event):
        if isinstance(event, events.Request):
            peer.send(connection.send(events.AcceptConnection(subprotocol=next(iter(event.subprotocols), None))))
        elif isinstance(event, events.TextMessage):
            told = {"said": event.data, "target": call.target, "fields": {name.lower(): value for name, value in call.headers}}
            peer.send(connection.send(events.TextMessage(json.dumps(told))))
        elif isinstance(event, events.CloseConnection):
            peer.send(connection.send(event.response()))
            peer.close()


class WebSocket:
    """A client's connection. After open(): `status` is 101, or what refused the handshake, with `fields` and `body`."""

    def __init__(self, port, target, headers=(), subprotocols=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.status, self.fields, self.body, self.subprotocol = None, {}, b"", None
        request = events.Request(host="127.0.0.1", target=target, subprotocols=list(subprotocols),
                                 extra_headers=[(name.encode(), value.encode()) for name, value in headers])
        self.socket.sendall(self.connection.send(request))
        self.pending = []
        self.await_handshake()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def next_event(self):
        while not self.pending:
            self.connection.receive_data(self.socket.recv(65536) or None)
            self.pending += list(self.connection.events())
        return self.pending.pop(0)

    def await_handshake(self):
        event = self.next_event()
        if isinstance(event, events.AcceptConnection):
            self.status, self.subprotocol = 101, event.subprotocol
            return
        assert isinstance(event, events.RejectConnection), event
        self.status = event.status_code
        self.fields = {name.decode().lower(): value.decode() for name, value in event.headers}
        while event.has_body if isinstance(event, events.RejectConnection) else not event.body_finished:
            event = self.next_event()
            self.body += event.data

    def ask(self, text):
        """Sends a text; returns what the backend answers."""
        self.socket.sendall(self.connection.send(events.TextMessage(text)))
        event = self.next_event()
        assert isinstance(event, events.TextMessage), event
        return json.loads(event.data)

    def close(self):
        """Closes in order; True when the other side agrees."""
        self.socket.sendall(self.connection.send(events.CloseConnection(code=1000)))
        return isinstance(self.next_event(), events.CloseConnection)
