"""The error log: who is told what, how often, and never a token (spec section 10)."""

import re

import pytest

from behaviour import accept, hang, reply, reset
from callers import BEARER, key_of, write_callers
from client import build
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from server import client_id, free_port

NUMBERED = re.compile(r"LA\d{4}: ")


@every_mpm
class TestLines:
    processes = 1
    expected = (r"is unavailable", r"AH01631", r"LA0110: .*cannot be used")

    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + provider("ep", httpd.endpoint().url(), "Timeout 300ms") + location("/ep/", "ep") +
                provider("closed", f"http://127.0.0.1:{free_port()}/") + location("/closed/", "closed") + everywhere(httpd, "/closed") +
                f"<Location /keys/>\n{BEARER}RequireScope b\n</Location>\n" + everywhere(httpd, "/ep") + everywhere(httpd, "/keys"))

    def lines(self, httpd, mark, level):
        found = httpd.log.since(mark, "llama_auth", level)
        assert all(NUMBERED.search(line.text) for line in found), found
        return [line.text for line in found]

    def test_rejection_is_info_with_the_client_id(self, httpd):
        token = httpd.endpoint().on(new_token(), reply(403, b""))
        mark = httpd.log.mark()
        assert httpd.get("/ep/x", token=token).status == 401
        lines = self.lines(httpd, mark, "info")
        identity = client_id(token)
        assert any(identity[:8] in line and "ep" in line for line in lines), lines
        assert not any(identity[:9] in line for line in lines)
        assert not self.lines(httpd, mark, "error") and not self.lines(httpd, mark, "warn")

    def test_unknown_key_is_info(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/keys/x", token="unknown-key-for-the-log").status == 401
        lines = self.lines(httpd, mark, "info")
        assert any(client_id("unknown-key-for-the-log")[:8] in line for line in lines), lines
        assert not self.lines(httpd, mark, "error")

    def test_missing_scope_is_info(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/keys/x", token=key_of("some")).status == 403
        lines = self.lines(httpd, mark, "info")
        assert any("required scope: b" in line and client_id(key_of("some"))[:8] in line for line in lines), lines
        assert not self.lines(httpd, mark, "error")

    @pytest.mark.parametrize("headers", [[], [("Authorization", "Basic eDp5")]], ids=["missing", "malformed"])
    def test_client_mistakes_are_info(self, httpd, headers):
        mark = httpd.log.mark()
        assert httpd.get("/keys/x", headers=headers).status == 401
        assert len(self.lines(httpd, mark, "info")) == 1
        assert not self.lines(httpd, mark, "error") and not self.lines(httpd, mark, "warn")

    def test_success_is_silent_at_info(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/keys/x", token=key_of("full")).status == 200
        assert not self.lines(httpd, mark, "info") and not self.lines(httpd, mark, "notice")

    def test_outage_is_one_error_for_each_state_change(self, httpd):
        def ask(behaviour):
            return httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), behaviour)).status
        assert ask(accept("a")) == 200
        mark = httpd.log.mark()
        for behaviour in (reply(500, b""), reset, reply(200, b"no"), hang, reply(429, b"")):
            assert ask(behaviour) == 401
        errors = self.lines(httpd, mark, "error")
        for error, reason in zip(errors, ("500", "reset", "JSON", "timed out", "429"), strict=True):
            assert "provider ep is unavailable" in error and reason in error, errors
        for behaviour in (reply(500, b""), reset, reply(200, b"no"), hang, reply(429, b"")):  # told already
            assert ask(behaviour) == 401
        assert len(self.lines(httpd, mark, "error")) == 5
        assert ask(reply(503, b"")) == 401  # a new reason is never held back
        assert "503" in self.lines(httpd, mark, "error")[5]
        assert ask(accept("a")) == 200
        assert len([line for line in self.lines(httpd, mark, "notice") if "ep" in line]) == 1
        assert ask(reset) == 401
        assert len(self.lines(httpd, mark, "error")) == 7

    def test_an_unusable_answer_is_an_error_once_a_minute(self, httpd):
        def ask(**members):
            return httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), reply(200, members)))
        assert ask(principal="a").status == 200
        mark = httpd.log.mark()
        for _ in range(3):
            refused = ask(principal="mallory\n")
            assert (refused.status, refused.note("error")) == (401, "invalid_token")
            assert ask(principal="a").status == 200
        errors = self.lines(httpd, mark, "error")
        assert len(errors) == 1 and "LA0110" in errors[0] and "control characters" in errors[0], errors
        assert ask(attributes={"roles": {}}).status == 401
        assert len(self.lines(httpd, mark, "error")) == 2
        assert not [line for line in self.lines(httpd, mark, "notice") if "ep" in line]

    def test_a_rejection_shows_that_the_provider_is_there(self, httpd):
        def ask(behaviour):
            httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), behaviour))
        ask(accept("a"))
        mark = httpd.log.mark()
        ask(reply(500, b""))
        ask(reply(403, b""))
        ask(reply(500, b""))
        assert len(self.lines(httpd, mark, "error")) == 2

    @pytest.mark.parametrize("behaviour, reason", [
        (reply(503, b""), "answered 503"), (reply(200, b"nope"), "JSON"), (reply(200, {"principal": [7]}), "principal"), (hang, "(Timeout)"),
        (reply(200, {"attributes": []}), "attributes")], ids=["status", "not JSON", "principal", "timeout", "attributes"])
    def test_outage_names_its_reason(self, httpd, behaviour, reason):
        assert httpd.get("/ep/x", token=new_token()).status == 200
        mark = httpd.log.mark()
        httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), behaviour))
        errors = self.lines(httpd, mark, "error")
        assert len(errors) == 1 and httpd.endpoint().url() in errors[0] and reason in errors[0], errors

    def test_a_connection_that_fails_names_the_systems_error(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/closed/x", token=new_token()).status == 401
        errors = self.lines(httpd, mark, "error")
        assert len(errors) == 1 and errors[0].endswith(": Connection refused"), errors

    def test_an_answer_is_never_quoted(self, httpd):
        canary = "canary-in-an-answer"
        for body in (canary.encode(), f'{{"principal": ["{canary}"]}}'.encode(), f'{{"{canary}": 1, "{canary}": 2}}'.encode(),
                     f'{{"principal": "x", "attributes": "{canary}"}}'.encode(), f'{{"{canary}'.encode()):
            httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), reply(200, body)))
        httpd.get("/ep/x", token=httpd.endpoint().on(new_token(), reply(403, {"error": canary})))
        assert canary.encode() not in httpd.log.everything()

    def test_startup_names_the_providers(self, httpd):
        said = [line.text for line in httpd.log.since(0, "llama_auth", "info")]
        for name, kind in (("ep", "custom"), ("keys", "static")):
            assert any(re.search(rf"provider {name} \({kind}\).*test.conf:\d+", line) for line in said), said

    def test_control_characters_cannot_forge_a_line(self, httpd):
        mark = httpd.log.mark()
        token = httpd.endpoint().on(new_token(), accept("mallory", {"roles": ["x\n[error] forged"]}, message="hi\nforged"))
        assert httpd.get("/ep/x%0Aforged%0D", token=token).status in (200, 404)
        assert httpd.get("/keys/x%0Aforged", token=key_of("some")).status == 403
        for line in httpd.log.since(mark):
            assert not line.text.startswith(("forged", "[error] forged")), line


