"""Tokens bound to a key (spec section 16): every Binding with every kind of token and client, certificates of real TLS connections
through mod_ssl, what is cached here and in Redis, and the shapes of `cnf`. Proofs themselves: test_dpop.py."""

import json
import subprocess
from itertools import product

import pytest

from behaviour import accept, reply
from configs import everywhere, location, provider
from conftest import new_token
from endpoint import Endpoint
from errorlog import await_until
from introspector import Introspector
from keyserver import jwt, key_server
from prover import REJECTED, Prover
from signer import claims, key
from test_mpm import in_parallel
from tls_client import TlsConnection, context, thumbprint

CERTIFICATES = ("client", "client-foreign", "self-signed")
BINDINGS = ("check", "require", "dpop", "mtls", "ignore")


def held(response, user="alice"):
    assert (response.status, response.note("user")) == (200, user), response


def refused(response):
    assert (response.status, response.note("error")) == (401, "invalid_token"), response
    assert response.message == REJECTED
    assert response.challenge["error"] == "invalid_token"


def cnf_of(pki, certificate=None, prover=None, **more):
    members = dict(more)
    if certificate:
        members["x5t#S256"] = thumbprint(pki.path(f"{certificate}.pem"))
    if prover:
        members["jkt"] = prover.jkt
    return members


def virtual_host(httpd, lines):
    """One that speaks TLS, on a port of its own."""
    httpd.tls_port = httpd.listen()
    return f"""
SSLSessionCache shmcb:logs/sessions(512000)
<VirtualHost 127.0.0.1:{httpd.tls_port}>
    ServerName 127.0.0.1
    SSLEngine on
    SSLCertificateFile {httpd.pki.path("good.pem")}
    SSLCertificateKeyFile {httpd.pki.path("good.key")}
    SSLCACertificateFile {httpd.pki.path("ca.pem")}
    {lines}
</VirtualHost>
"""


class Client:
    """Whoever shows this certificate, or none, and signs proofs with this key, or none."""

    def __init__(self, httpd, certificate=None, prover=None, version="1.3"):
        self.httpd = httpd
        self.context = context(httpd.pki, certificate, version)
        self.prover = prover

    def connect(self, session=None):
        return TlsConnection(self.httpd.tls_port, self.context, self.httpd.secrets, session)

    def fields(self, path, token):
        """As a request with the token has them."""
        self.httpd.secrets.add(token.encode())
        if not self.prover:
            return [("Authorization", f"Bearer {token}")]
        proof = self.prover.proof("GET", f"https://127.0.0.1:{self.httpd.tls_port}{path}", token)
        self.httpd.secrets.add(proof.encode())
        return [("Authorization", f"DPoP {token}"), ("DPoP", proof)]

    def get(self, path, token, headers=()):
        with self.connect() as connection:
            return connection.get(path, headers=[*self.fields(path, token), *headers], host=f"127.0.0.1:{self.httpd.tls_port}")


@pytest.fixture(scope="class")
def prover():
    return Prover()


# What a token is bound to: (certificate, key).
TOKENS = {"nothing": (None, False), "certificate": ("client", False), "key": (None, True), "both": ("client", True)}
# What a client shows.
CLIENTS = {"nothing": (None, False), "certificate": ("client", False), "another certificate": ("self-signed", False),
           "proof": (None, True), "certificate and proof": ("client", True)}


def is_admitted(binding, token, client):
    """The rule of spec section 16 in one place."""
    certificate, bound_key = TOKENS[token]
    shown, signs = CLIENTS[client]
    if binding == "ignore":
        return not signs  # nobody can show that a token under the scheme DPoP is bound
    if signs and not bound_key:
        return False  # a proof of a key that the token does not name
    demanded = {"check": True, "require": token != "nothing", "dpop": bound_key, "mtls": certificate is not None}[binding]
    return demanded and shown == (certificate or shown) and (signs or not bound_key)


