"""Quotas on one machine: admission, the answers' fields, tokens as answers report them, redirects, restarts."""

import json
import re
import threading

import pytest

from client import build
from conftest import every_mpm, new_token
from errorlog import await_until
from server import key_entry
from usage_backend import UsageBackend

PROXY = ("proxy", "proxy_http")


def quota(name, *lines):
    return f"<LlamaAuthQuota {name}>\n" + "".join(f"{line}\n" for line in lines) + "</LlamaAuthQuota>\n"


def place(path, use, *lines, backend=None):
    more = [f"LlamaAuthQuotaUse {use}", "AuthType Bearer", "AuthName q", "LlamaAuthUse keys", "Require valid-user", *lines]
    if backend:
        more.append(f"ProxyPass {backend.base()}{path}")
    return f'<Location "{path}">\n' + "".join(f"{line}\n" for line in more) + "</Location>\n"


PROVIDER = "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"


class Callers:
    """Keys of callers, made on demand: one principal for each."""

    def __init__(self, httpd):
        self.keys = {}
        for name, attributes in {"alice": {"plan": ["free"], "teams": ["a", "b"], "n": ["2"]},
                                 "bob": {"plan": ["pro"], "teams": ["b"], "n": ["many"]},
                                 "carol": {}, "dave": {}, "erin": {}, "frank": {}, "grace": {}, "heidi": {}}.items():
            self.keys[name] = (new_token(name), attributes)
        self.write(httpd)

    def write(self, httpd):
        httpd.write_keys("conf/keys.json", *(key_entry(k, n, a) for n, (k, a) in self.keys.items()))

    def __getitem__(self, name):
        return self.keys[name][0]


def statuses(httpd, path, key, count, **more):
    return [httpd.get(path, token=key, **more).status for _ in range(count)]


def items(value):
    """RateLimit or RateLimit-Policy: name -> parameters."""
    found = {}
    for item in value.split(", "):
        name, *parameters = item.split(";")
        found[name.strip('"')] = {k: int(v) for k, v in (p.split("=") for p in parameters)}
    return found


