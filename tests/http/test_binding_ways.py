"""Where a proof and a token under the scheme DPoP may go, and where they may not (spec section 16): the backend, custom endpoints, CGI,
caches, pages of other origins."""

import re
import subprocess
import time

import pytest

from behaviour import accept, render
from configs import everywhere, location, provider
from conftest import new_token
from errorlog import await_until
from keyserver import jwt, key_server
from prover import Api, Prover, held
from signer import claims, key
from test_recipes import block, chapter
from tls_client import TlsConnection, context, thumbprint

SECRET = "backend-secret-of-mine"
ORIGIN = "https://app.example"


def idp(httpd, *options):
    return jwt("idp", f"JwksUri {key_server(httpd).put_keys(key('ES256'))}", *options)


@pytest.fixture(scope="class")
def prover():
    return Prover()


# location: (lines, what the backend is sent: of the client's Authorization, of its proof, another Authorization's beginning)
PLACES = {
    "on": ("", True, True, None),
    "off": ("LlamaAuthForwardToken off", False, False, None),
    "key": (f"LlamaAuthBackendToken {SECRET}", False, False, f"Bearer {SECRET}"),
    "key-header": (f"LlamaAuthBackendToken {SECRET} header:X-Key", False, False, None),
    "signed": ("LlamaAuthForward Authorization assertion:internal", False, False, "Bearer ey"),
    "signed-header": ("LlamaAuthForward X-Assertion assertion:internal", True, True, None),
    "sources": ("LlamaAuthTokenSource Authorization header:x-api-key\nLlamaAuthForwardToken off", False, False, None),
}
# The gateway's own credential is in X-Api-Key, and what stands in Authorization is the backend's business.
OTHERS = {
    "other": ("LlamaAuthForwardToken off", True, True, None),
    "other-key": (f"LlamaAuthBackendToken {SECRET}", False, False, f"Bearer {SECRET}"),
    "other-key-header": (f"LlamaAuthBackendToken {SECRET} header:X-Key", True, True, None),
    "other-signed": ("LlamaAuthForward Authorization assertion:internal", False, False, "Bearer ey"),
}


class TestBackend:
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.endpoint("backend").default = lambda peer, call: peer.send(render(200, b"{}", []))
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        httpd.root / "conf" / "signer.pem"], check=True, capture_output=True)
        (httpd.root / "conf" / "signer.pem").chmod(0o644)
        httpd.secrets.add(SECRET.encode())
        text = idp(httpd) + ("<LlamaAuthSigner internal>\n Key file:conf/signer.pem\n Issuer https://api.example.com\n Audience x\n"
                             "</LlamaAuthSigner>\n")
        for name, (lines, *_) in {**PLACES, **OTHERS}.items():
            source = "LlamaAuthTokenSource header:x-api-key\n" if name in OTHERS else ""
            text += location(f"/{name}", "idp", lines=("Require valid-user", source + lines))
            text += f'ProxyPass "/{name}" "http://127.0.0.1:{httpd.endpoint("backend").port}/{name}"\n'
        return text

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/on")

    @staticmethod
    def check(httpd, place, credential, proof):
        _, keeps_token, keeps_proof, other = {**PLACES, **OTHERS}[place]
        call = httpd.endpoint("backend").calls[-1]
        assert call.target == f"/{place}"
        sent = call.header("Authorization")
        assert sent.startswith(other) if other else sent == (credential if keeps_token else None)
        assert call.header("DPoP") == (proof if keeps_proof else None)

    @pytest.mark.parametrize("name", ["DPoP", "dpop", "DPOP"])
    @pytest.mark.parametrize("scheme", ["DPoP", "dpop"])
    @pytest.mark.parametrize("place", PLACES)
    def test_bound_token(self, httpd, api, prover, place, scheme, name):
        token = prover.token()
        proof = prover.proof("GET", f"{api.origin}/{place}", token)
        httpd.secrets |= {token.encode(), proof.encode()}
        headers = [("Authorization", f"{scheme} {token}"), (name, proof)]
        assert httpd.get(f"/{place}", headers=headers, host=api.origin.split("://")[1]).status == 200
        self.check(httpd, place, f"{scheme} {token}", proof)

    @pytest.mark.parametrize("place", PLACES)
    def test_a_proof_that_nobody_needed(self, httpd, place):
        token = key("ES256").sign(claims())
        assert httpd.get(f"/{place}", token=token, headers=[("DPoP", "stray")]).status == 200
        self.check(httpd, place, f"Bearer {token}", "stray")

    @pytest.mark.parametrize("place", OTHERS)
    def test_the_token_is_elsewhere(self, httpd, place):
        token = key("ES256").sign(claims())
        httpd.secrets.add(token.encode())
        headers = [("X-Api-Key", token), ("Authorization", "DPoP of-the-backend"), ("DPoP", "proof-of-the-backend")]
        assert httpd.get(f"/{place}", headers=headers).status == 200
        self.check(httpd, place, "DPoP of-the-backend", "proof-of-the-backend")

    @pytest.mark.parametrize("named", ["DPoP", "Authorization, DPoP", "close, dpop"])
    def test_connection(self, httpd, api, prover, named):
        """A client may take its own proof from the backend; what it may not see stays away."""
        for place in ("on", "off", "key"):
            token = prover.token()
            response = api.send(f"/{place}", token, prover.proof("GET", f"{api.origin}/{place}", token), headers=[("Connection", named)])
            assert response.status == 200
            assert httpd.endpoint("backend").calls[-1].header("DPoP") is None