class TestBindings:
    modules = ("ssl", "socache_shmcb")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        httpd.pki.root("self-signed")
        httpd.pki.path("self-signed.key").chmod(0o644)
        uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
        return ("".join(jwt(name, uri, f"Binding {name}") for name in BINDINGS) +
                virtual_host(httpd, "SSLVerifyClient optional_no_ca\n" + "".join(location(f"/{name}", name) for name in BINDINGS)) +
                "".join(everywhere(httpd, f"/{name}") for name in BINDINGS))

    @pytest.fixture(scope="class", autouse=True)
    def ready(self, httpd, prover):
        """Proofs of the second in which the server began are refused, and what came before the key set is not cached."""
        client = Client(httpd, prover=prover)
        for name in BINDINGS:
            token = self.token(httpd, "nothing", prover)
            await_until(lambda: Client(httpd).get(f"/{name}", token).note("cache") == "hit", "the key set")
        await_until(lambda: client.get("/dpop", self.token(httpd, "key", prover)).status == 200, "the first proof to be accepted")

    @staticmethod
    def token(httpd, kind, prover):
        certificate, bound_key = TOKENS[kind]
        cnf = cnf_of(httpd.pki, certificate, prover if bound_key else None)
        return key("ES256").sign(claims(cnf=cnf or None))

    @pytest.mark.parametrize("token, client", product(TOKENS, CLIENTS))
    @pytest.mark.parametrize("binding", BINDINGS)
    def test_rule(self, httpd, prover, binding, token, client):
        certificate, signs = CLIENTS[client]
        text = self.token(httpd, token, prover)
        for source in ("miss", "hit"):
            response = Client(httpd, certificate, prover if signs else None).get(f"/{binding}", text)
            if is_admitted(binding, token, client):
                held(response)
            elif binding == "ignore":
                assert response.status == 401, response
                continue
            else:
                refused(response)
            assert response.note("cache") == source


