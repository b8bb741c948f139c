"""What the status page tells of quotas and tokens: for a person, as JSON, as metrics, in mod_status; and the log of a full memory."""

import re
import subprocess
import threading

import pytest

from client import build
from conftest import new_token
from errorlog import await_until
from redis_server import Redis
from server import key_entry
from test_quota import PROVIDER, PROXY, Callers, place, quota, statuses
from test_second import SECRET
from test_status import ADMIN, PROMTOOL, guarded, json_status, metrics, of
from usage_backend import UsageBackend

MODULES = (*PROXY, "authn_file", "auth_basic", "status", "remoteip")
SERVER_STATUS = 'ExtendedStatus On\n<Location "/server-status">\nSetHandler server-status\nRequire all granted\n</Location>\n'
HOSTILE = {"<script>alert(1)</script>": "&lt;script&gt;", "\"' onload=x&": "&quot;", "é" * 40: "é" * 24 + "&hellip;", "x" + "é" * 40: "x" + "é" * 23 + "&hellip;", "\u202eover\u202e": "\u202eover", "n" * 48: "n" * 48 + "&hellip;"}


def of_quota(httpd, name):
    return next(q for q in json_status(httpd)["quotas"]["quotas"] if q["name"] == name)


def page(httpd):
    return httpd.get("/status", headers=(ADMIN,)).body.decode()


def section(httpd, name):
    return re.search(f'<section id="{re.escape(name)}">.*?</section>', page(httpd), re.S).group(0)


def open_place(path, use):
    return f'<Location "{path}">\nLlamaAuthQuotaUse {use}\nRequire all granted\n</Location>\n'


