"""What an endpoint does with a call: functions that take (peer, call) and answer, or fail to."""

import json
import socket
import threading

REASONS = {200: "OK", 204: "No Content", 302: "Found", 401: "Unauthorized", 500: "Internal Server Error"}


def render(status=200, body=b"", headers=(), version="1.1", length=True):
    """The bytes of an answer. body: bytes, or a JSON value. length: False for none, or a number to claim."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/{version} {status} {REASONS.get(status, 'Whatever')}"]
    if not any(n.lower() == "content-type" for n, _ in headers):
        lines.append("Content-Type: application/json")
    lines += [f"{n}: {v}" for n, v in headers]
    if length is not False and status != 204:
        lines.append(f"Content-Length: {len(body) if length is True else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def reply(status=200, body=b"", headers=(), **arguments):
    """A well-formed answer; the connection stays open."""
    return raw(render(status, body, headers, **arguments), then="stay")


def accept(principal=None, attributes=None, **more):
    answer = dict(more)
    if principal is not None:
        answer["principal"] = principal
    if attributes is not None:
        answer["attributes"] = attributes
    return reply(200, answer)


def raw(data, then="close"):
    """Sends exactly these bytes; then: close, reset, stay, hang."""
    def behave(peer, call):
        peer.send(data)
        finish(peer, then)
    return behave


def finish(peer, then):
    if then == "hang":
        peer.hang()
    elif then == "close":
        close(peer, None)
    elif then == "reset":
        peer.reset()


def close(peer, call):
    """Ends the connection in order: what was sent arrives."""
    peer.socket.shutdown(socket.SHUT_WR)
    while peer.socket.recv(65536):
        pass
    peer.close()


def reset(peer, call):
    peer.reset()


def hang(peer, call):
    """Never answers."""
    peer.hang()


def drip(data, gap, then="close"):
    """One byte at a time."""
    def behave(peer, call):
        for index in range(len(data)):
            peer.send(data[index:index + 1])
            if gap and peer.wait(gap):
                return
        finish(peer, then)
    return behave


def flood(size, framing):
    """A valid JSON object of `size` bytes, framed by `length`, `chunked` or `close`."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    head += {"length": b"Content-Length: %d\r\n" % size, "chunked": b"Transfer-Encoding: chunked\r\n",
             "close": b"Connection: close\r\n"}[framing]

    def pieces():
        start, end = b'{"principal": "flood", "pad": "', b'"}'
        yield start
        left = size - len(start) - len(end)
        while left > 0:
            yield b"x" * min(left, 65536)
            left -= 65536
        yield end

    def behave(peer, call):
        peer.send(head + b"\r\n")
        for piece in pieces():
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if framing == "chunked":
            peer.send(b"0\r\n\r\n")
        if framing == "close":
            close(peer, call)
    return behave


class Hold:
    """Answers only when the test releases it."""

    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.released = threading.Event()

    def release(self):
        self.released.set()

    def __call__(self, peer, call):
        while not self.released.wait(0.05):
            if peer.endpoint.stopping.is_set():
                return
        self.behaviour(peer, call)


def chunked(body, sizes):
    """A chunked answer whose chunk-size lines are given: right ones or lies."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for size, part in zip(sizes, body):
        data += size + b"\r\n" + part + b"\r\n"
    return data


def tunnel(peer, call):
    """A proxy's CONNECT: joins the peer to the target until either ends."""
    host, _, port = call.target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as target:
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(target, peer.socket), daemon=True)
        back.start()
        pump(peer.socket, target)
        back.join(10)
    peer.close()


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
