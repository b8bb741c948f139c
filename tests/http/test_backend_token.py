"""LlamaAuthBackendToken (spec section 15): the backend's own credential goes to the backend, in place of the caller's token, and to
nobody else."""

import os

import pytest

from behaviour import render
from callers import BEARER, key_of, write_callers
from client import build
from conftest import every_mpm
from errorlog import await_until
from fastcgi import FastCgi

SECRET, FILED, ENV = "backend-secret-of-mine", "filed-secret-of-mine", "secret-of-the-environment"
SECRETS = (SECRET, FILED, ENV)
OTHERS = {"full": key_of("full"), "bare": key_of("bare")}

# location: (lines, {name of a header: what the backend is sent for a caller's GET}, the same for nobody, if nobody is let in)
PLACES = {
    "v1": (f"LlamaAuthBackendToken {SECRET}", {"Authorization": f"Bearer {SECRET}"}, None),
    "v1/header": ("LlamaAuthBackendToken file:conf/backend header:X-Api-Key", {"X-Api-Key": FILED}, None),
    "v1/raw": ('LlamaAuthBackendToken "Basic ' + SECRET + '" header:Authorization', {"Authorization": f"Basic {SECRET}"}, None),
    "v1/none": ("LlamaAuthBackendToken none", {"Authorization": f"Bearer {key_of('full')}"}, None),
    "v1/inherited": ("Options None", {"Authorization": f"Bearer {SECRET}"}, None),
    "v1/environment": ("LlamaAuthBackendToken env:LA_TEST_BACKEND", {"Authorization": f"Bearer {ENV}"}, None),
    "v1/forwards": (f"LlamaAuthBackendToken {SECRET} header:X-Key\nLlamaAuthForward X-User principal", {"X-Key": SECRET, "X-User": "full"}, None),
    "v1/token-on": (f"LlamaAuthBackendToken {SECRET} header:X-Key\nLlamaAuthForwardToken on", {"X-Key": SECRET}, None),
    "hole": (f"LlamaAuthBackendToken {SECRET}\nRequire all granted", {}, {}),
    "hole/header": (f"LlamaAuthBackendToken {SECRET} header:X-Api-Key\nRequire all granted", {}, {}),
    "hole/always": (f"LlamaAuthBackendToken {SECRET} always\nRequire all granted", {"Authorization": f"Bearer {SECRET}"},
                    {"Authorization": f"Bearer {SECRET}"}),
    "hole/header-always": (f"LlamaAuthBackendToken {SECRET} always header:X-Api-Key\nRequire all granted", {"X-Api-Key": SECRET},
                           {"X-Api-Key": SECRET}),
    "handler": (f'LlamaAuthBackendToken {SECRET}\nSetHandler "proxy:{{backend}}"', {"Authorization": f"Bearer {SECRET}"}, None),
    "rewritten": (f"LlamaAuthBackendToken {SECRET}", {"Authorization": f"Bearer {SECRET}"}, None),
    "sources": (f"LlamaAuthBackendToken {SECRET} header:x-api-key\nLlamaAuthTokenSource Authorization header:x-api-key query:key cookie:session",
                {"X-Api-Key": SECRET}, None),
}
SENT = ("Authorization", "X-Api-Key", "X-Key", "X-User", "Cookie")


def secrets_in(*texts):
    return [secret for secret in SECRETS for text in texts if secret in (text if isinstance(text, str) else text.decode("latin-1"))]


def sent(call):
    return {name: call.header(name) for name in SENT if call.header(name) is not None}


def last_call(httpd, name="backend"):
    return httpd.endpoint(name).calls[-1]


def backends(httpd):
    for name in ("backend", "other"):
        httpd.endpoint(name).default = lambda peer, call: peer.send(render(200, b"{}", []))
    return f"http://127.0.0.1:{httpd.endpoint('backend').port}", f"http://127.0.0.1:{httpd.endpoint('other').port}"


