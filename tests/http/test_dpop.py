"""DPoP proofs over the real httpd (spec section 16): each check of RFC 9449 section 4.3, one by one, the same proof twice, what is
cached, and who is challenged. Which URI is ours: test_dpop_uri.py. Wherever requests lead: test_dpop_ways.py."""

import time
import uuid

import pytest

from configs import everywhere, location
from conftest import every_mpm
from keyserver import jwt, key_server
from prover import ALGS, Api, Prover, ath, bytes_of, held, refused
from signer import SHAPES, assemble, claims, fresh_key, key
from test_mpm import in_parallel

ASYMMETRIC = [alg for alg in SHAPES if not alg.startswith("HS")]


def sections(httpd, table):
    """Name -> options of a jwt provider that knows the tests' key; a location for each."""
    uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
    return "".join(jwt(name, uri, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
                   for name, options in table.items())


@pytest.fixture(scope="class")
def prover():
    return Prover()


class TestChecks:
    """Everything but one thing is right."""

    @staticmethod
    def configure(httpd):
        return sections(httpd, {"check": [], "some": ["Algorithms ES256 EdDSA"], "dpop": ["Binding dpop"]})

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/check")

    @pytest.fixture(scope="class")
    def token(self, prover):
        return prover.token()

    @pytest.mark.parametrize("alg", ASYMMETRIC)
    def test_algorithm(self, api, alg):
        client = Prover(alg)
        held(api.call("/check", client))
        response = api.call("/some", client, token=client.token())
        if alg in ("ES256", "EdDSA", "Ed25519", "Ed448"):
            held(response)
        else:
            refused(response, algs="ES256 EdDSA")

    @pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "DPoP  "])
    def test_scheme(self, api, prover, scheme):
        held(api.call("/check", prover, scheme=scheme))

    GOOD = {
        "iat in the future": ({}, {"iat": lambda: int(time.time()) + 290}),
        "iat with a fraction": ({}, {"iat": time.time}),
        "unknown claims": ({}, {"more": [1], "exp": 1, "aud": "x"}),
        "unknown parameters": ({"jku": "http://127.0.0.1:1/", "x5c": ["AAAA"]}, {}),
        "a nonce that nobody asked for": ({}, {"nonce": "abc"}),
        "a jti of 256 bytes": ({}, {"jti": uuid.uuid4().hex * 8}),
        "typ in capitals": ({"typ": "DPOP+JWT"}, {}),
    }

    @pytest.mark.parametrize("header, changes", GOOD.values(), ids=GOOD.keys())
    def test_good(self, api, prover, header, changes):
        held(api.call("/check", prover, header=header, changes=changes))

    BAD = {
        "no typ": ({"typ": None}, {}),
        "typ JWT": ({"typ": "JWT"}, {}),
        "no jwk": ({"jwk": None}, {}),
        "jwk null": ({"jwk": {}}, {}),
        "jwk of another": ({"jwk": fresh_key().jwk.export_public(as_dict=True)}, {}),
        "jwk oct": ({"jwk": {"kty": "oct", "k": "AAAA"}}, {}),
        "alg none": ({"alg": "none"}, {}),
        "alg HS256": ({"alg": "HS256"}, {}),
        "alg of another curve": ({"alg": "ES384"}, {}),
        "crit": ({"crit": ["x"], "x": 1}, {}),
        "b64": ({"b64": True}, {}),
        "no jti": ({}, {"jti": None}),
        "empty jti": ({}, {"jti": ""}),
        "jti a number": ({}, {"jti": 7}),
        "jti of 257 bytes": ({}, {"jti": "x" * 257}),
        "no htm": ({}, {"htm": None}),
        "htm of another": ({}, {"htm": "POST"}),
        "htm in small letters": ({}, {"htm": "get"}),
        "no htu": ({}, {"htu": None}),
        "no iat": ({}, {"iat": None}),
        "iat too old": ({}, {"iat": int(time.time()) - 310}),
        "iat an hour ago": ({}, {"iat": int(time.time()) - 3600}),
        "iat ten years ago": ({}, {"iat": int(time.time()) - 315360000}),
        "iat ten years ahead": ({}, {"iat": int(time.time()) + 315360000}),
        "iat too far ahead": ({}, {"iat": int(time.time()) + 3600}),
        "iat a string": ({}, {"iat": str(int(time.time()))}),
        "iat 1e300": ({}, {"iat": 1e300}),
        "iat negative": ({}, {"iat": -1}),
        "iat null is no number": ({}, {"iat": True}),
        "no ath": ({}, {"ath": None}),
        "ath of another token": ({}, {"ath": ath("another")}),
        "nonce a number": ({}, {"nonce": 7}),
    }

    @pytest.mark.parametrize("header, changes", BAD.values(), ids=BAD.keys())
    def test_bad(self, httpd, api, prover, token, header, changes):
        refused(api.call("/check", prover, token=token, header=header, changes=changes))

    @pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    def test_private_member(self, api, prover, token, member):
        refused(api.call("/check", prover, token=token, header={"jwk": {**prover.jwk, member: "AAAA"}}))

    def test_whole_private_key(self, api, prover, token):
        whole = prover.key.jwk.export(as_dict=True)
        mark = api.httpd.log.mark()
        refused(api.call("/check", prover, token=token, header={"jwk": whole}))
        line = api.httpd.log.await_line("LA0026", mark)
        assert line.text.endswith("jwk has the private member d, expected a public key"), line
        assert whole["d"].encode() not in api.httpd.log.everything()

    def test_signed_by_another(self, api, prover, token):
        refused(api.call("/check", prover, token=token, signer=fresh_key()))

    def test_signed_with_the_public_key_as_a_secret(self, api, prover, token):
        refused(api.send("/check", token, assemble({"typ": "dpop+jwt", "alg": "HS256", "jwk": prover.jwk},
                                                   {"jti": "a", "htm": "GET", "htu": api.origin + "/check", "iat": int(time.time()),
                                                    "ath": ath(token)}, b"x" * 32)))

    def test_another_client(self, api, prover, token):
        """A proof by a key that the token is not bound to."""
        other = Prover()
        refused(api.send("/check", token, other.proof("GET", api.origin + "/check", token)))

    def test_no_proof(self, httpd, api, token):
        refused(api.send("/check", token))

    @pytest.mark.parametrize("proof", ["", "abc", "a.b.c", "eyJ.eyJ.", "." * 3000, "eyJhbGciOiJub25lIn0.e30."])
    def test_nonsense(self, api, token, proof):
        refused(api.send("/check", token, proof))

    @pytest.mark.parametrize("count", [2, 10])
    def test_several(self, httpd, api, prover, token, count):
        mark = httpd.log.mark()
        refused(api.send("/check", token, *(prover.proof("GET", api.origin + "/check", token) for _ in range(count))))
        assert httpd.log.await_line("LA0026", mark).text.endswith("the field DPoP came more than once")

    def test_twice_the_same(self, api, prover, token):
        proof = prover.proof("GET", api.origin + "/check", token)
        refused(api.send("/check", token, proof, proof))
        refused(api.send("/check", token, f"{proof}, {proof}"))
        refused(api.send("/check", token, proof + " " + proof))
        held(api.send("/check", token, proof))  # none of these counted

    def test_hundred_kilobytes(self, api, prover, token):
        """httpd itself refuses a field that long."""
        response = api.send("/check", token, prover.proof("GET", api.origin + "/check", token, more="x" * 100000))
        assert response.status == 400

    def test_the_method(self, api, prover, token):
        for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH"):
            refused(api.call("/check", prover, token=token, method="POST", changes={"htm": method}))
        response = api.call("/check", prover, token=token, method="HEAD")
        assert (response.status, response.note("user")) == (200, "alice")
        response = api.call("/check", prover, token=token, method="HEAD", changes={"htm": "GET"})
        assert (response.status, response.body) == (401, b"")

    def test_http_1_0(self, api, prover, token):
        held(api.call("/check", prover, token=token, version="1.0"))

    def test_downgrade(self, api, prover, token):
        """A bound token by the scheme Bearer is refused, with a proof that holds too."""
        proof = prover.proof("GET", api.origin + "/check", token)
        refused(api.send("/check", token, scheme="Bearer"))
        refused(api.send("/check", token, proof, scheme="Bearer"))
        held(api.send("/check", token, proof))

    def test_unbound_token(self, api, prover):
        """By the scheme DPoP it is refused: nobody can show that it is the sender's."""
        token = key("ES256").sign(claims())
        refused(api.call("/check", prover, token=token), "invalid_token")
        held(api.send("/check", token, scheme="Bearer"))
        refused(api.call("/dpop", prover, token=token), "invalid_token")
        response = api.send("/dpop", token, scheme="Bearer")
        assert response.status == 401 and response.proof_challenge == {"algs": ALGS}

    CNF = {"null": None, "empty": {}, "a list": [], "a string": "x", "jkt a number": {"jkt": 7}, "jkt empty": {"jkt": ""},
           "jkt too short": {"jkt": "abc"}, "an unknown member": {"kid": "a"}}

    @pytest.mark.parametrize("cnf", CNF.values(), ids=CNF.keys())
    def test_strange_cnf(self, api, prover, cnf):
        token = key("ES256").sign({**claims(), "cnf": cnf})
        refused(api.call("/check", prover, token=token), "invalid_token")
        response = api.send("/check", token, scheme="Bearer")
        assert (response.status, response.proof_challenge) == (401, None)

    def test_one_more_member(self, api, prover):
        token = prover.token(cnf={"jkt": prover.jkt, "more": 1})
        refused(api.call("/check", prover, token=token), "invalid_token")

    def test_the_log_says_why(self, httpd, api, prover, token):
        mark = httpd.log.mark()
        refused(api.call("/check", prover, token=token, htu="https://other.example/check?secret=1"))
        line = httpd.log.await_line("LA0026", mark)
        assert line.text.endswith(f'htu is "https://other.example/check", expected "{api.origin}/check"'), line
        assert "Binding" in line.text

    def test_other_rejections(self, api, prover):
        """A token that is not good is refused as such, whatever its proof."""
        response = api.call("/check", prover, token=prover.token(exp=1))
        assert (response.status, response.message) == (401, "Invalid JWT token")
        assert response.proof_challenge == {"error": "invalid_token", "algs": ALGS}