class TestCanary:
    """A token in every place where a client can put it is in no log at trace8, in no answer, in no environment."""
    expected = (r"is unavailable", r"AH01631", r"AH00135", r"LlamaAuthUse is missing")
    CANARY = "canary-4f1d0c-token"

    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + provider("ep", httpd.endpoint().url(), "Timeout 300ms", "Match ^canary") +
                location("/ep/", "ep", "keys") + location("/keys/", "keys") +
                "<Location /broken/>\nAuthType Bearer\nRequireScope a\n</Location>\n" +
                "".join(everywhere(httpd, path) for path in ("/ep", "/keys", "/broken")))

    def test_nowhere(self, httpd):
        canary, seen = self.CANARY, []
        behaviours = [accept("alice", message="fine"), reply(403, b""), reply(500, b""), reply(200, b"no"), reset, hang]
        for number, behaviour in enumerate(behaviours):
            seen.append(httpd.get("/ep/x", token=httpd.endpoint().on(f"{canary}-{number}", behaviour)))
        for path in ("/ep/x", "/keys/x", "/broken/x"):
            for value in (f"Bearer {canary}", f"Bearer {canary},{canary}", f"Basic {canary}", canary, f"Bearer {canary} {canary}",
                          f"Bearer\t{canary}", f"Bearer {canary}é", f"Bearer {canary}" + "x" * 8000):
                seen.append(httpd.get(path, headers=[("Authorization", value)]))
                seen.append(httpd.request("POST", path, headers=[("Authorization", value)], body=b"x" * 100))
        with httpd.connect() as connection:
            connection.send(build("MADEUP", "/keys/x", token=canary))
            seen.append(connection.read())
        assert len(seen) > 40
        for response in seen:
            assert canary.encode() not in response.body
            assert not any(canary in value for _, value in response.headers), response
        assert canary.encode() not in httpd.log.everything()
        assert not any(canary in line for line in httpd.logged("", len(seen)))
        for line in httpd.log.since(0):
            assert line.module != "llama_auth" or NUMBERED.search(line.text), line