@every_mpm
class TestAdmission:
    modules = PROXY

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.write("htdocs/deep/index.html", "deep\n")
        quotas = (quota("three", "Requests 3/1h") + quota("rate", "Rate 60/1m burst=2") + quota("two", "Requests 2/1h", "Requests 5/1d") +
                  quota("free", "When \"'free' in llama_attribute('plan')\"", "Requests 1/1h") +
                  quota("teams", "By attribute:teams", "Requests 2/1h") + quota("own", "Requests 3/1h from=attribute:n") +
                  quota("ip", "By client_ip", "Requests 4/1h") + quota("everybody", "By all", "Requests 5/1h") +
                  quota("broken", "When \"%{req:X} -gt 'x' && file('/does/not/exist') == ''\"", "Requests 1/1h"))
        return (PROVIDER + quotas + place("/three", "three") + place("/rate", "rate") + place("/two", "two") + place("/free", "free") +
                place("/teams", "teams") + place("/own", "own") + place("/both", "three two") + place("/all", "everybody") +
                place("/three/none", "none") + '<Location "/open">\nLlamaAuthQuotaUse ip three\nRequire all granted\n</Location>\n')

    def test_requests(self, httpd):
        assert statuses(httpd, "/three", httpd.callers["alice"], 5) == [404, 404, 404, 429, 429]
        assert statuses(httpd, "/three", httpd.callers["bob"], 2) == [404, 404]  # another caller
        assert statuses(httpd, "/three/none", httpd.callers["alice"], 2) == [404, 404]

    def test_refusal(self, httpd):
        statuses(httpd, "/three", httpd.callers["carol"], 3)
        answer = httpd.get("/three", token=httpd.callers["carol"])
        seconds = int(answer.header("Retry-After"))
        assert answer.status == 429 and 3590 <= seconds <= 3600
        assert answer.json == {"error": {"message": f"Quota exceeded: three allows 3 requests per 1h, try again in {seconds} s"}}
        assert answer.note("error") == "rate_limit_exceeded"
        assert answer.header("x-should-retry") == "false"
        assert items(answer.header("RateLimit")) == {"three.requests": {"r": 0, "t": seconds}}
        assert items(answer.header("RateLimit-Policy")) == {"three.requests": {"q": 3, "w": 3600}}

    def test_fields(self, httpd):
        answer = httpd.get("/both", token=httpd.callers["dave"])
        assert items(answer.header("RateLimit-Policy")) == {"three.requests": {"q": 3, "w": 3600}, "two.requests": {"q": 2, "w": 3600},
                                                            "two.requests-2": {"q": 5, "w": 86400}}
        left = items(answer.header("RateLimit"))
        assert {name: item["r"] for name, item in left.items()} == {"three.requests": 2, "two.requests": 1, "two.requests-2": 4}
        assert answer.header("x-ratelimit-limit-requests") == "2"
        assert answer.header("x-ratelimit-remaining-requests") == "1"
        assert re.fullmatch(r"3(600|59\d)s", answer.header("x-ratelimit-reset-requests"))
        assert answer.header("x-ratelimit-limit-tokens") is None

    def test_refused_is_not_charged(self, httpd):
        """What one limit refuses is charged to no other."""
        statuses(httpd, "/both", httpd.callers["erin"], 2)
        assert statuses(httpd, "/both", httpd.callers["erin"], 3) == [429] * 3
        assert statuses(httpd, "/three", httpd.callers["erin"], 2) == [404, 429]

    def test_rate(self, httpd):
        answers = [httpd.get("/rate", token=httpd.callers["alice"]) for _ in range(3)]
        assert [a.status for a in answers] == [404, 404, 429]
        assert answers[2].header("Retry-After") == "1"
        assert "rate allows 60 requests per 1m, try again in 1 s" in answers[2].message
        assert items(answers[0].header("RateLimit-Policy")) == {"rate.rate": {"q": 2, "w": 2}}
        assert items(answers[0].header("RateLimit"))["rate.rate"] == {"r": 1, "t": 0}
        assert answers[2].header("x-should-retry") is None

    def test_when(self, httpd):
        assert statuses(httpd, "/free", httpd.callers["alice"], 2) == [404, 429]
        assert statuses(httpd, "/free", httpd.callers["bob"], 3) == [404] * 3

    def test_by_attribute(self, httpd):
        assert statuses(httpd, "/teams", httpd.callers["bob"], 1) == [404]
        assert statuses(httpd, "/teams", httpd.callers["alice"], 2) == [404, 429]  # team b is used up
        assert statuses(httpd, "/teams", httpd.callers["carol"], 1) == [404]
        assert statuses(httpd, "/teams", httpd.callers["dave"], 2) == [404, 429]  # callers without one share

    def test_from_attribute(self, httpd):
        assert statuses(httpd, "/own", httpd.callers["alice"], 3) == [404, 404, 429]
        mark = httpd.log.mark()
        assert statuses(httpd, "/own", httpd.callers["bob"], 4) == [404, 404, 404, 429]
        httpd.log.await_line("own.requests: the caller's attribute n is not one whole number", mark)

    def test_nobody(self, httpd):
        """Where nobody is authenticated, only quotas by address and for all hold."""
        answers = [httpd.get("/open") for _ in range(5)]
        assert [a.status for a in answers] == [404] * 4 + [429]
        assert list(items(answers[0].header("RateLimit"))) == ["ip.requests"]

    def test_all(self, httpd):
        assert statuses(httpd, "/all", httpd.callers["alice"], 3) + statuses(httpd, "/all", httpd.callers["bob"], 3) == [404] * 5 + [429]

    def test_what_rules_refuse_is_free(self, httpd):
        assert statuses(httpd, "/three", "wrong-" + new_token(), 5) == [401] * 5
        assert statuses(httpd, "/three", httpd.callers["frank"], 4) == [404, 404, 404, 429]


class TestExact:
    """No more than the limit, however many ask at once, from all processes."""
    modules = PROXY
    processes = 4

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        return PROVIDER + quota("fifty", "Requests 50/1h") + place("/fifty", "fifty") + quota("restart", "Requests 6/1h") + place("/restart", "restart")

    def test_parallel(self, httpd):
        found = []

        def ask():
            found.extend(statuses(httpd, "/fifty", httpd.callers["alice"], 5))
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [404] * 50 + [429] * 50

    def test_graceful_restart(self, httpd):
        assert statuses(httpd, "/restart", httpd.callers["bob"], 4) == [404] * 4
        httpd.graceful()
        assert statuses(httpd, "/restart", httpd.callers["bob"], 4) == [404, 404, 429, 429]


