"""A real OAuth2 server, oidc-provider: opaque tokens by introspection, JWTs by its key set, revocation, and key rotation under load
(targets.md section 4, rows 10, 20 and 22)."""

import json

import pytest

from configs import everywhere, location
from conftest import every_mpm
from errorlog import await_until
from idp import ALGORITHMS, CALLER, CLAIMS, GATEWAY, POSTER, SECRETS, resource
from keyserver import accepted, jwt, rejected
from test_cache_segment import restart
from traffic import Burst, Load

ATTRIBUTES = {"roles": [CALLER], "teams": [*CLAIMS[CALLER]["groups"], CLAIMS[CALLER]["team"]],
              "namespaces": [CLAIMS[CALLER]["tenant"]], "scopes": ["models.read", "telemetry.read"]}
INTROSPECTION = "/token/introspection"
KEYS = "/jwks"


def introspection(httpd, name, client, *options):
    """An `introspection` provider that authenticates as this client."""
    httpd.write(f"conf/{name}.secret", SECRETS[client])
    lines = [f"<LlamaAuthProvider {name} introspection>", f'ClientId "{client}"', f"ClientSecret file:conf/{name}.secret", *options]
    return "\n    ".join(lines) + "\n</LlamaAuthProvider>\n" + location(f"/{name}", name) + everywhere(httpd, f"/{name}")


def issuer(idp, kind, *options):
    """A `jwt` provider for the tokens of a kind, by discovery."""
    return jwt(kind, f"Issuer {idp.issuer}", f"Audience {resource(kind)}", *options)


def not_active(response):
    assert (response.status, response.note("error"), response.message) == (401, "invalid_token", "Token not active"), response


def caller(response, attributes=None):
    """The answer knows the caller, and all that the server says of it."""
    accepted(response, CALLER)
    assert json.loads(response.note("attributes")) == (attributes or ATTRIBUTES)


class TestJwt:
    """JWT access tokens in every algorithm, with nothing configured but issuer and audience."""
    needs_idp = True

    @staticmethod
    def configure(httpd):
        sections = "".join(issuer(httpd.idp, alg) + location(f"/{alg}", alg) + everywhere(httpd, f"/{alg}") for alg in ALGORITHMS)
        return sections + issuer(httpd.idp, "ES256", "RequireType at+jwt").replace(" ES256 ", " strict ") + location(
            "/strict", "strict", lines=("Require valid-user", "RequireScope telemetry.read")) + everywhere(httpd, "/strict")

    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_accepted(self, httpd, idp, alg):
        caller(httpd.get(f"/{alg}", token=idp.token(alg)))
        token = idp.token(alg)
        caller(httpd.get(f"/{alg}", token=token))
        assert httpd.get(f"/{alg}", token=token).note("cache") == "hit"

    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_for_another_resource(self, httpd, idp, alg):
        other = ALGORITHMS[ALGORITHMS.index(alg) - 1]
        rejected(httpd.get(f"/{alg}", token=idp.token(other)))

    def test_opaque(self, httpd, idp):
        rejected(httpd.get("/RS256", token=idp.token("opaque")))

    def test_scope(self, httpd, idp):
        caller(httpd.get("/strict", token=idp.token("ES256")))
        answer = httpd.get("/strict", token=idp.token("ES256", scope="models.read"))
        assert (answer.status, answer.note("error")) == (403, "insufficient_scope")
        assert answer.challenge["scope"] == "telemetry.read"

    def test_one_fetch_for_all(self, httpd, idp):
        """Each provider has fetched metadata and key set once, however many tokens came since."""
        for _ in range(3):
            for alg in ALGORITHMS:
                accepted(httpd.get(f"/{alg}", token=idp.token(alg)))
        before = idp.requests(KEYS)
        for answer in Burst(httpd, [(f"/{alg}", idp.token(alg)) for alg in ALGORITHMS] * 3).read():
            accepted(answer)
        assert idp.requests(KEYS) == before


