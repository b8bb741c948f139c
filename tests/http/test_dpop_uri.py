"""Which URI a DPoP proof must name (`htu`): spellings that RFC 3986 makes equal, this server's names and ports, LlamaAuthResource, a
TLS terminator, TLS of httpd's own, requests that are odd."""

import shutil
import ssl
import subprocess

import pytest

from configs import everywhere, location
from errorlog import await_until
from keyserver import jwt, key_server
from prover import Api, Prover, held, refused
from signer import key


def open_to_all_paths(httpd, *lines):
    uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
    return (jwt("idp", uri) + location("/", "idp", lines=("Require valid-user", *lines)) + "AllowEncodedSlashes NoDecode\n" +
            everywhere(httpd, ""))


@pytest.fixture(scope="class")
def prover():
    return Prover()


class TestSpelling:
    @staticmethod
    def configure(httpd):
        return open_to_all_paths(httpd)

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/ready")

    # What the client sends, and what it signs behind the origin.
    EQUAL = {
        "the same": ("/v1/chat", "/v1/chat"),
        "a query": ("/v1/chat?a=b&c=%41", "/v1/chat"),
        "a query in both": ("/v1/chat?a=b", "/v1/chat?a=b"),
        "another query": ("/v1/chat?a=b", "/v1/chat?c=d"),
        "a fragment": ("/v1/chat", "/v1/chat#top"),
        "no path": ("/", ""),
        "no path, a query": ("/?a", "?b"),
        "unreserved, escaped by one": ("/v1/%7Ebob/%41", "/v1/~bob/A"),
        "unreserved, escaped by the other": ("/v1/~bob", "/v1/%7ebob"),
        "escapes in capitals": ("/v1/%c3%a9", "/v1/%C3%A9"),
        "an escaped slash": ("/v1/a%2Fb", "/v1/a%2fb"),
        "dot segments": ("/v1/x/../chat", "/v1/chat"),
        "dot segments of the other": ("/v1/chat", "/v1/./x/../chat"),
        "two slashes": ("/v1//chat", "/v1//chat"),
        "a blank": ("/v1/a%20b", "/v1/a%20b"),
    }
    DIFFERENT = {
        "another path": ("/v1/chat", "/v1/chats"),
        "capitals": ("/v1/chat", "/v1/Chat"),
        "a slash more": ("/v1/chat", "/v1/chat/"),
        "a slash less": ("/v1/chat/", "/v1/chat"),
        "one slash for two": ("/v1//chat", "/v1/chat"),
        "an escaped slash for a slash": ("/v1/a/b", "/v1/a%2Fb"),
        "an escaped question mark": ("/v1/a?b", "/v1/a%3Fb"),
        "escaped twice": ("/v1/%2541", "/v1/%41"),
        "a parameter": ("/v1/chat;x", "/v1/chat"),
        "the root": ("/v1/chat", "/"),
        "nothing": ("/v1/chat", ""),
        "a blank": ("/v1/chat", "/v1/chat "),
    }

    @pytest.mark.parametrize("sent, signed", EQUAL.values(), ids=EQUAL.keys())
    def test_equal(self, api, prover, sent, signed):
        held(api.call(sent, prover, htu=api.origin + signed))

    @pytest.mark.parametrize("sent, signed", DIFFERENT.values(), ids=DIFFERENT.keys())
    def test_different(self, api, prover, sent, signed):
        refused(api.call(sent, prover, htu=api.origin + signed))

    def test_origin(self, httpd, api, prover):
        port = httpd.port
        for good in (f"HTTP://127.0.0.1:{port}", f"http://127.0.0.1:0{port}"):
            held(api.call("/a", prover, htu=good + "/a"))
        for bad in (f"https://127.0.0.1:{port}", "http://127.0.0.1", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}", "http://evil.example",
                    f"http://127.0.0.1:{port}@evil.example", f"http://me@127.0.0.1:{port}", "", f"//127.0.0.1:{port}", "ws://127.0.0.1"):
            refused(api.call("/a", prover, htu=bad + "/a"))

    def test_host_of_another(self, httpd, prover):
        """Whatever the client says in Host: who can make it send a proof for elsewhere must not use it here."""
        for host in ("evil.example", f"evil.example:{httpd.port}", "127.0.0.1.evil.example"):
            api = Api(httpd, origin=f"http://{host}")
            refused(api.call("/a", prover))

    def test_no_host(self, httpd, prover):
        """HTTP/1.0 has none; the port is then the scheme's own."""
        api = Api(httpd, origin="http://127.0.0.1")
        held(api.call("/a", prover, version="1.0", host=None))

    def test_absolute_form(self, httpd, api, prover):
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/a", token)
        held(api.send(api.origin + "/a?b", token, proof))
        refused(api.send("http://evil.example/a", token, prover.proof("GET", "http://evil.example/a", token)))
        refused(api.send(api.origin + "/a?b", token, prover.proof("GET", api.origin + "/b", token)))

    def test_asterisk(self, httpd, api, prover):
        response = api.call("*", prover, method="OPTIONS", htu=api.origin + "/")
        assert response.note("user") is None