class TestReplay:
    @staticmethod
    def configure(httpd):
        return "LimitRequestFieldSize 200000\n" + sections(httpd, {"a": [], "b": ["Binding dpop"]})

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/a")

    def test_once(self, httpd, api, prover):
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/a", token)
        held(api.send("/a", token, proof))
        mark = httpd.log.mark()
        for _ in range(5):
            refused(api.send("/a", token, proof))
        assert httpd.log.await_line("LA0026", mark).text.endswith("its jti was seen before")

    def test_same_jti(self, api, prover):
        """A jti is good once for a key, in any other proof too; another key may use the same."""
        other, jti = Prover(), uuid.uuid4().hex
        held(api.call("/a", prover, changes={"jti": jti}))
        refused(api.call("/a", prover, changes={"jti": jti}))
        refused(api.call("/b", prover, changes={"jti": jti}))
        for seconds in (-250, -70, 70, 250):
            refused(api.call("/a", prover, changes={"jti": jti, "iat": int(time.time()) + seconds}))
        held(api.call("/a", other, changes={"jti": jti}))

    def test_refused_before_it_is_remembered(self, api, prover):
        """Whoever sees a proof cannot use it up where it does not hold."""
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/a", token)
        refused(api.send("/b", token, proof))
        refused(api.send("/a", token, proof, method="POST"))
        refused(api.send("/a", prover.token(), proof))
        assert api.send("/a", "opaque", proof).status == 401
        held(api.send("/a", token, proof))

    @pytest.mark.parametrize("size, good", [(7000, True), (11000, True), (13000, False), (100000, False)])
    def test_size(self, api, prover, size, good):
        """Where httpd lets longer fields through; a third of it is base64."""
        response = api.call("/a", prover, changes={"more": "x" * size})
        held(response) if good else refused(response)

    def test_cached_token(self, httpd, api, prover):
        """What is cached is checked with each request's own proof."""
        token = prover.token()
        response = api.call("/a", prover, token=token)
        held(response)
        for _ in range(3):
            response = api.call("/a", prover, token=token)
            held(response)
            assert response.note("cache") == "hit"
        refused(api.send("/a", token))
        refused(api.send("/a", token, scheme="Bearer"))
        refused(api.call("/a", prover, token=token, changes={"ath": "x"}))
        refused(api.send("/a", token, Prover().proof("GET", api.origin + "/a", token)))
        held(api.call("/a", prover, token=token))

    def test_one_connection(self, httpd, api, prover):
        """What a connection remembers of a token says nothing of a proof."""
        token = prover.token()
        with httpd.connect(api.port) as connection:
            for good in (True, False, True, False):
                proof = prover.proof("GET", api.origin + "/a", token, **({} if good else {"htm": "PUT"}))
                connection.send(bytes_of(api, "/a", token, proof))
                response = connection.read()
                held(response) if good else refused(response)


