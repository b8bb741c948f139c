"""What one caller's token or request causes at a provider is that caller's: nobody else notices, and the breaker stays closed
(targets.md section 4, row 27)."""

import time

import pytest

from behaviour import accept, flood, raw, render, reply
from client import build
from errorlog import await_until
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from introspector import Introspector
from traffic import by_name

MALFORMED = "Invalid authentication response format"
ERROR = "Authentication service error"
TEN_MB = 10 * 1024 * 1024

# What an endpoint says of one token, or what stands before the endpoint.
ODD = {
    "a principal with a control character": accept("mallory\n"),
    "a principal of another type": reply(200, {"principal": ["mallory"]}),
    "attributes of another type": reply(200, {"principal": "mallory", "attributes": []}),
    "no JSON": reply(200, b"<html>"),
    "10 MB": flood(TEN_MB, "length"),
    "10 MB in chunks": flood(TEN_MB, "chunked"),
    "a firewall's 403": reply(403, b"<html>blocked</html>"),
    "408": reply(408, b""),
    "425": reply(425, b""),
    "302": reply(302, b"", [("Location", "http://127.0.0.1:1/")]),
    "204": reply(204),
}


def check_closed(httpd, path, ask, odd):
    """Odd answers one after another, each of a new token, and an honest caller between and after them."""
    for _ in range(4):
        assert ask(path, odd).status in (401, 503)
    for _ in range(2):
        answer = ask(path, None)
        assert answer.status == 200, answer


@every_mpm
class TestCustom:
    expected = (r"is unavailable", r"LA0110: .*cannot be used")

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return ("LlamaAuthOutageStatus 503\n" + provider("corp", httpd.endpoint().url(), "Breaker 2 1h") + location("/x", "corp") +
                everywhere(httpd, "/x") +
                provider("probed", httpd.endpoint().url(), "Breaker 1 300ms") + location("/probed", "probed") + everywhere(httpd, "/probed"))

    def ask(self, httpd, path, behaviour):
        token = new_token()
        if behaviour:
            httpd.endpoint().on(token, behaviour)
        return httpd.get(path, token=token)

    @pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
    def test_nobody_else_notices(self, httpd, odd):
        check_closed(httpd, "/x", lambda path, behaviour: self.ask(httpd, path, behaviour), odd)
        assert not [line for line in httpd.log.since(0, "llama_auth", "warn") if "corp: no calls for a while" in line.text]

    def test_an_odd_answer_closes_the_breaker(self, httpd):
        mark = httpd.log.mark()
        assert self.ask(httpd, "/probed", reply(500, b"")).status == 503
        httpd.log.await_line("probed: no calls for a while", mark, level="warn")
        while True:
            token = httpd.endpoint().on(new_token(), reply(200, b"no"))
            httpd.get("/probed", token=token)
            if httpd.endpoint().calls_for(token):
                break
            time.sleep(0.02)
        httpd.log.await_line("provider probed: its breaker closed", mark, level="notice")
        assert self.ask(httpd, "/probed", None).status == 200


class TestIntrospection:
    """A firewall before the authorization server, or the server itself, has no words for a strange token."""
    expected = (r"is unavailable", r"LA0110: .*cannot be used")
    SAID = {"403": render(403, b"<html>blocked</html>"), "400": render(400, b""), "414": render(414, b""), "no JSON": render(200, b"<html>"),
            "no principal": render(200, b'{"active": true}'), "a strange principal": render(200, b'{"active": true, "sub": "a\\n"}')}

    @staticmethod
    def configure(httpd):
        server = Introspector()
        httpd.endpoints["main"] = server
        server.public = {None}
        return ("LlamaAuthOutageStatus 503\n<LlamaAuthProvider idp introspection>\n" + f"Endpoint {server.at()}\nClientAuth none\nBreaker 2 1h\n" +
                "</LlamaAuthProvider>\n" + location("/x", "idp") + everywhere(httpd, "/x"))

    @pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
    def test_nobody_else_notices(self, httpd, said):
        server = httpd.endpoints["main"]

        def ask(path, odd):
            token = server.on(new_token(), raw(odd, then="stay")) if odd else server.issue(new_token())
            return httpd.get(path, token=token)
        check_closed(httpd, "/x", ask, said)


class TestQuestion:
    """A request whose fields make too large a question: 256 KB of JSON, where a byte may become six."""
    expected = (r"LA0111: .*SendHeaders",)
    FIELDS = [(f"X-{number}", b"\xff" * 8000) for number in range(20)]

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        url = httpd.endpoint().url()
        return ("LlamaAuthOutageStatus 503\n" + provider("corp", url, "Breaker 1 1h") + location("/all", "corp") + everywhere(httpd, "/all") +
                provider("named", url, "SendHeaders accept") + location("/named", "named") + everywhere(httpd, "/named") +
                provider("stale", url, "CacheTTL 1ms", "CacheStale 1h") + location("/stale", "stale") + everywhere(httpd, "/stale"))

    def large(self, httpd, path, token):
        with httpd.connect() as connection:
            connection.send(build("GET", path, token=token, headers=self.FIELDS))
            return connection.read()

    def test_is_not_asked(self, httpd, token):
        mark = httpd.log.mark()
        for _ in range(3):
            answer = self.large(httpd, "/all", token)
            assert (answer.status, answer.message) == (503, ERROR)
        assert not httpd.endpoint().calls_for(token)
        assert httpd.get("/all", token=token).status == 200  # nothing was kept, and the breaker is closed
        assert self.large(httpd, "/all", token).note("cache") == "hit"
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1 and "LA0111" in lines[0].text, lines

    def test_fields_that_are_not_sent(self, httpd, token):
        assert self.large(httpd, "/named", token).status == 200

    def test_nothing_stale_serves(self, httpd, token):
        """Who was revoked cannot keep himself alive by asking too much."""
        assert httpd.get("/stale", token=token).status == 200
        httpd.endpoint().on(token, reply(403, b""))
        await_until(lambda: self.large(httpd, "/stale", token).status == 503, "the end of its millisecond in the cache")


class TestHost:
    """An endpoint that is told the host may decide by it."""
    expected = ()

    @staticmethod
    def configure(httpd):
        def decide(peer, call):
            host = call.json["request"]["headers"].get("host", "none")
            reply(200, {"principal": host.partition(":")[0]})(peer, call)
        httpd.endpoint().default = decide
        url = httpd.endpoint().url()
        return "".join(provider(name, url, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}") for name, options in
                       {"all": (), "named": ("SendHeaders HOST accept",), "untold": ("SendHeaders accept",), "set": ("CacheVary path",)}.items())

    def users(self, httpd, path, token):
        with httpd.connect() as connection:
            seen = []
            for host in ("a.example", "b.example", "a.example"):
                connection.send(build("GET", path, token=token, host=host))
                answer = connection.read()
                seen.append((answer.note("user"), answer.note("cache")))
            return seen

    @pytest.mark.parametrize("name", ["all", "named"])
    def test_a_verdict_is_for_its_host(self, httpd, token, name):
        assert self.users(httpd, f"/{name}", token) == [("a.example", "miss"), ("b.example", "miss"), ("a.example", "hit")]

    def test_a_host_that_is_not_sent(self, httpd, token):
        assert self.users(httpd, "/untold", token) == [("none", "miss"), ("none", "hit"), ("none", "hit")]

    def test_cache_vary_is_the_last_word(self, httpd, token):
        assert self.users(httpd, "/set", token) == [("a.example", "miss"), ("a.example", "hit"), ("a.example", "hit")]
