"""The handler llama-auth-status and mod_status's section (spec section 10): what is counted, in each form; and purges."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from behaviour import Hold, accept, hang, reply
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from server import ROOT, client_id, key_entry
from traffic import by_name

ADMIN = ("Authorization", "Basic YWRtaW46c2VjcmV0")  # admin:secret
FORM = ("Content-Type", "application/x-www-form-urlencoded")
PROMTOOL = shutil.which("promtool") or str(ROOT / ".build" / "prometheus" / "usr" / "bin" / "promtool")


def status_location(path, *lines):
    lines = "\n    ".join(lines)
    return f'<Location "{path}">\n    SetHandler llama-auth-status\n    {lines}\n</Location>\n'


def guarded(httpd, path="/status"):
    httpd.write_passwords("conf/passwords", admin="secret")
    return status_location(path, "AuthType Basic", "AuthName status", "AuthUserFile conf/passwords", "Require user admin")


def base(httpd):
    url = httpd.endpoint().url()
    httpd.endpoint().default = by_name
    httpd.write_keys("conf/keys.json", key_entry("a-static-key", "ci-bot", {"scopes": ["x"]}))
    return (provider("corp", url, "CacheVary none") + location("/v1", "corp") + everywhere(httpd, "/v1") +
            location("/scope", "corp", lines=("RequireScope a",)) + everywhere(httpd, "/scope") +
            location("/role", "corp", lines=("RequireAttribute roles nobody",)) + everywhere(httpd, "/role") +
            "<LlamaAuthProvider keys static>\n    File conf/keys.json\n</LlamaAuthProvider>\n" +
            location("/keys", "keys") + everywhere(httpd, "/keys") +
            provider("brittle", url, "Breaker 2 1h", "CacheVary none") + location("/brittle", "brittle") +
            everywhere(httpd, "/brittle") + guarded(httpd))


def json_status(httpd, path="/status"):
    answer = httpd.get(f"{path}?format=json", headers=(ADMIN,))
    assert answer.status == 200 and answer.header("Content-Type") == "application/json", answer
    return answer.json


def metrics(httpd):
    """The metrics as a dictionary: name with labels -> number."""
    answer = httpd.get("/status?format=prometheus", headers=(ADMIN,))
    assert answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    rows = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#")]
    assert len({name for name, _ in rows}) == len(rows)
    return {name: float(value) for name, value in rows}


def of(status, name):
    return next(p for p in status["providers"] if p["name"] == name)


def purge(httpd, what, path="/status", headers=(ADMIN, FORM), **more):
    return httpd.request("POST", path, headers=headers, body=f"purge={what}".encode(), **more)


class TestForms:
    modules = ("authn_file", "auth_basic", "status")
    expected = (r"is unavailable", "LA0050")

    @staticmethod
    def configure(httpd):
        return base(httpd) + ('ExtendedStatus On\n<Location "/server-status">\n    SetHandler server-status\n'
                              "    Require all granted\n</Location>\n")

    def test_lookups(self, httpd):
        before = of(json_status(httpd), "corp")
        good, bad = new_token(), new_token()
        httpd.endpoint().on(bad, reply(403))
        for token in (good, good, good, bad, bad):
            httpd.get("/v1", token=token)
        after = of(json_status(httpd), "corp")

        def grew(verdict, source):
            return after["lookups"][verdict][source] - before["lookups"][verdict][source]
        assert (grew("accepted", "miss"), grew("accepted", "hit")) == (1, 2)
        assert (grew("rejected", "miss"), grew("rejected", "negative")) == (1, 1)
        assert after["calls"]["count"] - before["calls"]["count"] == 2
        assert after["calls"]["sum_seconds"] > before["calls"]["sum_seconds"]
        assert after["calls"]["buckets"][-1]["count"] <= after["calls"]["count"]

    def test_outcomes(self, httpd):
        before = json_status(httpd)["requests"]
        rejected, accepted, down = new_token(), new_token(), new_token()
        httpd.endpoint().on(rejected, reply(403))
        httpd.endpoint().on(down, reply(500))
        requests = [("/v1", accepted), ("/v1", None), ("/v1", rejected), ("/v1", down), ("/scope", accepted),
                    ("/role", accepted), ("/keys", "a-static-key"), ("/index.html", None)]
        for path, token in requests:
            httpd.get(path, token=token)
        httpd.get("/v1", headers=(("Authorization", "Bearer a b"),))

        def grown():
            after = json_status(httpd)["requests"]
            return {name: after[name] - before[name] for name in after if after[name] != before[name]}
        # A request is counted when it is logged, after its answer.
        await_until(lambda: grown() == {"accepted": 2, "missing_token": 1, "invalid_token": 1, "provider_error": 1,
                                        "insufficient_scope": 1, "insufficient_attributes": 1, "invalid_request": 1},
                    "all requests to be counted")

    def test_breaker_and_last_error(self, httpd):
        for _ in range(3):
            token = new_token()
            httpd.endpoint().on(token, reply(500))
            httpd.get("/brittle", token=token)
        status = of(json_status(httpd), "brittle")
        assert status["breaker"]["state"] == "open" and status["breaker"]["openings"] == 1
        assert status["breaker"]["refusals"] >= 1 and status["breaker"]["retry_after_seconds"] > 3000
        assert status["last_error"]["text"] and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", status["last_error"]["time"])
        assert metrics(httpd)['llama_auth_provider_breaker_open{provider="brittle"}'] == 1

    def test_in_flight(self, httpd, token):
        httpd.endpoint().on(token, hang)
        with httpd.connect() as connection:
            connection.send(b"GET /v1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n")
            await_until(lambda: of(json_status(httpd), "corp")["in_flight"] == 1, "the call to be seen in flight")
            assert metrics(httpd)['llama_auth_provider_calls_in_flight{provider="corp"}'] >= 1

    def test_json_shape(self, httpd):
        status = json_status(httpd)
        assert status["version"] == 1
        assert list(status) == ["version", "time", "restarted", "requests", "providers", "cache", "shared_cache", "anonymous_usage",
                                "quotas", "proofs", "signers"]
        assert [p["name"] for p in status["providers"]] == ["corp", "keys", "brittle"]
        assert set(of(status, "corp")) == {"name", "type", "lookups", "calls", "in_flight", "waiting", "max_concurrent",
                                           "limit_refusals", "breaker", "last_error", "usage"}
        assert set(of(status, "keys")) == {"name", "type", "lookups", "calls", "last_error", "usage", "keys"}
        assert set(status["cache"]) == {"lookups", "accepted", "rejected", "purges"}
        assert status["shared_cache"] is None and status["quotas"] is None and status["signers"] is None
        assert set(status["proofs"]) == {"results", "alone", "remembered", "fullest_minute", "minute_capacity"}
        assert status["proofs"]["results"] == {"new": 0, "replayed": 0, "old": 0, "full": 0, "over_share": 0, "refused": 0}
        assert status["proofs"]["alone"] == status["proofs"]["remembered"] == status["proofs"]["fullest_minute"] == 0
        assert status["proofs"]["minute_capacity"] > 300000
        assert status["anonymous_usage"] == {"input_tokens": 0, "output_tokens": 0, "answers": {"none": 0, "estimate": 0, "response": 0}}

    def test_promtool_finds_nothing_wrong(self, httpd, token):
        httpd.get("/v1", token=token)
        text = httpd.get("/status?format=prometheus", headers=(ADMIN,)).body
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_metrics_say_what_json_says(self, httpd, token):
        httpd.get("/v1", token=token)
        def same_requests():
            """The request above may be counted between the two."""
            found = metrics(httpd)
            return all(found[f'llama_auth_requests_total{{outcome="{name}"}}'] == count
                       for name, count in json_status(httpd)["requests"].items())
        await_until(same_requests, "both to say the same")
        status, found = json_status(httpd), metrics(httpd)
        for p in status["providers"]:
            for verdict, sources in p["lookups"].items():
                for source, count in sources.items():
                    label = f'provider="{p["name"]}",type="{p["type"]}",verdict="{verdict}",cache="{source}"'
                    assert found.get(f"llama_auth_provider_lookups_total{{{label}}}", 0) == count
            assert found[f'llama_auth_provider_call_duration_seconds_count{{provider="{p["name"]}"}}'] == p["calls"]["count"]
        assert found['llama_auth_cache_entries{partition="accepted"}'] == status["cache"]["accepted"]["entries"]

    def test_page(self, httpd):
        answer = httpd.get("/status", headers=(ADMIN,))
        page = answer.body.decode()
        assert answer.status == 200 and answer.header("Content-Type") == "text/html; charset=utf-8"
        assert answer.header("Cache-Control") == "no-store" and answer.header("X-Content-Type-Options") == "nosniff"
        assert "default-src 'none'" in answer.header("Content-Security-Policy")
        assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
        for word in ("corp", "keys", "brittle", "<svg", "breaker", 'name="purge"'):
            assert word in page
        nonces = set(re.findall(r'nonce="([0-9a-f]+)"', page))
        assert len(nonces) == 1 and nonces != set(re.findall(r'nonce="([0-9a-f]+)"',
                                                              httpd.get("/status", headers=(ADMIN,)).body.decode()))

    @pytest.mark.parametrize("query, status", [("", 200), ("?format=html", 200), ("?format=xml", 404), ("?format=", 200),
                                               ("?format=json&other=1", 200)])
    def test_format(self, httpd, query, status):
        assert httpd.get("/status" + query, headers=(ADMIN,)).status == status

    @pytest.mark.parametrize("method, status", [("HEAD", 200), ("PUT", 405), ("DELETE", 405)])
    def test_method(self, httpd, method, status):
        response = httpd.request(method, "/status", headers=(ADMIN,))
        assert response.status == status
        assert status == 200 or {"GET", "POST"} <= {word.strip() for word in response.header("Allow").split(",")}

    def test_no_token_no_secret(self, httpd):
        """The harness searches the log for every token; here are the pages."""
        token = new_token()
        httpd.endpoint().on(token, reply(500))
        httpd.get("/v1", token=token)
        for query in ("", "?format=json", "?format=prometheus"):
            assert token.encode() not in httpd.get("/status" + query, headers=(ADMIN,)).body

    def test_mod_status(self, httpd):
        page = httpd.get("/server-status").body.decode()
        assert "<h2>mod_llama_auth</h2>" in page and "<td>brittle</td>" in page
        lines = dict(line.split(": ", 1) for line in httpd.get("/server-status?auto").body.decode().splitlines() if ": " in line)
        assert 0 <= int(lines["LlamaAuthRequests[accepted]"]) <= json_status(httpd)["requests"]["accepted"]
        assert "breaker=" in lines["LlamaAuthProvider[brittle]"] and float(lines["LlamaAuthCacheFill"]) >= 0


@every_mpm
class TestAddsUp:
    modules = ("authn_file", "auth_basic")
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return base(httpd)

    def test_with_the_access_log(self, httpd):
        """10,000 requests of all kinds by parallel clients: each is one line of the access log and one count."""
        tokens = [new_token() for _ in range(40)]
        for token in tokens[:4]:
            httpd.endpoint().on(token, reply(403))
        for token in tokens[4:6]:
            httpd.endpoint().on(token, reply(500))
        paths = ["/v1", "/v1", "/v1", "/scope", "/role", "/index.html"]

        def client(number):
            connection = httpd.connect()
            for i in range(1250):
                at = number * 1250 + i
                try:
                    connection.get(paths[at % 6], token=tokens[at % 40] if at % 11 else None)
                except (AssertionError, OSError):  # a busy event MPM closes idle connections, unasked
                    connection.close()
                    connection = httpd.connect()
                    connection.get(paths[at % 6], token=tokens[at % 40] if at % 11 else None)
            connection.close()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(client, range(8)))
        lines = [line for line in httpd.logged("", 10000) if not line.endswith("HTTP/1.1") or "/index.html" not in line]
        counted = json_status(httpd)["requests"]
        logged = {}
        for line in lines:
            _, _, principal, error, _ = line.split(" ", 4)
            if error != "-" or principal != "-":
                outcome = error if error != "-" else "accepted"
                logged[outcome] = logged.get(outcome, 0) + 1
        assert {name: count for name, count in counted.items() if count} == logged
        assert sum(logged.values()) == sum(1 for i in range(10000) if i % 6 != 5)
        lookups = of(json_status(httpd), "corp")["lookups"]
        asked = sum(sum(sources.values()) for sources in lookups.values())
        assert asked == sum(logged.values()) - logged["missing_token"]

    def test_graceful_restart_keeps_counting(self, httpd, token):
        before = json_status(httpd)["requests"]["accepted"]
        httpd.get("/v1", token=token)
        await_until(lambda: json_status(httpd)["requests"]["accepted"] == before + 1, "it to be counted")
        before += 1
        httpd.graceful()
        httpd.get("/v1", token=token)
        await_until(lambda: json_status(httpd)["requests"]["accepted"] == before + 1, "it to be counted")


class TestProviders:
    """A restart with other providers keeps the numbers of those that stay."""
    modules = ("authn_file", "auth_basic")

    @staticmethod
    def configure(httpd):
        return base(httpd)

    def test_added_and_removed(self, httpd, token):
        httpd.get("/v1", token=token)
        before = of(json_status(httpd), "corp")["calls"]["count"]
        url = httpd.endpoint().url()
        httpd.configure(provider("other", url) + location("/other", "other") + provider("corp", url, "CacheVary none") +
                        location("/v1", "corp") + everywhere(httpd, "/v1") + guarded(httpd))
        httpd.graceful()
        await_until(lambda: "other" in str(json_status(httpd)), "the new generation")
        assert [p["name"] for p in json_status(httpd)["providers"]] == ["other", "corp"]
        assert of(json_status(httpd), "corp")["calls"]["count"] == before
        assert of(json_status(httpd), "other")["calls"]["count"] == 0

    def test_same_name_in_two_hosts(self, httpd):
        url = httpd.endpoint().url()
        hosts = "".join(f"<VirtualHost 127.0.0.1:{httpd.listen()}>\nServerName one.example\n{provider('corp', url)}</VirtualHost>\n"
                        for _ in range(2))
        httpd.configure(hosts + guarded(httpd))
        httpd.graceful()
        await_until(lambda: len(json_status(httpd)["providers"]) == 2, "the new generation")
        assert len({p["name"] for p in json_status(httpd)["providers"]}) == 2
        assert metrics(httpd)


class TestPurge:
    modules = ("authn_file", "auth_basic")

    @staticmethod
    def configure(httpd):
        return (base(httpd) + status_location("/open", "Require all granted") +
                status_location("/bearer", "AuthType Bearer", "LlamaAuthUse keys", "RequireScope x"))

    def sources(self, httpd, *tokens):
        return [httpd.get("/v1", token=token).note("cache") for token in tokens]

    def test_all(self, httpd):
        tokens = [new_token() for _ in range(3)]
        self.sources(httpd, *tokens)
        answer = purge(httpd, "all")
        assert answer.status == 200 and answer.json["dropped"] >= 3 and answer.json["shared_cache"] == "none"
        assert self.sources(httpd, *tokens) == ["miss"] * 3

    def test_principal(self, httpd):
        alice, also_alice, bob = (new_token() for _ in range(3))
        for token in (alice, also_alice):
            httpd.endpoint().on(token, accept("alice smith", {}))
        self.sources(httpd, alice, also_alice, bob)
        assert purge(httpd, "principal%3Aalice+smith").json["dropped"] == 2
        assert self.sources(httpd, alice, also_alice, bob) == ["miss", "miss", "hit"]

    def test_client_id(self, httpd):
        revoked, other = new_token(), new_token()
        self.sources(httpd, revoked, other)
        httpd.endpoint().on(revoked, reply(401))
        assert purge(httpd, f"client_id:{client_id(revoked)}").json["dropped"] == 1
        assert httpd.get("/v1", token=revoked).status == 401
        assert self.sources(httpd, other) == ["hit"]

    def test_who_did_it_is_logged(self, httpd):
        mark = httpd.log.mark()
        purge(httpd, "principal:nobody%0a")
        assert re.search(r"LA0067: admin purged principal:nobody\\n: 0 entries", httpd.log.await_line("LA0067", mark).text)

    def test_with_a_bearer_token(self, httpd):
        assert purge(httpd, "all", "/bearer", headers=(("Authorization", "Bearer a-static-key"), FORM)).status == 200

    def test_in_the_query(self, httpd):
        assert httpd.request("POST", "/status?purge=all", headers=(ADMIN,)).status == 200

    REFUSED = [
        ("nobody guards it", "/open", (FORM,), "all", 403),
        ("a password that nobody asked for", "/open", (ADMIN, FORM), "all", 403),
        ("another site", "/status", (ADMIN, FORM, ("Origin", "https://evil.example")), "all", 403),
        ("no site", "/status", (ADMIN, FORM, ("Origin", "null")), "all", 403),
        ("another site, without an origin", "/status", (ADMIN, FORM, ("Sec-Fetch-Site", "cross-site")), "all", 403),
        ("a sibling, without an origin", "/status", (ADMIN, FORM, ("Sec-Fetch-Site", "same-site")), "all", 403),
        ("another site in a word of its own", "/status", (ADMIN, FORM, ("Sec-Fetch-Site", "same-origin, cross-site")), "all", 403),
        ("nobody", "/status", (FORM,), "all", 401),
        ("nothing", "/status", (ADMIN, FORM), "", 400),
        ("something else", "/status", (ADMIN, FORM), "everything", 400),
        ("an empty principal", "/status", (ADMIN, FORM), "principal:", 400),
        ("a client id that is none", "/status", (ADMIN, FORM), "client_id:xyz", 400),
        ("twice", "/status", (ADMIN, FORM), "all&purge=all", 400),
        ("too long", "/status", (ADMIN, FORM), "principal:" + "x" * 5000, 400),
    ]

    @pytest.mark.parametrize("path, headers, what, expected", [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
    def test_refused(self, httpd, token, path, headers, what, expected):
        self.sources(httpd, token)
        assert purge(httpd, what, path, headers=headers).status == expected
        assert self.sources(httpd, token) == ["hit"]

    def test_get_purges_nothing(self, httpd, token):
        self.sources(httpd, token)
        httpd.get("/status?purge=all", headers=(ADMIN,))
        assert self.sources(httpd, token) == ["hit"]

    def test_a_call_under_way_is_not_kept(self, httpd, token):
        """A verdict that was asked for before the purge comes after it."""
        hold = Hold(accept("alice", {}))
        httpd.endpoint().on(token, hold)
        with httpd.connect() as connection:
            connection.send(b"GET /v1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n")
            await_until(lambda: httpd.endpoint().calls_for(token), "the call")
            assert purge(httpd, "all").status == 200
            hold.release()
            assert connection.read().status == 200
        assert self.sources(httpd, token) == ["miss"]

    @pytest.mark.parametrize("more", [(), (("Sec-Fetch-Site", "same-origin"),), (("Sec-Fetch-Site", "none"),)])
    def test_same_origin_page(self, httpd, more):
        headers = (ADMIN, FORM, ("Origin", f"http://127.0.0.1:{httpd.port}"), *more)
        assert purge(httpd, "all", headers=headers, host=f"127.0.0.1:{httpd.port}").status == 200


def test_without_providers(bare):
    """The module is loaded and nothing is configured but the page."""
    bare.configure(status_location("/status", "Require all granted"))
    bare.start()
    try:
        for query in ("", "?format=json", "?format=prometheus"):
            assert bare.get("/status" + query).status == 200
    finally:
        assert not bare.stop()
