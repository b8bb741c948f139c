"""Several providers in one location: order, Match, and how their verdicts fold into one (spec section 4)."""

import itertools
import json

import pytest

from behaviour import accept, hang, reply, reset
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from server import key_entry

STATIC_KEY = "key-in-the-static-file-01"
ERROR = "Authentication service error"
TIMEOUT = "Authentication service timeout"


def behaviour(verdict, name):
    """What endpoint `name` does; its status tells it apart in messages."""
    status = {"one": 1, "two": 2, "three": 3}[name]
    return {"accepts": accept(name, {"roles": [name]}), "rejects": reply(410 + status, b""), "fails": reply(510 + status, b""),
            "resets": reset, "hangs": hang}[verdict]


def expected(verdicts):
    """(status, messages that may be said, code) of a chain of endpoints one, two, three."""
    said = []
    for verdict, number in zip(verdicts, (1, 2, 3)):
        if verdict == "accepts":
            return 200, None, None
        said.append((verdict, {"rejects": f"Authentication failed: {410 + number}", "fails": f"Authentication failed: {510 + number}",
                               "resets": ERROR, "hangs": TIMEOUT}[verdict]))
    outages = [message for verdict, message in said if verdict != "rejects"]
    if outages:
        return 401, outages, None
    return 401, [said[-1][1]], "invalid_token"


@every_mpm
class TestFolding:
    """Each pair and some triples of verdicts."""
    expected = (r"is unavailable",)
    names = ("one", "two", "three")
    # Which is not waited for, of two: what answers has its time.
    hanging = {"/h0": ("quick-one", "two"), "/h1": ("one", "quick-two")}

    @classmethod
    def configure(cls, httpd):
        text = "".join(provider(n, httpd.endpoint(n).url(), "Timeout 30s") + provider(f"quick-{n}", httpd.endpoint(n).url(), "Timeout 300ms")
                       for n in cls.names)
        for count in (1, 2, 3):
            text += location(f"/c{count}/", *cls.names[:count]) + everywhere(httpd, f"/c{count}")
        for path, names in cls.hanging.items():
            text += location(f"{path}/", *names) + everywhere(httpd, path)
        return text

    chains = ([(v,) for v in ("accepts", "rejects", "fails", "resets")] +
              list(itertools.product(("accepts", "rejects", "fails", "resets"), repeat=2)) +
              [("hangs", "rejects"), ("rejects", "hangs"), ("hangs", "accepts"), ("hangs", "fails"),
               ("rejects", "rejects", "rejects"), ("rejects", "fails", "rejects"), ("fails", "rejects", "accepts"),
               ("rejects", "accepts", "fails"), ("resets", "fails", "rejects"), ("rejects", "rejects", "accepts")])

    @pytest.mark.parametrize("verdicts", chains, ids=" ".join)
    def test_chain(self, httpd, token, verdicts):
        for verdict, name in zip(verdicts, self.names):
            httpd.endpoint(name).on(token, behaviour(verdict, name))
        path = f"h{verdicts.index('hangs')}" if "hangs" in verdicts else f"c{len(verdicts)}"
        response = httpd.get(f"/{path}/x", token=token)
        status, messages, code = expected(verdicts)
        assert response.status == status, response
        asked = verdicts.index("accepts") + 1 if "accepts" in verdicts else len(verdicts)
        for position, name in enumerate(self.names):
            calls = len(httpd.endpoint(name).calls_for(token))
            if position < asked and verdicts[position] == "resets":
                assert calls in (1, 2), name  # a reset on a connection that was used before is tried once more
            else:
                assert calls == (1 if position < asked else 0), name
        if status == 200:
            name = self.names[asked - 1]
            assert (response.note("user"), response.note("provider"), response.note("attribute.roles")) == (name, name, name)
            assert response.note("error") is None
        else:
            assert response.message in messages
            assert response.note("error") in ((code,) if code else ("provider_error", "provider_timeout"))
            assert ("invalid_token" in response.header("WWW-Authenticate")) == bool(code)


# name: (providers, token, status, message or principal, endpoints that were asked)
ROUTES = {
    "static key first": ("keys any", STATIC_KEY, 200, "static-user", ""),
    "static key after a rejection": ("refusing keys", STATIC_KEY, 200, "static-user", "refusing"),
    "static key after an outage": ("failing keys", STATIC_KEY, 200, "static-user", "failing"),
    "static does not know it, the endpoint does": ("keys any", "opaque", 200, "any", "any"),
    "static does not know it, the endpoint refuses": ("keys refusing", "opaque", 401, "Authentication failed: 403", "refusing"),
    "the endpoint refuses, static does not know it": ("refusing keys", "opaque", 401, "Authentication failed: 403", "refusing"),
    "the endpoint fails, static does not know it": ("failing keys", "opaque", 401, "Authentication failed: 500", "failing"),
    "static does not know it, the endpoint fails": ("keys failing", "opaque", 401, "Authentication failed: 500", "failing"),
    "expired key, then an endpoint": ("keys any", "key-that-has-expired-01", 200, "any", "any"),
    "expired key alone": ("keys", "key-that-has-expired-01", 401, "Invalid API key", ""),
    "Match fits": ("github any", "ghp_opaque", 200, "github", "github"),
    "Match does not fit": ("github any", "opaque", 200, "any", "any"),
    "Match is not anchored by itself": ("loose any", "xx-loose-xx", 200, "loose", "loose"),
    "Match minds case": ("github", "GHP_opaque", 401, "Invalid token", ""),
    "no Match fits": ("github corp", "opaque", 401, "Invalid token", ""),
    "one Match, does not fit": ("github", "opaque", 401, "Invalid token", ""),
    "static unknown, then no Match fits": ("keys github", "opaque", 401, "Invalid API key", ""),
    "no Match fits, then static unknown": ("github keys", "opaque", 401, "Invalid API key", ""),
    "Match on a static provider": ("keymatch", "opaque", 401, "Invalid token", ""),
    "Match on a static provider fits": ("keymatch", STATIC_KEY, 200, "static-user", ""),
    "rejected, then no Match fits": ("refusing github", "opaque", 401, "Authentication failed: 403", "refusing"),
    "no Match fits, then rejected": ("github refusing", "opaque", 401, "Authentication failed: 403", "refusing"),
    "order as written": ("corp any", "corp-token", 200, "corp", "corp"),
    "order as written, turned": ("any corp", "corp-token", 200, "any", "any"),
}


