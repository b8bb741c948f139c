"""https endpoints: whom the module trusts, what it shows of itself, and that no token leaves before it trusts."""

import ssl

import pytest

import outages
from behaviour import tunnel
from configs import location, provider
from conftest import new_token
from endpoint import Endpoint
from outages import both_statuses

ERROR = "Authentication service error"


def sites(httpd):
    """Name -> provider section. Every endpoint is on 127.0.0.1 with the certificate of that name."""
    pki = httpd.pki
    for name in ("ca.pem", "other-ca.pem", "client.pem", "client.key", "client-foreign.pem", "client-foreign.key"):
        httpd.write("conf/" + name, pki.read(name)).chmod(0o644)
    httpd.write("conf/client-both.pem", pki.read("client.pem") + pki.read("client.key"))
    httpd.write("conf/both-ca.pem", pki.read("other-ca.pem") + pki.read("ca.pem"))

    def at(certificate, **arguments):
        name = certificate + "".join(f"-{v}" for v in arguments.values())
        return httpd.endpoint(name, tls=pki.server_context(certificate, **arguments)), name
    ours = "TLSCAFile conf/ca.pem"
    table = {
        "good": (at("good"), [ours]),
        "localhost": (at("good"), [ours]),
        "bundle": (at("good"), ["TLSCAFile conf/both-ca.pem"]),
        "system": (at("good"), []),
        "other": (at("good"), ["TLSCAFile conf/other-ca.pem"]),
        "wrongname": (at("wrong-name"), [ours]),
        "foreign": (at("foreign"), [ours]),
        "expired": (at("expired"), [ours]),
        "future": (at("future"), [ours]),
        "usage": (at("client"), [ours]),
        "off": (at("foreign"), ["TLSVerify off"]),
        "offname": (at("wrong-name"), ["TLSVerify off"]),
        "offexpired": (at("expired"), ["TLSVerify off", ours]),
        "old": (at("good", maximum=ssl.TLSVersion.TLSv1_1), [ours]),
        "twelve": (at("good", maximum=ssl.TLSVersion.TLSv1_2), [ours]),
        "mutual": (at("good", client_ca="ca"), [ours, "TLSCertFile conf/client.pem", "TLSKeyFile conf/client.key"]),
        "mutualboth": (at("good", client_ca="ca"), [ours, "TLSCertFile conf/client-both.pem"]),
        "mutualnone": (at("good", client_ca="ca"), [ours]),
        "mutualforeign": (at("good", client_ca="ca"),
                          [ours, "TLSCertFile conf/client-foreign.pem", "TLSKeyFile conf/client-foreign.key"]),
    }
    return table


class TestTls:
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)
    good = ["good", "localhost", "bundle", "off", "offname", "offexpired", "twelve", "mutual", "mutualboth"]
    bad = ["system", "other", "wrongname", "foreign", "expired", "future", "usage", "old", "mutualnone", "mutualforeign"]
    endpoints = {}

    @classmethod
    def configure(cls, httpd):
        text = ""
        for name, ((endpoint, key), options) in sites(httpd).items():
            cls.endpoints[name] = endpoint
            url = endpoint.url(host="localhost" if name == "localhost" else "127.0.0.1")
            text += provider(name, url, *options) + location("/" + name, name)
        plain, proxy = httpd.endpoint("plain"), httpd.endpoint("proxy")
        proxy.default = tunnel
        cls.endpoints.update(plain=plain, proxy=proxy)
        text += provider("scheme", plain.url().replace("http:", "https:"), "TLSCAFile conf/ca.pem") + location("/scheme", "scheme")
        text += provider("tunnel", cls.endpoints["good"].url(), "TLSCAFile conf/ca.pem",
                         f"Proxy http://127.0.0.1:{proxy.port}") + location("/tunnel", "tunnel")
        return text + f'AliasMatch "^/" "{httpd.root}/htdocs/index.html"\n' + outages.host_503(httpd)

    @pytest.mark.parametrize("name", good)
    def test_trusted(self, httpd, token, name):
        response = httpd.get("/" + name, token=token)
        assert (response.status, response.note("user")) == (200, "alice")
        assert self.endpoints[name].call(token).json["api_key"] == token

    @both_statuses
    @pytest.mark.parametrize("name", bad)
    def test_refused(self, httpd, token, name, status):
        outages.check(httpd.get("/" + name, port=outages.port(httpd, status), token=token), status, ERROR)
        assert not self.endpoints[name].calls_for(token)

    def test_the_log_names_the_option(self, httpd):
        """As long as the reason is the endpoint's certificate."""
        for name in ("system", "other", "wrongname", "foreign", "expired", "future", "usage"):
            httpd.get("/" + name, token=new_token())
            line = httpd.log.await_line(f"LA0024: provider {name} is unavailable", 0)
            assert line.text.endswith(" (TLSCAFile)") and self.endpoints[name].url() in line.text, line

    def test_refused_again_and_again(self, httpd):
        for _ in range(5):
            assert httpd.get("/expired", token=new_token()).message == ERROR
        assert not self.endpoints["expired"].calls_for(None)

    def test_endpoint_that_speaks_no_tls(self, httpd, token):
        assert httpd.get("/scheme", token=token).message == ERROR
        assert not any(token.encode() in c.body for c in self.endpoints["plain"].calls)

    def test_through_a_proxy(self, httpd, token):
        assert httpd.get("/tunnel", token=token).status == 200
        assert self.endpoints["good"].call(token)
        connects = [c for c in self.endpoints["proxy"].calls if c.method == "CONNECT"]
        assert [c.target for c in connects] == [f"127.0.0.1:{self.endpoints['good'].port}"]
        assert not any(token.encode() in c.body for c in self.endpoints["proxy"].calls)

    def test_connections_are_reused(self, httpd):
        endpoint = self.endpoints["good"]
        before = endpoint.connections
        with httpd.connect() as connection:
            for _ in range(30):
                assert connection.get("/good", token=new_token()).status == 200
        assert endpoint.connections - before <= httpd.workers

    def test_verify_off_warns_at_startup(self, httpd):
        said = httpd.log.everything().decode()
        for name in ("off", "offname", "offexpired"):
            assert f"provider {name}: TLSVerify is off" in said
        assert "provider good: TLSVerify" not in said


class Greeter(Endpoint):
    """Greets with HelloRequests (RFC 5246, 7.4.1.1) without end, as fast as they are taken. A client passes over them in a handshake."""

    def serve(self, connection):
        with connection:
            try:
                while not self.stopping.is_set():
                    connection.sendall((b"\x16\x03\x03\x00\x04" + bytes(4)) * 10000)
            except OSError:
                pass


class TestEndlessHandshake:
    """Who stands in an endpoint's place needs no certificate for that."""
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.endpoints["greeter"] = greeter = Greeter()
        url = greeter.url().replace("http:", "https:")
        return provider("greeter", url, "Timeout 500ms", "TLSVerify off") + location("/", "greeter")

    def test_deadline(self, httpd, token):
        assert httpd.get("/", token=token).message == "Authentication service timeout"
        line = httpd.log.await_line("LA0024: provider greeter is unavailable", 0)
        assert line.text.endswith("TLS records without end (Timeout)")