class TestCustom:
    """An endpoint that is told all fields learns neither proof nor scheme."""

    @staticmethod
    def configure(httpd):
        return (provider("corp", httpd.endpoint().url(), "SendHeaders all", "CacheVary none") + idp(httpd) +
                location("/corp", "corp") + location("/idp", "idp") + everywhere(httpd, "/corp") + everywhere(httpd, "/idp"))

    def test_question(self, httpd, prover):
        api = Api(httpd, ready="/idp")
        token = httpd.endpoint().on(new_token(), accept("alice", cnf={"jkt": prover.jkt}))
        held(api.call("/corp", prover, token=token, headers=[("X-Other", "y")]))
        call = httpd.endpoint().call(token)
        headers = call.json["request"]["headers"]
        assert headers["x-other"] == "y"
        assert not {"dpop", "authorization"} & set(headers)
        assert "dpop" not in call.body.decode().lower() and not call.all("DPoP")


class TestCgi:
    """CGI's copies of the fields, and what they become where one section leads to another."""
    modules = ("cgid", "include")

    @staticmethod
    def configure(httpd):
        for name in ("on", "off"):
            httpd.write(f"htdocs/{name}/env.cgi", "#!/bin/sh\necho Content-Type: text/plain\necho\nenv\n").chmod(0o755)
            httpd.write(f"htdocs/{name}/page.shtml", '<!--#printenv --><!--#include virtual="/off/env.cgi" -->')
        return idp(httpd) + f"""
ScriptSock cgisock
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +Includes
    AddHandler cgi-script .cgi
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
""" + location("/on", "idp", lines=("Require valid-user", "ErrorDocument 404 /off/env.cgi")) + location(
            "/off", "idp", lines=("Require valid-user", "LlamaAuthForwardToken off"))

    @pytest.mark.parametrize("path, status, proofs", [
        ("/on/env.cgi", 200, 1), ("/off/env.cgi", 200, 0), ("/off/page.shtml", 200, 0), ("/on/missing", 404, 0)])
    def test_variables(self, httpd, prover, path, status, proofs):
        api = Api(httpd, ready="/on/env.cgi")
        token = prover.token()
        proof = prover.proof("GET", api.origin + path, token)
        response = api.send(path, token, proof)
        assert response.status == status
        assert b"LLAMA" in response.body or b"REMOTE_USER=alice" in response.body, response
        assert response.body.count(proof.encode()) == proofs, response
        assert response.body.count(b"HTTP_DPOP") == proofs
        assert token.encode() not in response.body

    def test_included(self, httpd, prover):
        """mod_include knows the proof of its own section; the page that it includes does not."""
        api = Api(httpd, ready="/on/env.cgi")
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/on/page.shtml", token)
        response = api.send("/on/page.shtml", token, proof)
        assert response.status == 200 and response.body.count(b"REMOTE_USER=alice") == 2, response
        assert response.body.count(b"HTTP_DPOP") == 1