class TestExplanation:
    """`LogLevel llama_auth:debug` tells a decision step by step; the harness looks for tokens in every line."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        return (provider("corp", url, "CacheVary none") + provider("elsewhere", url, "Match ^other-") +
                location("/v1", "elsewhere", "corp", lines=("RequireScope a",)) + everywhere(httpd, "/v1"))

    def steps(self, httpd, token):
        mark = httpd.log.mark()
        status = httpd.get("/v1", token=token).status
        return status, [re.sub(r".*?(LA\d{4}: .*)", r"\1", line.text) for line in httpd.log.since(mark, "llama_auth", "debug")]

    def test_accepted(self, httpd, token):
        httpd.endpoint().on(token, accept("alice", {"scopes": ["a"]}))
        short = client_id(token)[:8]
        status, steps = self.steps(httpd, token)
        assert status == 200
        assert steps == [f"LA0033: token {short}, {len(token)} bytes, for /v1: LlamaAuthUse elsewhere corp",
                         f"LA0023: provider elsewhere, token {short}, cache off: not_mine: its Match does not fit",
                         f"LA0023: provider corp, token {short}, cache miss: accepted",
                         f'LA0035: token {short} is alice, says provider corp: {{"scopes":["a"]}}',
                         "LA0034: RequireScope and RequireAttribute hold for /v1"]

    def test_refused(self, httpd, token):
        httpd.endpoint().on(token, accept("alice", {"scopes": ["b"]}))
        status, steps = self.steps(httpd, token)
        assert status == 403 and "LA0034" not in "".join(steps) and "LA0035" in "".join(steps)


class TestLogFormat:
    """The lines that README.md offers for access logs and error logs."""

    @staticmethod
    def configure(httpd):
        from pathlib import Path
        readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
        formats = re.search(r"^### Logs\n.*?^```apache\n(.*?)^```", readme, re.M | re.S).group(1)
        assert formats.startswith("LogFormat ") and "\nErrorLogFormat " in formats
        return (formats + "CustomLog logs/llama.log llama_auth\n" +
                provider("corp", httpd.endpoint().url(), "CacheVary none") + location("/v1", "corp") + everywhere(httpd, "/v1"))

    def test_lines(self, httpd, token):
        httpd.endpoint().on(token, accept("alice", {}))
        for _ in range(2):
            httpd.get("/v1", token=token)
        httpd.get("/v1")
        log = httpd.root / "logs" / "llama.log"
        lines = await_until(lambda: log.read_text().count("\n") == 3 and log.read_text(), "three lines")
        # In whatever order: a line is written after its answer, and each of two processes has its own moment.
        assert f'principal="alice" provider=corp cache=miss client={client_id(token)} error=-' in lines
        assert "cache=hit" in lines and re.search("cache=- .*error=missing_token", lines)
