"""A `custom` endpoint for floods, a program of its own: accepts tokens that begin with `good`, under their name, and
refuses all others. Prints its port, then the number of calls for each line on its input, until that ends."""

import json
import re
import selectors
import socket
import sys

LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
TOKEN = re.compile(rb'"api_key":"([^"]*)"')
REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


def answer(body):
    token = TOKEN.search(body).group(1).decode()
    if not token.startswith("good"):
        return REFUSAL
    name = "-".join(token.split("-")[:2])
    text = json.dumps({"principal": name, "attributes": {"roles": ["role-of-" + name]}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


class Peer:
    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""

    def serve(self):
        """Answers what has come; returns the number of calls, or None at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.socket.close()
            return None
        self.buffer += data
        calls = 0
        while True:
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return calls
            length = int(LENGTH.search(head).group(1))
            if len(rest) < length:
                return calls
            self.socket.sendall(answer(rest[:length]))
            self.buffer = rest[length:]
            calls += 1


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    calls = 0
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ, None)
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection = listener.accept()[0]
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ, Peer(connection))
                elif key.fileobj is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    print(calls, flush=True)
                else:
                    made = key.data.serve()
                    if made is None:
                        selector.unregister(key.fileobj)
                    else:
                        calls += made


if __name__ == "__main__":
    main()