class TestPlaces:
    modules = ("proxy", "proxy_http", "rewrite", "info", "status")
    env = {"LA_TEST_BACKEND": ENV}
    expected = ("AH01630", "AH01631")

    @staticmethod
    def configure(httpd):
        backend, _ = backends(httpd)
        httpd.write("conf/backend", FILED + "\n")
        text = write_callers(httpd) + ('LogFormat "%{Authorization}i|%{X-Api-Key}i|%{X-Key}i|%{HTTP_X_KEY}e" headers\n'
                                       "CustomLog logs/headers.log headers\nErrorLogFormat \"%M %{X-Key}i\"\n"
                                       "<Location /info>\nSetHandler server-info\n</Location>\n"
                                       "<Location /status>\nSetHandler llama-auth-status\n</Location>\n"
                                       "<Location /server-status>\nSetHandler server-status\n</Location>\nExtendedStatus On\n")
        for path, (lines, _, _) in PLACES.items():
            ours = BEARER + ("" if "Require" in lines else "Require valid-user\n") if "/" not in path or "Require" in lines else ""
            text += f"<Location /{path}>\n{ours}{lines}\n</Location>\n".replace("{backend}", backend + "/")
        text += f'RewriteEngine on\nRewriteRule "^/rewritten(.*)" "{backend}/x$1" [P]\n'
        return text + "".join(f'ProxyPass "/{path}" "{backend}/x"\n' for path in ("v1", "hole", "sources"))

    @pytest.mark.parametrize("path", PLACES)
    def test_known(self, httpd, path):
        _, expected, _ = PLACES[path]
        headers = [("X-Api-Key", "mine"), ("X-Key", "mine")] if path != "sources" else []
        held = "always" in path or not path.startswith("hole")
        assert httpd.get(f"/{path}/x", token=key_of("full"), headers=headers).status == 200
        kept = {name: value for name, value in headers if name not in expected and not (name == "X-Api-Key" and "header" in path)}
        assert sent(last_call(httpd)) == {**kept, **(expected if held else {})}

    @pytest.mark.parametrize("path", [path for path, (_, _, nobody) in PLACES.items() if nobody is not None])
    def test_nobody(self, httpd, path):
        assert httpd.get(f"/{path}/x", headers=[("X-Api-Key", "mine"), ("X_Api-Key", "mine")]).status == 200
        kept = {} if "header" in path else {"X-Api-Key": "mine"}
        assert sent(last_call(httpd)) == {**kept, **PLACES[path][2]}
        assert ("X_Api-Key" in dict(last_call(httpd).headers)) == bool(kept)

    @pytest.mark.parametrize("place", ["Authorization", "header", "query", "cookie"])
    def test_from_anywhere(self, httpd, place):
        token = key_of("full")
        headers = {"Authorization": [("Authorization", f"Bearer {token}")], "header": [("X-Api-Key", token)], "query": [],
                   "cookie": [("Cookie", f"a=b; session={token}")]}[place]
        assert httpd.get("/sources/x?a=b" + (f"&key={token}" if place == "query" else ""), headers=headers).status == 200
        call = last_call(httpd)
        assert sent(call) == {"X-Api-Key": SECRET, **({"Cookie": "a=b"} if place == "cookie" else {})}
        assert call.target.endswith("/x?a=b")

    @pytest.mark.parametrize("named", ["Authorization", "x-api-key", "close, X-Api-Key, Authorization", "X_Api_Key;X-Api-Key"])
    def test_connection(self, httpd, named):
        for path in ("v1", "v1/header"):
            httpd.get(f"/{path}/x", token=key_of("full"), headers=[("Connection", named)])
            assert sent(last_call(httpd)) == PLACES[path][1]

    def test_websocket(self, httpd):
        headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x")]
        assert httpd.get("/v1/x", token=key_of("full"), headers=headers).status == 200
        assert sent(last_call(httpd)) == {"Authorization": f"Bearer {SECRET}"}

    def test_other_schemes_are_replaced(self, httpd):
        httpd.get("/hole/always/x", headers=[("Authorization", "Basic eA==")])
        assert sent(last_call(httpd)) == {"Authorization": f"Bearer {SECRET}"}

    @pytest.mark.parametrize("path", ["v1", "hole/always"])
    @pytest.mark.parametrize("forwards", ["0", "5"])
    def test_trace(self, httpd, path, forwards):
        """A TRACE comes back as it was sent, from httpd or from the backend."""
        calls = len(httpd.endpoint("backend").calls)
        response = httpd.request("TRACE", f"/{path}/x", token=key_of("full"), headers=[("Max-Forwards", forwards)])
        assert not secrets_in(response.body)
        assert [sent(call) for call in httpd.endpoint("backend").calls[calls:]] in ([], [{}])

    def test_refused(self, httpd):
        calls = len(httpd.endpoint("backend").calls)
        assert httpd.get("/v1/x").status == 401 and httpd.get("/v1/x", token="nobody").status == 401
        assert len(httpd.endpoint("backend").calls) == calls

    def test_told_nobody(self, httpd):
        httpd.get("/v1/x", token=key_of("full"))
        pages = [httpd.get(path).body for path in ("/info?config", "/info", "/status", "/status?format=json", "/server-status")]
        lines = [line for line in pages[0].split(b"<br") if b"LlamaAuthBackendToken" in line]
        assert any(b"***" in line for line in lines) and any(b"none" in line for line in lines)
        logs = [(httpd.root / "logs" / name).read_bytes() for name in ("headers.log", "access.log", "error.log")]
        assert secrets_in(*pages, *logs) == []