@every_mpm
class TestProcesses:
    """One proof by many connections at once, to all processes: one gets through."""
    processes = 4

    @staticmethod
    def configure(httpd):
        return sections(httpd, {"a": []})

    def test_race(self, httpd, prover):
        api = Api(httpd, ready="/a")
        for _ in range(10):
            token = prover.token()
            request = bytes_of(api, "/a", token, prover.proof("GET", api.origin + "/a", token))
            statuses = []

            def client(_):
                with httpd.connect() as connection:
                    connection.send(request)
                    statuses.append(connection.read().status)
            in_parallel(8, client)
            assert sorted(statuses) == [200] + 7 * [401]

    def test_graceful(self, httpd, prover):
        api = Api(httpd, ready="/a")
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/a", token)
        held(api.send("/a", token, proof))
        httpd.graceful()
        refused(api.send("/a", token, proof))
        held(api.call("/a", prover, token=token))


class TestChallenges:
    """Who is told of DPoP, and who asks for it."""

    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {key_server(httpd).url('/jwks')}"
        text = sections(httpd, {"check": [], "require": ["Binding require"], "dpop": ["Binding dpop", "Algorithms ES256 RS256"],
                                "mtls": ["Binding mtls"], "ignore": ["Binding ignore"]})
        text += jwt("elsewhere", uri, "ExpectIssuer https://elsewhere.example", "Binding ignore")
        httpd.write_keys("conf/keys.json")
        text += "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"
        for path, names in (("/mixed", ("elsewhere", "keys", "dpop")), ("/nobody", ("ignore", "keys"))):
            text += location(path, *names) + everywhere(httpd, path)
        return text

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/check")

    @pytest.mark.parametrize("path, algs", [("check", None), ("require", ALGS), ("dpop", "RS256 ES256"), ("mtls", None),
                                            ("ignore", None), ("mixed", "RS256 ES256"), ("nobody", None)])
    def test_no_token(self, httpd, path, algs):
        response = httpd.get("/" + path)
        assert (response.status, response.note("error")) == (401, "missing_token")
        assert "error" not in response.challenge
        assert response.proof_challenge == ({"algs": algs} if algs else None)

    def test_order(self, httpd):
        """Bearer's is the first challenge."""
        assert [v.split(" ")[0] for v in httpd.get("/dpop").all("WWW-Authenticate")] == ["Bearer", "DPoP"]

    @pytest.mark.parametrize("path", ["ignore", "nobody"])
    def test_ignored(self, api, prover, path):
        """There DPoP is a scheme like any other, and cnf is not looked at."""
        token = prover.token()
        response = api.call("/" + path, prover, token=token)
        assert (response.status, response.note("error")) == (401, "invalid_request")
        assert response.proof_challenge is None
        held(api.send("/" + path, token, scheme="Bearer"))

    def test_chain(self, api, prover):
        held(api.call("/mixed", prover))
        refused(api.send("/mixed", prover.token()), algs="RS256 ES256")

    @pytest.mark.parametrize("value", ["DPoP", "DPoP ", "DPoP a,b", "DPoP a b"])
    def test_malformed(self, httpd, value):
        response = httpd.get("/dpop", headers=[("Authorization", value)])
        assert (response.status, response.note("error")) == (401, "invalid_request")
        assert response.proof_challenge == {"algs": "RS256 ES256"}

    def test_required(self, api, prover):
        token = key("ES256").sign(claims())
        for path in ("require", "dpop"):
            response = api.send("/" + path, token, scheme="Bearer")
            assert (response.status, response.message) == (401, "Invalid token binding")
            held(api.call("/" + path, prover))

    def test_mtls_alone(self, api, prover):
        """jkt holds, but a certificate is demanded."""
        response = api.call("/mtls", prover)
        assert (response.status, response.message) == (401, "Invalid token binding")


