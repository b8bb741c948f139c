"""The custom provider when its endpoint misbehaves: each fault gets its documented answer and a line in the log,
costs no child process, and the next good answer is taken as if nothing had been."""

import gzip
import json
import select
import socket
import threading

import pytest

import outages
from behaviour import Hold, accept, chunked, close, drip, flood, hang, raw, render, reply, reset
from client import build
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from outages import both_statuses
from server import free_port

ERROR = "Authentication service error"
TIMEOUT = "Authentication service timeout"
MALFORMED = "Invalid authentication response format"
GOOD = json.dumps({"principal": "alice", "attributes": {"roles": ["x" * 100]}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TEN_MB = 10 * 1024 * 1024

FAULTS = {
    "reset before an answer": (reset, ERROR),
    "closed before an answer": (close, ERROR),
    "reset inside the status line": (raw(b"HTTP/1.1 20", then="reset"), ERROR),
    "closed inside the header": (raw(b"HTTP/1.1 200 OK\r\nContent-Ty"), MALFORMED),
    "reset inside the body": (raw(render(200, GOOD)[:-20], then="reset"), ERROR),
    "closed inside the body": (raw(render(200, GOOD)[:-20]), ERROR),
    "Content-Length too large": (raw(render(200, GOOD, length=len(GOOD) + 10)), ERROR),
    "Content-Length too small": (raw(render(200, GOOD, length=len(GOOD) - 10)), MALFORMED),
    "Content-Length 0": (raw(render(200, GOOD, length=0)), MALFORMED),
    "Content-Length negative": (raw(render(200, GOOD, length=-5)), ERROR),
    "Content-Length no number": (raw(render(200, GOOD, length="many")), ERROR),
    "Content-Length beyond 64 bits": (raw(render(200, GOOD, length="9" * 30)), ERROR),
    "Content-Length of 10 TB": (raw(render(200, GOOD, length=10 ** 13)), ERROR),
    "10 MB with a length": (flood(TEN_MB, "length"), ERROR),
    "10 MB in chunks": (flood(TEN_MB, "chunked"), ERROR),
    "10 MB to the end": (flood(TEN_MB, "close"), ERROR),
    "10 MB of one header": (raw(HEAD + b"X-Flood: " + b"x" * TEN_MB + b"\r\n\r\n" + GOOD), ERROR),
    "10 MB of small headers": (raw(HEAD + b"X-Flood: x\r\n" * (TEN_MB // 12) + b"\r\n" + GOOD), ERROR),
    "chunk shorter than it says": (raw(chunked([GOOD], [b"fff"])), ERROR),
    "chunk size is no number": (raw(chunked([GOOD], [b"zz"])), ERROR),
    "chunk size beyond 64 bits": (raw(chunked([GOOD], [b"f" * 20])), ERROR),
    "no last chunk": (raw(chunked([GOOD], [b"%x" % len(GOOD)])), ERROR),
    "not HTTP": (raw(b"220 mail.example.com ESMTP\r\n"), ERROR),
    "HTTP/0.9": (raw(GOOD), ERROR),
    "binary": (raw(bytes(range(256)) * 10), ERROR),
    "HTTP/9.9": (raw(b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}"), ERROR),
    "status of two digits": (raw(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}"), ERROR),
    "status 600": (raw(b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}"), ERROR),
    "status 000": (raw(b"HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\n{}"), ERROR),
    "switching protocols": (raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), ERROR),
    "gzip": (reply(200, gzip.compress(GOOD), [("Content-Encoding", "gzip")]), MALFORMED),
    "gzip of 100 MB": (reply(200, gzip.compress(b'{"principal":"x","pad":"' + b"x" * 10 ** 8 + b'"}'),
                             [("Content-Encoding", "gzip")]), MALFORMED),
    "unknown encoding": (reply(200, b"\x01\x02", [("Content-Encoding", "br")]), MALFORMED),
    "invalid UTF-8": (reply(200, b'{"principal": "\xc3\x28"}'), MALFORMED),
    "NUL": (reply(200, b'{"principal": "alice"}\0'), MALFORMED),
    "10,000 levels": (reply(200, b"[" * 10000 + b"]" * 10000), MALFORMED),
    "duplicate names": (reply(200, b'{"principal": "a", "principal": "b"}'), MALFORMED),
    "204": (reply(204), "Authentication failed: 204"),
    "302": (reply(302, b"", [("Location", "http://127.0.0.1:1/")]), "Authentication failed: 302"),
    "408": (reply(408, b""), "Authentication failed: 408"),
    "425": (reply(425, b""), "Authentication failed: 425"),
    "429 with Retry-After": (reply(429, b"", [("Retry-After", "60")]), "Authentication failed: 429"),
    "500": (reply(500, b"oops"), "Authentication failed: 500"),
    "503 with a body of 10 MB": (raw(render(503, b"x" * TEN_MB)), ERROR),
    "never answers": (hang, TIMEOUT),
    "hangs inside the header": (raw(HEAD, then="hang"), TIMEOUT),
    "hangs inside the body": (raw(render(200, GOOD)[:-20], then="hang"), TIMEOUT),
    "hangs before the last chunk": (raw(chunked([GOOD], [b"%x" % len(GOOD)]), then="hang"), TIMEOUT),
    "body to the end that has none": (raw(HEAD + b"\r\n" + GOOD, then="hang"), TIMEOUT),
    "one byte every 50 ms": (drip(render(200, GOOD), 0.05), TIMEOUT),
    "100 Continue for ever": (lambda peer, call: [peer.send(b"HTTP/1.1 100 Continue\r\n\r\n") for _ in range(1000)] and
                              peer.hang(), TIMEOUT),
}

ODD_BUT_GOOD = {
    "one byte at a time": drip(render(200, GOOD), 0.0005, then="stay"),
    "HTTP/1.0 without length": raw(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
    "closed by the endpoint": raw(render(200, GOOD, [("Connection", "close")])),
    "body to the end": raw(HEAD + b"Connection: close\r\n\r\n" + GOOD),
    "one chunk": raw(chunked([GOOD, b""], [b"%x" % len(GOOD), b"0"]), then="stay"),
    "a chunk for each byte": raw(chunked([GOOD[i:i + 1] for i in range(len(GOOD))] + [b""], [b"1"] * len(GOOD) + [b"0"]),
                                 then="stay"),
    "chunk extension": raw(chunked([GOOD, b""], [b"%x;a=b" % len(GOOD), b"0"]), then="stay"),
    "100 Continue first": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + render(200, GOOD), then="stay"),
    "103 Early Hints first": raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + render(200, GOOD), then="stay"),
    "reason left out": raw(render(200, GOOD).replace(b"200 OK", b"200"), then="stay"),
    "more after the body": raw(render(200, GOOD) + b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", then="stay"),
    "just under the limit": reply(200, b'{"principal": "alice", "pad": "' + b"x" * (1024 * 1024 - 40) + b'"}'),
}


class TestFaults:
    processes = 1
    expected = (r"\[llama_auth:error\].*provider ep is unavailable",)

    @staticmethod
    def configure(httpd):
        return (provider("ep", httpd.endpoint().url(), "Timeout 400ms") + location("/", "ep") + outages.host_503(httpd) +
                provider("patient", httpd.endpoint().url()) + location("/patient", "patient") + everywhere(httpd, "/patient"))

    def good(self, httpd, path="/"):
        response = httpd.get(path, token=new_token())
        assert (response.status, response.note("user")) == (200, "alice")

    @both_statuses
    @pytest.mark.parametrize("behaviour, message", FAULTS.values(), ids=FAULTS.keys())
    def test_fault(self, httpd, behaviour, message, status):
        self.good(httpd)
        mark = httpd.log.mark()
        response = httpd.get("/", port=outages.port(httpd, status), token=httpd.endpoint().on(new_token(), behaviour))
        outages.check(response, status, message)
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1, lines
        self.good(httpd)

    @pytest.mark.parametrize("behaviour", ODD_BUT_GOOD.values(), ids=ODD_BUT_GOOD.keys())
    def test_odd_but_good(self, httpd, behaviour):
        response = httpd.get("/patient", token=httpd.endpoint().on(new_token(), behaviour))
        assert (response.status, response.note("user")) == (200, "alice")
        for _ in range(3):
            rejected = httpd.get("/patient", token=httpd.endpoint().on(new_token(), reply(403, b"")))
            assert rejected.message == "Authentication failed: 403"
            self.good(httpd, "/patient")

    def test_idle_connection_closed_by_the_endpoint(self, httpd):
        for _ in range(5):
            self.good(httpd)
            httpd.endpoint().close_connections()
        self.good(httpd)

    def test_outage_is_logged_once(self, httpd):
        self.good(httpd)
        mark = httpd.log.mark()
        for _ in range(5):
            httpd.get("/", token=httpd.endpoint().on(new_token(), reply(500, b"")))
        assert len(httpd.log.since(mark, "llama_auth", "error")) == 1
        self.good(httpd)
        httpd.get("/", token=httpd.endpoint().on(new_token(), reply(502, b"")))
        assert len(httpd.log.since(mark, "llama_auth", "error")) == 2

    def test_rejection_is_no_outage_in_the_log(self, httpd):
        self.good(httpd)
        mark = httpd.log.mark()
        httpd.get("/", token=httpd.endpoint().on(new_token(), reply(401, b"")))
        assert not httpd.log.since(mark, "llama_auth", "error")

    def test_a_slow_call_holds_nobody_else(self, httpd):
        """The good ones are answered while the bad one is still waiting."""
        hold = Hold(accept("held"))
        waiting = httpd.endpoint().on(new_token(), hold)
        with httpd.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + waiting.encode() + b"\r\n\r\n")
            httpd.endpoint().await_call(waiting)
            for _ in range(5):
                self.good(httpd)
            hold.release()
            connection.read()

    def test_client_gone_in_the_middle_of_a_call(self, httpd):
        for _ in range(10):
            token = httpd.endpoint().on(new_token(), hold := Hold(accept("held")))
            connection = httpd.connect()
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n")
            httpd.endpoint().await_call(token)
            connection.close()
            hold.release()
        self.good(httpd)


@every_mpm
class TestEveryMpm:
    """The same in each process model, all at once."""
    expected = (r"\[llama_auth:error\].*provider ep is unavailable",)

    @staticmethod
    def configure(httpd):
        return provider("ep", httpd.endpoint().url(), "Timeout 400ms") + location("/", "ep")

    def test_all_faults_in_parallel(self, httpd):
        wrong = []

        def run(names):
            for name in names:
                behaviour, message = FAULTS[name]
                response = httpd.get("/", token=httpd.endpoint().on(new_token(), behaviour))
                if (response.status, response.message) != (401, message):
                    wrong.append((name, response))
                if httpd.get("/", token=new_token()).status != 200:
                    wrong.append(("after " + name, None))
        names = [name for name in FAULTS if "100 MB" not in name]
        threads = [threading.Thread(target=run, args=(names[n::6],)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong


def full_listener():
    """A port whose queue is full: the kernel answers no SYN."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return listener, fillers


LIMITED = "/limited"


class TestLimits:
    expected = (r"\[llama_auth:error\].*is unavailable",)
    sockets = []

    @classmethod
    def configure(cls, httpd):
        main = httpd.endpoint()
        cls.sockets = list(full_listener())
        full = f"http://127.0.0.1:{cls.sockets[0].getsockname()[1]}/"
        sections = {
            "closed": provider("closed", f"http://127.0.0.1:{free_port()}/"),
            "full": provider("full", full, "ConnectTimeout 200ms", "Timeout 20s"),
            "short": provider("short", full, "ConnectTimeout 20s", "Timeout 200ms"),
            "nohost": provider("nohost", "http://no-such-host.invalid/", "Timeout 5s"),
            "limited": provider("limited", main.url(), "ResponseLimit 1K"),
            "one": provider("one", main.url(), "ResponseLimit 1"),
            "patient": provider("patient", main.url(), "Timeout 20s"),
        }
        return "".join(section + location("/" + name, name) + f'Alias "/{name}" "{httpd.root}/htdocs/index.html"\n'
                       for name, section in sections.items()) + outages.host_503(httpd)

    @classmethod
    def teardown_class(cls):
        for one in cls.sockets and [cls.sockets[0], *cls.sockets[1]]:
            one.close()

    @both_statuses
    @pytest.mark.parametrize("name, message", [("closed", ERROR), ("full", TIMEOUT), ("short", TIMEOUT), ("nohost", ERROR)])
    def test_no_connection(self, httpd, token, name, message, status):
        outages.check(httpd.get("/" + name, port=outages.port(httpd, status), token=token), status, message)

    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    @pytest.mark.parametrize("size, status", [(1023, 200), (1024, 200), (1025, 401), (5000, 401)])
    def test_response_limit(self, httpd, size, status, framing):
        token = httpd.endpoint().on(new_token(), flood(size, framing))
        response = httpd.get("/limited", token=token)
        assert response.status == status
        if status == 401:
            assert (response.message, response.note("error")) == (ERROR, "provider_error")

    def test_response_limit_of_one_byte(self, httpd, token):
        assert httpd.get("/one", token=token).message == ERROR

    def test_rejection_within_the_limit(self, httpd):
        token = httpd.endpoint().on(new_token(), reply(403, b"x" * 1024))
        assert httpd.get("/limited", token=token).message == "Authentication failed: 403"

    def test_within_the_timeout(self, httpd):
        token = httpd.endpoint().on(new_token(), drip(render(200, GOOD), 0.002, then="stay"))
        assert httpd.get("/patient", token=token).status == 200


class TestOutageStatus:
    """LlamaAuthOutageStatus 503: an outage is told apart from a refusal, with Retry-After."""
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        return ("LlamaAuthOutageStatus 503\n" + provider("ep", httpd.endpoint().url(), "Timeout 300ms") +
                location("/", "ep", lines=("Require valid-user", "RequireScope a b")))

    def test_the_others_stay_401(self, httpd):
        for headers, token, code in (([], None, "missing_token"), ([("Authorization", "Basic eDp5")], None, "invalid_request"),
                                     ([], httpd.endpoint().on(new_token(), reply(401, b"")), "invalid_token")):
            response = httpd.get("/", token=token, headers=headers)
            assert (response.status, response.note("error")) == (401, code)
            assert response.header("Retry-After") is None
            assert response.challenge["scope"] == "a b"

    def test_head(self, httpd):
        with httpd.connect() as connection:
            response = connection.request("HEAD", "/", token=httpd.endpoint().on(new_token(), reply(500, b"")))
            assert response.status == 503
            assert connection.closed()  # as httpd does after every 503; and no body came before that


class TestLongTimes:
    """Times that do not fit an int of milliseconds."""

    @staticmethod
    def configure(httpd):
        return "".join(provider(f"p{days}", httpd.endpoint().url(), f"Timeout {days}d", f"ConnectTimeout {days}d", f"CacheTTL {days}d",
                                f"CacheStale {days}d", f"Breaker 1 {days}d") + location(f"/{days}", f"p{days}") + everywhere(httpd, f"/{days}")
                       for days in (24, 25, 50, 3650))

    @pytest.mark.parametrize("days", [24, 25, 50, 3650])
    def test_a_call(self, httpd, days):
        hold, token = Hold(accept("alice")), new_token()
        httpd.endpoint().on(token, hold)
        with httpd.connect() as slow:
            slow.send(build("GET", f"/{days}", token=token))
            httpd.endpoint().await_call(token)
            assert httpd.get(f"/{days}", token=new_token()).status == 200
            assert not select.select([slow.socket], [], [], 0.3)[0]  # it waits for its answer
            hold.release()
            assert slow.read().status == 200
        assert httpd.get(f"/{days}", token=token).note("cache") == "hit"


class TestProxy:
    """Only the proxy of the configuration is used; the environment's never."""
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @classmethod
    def configure(cls, httpd):
        main, through, dead = httpd.endpoint(), httpd.endpoint("proxy"), f"http://127.0.0.1:{free_port()}"
        httpd.env.update({name: dead for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY")})
        httpd.env.update({"no_proxy": "*", "NO_PROXY": "127.0.0.1"})
        return (provider("direct", main.url()) + location("/direct", "direct") +
                provider("through", "http://auth.example:8080/validate?x=1", f"Proxy http://127.0.0.1:{through.port}") +
                location("/through", "through") +
                provider("tunnel", "https://auth.example/validate", f"Proxy http://127.0.0.1:{through.port}") +
                location("/tunnel", "tunnel") +
                provider("dead", main.url(), f"Proxy {dead}") + location("/dead", "dead") +
                f'AliasMatch "^/" "{httpd.root}/htdocs/index.html"\n')

    def test_environment_is_ignored(self, httpd, token):
        assert httpd.get("/direct", token=token).status == 200
        assert httpd.endpoint().call(token).target == "/validate"

    def test_configured_proxy(self, httpd, token):
        assert httpd.get("/through", token=token).status == 200
        call = httpd.endpoint("proxy").call(token)
        assert call.target == "http://auth.example:8080/validate?x=1"
        assert call.header("Host") == "auth.example:8080"

    def test_hint_names_the_endpoint_not_the_proxy(self, httpd):
        assert "(validated by auth.example:8080)" in httpd.get("/through").message

    def test_proxy_says_407(self, httpd):
        """Its own answer is nothing about the token: an outage, which is not kept."""
        token = httpd.endpoint("proxy").on(new_token(), reply(407, b"", [("Proxy-Authenticate", "Basic realm=x")]))
        refused = httpd.get("/through", token=token)
        assert (refused.message, refused.note("error")) == (ERROR, "provider_error")
        httpd.endpoint("proxy").behaviours.pop(token)
        assert httpd.get("/through", token=token).status == 200

    @pytest.mark.parametrize("status", [403, 407, 503])
    def test_proxy_refuses_a_tunnel(self, httpd, status):
        def refuse(peer, call):
            peer.send(render(status, b""))
        httpd.endpoint("proxy").default, kept = refuse, httpd.endpoint("proxy").default
        try:
            token = new_token()
            for _ in range(2):
                refused = httpd.get("/tunnel", token=token)
                assert (refused.message, refused.note("error"), refused.note("cache")) == (ERROR, "provider_error", "miss")
        finally:
            httpd.endpoint("proxy").default = kept

    def test_an_endpoint_may_say_407(self, httpd):
        token = httpd.endpoint().on(new_token(), reply(407, b""))
        assert httpd.get("/direct", token=token).message == "Authentication failed: 407"

    def test_proxy_says_502(self, httpd):
        token = httpd.endpoint("proxy").on(new_token(), reply(502, b""))
        assert httpd.get("/through", token=token).message == "Authentication failed: 502"

    def test_dead_proxy(self, httpd, token):
        assert httpd.get("/dead", token=token).message == ERROR
        assert not httpd.endpoint().calls_for(token)