@every_mpm
class TestElsewhere:
    """What comes of a request that had the credential has it no more."""

    modules = ("proxy", "proxy_http", "include", "cgi", "cgid", "filter")

    @staticmethod
    def configure(httpd):
        httpd.modules = tuple(m for m in httpd.modules if m != ("cgid" if httpd.mpm == "prefork" else "cgi"))
        backend, other = backends(httpd)
        httpd.endpoint("backend").default = lambda peer, call: peer.send(
            render(502, b"no", []) if "fail" in call.target
            else render(200, b'<!--#include virtual="/other/x" --><!--#include virtual="/cgi/env.cgi" -->', [("Content-Type", "text/html")]))
        httpd.write("htdocs/cgi/env.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n").chmod(0o755)
        sock = f"ScriptSock {httpd.root}/run/cgisock\n" if httpd.mpm != "prefork" else ""
        places = "".join(f"<Location /{name}>\n{BEARER}Require valid-user\nLlamaAuthBackendToken {SECRET} {more}\nOptions +Includes\n"
                         f"SetOutputFilter INCLUDES\nErrorDocument 502 /{to}\n</Location>\nProxyPass /{name} {backend}/{name}\n"
                         for name, more, to in (("a", "", "other/x"), ("b", "header:X-Key", "other/x"), ("c", "", "cgi/env.cgi"),
                                                ("d", "header:X-Key", "cgi/env.cgi")))
        return write_callers(httpd) + sock + f"""
ProxyErrorOverride On
{places}
<Location /other>
    Require all granted
</Location>
ProxyPass /other {other}
<Directory "{httpd.root}/htdocs/cgi">
    Options +ExecCGI
    SetHandler cgi-script
    CGIPassAuth On
    Require all granted
</Directory>
"""

    @pytest.mark.parametrize("name", "abcd")
    @pytest.mark.parametrize("what", ["fail", "include"])
    def test_elsewhere(self, httpd, name, what):
        calls = len(httpd.endpoint("other").calls)
        response = httpd.get(f"/{name}/{what}", token=key_of("full"))
        assert sent(last_call(httpd)) == ({"X-Key": SECRET} if name in "bd" else {"Authorization": f"Bearer {SECRET}"})
        assert not secrets_in(response.body)
        others = httpd.endpoint("other").calls[calls:]
        assert len(others) == (what == "include" or name in "ab")
        assert [value for call in others for _, value in call.headers if secrets_in(value)] == []
        assert what == "fail" and name in "ab" or b"GATEWAY_INTERFACE" in response.body