class TestRoutes:
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", key_entry(STATIC_KEY, "static-user"),
                         key_entry("key-that-has-expired-01", "late", expires="2020-01-01T00:00:00Z"))
        answers = {"any": accept("any"), "refusing": reply(403, b""), "failing": reply(500, b""), "github": accept("github"),
                   "corp": accept("corp"), "loose": accept("loose")}
        matches = {"github": "Match ^ghp_", "corp": "Match ^corp-", "loose": "Match loose"}
        text = "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"
        text += "<LlamaAuthProvider keymatch static>\nFile conf/keys.json\nMatch ^key-\n</LlamaAuthProvider>\n"
        for name, answer in answers.items():
            httpd.endpoint(name).default = answer
            options = [matches[name]] if name in matches else []
            text += provider(name, httpd.endpoint(name).url(), "CacheTTL 0", "CacheNegativeTTL 0", *options)
        for number, (names, *_) in enumerate(ROUTES.values()):
            text += location(f"/r{number}/", *names.split()) + everywhere(httpd, f"/r{number}")
        return text

    @pytest.mark.parametrize("number", [pytest.param(n, id=name) for n, name in enumerate(ROUTES)])
    def test_route(self, httpd, number):
        names, token, status, what, asked = list(ROUTES.values())[number]
        before = {name: len(e.calls) for name, e in httpd.endpoints.items()}
        response = httpd.get(f"/r{number}/x", token=token)
        assert response.status == status, response
        assert (response.note("user") if status == 200 else response.message) == what
        called = [name for name, e in httpd.endpoints.items() if len(e.calls) > before[name]]
        assert called == asked.split()

    def test_a_token_that_does_not_match_goes_nowhere(self, httpd):
        number = list(ROUTES).index("Match does not fit")
        token = new_token("opaque")
        assert httpd.get(f"/r{number}/x", token=token).status == 200
        assert not httpd.endpoint("github").calls_for(token)

    @pytest.mark.parametrize("route, hint", [("static key first", "Please provide your API key as a Bearer token in the Authorization header"),
                                             ("static key after a rejection", "(validated by 127.0.0.1:")])
    def test_hint_is_the_first_providers(self, httpd, route, hint):
        response = httpd.get(f"/r{list(ROUTES).index(route)}/x")
        assert response.status == 401 and hint in response.message


class TestOutageInAChain:
    """With 503 an outage in the chain is a 503, a rejection is not."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return ("LlamaAuthOutageStatus 503\n" + provider("one", httpd.endpoint("one").url()) +
                provider("two", httpd.endpoint("two").url()) + location("/", "one", "two"))

    @pytest.mark.parametrize("one, two, status", [("fails", "rejects", 503), ("rejects", "fails", 503), ("rejects", "rejects", 401),
                                                  ("fails", "accepts", 200), ("resets", "fails", 503)])
    def test_status(self, httpd, token, one, two, status):
        httpd.endpoint("one").on(token, behaviour(one, "one"))
        httpd.endpoint("two").on(token, behaviour(two, "two"))
        response = httpd.get("/", token=token)
        assert response.status == status
        assert (response.header("Retry-After") is not None) == (status == 503)


class TestIdentitiesDoNotMix:
    """Nothing of an earlier provider's answer is in the identity of the one that accepted."""
    expected = (r"is unavailable", r"LA0110")

    @staticmethod
    def configure(httpd):
        return (provider("one", httpd.endpoint("one").url()) + provider("two", httpd.endpoint("two").url()) +
                location("/", "one", "two", lines=("Require valid-user",)))

    @pytest.mark.parametrize("first", [
        reply(403, {"principal": "root", "attributes": {"roles": ["admin"]}, "message": "x"}),
        reply(500, {"principal": "root", "attributes": {"roles": ["admin"]}}),
        reply(200, b'{"principal": "root", "attributes": {"roles": ["admin"]}, "expires_in": "x"}')],
        ids=["rejected", "failed", "unusable at the end"])
    def test_second_identity_alone(self, httpd, token, first):
        httpd.endpoint("one").on(token, first)
        httpd.endpoint("two").on(token, accept("bob", {"teams": ["t"]}))
        response = httpd.get("/", token=token)
        assert (response.status, response.note("user"), response.note("provider")) == (200, "bob", "two")
        assert json.loads(response.note("attributes")) == {"teams": ["t"]}
        assert response.note("message") is None and response.note("attribute.roles") is None