class TestOpaque:
    """Opaque access tokens by introspection."""
    needs_idp = True
    expected = (r"provider wrong is unavailable",)

    @staticmethod
    def configure(httpd):
        endpoint, audience = f"Endpoint {httpd.idp.issuer}{INTROSPECTION}", f"Audience {resource('opaque')}"
        httpd.secrets |= {secret.encode() for secret in SECRETS.values()}
        httpd.write("conf/bad.secret", "not the secret")
        return (introspection(httpd, "basic", GATEWAY, endpoint) +
                introspection(httpd, "post", POSTER, endpoint, "ClientAuth post", audience) +
                introspection(httpd, "found", GATEWAY, f"Issuer {httpd.idp.issuer}", audience, f"ExpectIssuer {httpd.idp.issuer}") +
                introspection(httpd, "brief", GATEWAY, endpoint, "CacheTTL 1s") +
                introspection(httpd, "foreign", GATEWAY, endpoint, "Audience urn:llama:else") +
                introspection(httpd, "strange", GATEWAY, endpoint, "ExpectIssuer https://else.example") +
                introspection(httpd, "wrong", GATEWAY, endpoint, "Breaker off").replace("conf/wrong.secret", "conf/bad.secret"))

    # Introspection of these tokens says no `sub`: the client is the principal, and no role comes of it.
    ATTRIBUTES = {name: values for name, values in ATTRIBUTES.items() if name != "roles"}

    @pytest.mark.parametrize("name", ["basic", "post", "found"])
    def test_accepted(self, httpd, idp, name):
        token = idp.token("opaque")
        before = idp.requests(INTROSPECTION)
        caller(httpd.get(f"/{name}", token=token), self.ATTRIBUTES)
        assert httpd.get(f"/{name}", token=token).note("cache") == "hit"
        assert idp.requests(INTROSPECTION) == before + 1

    @pytest.mark.parametrize("name", ["basic", "post", "found"])
    def test_unknown(self, httpd, name):
        not_active(httpd.get(f"/{name}", token="never-issued-by-anybody"))

    @pytest.mark.parametrize("name", ["basic", "post", "found"])
    def test_revoked_before(self, httpd, idp, name):
        token = idp.token("opaque")
        idp.revoke(token)
        not_active(httpd.get(f"/{name}", token=token))

    def test_revoked_while_cached(self, httpd, idp):
        """Row 22: refused within CacheTTL."""
        token, other = idp.token("opaque"), idp.token("opaque")
        accepted(httpd.get("/brief", token=token))
        idp.revoke(token)
        await_until(lambda: httpd.get("/brief", token=token).status == 401, "the end of the token", patience=3)
        not_active(httpd.get("/brief", token=token))
        accepted(httpd.get("/brief", token=other))

    def test_for_others(self, httpd, idp):
        not_active(httpd.get("/foreign", token=idp.token("opaque")))
        not_active(httpd.get("/strange", token=idp.token("opaque")))

    def test_our_own_credentials_are_wrong(self, httpd, idp):
        """Row 10: no fault of the caller."""
        mark = httpd.log.mark()
        response = httpd.get("/wrong", token=idp.token("opaque"))
        assert (response.status, response.note("error")) == (401, "provider_error")
        assert response.message == "Token introspection failed: 401"
        assert "error" not in response.challenge
        httpd.log.await_line("ClientId|ClientSecret|credential", mark, module="llama_auth", level="error")

    def test_many_at_once(self, httpd, idp):
        tokens = [idp.token("opaque") for _ in range(httpd.workers // 2)]
        before = idp.requests(INTROSPECTION)
        for answer in Burst(httpd, [("/basic", token) for token in tokens]).read():
            caller(answer, self.ATTRIBUTES)
        assert idp.requests(INTROSPECTION) == before + len(tokens)
        for answer in Burst(httpd, [("/basic", token) for token in tokens] * 3).read():  # known by now, so no place is needed
            caller(answer, self.ATTRIBUTES)
        assert idp.requests(INTROSPECTION) == before + len(tokens)


class TestBoth:
    """One location for both kinds of tokens of one server."""
    needs_idp = True

    @staticmethod
    def configure(httpd):
        return (issuer(httpd.idp, "RS256") + introspection(httpd, "opaque", GATEWAY, f"Issuer {httpd.idp.issuer}") +
                location("/both", "RS256", "opaque") + everywhere(httpd, "/both"))

    def test_each_goes_its_way(self, httpd, idp):
        before = idp.requests(INTROSPECTION)
        response = httpd.get("/both", token=idp.token("RS256"))
        caller(response)
        assert (response.note("provider"), idp.requests(INTROSPECTION)) == ("RS256", before)
        response = httpd.get("/both", token=idp.token("opaque"))
        accepted(response, CALLER)
        assert (response.note("provider"), idp.requests(INTROSPECTION)) == ("opaque", before + 1)


@every_mpm
class TestRotation:
    """Row 20: a new key under load. Nobody's token is refused, whichever key signed it, and one fetch brings the key to all processes."""
    needs_idp = True
    processes = 4
    ALG = "ES256"

    @classmethod
    def configure(cls, httpd):
        return issuer(httpd.idp, cls.ALG, "CacheTTL 1s") + location("/", cls.ALG)

    def test_under_load(self, httpd, idp):
        tokens = [idp.token(self.ALG) for _ in range(30)]

        def choose(chance):
            return "/", chance.choice(tokens)

        def judge(token, response):
            accepted(response, CALLER)
        accepted(httpd.get("/", token=tokens[0]))
        before = idp.requests(KEYS)
        with Load(httpd, choose, judge, clients=6, keep=False) as load:
            await_until(lambda: load.failures or load.answers > 100, "answers with the old key")
            idp.rotate(self.ALG)
            tokens += [idp.token(self.ALG) for _ in range(30)]
            answers = load.answers
            await_until(lambda: load.failures or load.answers > answers + 500, "answers with both")
        assert idp.requests(KEYS) == before + 1


class TestWithdrawal:
    """A key that its server publishes no longer ends the life of its tokens at the next refresh, cached or not."""
    needs_idp = True
    ALG = "PS256"

    @classmethod
    def configure(cls, httpd):
        return issuer(httpd.idp, cls.ALG, "CacheTTL 1h", "JwksRefresh 2s") + location("/", cls.ALG)

    def test_withdrawn(self, httpd, idp):
        retired = idp.rotate(self.ALG)
        old = idp.token(self.ALG)
        await_until(lambda: httpd.get("/", token=old).status == 200, "the first key")
        idp.rotate(self.ALG)
        new = idp.token(self.ALG)
        await_until(lambda: httpd.get("/", token=new).status == 200, "the second key", patience=4)
        assert [httpd.get("/", token=old).note("cache") for _ in range(2)] == ["miss", "hit"]

        def judge(token, response):
            if token == new:
                accepted(response, CALLER)
        with Load(httpd, lambda chance: ("/", chance.choice((old, new))), judge, clients=3, keep=False):
            idp.withdraw(retired)
            await_until(lambda: httpd.get("/", token=old).note("error") == "invalid_token", "the end of the first key", patience=6)
        rejected(httpd.get("/", token=old))
        restart(httpd)
        rejected(httpd.get("/", token=old))
        accepted(httpd.get("/", token=new), CALLER)