class TestNonces:
    @staticmethod
    def configure(httpd):
        return sections(httpd, {"nonce": ["DPoPNonce on"], "dpop": ["DPoPNonce on", "Binding dpop"], "plain": []})

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/plain")

    def test_asked_for(self, httpd, api, prover):
        token = prover.token()
        first = api.call("/nonce", prover, token=token)
        refused(first, "use_dpop_nonce")
        nonce = first.header("DPoP-Nonce")
        assert nonce
        second = api.call("/nonce", prover, token=token, changes={"nonce": nonce})
        held(second)
        assert second.header("DPoP-Nonce") is None  # it is good for some time
        held(api.call("/nonce", prover, token=token, changes={"nonce": nonce}))

    def test_the_proof_is_not_used_up(self, api, prover):
        token = prover.token()
        jti = uuid.uuid4().hex
        nonce = api.call("/nonce", prover, token=token, changes={"jti": jti}).header("DPoP-Nonce")
        held(api.call("/nonce", prover, token=token, changes={"jti": jti, "nonce": nonce}))

    @pytest.mark.parametrize("spoil", [lambda n: "", lambda n: n[:-1], lambda n: n + "0", lambda n: "0" * len(n), lambda n: "x" * 3000,
                                       lambda n: n[::-1]])
    def test_not_ours(self, api, prover, spoil):
        nonce = api.call("/nonce", prover).header("DPoP-Nonce")
        response = api.call("/nonce", prover, changes={"nonce": spoil(nonce)})
        refused(response, "use_dpop_nonce")
        assert response.header("DPoP-Nonce")

    def test_without_a_token(self, httpd):
        response = httpd.get("/dpop")
        assert response.proof_challenge == {"algs": ALGS} and response.header("DPoP-Nonce")
        assert httpd.get("/nonce").header("DPoP-Nonce") is None  # where a proof is not demanded

    def test_other_failures_come_first(self, api, prover):
        refused(api.call("/nonce", prover, changes={"htm": "PUT"}))

    def test_over_processes(self, api, prover):
        nonce = api.call("/nonce", prover).header("DPoP-Nonce")
        for _ in range(20):
            held(api.call("/nonce", prover, changes={"nonce": nonce}))

    def test_elsewhere(self, api, prover):
        response = api.call("/plain", prover)
        held(response)
        assert response.header("DPoP-Nonce") is None