class TestTokens:
    modules = (*PROXY, "deflate", "filter")

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.backend = UsageBackend()
        httpd.endpoints["usage"] = httpd.backend
        quotas = (quota("tokens", "Tokens 100000/1h") + quota("reserved", "Tokens 1000/1h", "Reserve 100") +
                  quota("small", "Tokens 20/1h") + quota("kinds", "Tokens 1000/1h input", "Tokens 1000/1h output"))
        log = ('LogFormat "%{llama_auth.usage.source}n %{llama_auth.usage.input_tokens}n %{llama_auth.usage.output_tokens}n '
               '%{llama_auth.usage.total_tokens}n %U" usage\nCustomLog logs/usage.log usage\n')
        return (PROVIDER + quotas + log + "AddOutputFilterByType DEFLATE application/json\n" +
                place("/tokens", "tokens", backend=httpd.backend) + place("/reserved", "reserved", backend=httpd.backend) +
                place("/small", "small", backend=httpd.backend) + place("/kinds", "kinds", backend=httpd.backend) +
                place("/watched", "none", "LlamaAuthUsage on", backend=httpd.backend) + place("/plain", "none", backend=httpd.backend))

    def usage(self, httpd, path):
        """The note of the last request for the path."""
        log = httpd.root / "logs" / "usage.log"

        def lines():
            return [line.split()[:4] for line in log.read_text().splitlines() if line.endswith(" " + path)] if log.exists() else []
        await_until(lines, f"a line about {path}")
        return lines()[-1]

    @pytest.mark.parametrize("name, expected", [
        ("json", "response 7 5 12"), ("embeddings", "response 8 0 8"), ("messages", "response 8 4 12"), ("ollama", "response 2 9 11"),
        ("lies", "none 0 0 0"), ("plain", "none 0 0 0"), ("none", "none 0 0 0"), ("error", "none 0 0 0"), ("missing", "none 0 0 0"),
        ("stream", "response 10 20 30"), ("silent", "estimate 0 3 3"), ("anthropic", "response 25 15 40"),
        ("responses", "response 6 2 8"), ("ndjson", "response 4 6 10"), ("cut", "estimate 0 2 2")])
    @pytest.mark.parametrize("where", ["/tokens", "/watched"])
    def test_usage(self, httpd, where, name, expected):
        httpd.expect(r"proxy:error", r"AH0\d+")
        with httpd.connect() as connection:
            connection.send(build("GET", f"{where}/{name}", token=httpd.callers["alice"]))
            answer = None if name == "cut" else connection.read()
            assert answer or connection.take_rest()
        assert self.usage(httpd, f"{where}/{name}") == expected.split()
        if answer and where == "/tokens":
            assert answer.header("RateLimit") != "theirs" and answer.header("x-ratelimit-limit-tokens") == "100000"

    def test_not_wanted(self, httpd):
        answer = httpd.get("/plain/json", token=httpd.callers["alice"])
        assert answer.header("RateLimit") == "theirs"
        assert self.usage(httpd, "/plain/json") == ["-"] * 4

    @pytest.mark.parametrize("name, used", [("json", 12), ("none", 0), ("silent", 100), ("error", 0), ("stream", 30)])
    def test_reserve(self, httpd, name, used):
        caller = {"json": "alice", "none": "bob", "silent": "carol", "error": "dave", "stream": "erin"}[name]
        first = httpd.get(f"/reserved/{name}", token=httpd.callers[caller])
        assert items(first.header("RateLimit"))["reserved.tokens"]["r"] == 900
        self.usage(httpd, f"/reserved/{name}")
        second = httpd.get("/reserved/none", token=httpd.callers[caller])
        assert items(second.header("RateLimit"))["reserved.tokens"]["r"] == 900 - used

    def test_refused(self, httpd):
        key = httpd.callers["alice"]
        assert httpd.get("/small/stream", token=key).status == 200  # what was admitted is never cut
        self.usage(httpd, "/small/stream")
        calls = len(httpd.backend.calls)
        answer = httpd.get("/small/json", token=key)
        assert answer.status == 429 and answer.note("error") == "insufficient_quota"
        assert "small allows 20 tokens per 1h" in answer.message
        assert len(httpd.backend.calls) == calls  # the backend was not asked

    def test_kinds(self, httpd):
        httpd.get("/kinds/stream", token=httpd.callers["alice"])
        self.usage(httpd, "/kinds/stream")
        left = items(httpd.get("/kinds/none", token=httpd.callers["alice"]).header("RateLimit"))
        assert (left["kinds.tokens"]["r"], left["kinds.tokens-2"]["r"]) == (990, 980)

    def test_compression(self, httpd):
        answer = httpd.get("/tokens/gzip/json", token=httpd.callers["alice"], headers=[("Accept-Encoding", "gzip")])
        assert httpd.backend.calls[-1].header("Accept-Encoding") is None
        assert answer.header("Content-Encoding") == "gzip"
        assert self.usage(httpd, "/tokens/gzip/json") == ["response", "7", "5", "12"]