class TestForwardProxy:
    """Its client says where the request goes."""

    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        backends(httpd)
        return write_callers(httpd) + f"ProxyRequests On\n<Proxy *>\nLlamaAuthBackendToken {SECRET} always\nRequire all granted\n</Proxy>\n"

    def test_no_credential(self, httpd):
        url = httpd.endpoint("backend").url("/x")
        with httpd.connect() as connection:
            connection.send(build("GET", "/x").replace(b"GET /x", f"GET {url}".encode()))
            assert connection.read().status == 200
        assert sent(last_call(httpd)) == {}


class TestOtherSchemes:
    """They get no credential, and the log says so."""

    modules = ("proxy", "proxy_http", "proxy_fcgi", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm")

    @classmethod
    def setup_class(cls):
        cls.fcgi = FastCgi()

    @classmethod
    def teardown_class(cls):
        cls.fcgi.stop()

    @classmethod
    def configure(cls, httpd):
        backend, _ = backends(httpd)
        fcgi = f"fcgi://127.0.0.1:{cls.fcgi.port}/"
        places = {"pass": f"ProxyPass {fcgi}", "handler": f'SetHandler "proxy:{fcgi}"', "always": f"ProxyPass {fcgi}", "http": f"ProxyPass {backend}/",
                  "balancer": "ProxyPass balancer://some/"}
        text = f"<Proxy balancer://some>\nBalancerMember {backend}\n</Proxy>\n"
        for name, line in places.items():
            text += (f"<Location /{name}>\n{BEARER}Require {'all granted' if name == 'always' else 'valid-user'}\nCGIPassAuth On\n"
                     f"LlamaAuthBackendToken {SECRET} {'always' if name == 'always' else ''}\n{line}\n</Location>\n")
        return write_callers(httpd) + text

    @pytest.mark.parametrize("name", ["pass", "handler", "always"])
    def test_none(self, httpd, name):
        httpd.expect("LA0330")
        mark = httpd.log.mark()
        assert httpd.get(f"/{name}/x", token=key_of("full")).status == 200
        assert "is sent by http, https, ws and wss, and not by fcgi" in httpd.log.await_line("LA0330", mark).text
        assert self.fcgi.all("HTTP_AUTHORIZATION") == []

    @pytest.mark.parametrize("name", ["http", "balancer"])
    def test_sent(self, httpd, name):
        mark = httpd.log.mark()
        assert httpd.get(f"/{name}/x", token=key_of("full")).status == 200
        assert sent(last_call(httpd)) == {"Authorization": f"Bearer {SECRET}"}
        assert not [line for line in httpd.log.since(mark) if "LA0330" in line.text]


class TestFile:
    processes = 1
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        backend, _ = backends(httpd)
        httpd.write("conf/backend", FILED)
        return write_callers(httpd) + (f"<Location /v1>\n{BEARER}Require valid-user\nLlamaAuthBackendToken file:conf/backend\n"
                                       f"ProxyPass {backend}/\n</Location>\n")

    def credential(self, httpd):
        assert httpd.get("/v1/x", token=key_of("full")).status == 200
        return last_call(httpd).header("Authorization")

    def says_so(self, httpd, mark):
        return self.credential(httpd) and any("LA0002" in line.text for line in httpd.log.since(mark))

    def test_changes(self, httpd):
        assert self.credential(httpd) == f"Bearer {FILED}"
        httpd.write("conf/backend", "another-secret-of-mine")
        await_until(lambda: self.credential(httpd) == "Bearer another-secret-of-mine", "the new secret")
        for broken in ("", " \n", "two\nlines"):
            mark = httpd.log.mark()
            httpd.expect("LA0002")
            httpd.write("conf/backend", broken)
            await_until(lambda: self.says_so(httpd, mark), "a line about the broken file")
            assert self.credential(httpd) == "Bearer another-secret-of-mine"
        mark = httpd.log.mark()
        os.remove(httpd.root / "conf/backend")
        await_until(lambda: self.says_so(httpd, mark), "a line about the missing file")
        assert self.credential(httpd) == "Bearer another-secret-of-mine"
        httpd.write("conf/backend", FILED)
        await_until(lambda: self.credential(httpd) == f"Bearer {FILED}", "the secret that is back")


REFUSED = {
    "": "begins with the secret",
    "header:X-Key": "begins with the secret",
    f"always {SECRET}": "begins with the secret",
    f"header:X-Key {SECRET}": "begins with the secret",
    "none always": "none stands alone",
    f"a {SECRET}": "takes a secret",
    f"{SECRET} always always": "takes a secret",
    f"{SECRET} header:a header:b": "takes a secret",
    f"{SECRET} header:": "takes the name of a header",
    f"{SECRET} 'header:a b'": "takes the name of a header",
    f"{SECRET} header:Host": "header:Host cannot carry",
    f"{SECRET} header:Cookie": "header:Cookie cannot carry",
    "file:conf/missing": "No such file",
    "file:conf/empty": "conf/empty",
    "env:LA_TEST_MISSING": "LA_TEST_MISSING",
    f"'{SECRET}\x01'": "control",
    f"{SECRET}\nLlamaAuthBackendToken {SECRET}": "only once",
    f"{SECRET} header:X-Key\nLlamaAuthForward x_key principal": "LlamaAuthForward x_key",
    f"{SECRET} header:X-Key\n</Location>\n<Location /v1>\nLlamaAuthForward X-Key principal": "test.conf:5: both are",
    f"{SECRET} header:X-Key\n</Location>\n<Location /v1>\n<If true>\nLlamaAuthForward X-Key principal\n</If>": "test.conf:6: both are",
}


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words.replace("\n", ";"))
def test_refused_at_startup(bare, words):
    bare.write("conf/empty", "\n")
    bare.configure(f"<Location />\nLlamaAuthBackendToken {words}\n</Location>\n")
    status, said = bare.check()
    assert status != 0 and REFUSED[words] in said, said
    assert not secrets_in(said)