class TestNames:
    """Virtual hosts; of one port each, since a name that no host has goes to the first."""

    @classmethod
    def configure(cls, httpd):
        cls.ports = {name: httpd.listen() for name in ("named", "resource", "terminator", "unnamed", "six")}
        text = jwt("idp", f"JwksUri {key_server(httpd).put_keys(key('ES256'))}") + everywhere(httpd, "")

        def host(name, lines, section=()):
            place = location("/", "idp", lines=("Require valid-user", *section))
            return f"<VirtualHost *:{cls.ports[name]}>\n{lines}\n{place}</VirtualHost>\n"
        text += host("named", "ServerName api.example.com\nServerAlias other.example.com *.wild.example.com")
        text += host("resource", "ServerName api.example.com", [f"LlamaAuthResource http://mcp.example.com:{cls.ports['resource']}/mcp"])
        text += host("terminator", "ServerName https://api.example.com\nUseCanonicalName On\nServerAlias api2.example.com\n"
                     '<Location "/off">\nUseCanonicalName Off\n</Location>')
        text += host("six", "ServerName six.example.com\nServerAlias [2001:db8::1]")
        text += host("unnamed", "ServerName https://api.example.com\nUseCanonicalName Off")
        return text

    def call(self, httpd, prover, name, host, htu, **arguments):
        api = Api(httpd, origin=f"http://{host}", port=self.ports[name])
        return api.call("/v1/x", prover, htu=htu + "/v1/x", **arguments)

    @pytest.fixture(scope="class", autouse=True)
    def ready(self, httpd):
        Api(httpd, origin="http://api.example.com", port=self.ports["named"], ready="/v1/x")

    NAMED = [("api.example.com", "http://api.example.com", True), ("API.example.COM", "http://api.example.com", True),
             ("api.example.com", "http://API.example.com:80", True), ("api.example.com:80", "http://api.example.com", True),
             ("api.example.com:8080", "http://api.example.com:8080", True), ("api.example.com:8080", "http://api.example.com", False),
             ("api.example.com", "http://api.example.com:8080", False), ("api.example.com", "https://api.example.com", False),
             ("other.example.com", "http://other.example.com", True), ("third.example.com", "http://third.example.com", False),
             ("a.wild.example.com", "http://a.wild.example.com", True), ("a.wild.example.com", "http://b.wild.example.com", False),
             ("api.example.com", "http://a.wild.example.com", False), ("wild.example.com", "http://wild.example.com", False),
             ("a.wild.example.com", "http://a.wild.example.com.evil.example", False), ("*.wild.example.com", "http://*.wild.example.com", False),
             ("evil.example", "http://evil.example", False), ("127.0.0.1", "http://127.0.0.1", False)]

    @pytest.mark.parametrize("host, htu, good", NAMED, ids=[f"{host}, {htu}" for host, htu, _ in NAMED])
    def test_named(self, httpd, prover, host, htu, good):
        response = self.call(httpd, prover, "named", host, htu)
        if response.status == 400:  # httpd itself refuses such a Host
            assert not good
            return
        held(response) if good else refused(response)

    def test_ipv6(self, httpd, prover):
        held(self.call(httpd, prover, "six", "[2001:DB8::1]", "http://[2001:db8::1]"))
        held(self.call(httpd, prover, "six", "[2001:db8::1]:8080", "http://[2001:db8::1]:8080"))
        refused(self.call(httpd, prover, "six", "[2001:db8::1]", "http://[2001:db8::2]"))

    def test_resource(self, httpd, prover):
        """Its authority alone counts there, whatever Host says."""
        port = self.ports["resource"]
        token = prover.token(aud=f"http://mcp.example.com:{port}/mcp")
        for host in ("mcp.example.com", "api.example.com", "evil.example", f"mcp.example.com:{port}"):
            held(self.call(httpd, prover, "resource", host, f"http://mcp.example.com:{port}", token=token))
            for htu in (f"http://{host}" if host != f"mcp.example.com:{port}" else "http://api.example.com", f"https://mcp.example.com:{port}",
                        f"http://api.example.com:{port}"):
                response = self.call(httpd, prover, "resource", host, htu, token=token)
                refused(response)

    TERMINATED = [("api.example.com", "https://api.example.com", True), ("api.example.com", "https://api.example.com:443", True),
                  ("127.0.0.1:8080", "https://api.example.com", True), ("backend:8080", "https://api.example.com", True),
                  ("api2.example.com", "https://api2.example.com", True), ("api.example.com", "http://api.example.com", False),
                  ("api.example.com:8443", "https://api.example.com:8443", True), ("api.example.com", "https://api.example.com:8443", False),
                  ("evil.example", "https://evil.example", False)]

    @pytest.mark.parametrize("host, htu, good", TERMINATED, ids=[f"{host}, {htu}" for host, htu, _ in TERMINATED])
    def test_terminator(self, httpd, prover, host, htu, good):
        """TLS ends before httpd, which is told so by two directives."""
        response = self.call(httpd, prover, "terminator", host, htu)
        held(response) if good else refused(response)

    def test_one_directive_is_not_enough(self, httpd, prover):
        refused(self.call(httpd, prover, "unnamed", "api.example.com", "https://api.example.com"))
        held(self.call(httpd, prover, "unnamed", "api.example.com", "http://api.example.com"))
        api = Api(httpd, origin="https://api.example.com", port=self.ports["terminator"])
        refused(api.call("/off", prover))

    def test_what_a_client_says_of_tls_does_not_count(self, httpd, prover):
        for fields in ([("X-Forwarded-Proto", "https")], [("Forwarded", "proto=https")], [("X-Forwarded-Host", "evil.example")]):
            refused(self.call(httpd, prover, "named", "api.example.com", "https://api.example.com", headers=fields))