class TestShown:
    modules = MODULES

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.strange = {name: new_token() for name in HOSTILE}
        httpd.write_keys("conf/keys.json", *(key_entry(k, n, a) for n, (k, a) in httpd.callers.keys.items()),
                         *(key_entry(k, n, {}) for n, k in httpd.strange.items()))
        httpd.backend = UsageBackend()
        httpd.endpoints["usage"] = httpd.backend
        slow = httpd.endpoint("slow")
        httpd.held = threading.Semaphore(0)
        httpd.entered = threading.Semaphore(0)

        def answer(peer, call):
            httpd.entered.release()
            httpd.held.acquire(timeout=20)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        slow.default = answer
        quotas = (quota("three", "Requests 3/1h", "Requests 100/1d", "Rate 600/1m burst=50") + quota("tokens", "Tokens 100/1h", "Reserve 10") +
                  quota("flight", "Concurrent 2") + quota("ip", "By client_ip", "Requests 5/1h") + quota("sum", "By all", "Requests 9/1h") +
                  quota("names", "Requests 9/1h") + quota("idle", "By attribute:teams", "Requests 5/1h"))
        return (PROVIDER + quotas + guarded(httpd) + SERVER_STATUS + place("/three", "three") + place("/sum", "sum") +
                place("/names", "names") + place("/idle", "idle") + open_place("/ip", "ip") +
                place("/flight", "flight").replace("</Location>", f"ProxyPass http://127.0.0.1:{slow.port}/\n</Location>") +
                place("/tokens", "tokens", backend=httpd.backend) + place("/watched", "none", "LlamaAuthUsage on", backend=httpd.backend) +
                f'<Location "/free">\nLlamaAuthUsage on\nRequire all granted\nProxyPass {httpd.backend.base()}/free\n</Location>\n'
                "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n")

    def test_refusals(self, httpd):
        before = metrics(httpd)
        assert statuses(httpd, "/three", httpd.callers["alice"], 5) == [404] * 3 + [429] * 2
        name = 'llama_auth_quota_refusals_total{quota="three",limit="%s"}'
        after = metrics(httpd)
        assert [after[name % kind] - before[name % kind] for kind in ("requests", "requests-2", "rate")] == [2, 0, 0]
        shown = of_quota(httpd, "three")
        assert shown["by"] == "principal" and shown["counters"] == 3
        assert [(limit["limit"], limit["number"], limit["period_seconds"], limit["refusals"]) for limit in shown["limits"]] == [
            ("requests", 3, 3600, 2), ("requests-2", 100, 86400, 0), ("rate", 600, 60, 0)]
        fullest = shown["fullest"][0]
        assert (fullest["name"], fullest["limit"], fullest["used"], fullest["of"], fullest["refusals"]) == ("alice", "requests", 3, 3, 2)
        assert 3500 < fullest["reset_seconds"] <= 3600
        assert not [name for name in after if "alice" in name and not name.startswith("llama_auth_key_")]  # a key's own id
        assert "alice" not in httpd.get("/server-status?auto").body.decode()
        text = section(httpd, "quota-three")
        assert "refused: 3 requests per 1h" in text and "<bdi>alice</bdi>" in text and "3 of 3" in text and "60 min" in text
        lines = dict(line.split(": ", 1) for line in httpd.get("/server-status?auto").body.decode().splitlines() if ": " in line)
        assert lines["LlamaAuthQuotaRefusals[three requests]"] == "2" and int(lines["LlamaAuthQuotaCounters"]) >= 3
        assert "<td>three</td><td>requests</td><td>2</td>" in httpd.get("/server-status").body.decode()

    def test_survives_a_restart(self, httpd):
        statuses(httpd, "/three", httpd.callers["bob"], 4)
        name = 'llama_auth_quota_refusals_total{quota="three",limit="requests"}'
        before = metrics(httpd)[name]
        httpd.graceful()
        await_until(lambda: metrics(httpd)[name] == before, "the same count")
        httpd.configure("LlamaAuthQuotaSize 1M\n" + self.configure(httpd))
        httpd.graceful()
        await_until(lambda: json_status(httpd)["quotas"]["memory"]["capacity"] < 9000, "the smaller memory")
        assert metrics(httpd)[name] == before
        assert of_quota(httpd, "three")["fullest"][0]["used"] == 3

    def test_in_flight(self, httpd):
        threads = [threading.Thread(target=httpd.get, args=("/flight",), kwargs={"token": httpd.callers[name]}) for name in ("alice", "alice", "bob")]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert httpd.entered.acquire(timeout=20)
        assert httpd.get("/flight", token=httpd.callers["alice"]).status == 429
        shown = of_quota(httpd, "flight")
        assert shown["limits"] == [{"limit": "concurrent", "number": 2, "in_flight": 3, "refusals": 1}]
        assert [(c["name"], c["used"], c["of"]) for c in shown["fullest"]] == [("alice", 2, 2), ("bob", 1, 2)]
        assert metrics(httpd)['llama_auth_quota_in_flight{quota="flight",limit="concurrent"}'] == 3
        text = section(httpd, "quota-flight")
        assert "2 of 2" in text and "when they end" in text and "<b>3</b> <span>requests in flight</span>" in text
        httpd.held.release(4)
        for thread in threads:
            thread.join()
        await_until(lambda: of_quota(httpd, "flight")["limits"][0]["in_flight"] == 0, "the end of all")

    def test_tokens(self, httpd):
        """With a quota, without one, and of a caller whom no provider knows."""
        before, others = of(json_status(httpd), "keys")["usage"], json_status(httpd)["anonymous_usage"]
        httpd.expect(r"proxy:error", r"AH0\d+")
        for path in ("/tokens/json", "/watched/stream", "/watched/none", "/watched/silent", "/free/json"):
            assert httpd.get(path, token=None if "free" in path else httpd.callers["carol"]).status == 200
        statuses(httpd, "/tokens/missing", "not-a-key", 1)

        def grown(now, then):
            return [now["input_tokens"] - then["input_tokens"], now["output_tokens"] - then["output_tokens"],
                    *(now["answers"][source] - then["answers"][source] for source in ("response", "estimate", "none"))]
        await_until(lambda: grown(of(json_status(httpd), "keys")["usage"], before) == [17, 28, 2, 1, 1], "the callers' tokens")
        assert grown(json_status(httpd)["anonymous_usage"], others) == [7, 5, 1, 0, 0]
        found, now = metrics(httpd), of(json_status(httpd), "keys")["usage"]
        assert found['llama_auth_tokens_total{provider="keys",kind="output"}'] == now["output_tokens"]
        assert found['llama_auth_tokens_total{provider="",kind="input"}'] == json_status(httpd)["anonymous_usage"]["input_tokens"]
        assert found['llama_auth_usage_answers_total{provider="keys",source="estimate"}'] == now["answers"]["estimate"]
        text = section(httpd, "tokens")
        assert 'aria-label="tokens of keys"' in text and 'class="out"' in text and "<b>callers of no provider</b>" in text
        assert re.search(r"<title>0 min ago: \d+ in, \d+ out</title>", text)
        assert [c["used"] for c in of_quota(httpd, "tokens")["fullest"] if c["name"] == "carol"] == [12]

    def test_refused_is_no_answer(self, httpd):
        key = httpd.callers["dave"]
        for _ in range(4):
            httpd.get("/tokens/stream", token=key)
        before = of(json_status(httpd), "keys")["usage"]["answers"]
        await_until(lambda: httpd.get("/tokens/json", token=key).status == 429, "the end of the budget")
        assert httpd.get("/tokens/json", token=key).status == 429
        counted = metrics(httpd)['llama_auth_quota_refusals_total{quota="tokens",limit="tokens"}']
        assert counted >= 2 and of(json_status(httpd), "keys")["usage"]["answers"]["none"] == before["none"]

    def test_names(self, httpd):
        """A name is escaped, cut where a character ends, and closed in, whatever its owner chose."""
        for name, key in httpd.strange.items():
            assert httpd.get("/names", token=key).status == 404, name
        text = section(httpd, "quota-names")
        for shown in HOSTILE.values():
            assert f"<bdi>{shown}" in text, shown
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
        json_status(httpd)

    def test_addresses(self, httpd):
        for address in ("192.0.2.7", "2001:db8:1:2:3:4:5:6"):
            httpd.get("/ip", headers=(("X-Forwarded-For", address),))
        assert {c["name"] for c in of_quota(httpd, "ip")["fullest"]} >= {"192.0.2.7", "2001:db8:1:2::/64"}

    def test_ten_of_many(self, httpd):
        """The page stays small, whoever comes."""
        for i in range(40):
            for _ in range(5 if i == 17 else 1):
                httpd.get("/ip", headers=(("X-Forwarded-For", f"192.0.3.{i}"),))
        shown = of_quota(httpd, "ip")
        assert len(shown["fullest"]) == 10 and shown["counters"] >= 40
        assert (shown["fullest"][0]["name"], shown["fullest"][0]["used"]) == ("192.0.3.17", 5)
        assert section(httpd, "quota-ip").count("<tr>") == 11

    def test_nobody_yet(self, httpd):
        text = section(httpd, "quota-idle")
        assert "by attribute:teams" in text and "<table" not in text

    def test_zeros_are_out_of_the_way(self, httpd):
        assert '<div class="n zero"><b>0</b> <span>could not be counted</span>' in page(httpd)

    def test_promtool(self, httpd):
        text = httpd.get("/status?format=prometheus", headers=(ADMIN,)).body
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_form(self, httpd):
        assert 'name="quota"' in page(httpd)