class TestCertificates:
    """Where the certificate comes from."""
    modules = ("ssl", "socache_shmcb", "http2", "rewrite", "include")
    needs_pki = True
    expected = ("AH10158",)  # a handshake after the handshake, over HTTP/2

    @staticmethod
    def configure(httpd):
        pki = httpd.pki
        pki.root("self-signed")
        pki.path("self-signed.key").chmod(0o644)
        uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
        paths = ("/check", "/env", "/asks")
        httpd.write("htdocs/dir/index.html", "index\n")
        httpd.write("htdocs/dir/page.shtml", '<!--#include virtual="/dir/index.html" -->')
        tls = "".join(location(path, "mtls") for path in (*paths, "/dir"))
        httpd.strict_port = httpd.listen()
        return (jwt("mtls", uri, "Binding mtls") + virtual_host(httpd, f"""
    Protocols h2 http/1.1
    SSLVerifyClient optional_no_ca
    {tls}
    RewriteEngine on
    RewriteRule ^/moved$ /check [PT]
    <Directory "{httpd.root}/htdocs/dir">
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        AddType text/html .shtml
    </Directory>""") + f"""
<VirtualHost 127.0.0.1:{httpd.strict_port}>
    SSLEngine on
    SSLCertificateFile {pki.path("good.pem")}
    SSLCertificateKeyFile {pki.path("good.key")}
    SSLCACertificateFile {pki.path("ca.pem")}
    {location("/check", "mtls")}
    {location("/asks", "mtls")}
    <Location /asks>
        SSLVerifyClient require
    </Location>
</VirtualHost>
{location("/check", "mtls")}
{location("/env", "mtls")}
<Location /env>
    SetEnv SSL_CLIENT_CERT "{pki.read("client.pem").replace(chr(10), "")}"
    SetEnv HTTPS on
</Location>
""" + "".join(everywhere(httpd, path) for path in paths))

    @staticmethod
    def token(httpd, certificate):
        return key("ES256").sign(claims(cnf=cnf_of(httpd.pki, certificate)))

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    @pytest.mark.parametrize("shown", [None, *CERTIFICATES])
    @pytest.mark.parametrize("bound", CERTIFICATES)
    def test_own_and_others(self, httpd, bound, shown, version):
        """Whoever signed it: the handshake proves that the client has its key (RFC 8705 section 2.2)."""
        response = Client(httpd, shown, version=version).get("/check", self.token(httpd, bound))
        (held if bound == shown else refused)(response)

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_resumed_session(self, httpd, version):
        client = Client(httpd, "client", version=version)
        token = self.token(httpd, "client")
        with client.connect() as connection:
            held(connection.get("/check", headers=client.fields("/check", token)))
            session = connection.socket.session
        with client.connect(session) as connection:
            assert connection.socket.session_reused
            held(connection.get("/check", headers=client.fields("/check", token)))
            refused(connection.get("/check", headers=client.fields("/check", self.token(httpd, "self-signed"))))

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_asked_for_later(self, httpd, version):
        """SSLVerifyClient of a section: the connection has no certificate at first, then one."""
        client = Client(httpd, "client", version=version)
        token = self.token(httpd, "client")
        with TlsConnection(httpd.strict_port, client.context, httpd.secrets) as connection:
            refused(connection.get("/check", headers=client.fields("/check", token)))
            held(connection.get("/asks", headers=client.fields("/asks", token)))
            refused(connection.get("/asks", headers=client.fields("/asks", self.token(httpd, "self-signed"))))

    def test_wherever_the_request_leads(self, httpd):
        token = self.token(httpd, "client")
        client = Client(httpd, "client")
        held(client.get("/moved", token))
        held(client.get("/dir/", token))
        response = client.get("/dir/page.shtml", token)
        held(response)
        assert response.body.strip() == b"index"
        for path in ("/moved", "/dir/", "/dir/page.shtml"):
            refused(Client(httpd).get(path, token))

    @pytest.mark.parametrize("shown, status", [("client", 200), ("self-signed", 401), (None, 401)])
    def test_http2(self, httpd, shown, status):
        token = self.token(httpd, "client")
        httpd.secrets.add(token.encode())
        own = ["--cert", httpd.pki.path(f"{shown}.pem"), "--key", httpd.pki.path(f"{shown}.key")] if shown else []
        url = f"https://127.0.0.1:{httpd.tls_port}/check"
        done = subprocess.run(["curl", "-s", "--http2", "--max-time", "20", "--noproxy", "*", "--cacert", httpd.pki.path("ca.pem"), *own,
                               "-w", "%{http_version} %{http_code}\n", "-o", "/dev/null", "-o", "/dev/null", url, url,
                               "-H", f"Authorization: Bearer {token}"], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [f"2 {status}"] * 2

    FORGED = ("SSL_CLIENT_CERT", "SSL-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "X-Client-Cert",
              "x5t#S256")

    def test_no_field_is_a_certificate(self, httpd):
        pem = httpd.pki.read("client.pem")
        token = self.token(httpd, "client")
        for value in (pem.replace("\n", " "), ":" + "".join(pem.splitlines()[1:-1]) + ":", thumbprint(httpd.pki.path("client.pem"))):
            headers = [(name, value) for name in self.FORGED if name != "x5t#S256"]
            refused(Client(httpd).get("/check", token, headers))
            refused(httpd.get("/check", token=token, headers=headers))

    def test_no_variable_is_a_certificate(self, httpd):
        token = self.token(httpd, "client")
        refused(httpd.get("/env", token=token))
        refused(Client(httpd).get("/env", token))

    def test_plain_http(self, httpd):
        refused(httpd.get("/check", token=self.token(httpd, "client")))

    def test_the_log_says_why(self, httpd):
        for client, reason in ((Client(httpd), "certificate"), (Client(httpd, "self-signed"), "certificate")):
            mark = httpd.log.mark()
            refused(client.get("/check", self.token(httpd, "client")))
            assert reason in httpd.log.await_line("LA0026", mark).text


class TestWithoutTls:
    """No module of httpd makes TLS: nobody has a certificate."""
    needs_pki = True

    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
        return jwt("check", uri) + location("/check", "check") + everywhere(httpd, "/check")

    def test_refused(self, httpd):
        refused(httpd.get("/check", token=key("ES256").sign(claims(cnf=cnf_of(httpd.pki, "client")))))
        held(httpd.get("/check", token=key("ES256").sign(claims())))


GOOD = {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
SHAPES = {
    "nobody's": GOOD, "empty": {}, "a list": [GOOD], "a string": GOOD["jkt"], "true": True, "kid": {"kid": "1"},
    "jwk": {"jwk": {"kty": "EC"}}, "x5t": {"x5t": GOOD["jkt"]}, "jkt null": {"jkt": None}, "jkt short": {"jkt": GOOD["jkt"][1:]},
    "jkt padded": {"jkt": GOOD["jkt"] + "="}, "jkt a list": {"jkt": [GOOD["jkt"]]}, "x5t#S256 of 64 digits": {"x5t#S256": "0" * 64},
}


class TestSources:
    """`cnf` in the answers of custom endpoints and introspection, as in tokens."""

    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
        httpd.endpoints["introspector"] = Introspector()
        url = httpd.endpoints["introspector"].url()
        text = jwt("jwt", uri) + jwt("jwt-ignore", uri, "Binding ignore")
        for binding in ("check", "ignore"):
            suffix = "" if binding == "check" else "-ignore"
            text += provider(f"custom{suffix}", httpd.endpoint().url(), "CacheVary none", f"Binding {binding}")
            text += (f"<LlamaAuthProvider introspection{suffix} introspection>\n Endpoint {url}\n ClientAuth none\n Binding {binding}\n"
                     "</LlamaAuthProvider>\n")
        return text + "".join(location(f"/{name}{suffix}", f"{name}{suffix}") + everywhere(httpd, f"/{name}{suffix}")
                              for name in ("jwt", "custom", "introspection") for suffix in ("", "-ignore"))

    @staticmethod
    def token(httpd, kind, **members):
        """A token of which that source says these members."""
        if kind == "jwt":
            said = json.dumps({**claims(), **members}).encode()
            return key("ES256").sign(said)
        endpoint = httpd.endpoint() if kind == "custom" else httpd.endpoints["introspector"]
        answer = accept("alice", **members) if kind == "custom" else reply(200, {"active": True, "sub": "alice", **members})
        return endpoint.on(new_token(), answer)

    @pytest.mark.parametrize("kind", ["jwt", "custom", "introspection"])
    def test_bound_to_nothing(self, httpd, kind):
        held(httpd.get(f"/{kind}", token=self.token(httpd, kind)))

    @pytest.mark.parametrize("kind, holds", [("jwt", refused), ("custom", held), ("introspection", held)])
    def test_null_is_absent_in_answers(self, httpd, kind, holds):
        holds(httpd.get(f"/{kind}", token=self.token(httpd, kind, cnf=None)))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", ["jwt", "custom", "introspection"])
    def test_shapes(self, httpd, kind, shape):
        token = self.token(httpd, kind, cnf=SHAPES[shape])
        for source in ("miss", "hit"):
            response = httpd.get(f"/{kind}", token=token)
            refused(response)
            assert response.note("cache") == source
        held(httpd.get(f"/{kind}-ignore", token=token))


class TestCaches:
    """What a token is bound to stays with what is cached, wherever it came from."""
    modules = ("ssl", "socache_shmcb")
    needs_pki = True
    expected = ("provider corp is unavailable", "provider stale is unavailable")

    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        return (provider("corp", url, "CacheVary none") + provider("stale", url, "CacheVary none", "CacheTTL 100ms", "CacheStale 1h") +
                virtual_host(httpd, "SSLVerifyClient optional_no_ca\n" + location("/corp", "corp") + location("/stale", "stale")) +
                everywhere(httpd, "/corp") + everywhere(httpd, "/stale"))

    @pytest.fixture
    def token(self, httpd):
        return httpd.endpoint().on(new_token(), accept("alice", cnf=cnf_of(httpd.pki, "client")))

    def test_one_call(self, httpd, token):
        """The provider's acceptance is kept, even if the client that asked first was refused; each client is judged for itself."""
        refused(Client(httpd).get("/corp", token))
        held(Client(httpd, "client").get("/corp", token))
        refused(Client(httpd, "client-foreign").get("/corp", token))
        response = Client(httpd, "client").get("/corp", token)
        held(response)
        assert response.note("cache") == "hit"
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_at_once(self, httpd, token):
        """Those that wait for another's call get what the token is bound to as well."""
        clients = [Client(httpd, "client" if number % 2 else None) for number in range(8)]

        def ask(number):
            (held if number % 2 else refused)(clients[number].get("/corp", token))
        in_parallel(len(clients), ask)
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_stale(self, httpd, token):
        held(Client(httpd, "client").get("/stale", token))
        httpd.endpoint().on(token, reply(500))
        await_until(lambda: Client(httpd, "client").get("/stale", token).note("cache") == "stale", "a stale answer")
        refused(Client(httpd).get("/stale", token))
        held(Client(httpd, "client").get("/stale", token))