@pytest.mark.parametrize("text", [
    f"LlamaAuthBackendToken {SECRET}\n", f"<Location />\n<Limit GET>\nLlamaAuthBackendToken {SECRET}\n</Limit>\n</Location>\n"],
    ids=["server", "limit"])
def test_refused_there(bare, text):
    bare.configure(text)
    status, said = bare.check()
    assert status != 0 and "LlamaAuthBackendToken" in said and not secrets_in(said), said


def test_apart(bare):
    """The same header in sections that never meet, and one that the nested section does without."""
    bare.configure(f"<Location /a>\nLlamaAuthBackendToken {SECRET} header:X-Key\n</Location>\n<Location /ab>\nLlamaAuthForward X-Key principal\n"
                   "</Location>\n<Location /a/b>\nLlamaAuthBackendToken none\nLlamaAuthForward X-Key principal\n</Location>\n")
    status, said = bare.check()
    assert status == 0, said


class TestMerged:
    """Sections that only a request brings together."""

    modules = ("proxy", "proxy_http")
    expected = ("LA0250",)

    @staticmethod
    def configure(httpd):
        backend, _ = backends(httpd)
        httpd.write("htdocs/.htaccess", f"LlamaAuthBackendToken {SECRET}\n")
        return write_callers(httpd) + (f"<LocationMatch x>\n{BEARER}Require valid-user\nLlamaAuthBackendToken {SECRET} header:X-Key\n</LocationMatch>\n"
                                       "<LocationMatch y>\nLlamaAuthForward X-Key principal\n</LocationMatch>\n"
                                       f"ProxyPass /p {backend}\n"
                                       f'<Directory "{httpd.root}/htdocs">\nAllowOverride None\nAllowOverrideList LlamaAuthBackendToken\n</Directory>\n')

    def test_clash(self, httpd):
        calls = len(httpd.endpoint("backend").calls)
        response = httpd.get("/p/xy", token=key_of("full"))
        assert (response.status, response.note("error")) == (500, "misconfigured")
        assert len(httpd.endpoint("backend").calls) == calls
        assert httpd.get("/p/x", token=key_of("full")).status == 200

    def test_htaccess(self, httpd):
        mark = httpd.log.mark()
        httpd.expect("htaccess:")
        assert httpd.get("/index.html").status == 500
        assert not secrets_in(httpd.log.await_line("htaccess:", mark).text)