@pytest.mark.parametrize("quick", ["on", "off"])
class TestModCache:
    """mod_cache keeps no answer to a request with a proof, however public the backend calls it: it would ask nobody for one."""

    @pytest.fixture
    def caching(self, bare, quick):
        httpd = bare
        httpd.modules += ("cache", "cache_disk", "cgid")
        (httpd.root / "cache").mkdir()
        (httpd.root / "cache").chmod(0o777)
        for name in ("v1/page", "open/page"):
            httpd.write(f"htdocs/{name}.cgi", '#!/bin/sh\nprintf "Content-Type: text/plain\\nCache-Control: public, max-age=60\\n\\n"\n'
                        'echo "for $REMOTE_USER"\n').chmod(0o755)
        httpd.configure(idp(httpd) + f"""
ScriptSock cgisock
CacheRoot "{httpd.root}/cache"
CacheEnable disk /
CacheQuickHandler {quick}
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
""" + location("/v1", "idp"))
        httpd.start()
        return httpd

    @staticmethod
    def stored(httpd):
        return list((httpd.root / "cache").rglob("*.data"))

    def test_kept_apart(self, caching, prover):
        api = Api(caching, ready="/v1/page.cgi")
        for _ in range(2):
            response = api.call("/v1/page.cgi", prover)
            assert (response.status, response.body) == (200, b"for alice\n")
        assert caching.get("/v1/page.cgi").status == 401
        assert caching.get("/open/page.cgi").status == 200
        await_until(lambda: self.stored(caching), "the open page to be stored")
        caching.logged("200 alice alice ", 3)  # by now the others would be
        assert len(self.stored(caching)) == 1
        assert caching.get("/v1/page.cgi").status == 401


class TestPages:
    """What a page of another origin may send and read."""

    @staticmethod
    def configure(httpd):
        return (idp(httpd, "Binding dpop", "DPoPNonce on") + everywhere(httpd, "/v1") +
                location("/v1", "idp", lines=("Require valid-user", f"LlamaAuthCors {ORIGIN}")))

    def test_preflight(self, httpd):
        asked = "authorization, dpop, content-type"
        response = httpd.request("OPTIONS", "/v1", headers=[("Origin", ORIGIN), ("Access-Control-Request-Method", "POST"),
                                                            ("Access-Control-Request-Headers", asked)])
        assert (response.status, response.header("Access-Control-Allow-Headers")) == (204, asked)

    def test_what_it_reads(self, httpd, prover):
        api = Api(httpd)
        response = api.call("/v1", prover, headers=[("Origin", ORIGIN)])
        assert response.status == 401 and response.header("DPoP-Nonce")
        exposed = [name.strip().lower() for name in response.header("Access-Control-Expose-Headers").split(",")]
        assert {"dpop-nonce", "www-authenticate"} <= set(exposed)


class TestLogs:
    """No log holds a proof, at trace8 either (server.py looks for all secrets in the error log), nor the access log."""
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        return idp(httpd) + location("/v1", "idp") + everywhere(httpd, "/v1")

    def test_refused_proofs(self, httpd, prover):
        api = Api(httpd, ready="/v1")
        token = prover.token()
        for changes in ({"htm": "POST"}, {"iat": int(time.time()) - 4000}, {"ath": "x"}, {"jti": ""}):
            assert api.call("/v1", prover, token=token, changes=changes).status == 401
        assert token.encode() not in httpd.log.everything()


class TestReadme:
    """The configurations of README.md's chapter."""
    modules = ("ssl", "socache_shmcb")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        httpd.pki.root("self-signed")
        httpd.pki.path("self-signed.key").chmod(0o644)
        httpd.tls_port = httpd.listen()
        text = re.sub(r"conf/server\.(pem|key)", lambda match: str(httpd.pki.path(f"good.{match.group(1)}")), block("Client certificates"))
        return (idp(httpd, "Binding mtls").replace(" idp ", " machines ") + everywhere(httpd, "/v1") +
                text.replace("*:443", f"127.0.0.1:{httpd.tls_port}"))

    @pytest.mark.parametrize("shown, status", [("self-signed", 200), ("client", 401), (None, 401)])
    def test_client_certificates(self, httpd, shown, status):
        token = key("ES256").sign(claims(cnf={"x5t#S256": thumbprint(httpd.pki.path("self-signed.pem"))}))
        with TlsConnection(httpd.tls_port, context(httpd.pki, shown), httpd.secrets) as connection:
            assert connection.get("/v1/x", token=token, host="api.example.com").status == status

    def test_dpop(self, bare):
        bare.configure("".join(re.findall(r"^```apache\n(.*?)^```", chapter("DPoP"), re.M | re.S)))
        status, said = bare.check()
        assert status == 0 and not re.findall(r":(?:warn|error)\]", said), said
