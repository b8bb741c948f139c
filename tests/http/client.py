"""A raw HTTP client: exact bytes out, parsed answers back. It owns nothing but the socket; what a test
wants to send is the test's business, broken requests included."""

import json
import re
import socket

# A hang is a failure; nothing here takes this long otherwise.
PATIENCE = 30

BEARER = re.compile(rb"^authorization:[ \t]*\S+[ \t]+([^\r\n]+?)[ \t]*$", re.I | re.M)


class Response:
    """One answer; header names in any case, values as Latin-1 text."""

    def __init__(self, version, status, reason, headers, body, interim):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.interim = interim

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        """The field's only value, or None; a repeated field fails the test."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """What the default document tells the client (spec section 8)."""
        error = self.json["error"]
        assert set(error) in ({"message"}, {"detail"}), error
        return next(iter(error.values()))

    def note(self, name):
        """A note of the request, as server.py's configuration shows it; None when it is not set."""
        value = self.header("X-Note-" + name.replace(".", "-").replace("_", "-"))
        return value.encode("latin-1").decode("utf-8", "replace") if value else None

    @property
    def challenge(self):
        """The first challenge, which is Bearer's."""
        values = self.all("WWW-Authenticate")
        assert len(values) < 3 and all(v.startswith("DPoP ") for v in values[1:]), values
        return parse_challenge(values[0] if values else None)

    @property
    def proof_challenge(self):
        """DPoP's, behind it (RFC 9449 section 7.1); None if there is none."""
        values = self.all("WWW-Authenticate")
        return parse_challenge(values[1], "DPoP ") if len(values) > 1 else None

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:300]!r}>"


def parse_challenge(value, scheme="Bearer "):
    """Bearer realm="x", error="y" -> {"realm": "x", "error": "y"}; strict about RFC 9110 quoting."""
    assert value is not None, "no WWW-Authenticate"
    assert value.startswith(scheme + ("realm=" if scheme == "Bearer " else "")), value
    parameter = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(, |$)')
    rest, found = value[len(scheme):], {}
    while rest:
        match = parameter.match(rest)
        assert match, f"not an auth-param: {rest!r} in {value!r}"
        assert match.group(1) not in found, f"{match.group(1)} twice in {value!r}"
        found[match.group(1)] = re.sub(r"\\(.)", r"\1", match.group(2))
        rest = rest[match.end():]
        assert rest or not match.group(3), f"ends in a comma: {value!r}"
    return found


def build(method, path, headers=(), body=b"", version="1.1", token=None, host="127.0.0.1"):
    """The bytes of a request; headers: pairs of str or bytes. Host comes first unless it is None."""
    def raw(text):
        return text if isinstance(text, bytes) else text.encode("utf-8")
    lines = [raw(method) + b" " + raw(path) + b" HTTP/" + raw(version)]
    if host is not None:
        lines.append(b"Host: " + raw(host))
    if token is not None:
        lines.append(b"Authorization: Bearer " + raw(token))
    lines += [raw(n) + b": " + raw(v) for n, v in headers]
    if body and not any(raw(n).lower() in (b"content-length", b"transfer-encoding") for n, _ in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Connection:
    """One TCP connection. `secrets` collects every credential that is sent, for the search in the logs."""

    def __init__(self, port, secrets=None, host="127.0.0.1", source=None):
        """source: the address to come from, another one of the loopback interface's."""
        self.socket = socket.create_connection((host, port), timeout=PATIENCE, source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.secrets = secrets if secrets is not None else set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        for match in BEARER.finditer(data.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")):
            self.secrets.add(match.group(1))
        self.socket.sendall(data)

    def request(self, method, path, **arguments):
        self.send(build(method, path, **arguments))
        return self.read(method)

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)

    def fill(self):
        """Reads some more; False at the end of the stream."""
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def take_until(self, mark):
        while mark not in self.buffer:
            assert self.fill(), f"connection closed inside an answer: {self.buffer[:300]!r}"
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def take(self, size):
        while len(self.buffer) < size:
            assert self.fill(), f"body cut short: {len(self.buffer)} of {size} bytes"
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def take_rest(self):
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read(self, method="GET"):
        """The next answer; 1xx ones are kept in `interim`."""
        interim = []
        while True:
            version, status, reason, headers = self.read_head()
            if status >= 200 or status == 101:
                break
            interim.append(status)
        response = Response(version, status, reason, headers, b"", interim)
        if method != "HEAD" and status not in (204, 304):
            response.body = self.read_body(response)
        return response

    def read_head(self):
        lines = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/(\d\.\d) (\d{3}) ?(.*)", lines[0])
        assert match, f"not a status line: {lines[0]!r}"
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        return match.group(1), int(match.group(2)), match.group(3), headers

    def read_body(self, response):
        if (response.header("Transfer-Encoding") or "").lower() == "chunked":
            return self.read_chunks()
        length = response.header("Content-Length")
        return self.take(int(length)) if length is not None else self.take_rest()

    def read_chunks(self):
        body = b""
        while True:
            size = int(self.take_until(b"\r\n").partition(b";")[0], 16)
            if size == 0:
                while self.take_until(b"\r\n"):
                    pass
                return body
            body += self.take(size)
            assert self.take(2) == b"\r\n"

    def closed(self):
        """Whether the server ends the connection here: waits for it, and for nothing else to come."""
        try:
            return not self.buffer and not self.fill()
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


class Visitor:
    """A client as programs are: keeps its connection, and opens another when the server has ended it between two
    requests, which httpd does to idle connections when its workers are busy."""

    def __init__(self, connect):
        self.connect = connect
        self.connection = connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def get(self, path, **arguments):
        for _ in range(3):
            try:
                self.connection.send(build("GET", path, **arguments))
                if self.connection.buffer or self.connection.fill():
                    return self.connection.read()
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.connection.close()
            self.connection = self.connect()
        raise AssertionError("httpd closed three connections in a row before it answered")