class TestConcurrent:
    modules = PROXY
    processes = 4  # children of the generation before keep their places in the scoreboard

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        backend = httpd.endpoint("slow")
        httpd.held = threading.Semaphore(0)
        httpd.entered = threading.Semaphore(0)

        def answer(peer, call):
            httpd.entered.release()
            httpd.held.acquire(timeout=20)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        backend.default = answer
        return (PROVIDER + quota("two", "Concurrent 2") +
                place("/slow", "two").replace("</Location>", f"ProxyPass http://127.0.0.1:{backend.port}/\n</Location>"))

    def test_limit(self, httpd):
        found = []

        def ask():
            found.append(httpd.get("/slow", token=httpd.callers["alice"]).status)
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert httpd.entered.acquire(timeout=20)
        answer = httpd.get("/slow", token=httpd.callers["alice"])
        assert answer.status == 429 and answer.header("Retry-After") == "1"
        assert answer.message == "Quota exceeded: two allows 2 requests at once"
        assert answer.header("RateLimit") is None
        httpd.graceful()
        assert httpd.get("/slow", token=httpd.callers["alice"]).status == 429  # the other generation's count too
        httpd.held.release(2)
        for thread in threads:
            thread.join()
        assert found == [200, 200]
        httpd.held.release(10)
        await_until(lambda: httpd.get("/slow", token=httpd.callers["alice"]).status == 200, "a place")


BAD = [
    ("Rate 5/1m", "", None),
    ("Rate x/1m", "", "does not begin with a number"), ("Rate 5", "", "has no /PERIOD"), ("Rate 5/500ms", "", "at least 1s"),
    ("Requests 0/1h", "", "number above 0"), ("Requests 5/1h burst=3", "", "is not known here"), ("Tokens 5/1h all", "", "is not known here"),
    ("Concurrent 5/1h", "", "is no whole number"), ("Rate 5/1m burst=0", "", "is no number above 0"),
    ("Requests 5/1h from=teams", "", "from=attribute:CATEGORY"), ("By team", "", "none of principal"), ("Reserve 10\nRate 5/1m", "", "is for quotas with a Tokens"),
    ("Tokens 10/1h\nReserve 11", "", "more than Tokens 10/1h allows"), ("", "", "has no limit"), ("By all\nBy all\nRate 5/1m", "", "stands twice"),
    ("When \"((\"\nRate 5/1m", "", "When"), ("Limit 5", "", "is no option of a quota"),
    ("Rate 5/1m", "LlamaAuthQuotaUse other", "there is no quota other"), ("Rate 5/1m", "LlamaAuthQuotaUse q q", "named twice"),
    ("Rate 5/1m", "LlamaAuthQuotaUse qq", "did you mean q?"), ("Rate 5/1m", "<Limit GET>\nLlamaAuthQuotaUse none\n</Limit>", "cannot occur within <Limit"),
    ("Rate 5/1m", "LlamaAuthQuotaUse none q", "there is no quota none"), ("Rate 5/1m", "LlamaAuthQuotaUse q\nLlamaAuthQuotaUse q", "only once"),
]


@pytest.mark.parametrize("lines, use, error", BAD)
def test_configuration(bare, lines, use, error):
    bare.configure(f"<LlamaAuthQuota q>\n{lines}\n</LlamaAuthQuota>\n<Location /x>\n{use}\n</Location>\n")
    status, said = bare.check()
    assert (status == 0) == (error is None), said
    assert error is None or error in said


@pytest.mark.parametrize("name", ["none", "ALL", "a b", "a/b", ""])
def test_names(bare, name):
    bare.configure(f'<LlamaAuthQuota "{name}">\nRate 5/1m\n</LlamaAuthQuota>\n')
    assert bare.check()[0] != 0