class TestFull:
    modules = MODULES
    expected = ("LA0310",)

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json")
        return (PROVIDER + "LlamaAuthQuotaSize 64K\n" + quota("ip", "By client_ip", "Requests 5/1h") + open_place("/ip", "ip") + guarded(httpd) +
                "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n")

    def test_log_and_metric(self, httpd):
        """One line a minute, with what to change."""
        mark = httpd.log.mark()
        for i in range(300):
            httpd.get("/ip", headers=(("X-Forwarded-For", f"192.0.{i // 250}.{i % 250}"),))
        line = httpd.log.await_line("LA0310", mark)
        assert line.level == "warn" and "LlamaAuthQuotaSize" in line.text
        found = metrics(httpd)
        assert found["llama_auth_quota_evictions_total"] > 50
        assert found["llama_auth_quota_counters"] <= found["llama_auth_quota_counters_max"]
        assert sum("LA0310" in entry.text for entry in httpd.log.since(mark)) == 1


class TestInRedis:
    """What Redis refuses is counted too, and the page shows what this machine saw last."""
    modules = MODULES

    @staticmethod
    def configure(httpd):
        httpd.redis = Redis(None)
        httpd.callers = Callers(httpd)
        httpd.write("conf/secret", SECRET)
        return (f"LlamaAuthCacheShared redis://127.0.0.1:{httpd.redis.port}\nLlamaAuthCacheSecret file:conf/secret\n" + PROVIDER +
                quota("three", "Requests 3/1h", "Outage deny") + quota("rate", "Rate 60/1h burst=2") + place("/three", "three") +
                place("/rate", "rate") + guarded(httpd))

    @pytest.mark.parametrize("path, most", [("three", 3), ("rate", 2)])
    def test_refusals(self, httpd, path, most):
        assert statuses(httpd, f"/{path}", httpd.callers["alice"], most + 2) == [404] * most + [429] * 2
        shown = of_quota(httpd, path)
        assert shown["limits"][0]["refusals"] == 2
        assert [(c["name"], c["used"], c["of"], c["refusals"]) for c in shown["fullest"]] == [("alice", most, most, 2)]
        assert "in Redis: as this machine saw it last" in section(httpd, f"quota-{path}")


def test_two_hosts_of_one_name(bare):
    """Quotas of one name on two virtual hosts count apart, under labels of their own."""
    host = "<VirtualHost 127.0.0.1:{}>\nServerName one.example\n" + quota("q", "By all", "Requests 5/1h") + open_place("/q", "q") + "</VirtualHost>\n"
    ports = [bare.listen(), bare.listen()]
    bare.configure("".join(host.format(port) for port in ports) + '<Location "/status">\nSetHandler llama-auth-status\nRequire all granted\n</Location>\n')
    bare.start()
    try:
        quotas = bare.get("/status?format=json").json["quotas"]["quotas"]
        assert len({q["name"] for q in quotas}) == 2
        text = bare.get("/status?format=prometheus").body.decode().splitlines()
        assert len(set(text)) == len(text)
    finally:
        assert not bare.stop()