class TestTls:
    """mod_ssl's own TLS: the scheme is https, and nothing else."""
    modules = ("ssl", "socache_shmcb", "http2")
    needs_pki = True

    @classmethod
    def configure(cls, httpd):
        cls.tls = httpd.listen()
        for name in ("good.pem", "good.key"):
            httpd.write("conf/" + name, httpd.pki.read(name)).chmod(0o600)
        return open_to_all_paths(httpd) + (f"<VirtualHost *:{cls.tls}>\nServerName localhost\nSSLEngine on\n"
                                           "SSLCertificateFile conf/good.pem\nSSLCertificateKeyFile conf/good.key\n"
                                           "Protocols h2 http/1.1\n"
                                           "UseCanonicalName Off\n</VirtualHost>\n")

    def connect(self, httpd):
        context = ssl.create_default_context(cafile=httpd.pki.path("ca.pem"))
        connection = httpd.connect(self.tls)
        connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
        return connection

    def test_scheme(self, httpd, prover):
        Api(httpd, ready="/ready")
        api = Api(httpd, origin=f"https://localhost:{self.tls}", port=self.tls)
        with self.connect(httpd) as connection:
            for htu, good in ((f"https://localhost:{self.tls}/a", True), (f"http://localhost:{self.tls}/a", False),
                              ("https://localhost/a", False), (f"https://127.0.0.1:{self.tls}/a", False)):
                token = prover.token()
                response = connection.request("GET", "/a", host=f"localhost:{self.tls}",
                                              headers=api.fields(token, [prover.proof("GET", htu, token)]))
                held(response) if good else refused(response)


    @pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
    def test_http2(self, httpd, prover):
        """The connection of a stream is not the one that has TLS."""
        api = Api(httpd, origin=f"https://localhost:{self.tls}", port=self.tls)
        Api(httpd, ready="/ready")

        def ask(htu):
            token = prover.token()
            fields = [f"{name}: {value}" for name, value in api.fields(token, [prover.proof("GET", htu, token)])]
            command = ["curl", "-s", "-i", "--http2", "--max-time", "20", "--noproxy", "*", "--cacert", httpd.pki.path("ca.pem"),
                       api.origin + "/a"]
            done = subprocess.run([*command, *(word for field in fields for word in ("-H", field))], stdout=subprocess.PIPE, timeout=30,
                                  check=True)
            return done.stdout.decode().split("\r\n")[0].strip()
        assert ask(api.origin + "/a") == "HTTP/2 200"
        assert ask(f"http://localhost:{self.tls}/a") == "HTTP/2 401"


class TestSeveralDirectives:
    """LlamaAuthResource behind a TLS terminator: the https that it says counts."""

    @staticmethod
    def configure(httpd):
        return open_to_all_paths(httpd, "LlamaAuthResource https://mcp.example.com/mcp")

    def test_https_resource(self, httpd, prover):
        token = prover.token(aud="https://mcp.example.com/mcp")
        api = Api(httpd, origin="https://mcp.example.com")

        def status(htu, host="mcp.example.com"):
            return api.call("/mcp", prover, token=token, htu=htu, host=host).status
        await_until(lambda: status("https://mcp.example.com/mcp") == 200, "the first proof to be accepted")
        assert status("https://mcp.example.com:443/mcp", "backend:8080") == 200
        assert status("https://mcp.example.com:8443/mcp") == 401
        assert status("https://evil.example/mcp", "evil.example") == 401
        challenge = api.send("/mcp", token).challenge
        assert challenge["resource_metadata"] == "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
