"""A FastCGI application: records the variables and the body of each request, and answers with `answer`: a type, a body, and whether it
ends the answer or only the connection."""

import socket
import socketserver
import struct
import threading

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def pairs(data):
    """Names and values of PARAMS records."""
    def length():
        nonlocal data
        if data[0] < 128:
            found, data = data[0], data[1:]
        else:
            found, data = struct.unpack(">I", data[:4])[0] & 0x7fffffff, data[4:]
        return found
    found = []
    while data:
        name, value = length(), length()
        found.append((data[:name].decode("latin-1"), data[name:name + value].decode("latin-1")))
        data = data[name + value:]
    return found


def record(kind, content):
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        streams = {PARAMS: b"", STDIN: b""}
        while True:
            head = self.rfile.read(8)
            if len(head) < 8:
                return
            _, kind, _, size, padding, _ = struct.unpack(">BBHHBB", head)
            content = self.rfile.read(size)
            self.rfile.read(padding)
            if kind == STDIN and not content:
                break
            if kind in streams:
                streams[kind] += content
        self.server.calls.append((pairs(streams[PARAMS]), streams[STDIN]))
        kind, body, then = self.server.answer
        self.wfile.write(record(STDOUT, f"Content-Type: {kind}\r\n\r\n".encode() + body))
        if then == "end":
            self.wfile.write(record(STDOUT, b"") + record(END, b"\0" * 8))
        elif then == "reset":
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class FastCgi:
    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.calls = []
        self.server.answer = ("text/plain", b"ok\n", "end")
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def calls(self):
        return self.server.calls

    def all(self, variable):
        """The last request's values of a variable."""
        return [value for name, value in self.calls[-1][0] if name == variable]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
