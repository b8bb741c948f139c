"""A backend that has CORS fields of its own, on each kind of answer."""

from behaviour import reply
from endpoint import Endpoint

OWN = [("Access-Control-Allow-Origin", "*"), ("access-control-allow-credentials", "true"), ("Access-Control-Expose-Headers", "X-Secret"),
       ("Access-Control-Allow-Methods", "PURGE"), ("Access-Control-Allow-Headers", "X-Secret"), ("Access-Control-Max-Age", "86400")]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"


class CorsBackend(Endpoint):
    def __init__(self):
        super().__init__()
        self.default = self.answer

    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, peer, call):
        kind = call.target.rpartition("/")[2]
        if kind == "stream":
            peer.send(STREAM + b"".join(f"{n}: {v}\r\n".encode() for n, v in OWN) + b"\r\n5\r\nhello\r\n")
            peer.send(b"0\r\n\r\n")
        elif kind == "hints":
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            reply(200, b"{}", OWN)(peer, call)
        elif kind.isdigit():
            reply(int(kind), b"" if kind in ("204", "304") else b"{}", OWN, length=kind not in ("204", "304"))(peer, call)
        else:
            reply(200, call.method.encode(), [*OWN, ("Vary", "Accept"), ("Content-Type", "text/plain")])(peer, call)
