"""Denials on the wire (spec section 8): exact bytes, headers, HEAD, keep-alive, bodies that never come, and httpd's
own ways of answering, which must not get in between."""

import gzip
import socket

import pytest

from callers import BEARER, key_of, write_callers
from client import build
from configs import everywhere
from conftest import every_mpm

HINT = b"Authentication required. Please provide your API key as a Bearer token in the Authorization header"

# name: (path, caller, status, body, challenge or None)
DENIALS = {
    "missing": ("/plain/x", "anon", 401, b'{"error": {"message": "' + HINT + b'"}}', 'Bearer realm="policy"'),
    "rejected": ("/plain/x", "wrong", 401, b'{"error": {"message": "Invalid API key"}}',
                 'Bearer realm="policy", error="invalid_token", error_description="Invalid API key"'),
    "malformed": ("/plain/x", "basic", 401, b'{"error": {"message": "Invalid Authorization header format"}}',
                  'Bearer realm="policy", error="invalid_request", error_description="Invalid Authorization header format"'),
    "missing, with scope": ("/scope/x", "anon", 401, b'{"error": {"message": "' + HINT + b'"}}',
                            'Bearer realm="policy", scope="x.read b"'),
    "rejected, with scope": ("/scope/x", "wrong", 401, b'{"error": {"message": "Invalid API key"}}',
                             'Bearer realm="policy", error="invalid_token", error_description="Invalid API key", scope="x.read b"'),
    "scope": ("/scope/x", "full", 403, b'{"error": {"detail": "Access denied: user does not have required scope: x.read"}}',
              'Bearer realm="policy", error="insufficient_scope", '
              'error_description="Access denied: user does not have required scope: x.read", scope="x.read b"'),
    "attribute": ("/attribute/x", "full", 403,
                  b'{"error": {"detail": "Access denied: user does not have required attribute: clearance"}}', None),
    "attribute beyond ASCII": ("/unicode/x", "full", 403,
                               b'{"error": {"detail": "Access denied: user does not have required attribute: na\\u00efve \\"x\\""}}', None),
    "access": ("/user/x", "full", 403, b'{"error": {"detail": "Access denied"}}', None),
    "misconfigured": ("/broken/x", "full", 500, b'{"error": {"message": "Authentication is not configured"}}', None),
}
EXPECTED = (r"AH01631: user full", r"LlamaAuthUse is missing")


def headers_of(caller):
    if caller == "anon":
        return []
    value = {"wrong": "Bearer not-a-key-of-anybody", "basic": "Basic eDp5"}.get(caller)
    return [("Authorization", value or "Bearer " + key_of(caller))]


def config(httpd, before=""):
    sections = {"plain": "", "scope": "RequireScope x.read\nRequireScope b\n", "attribute": "RequireAttribute clearance top\n",
                "unicode": 'RequireAttribute "naïve \\"x\\"" y\n', "user": "Require user nobody\n"}
    text = write_callers(httpd) + before
    for name, lines in sections.items():
        require = "" if "Require user" in lines else "Require valid-user\n"
        text += f"<Location /{name}/>\n{BEARER}AuthzSendForbiddenOnFailure On\n{lines}{require}</Location>\n" + everywhere(httpd, "/" + name)
    return text + "<Location /broken/>\nAuthType Bearer\nAuthName x\nRequire valid-user\n</Location>\n"


def verify(response, status, body, challenge, method="GET"):
    assert response.status == status
    assert response.body == (b"" if method == "HEAD" else body)
    assert response.header("Content-Type") == "application/json"
    assert response.header("Cache-Control") == "no-store"
    assert response.header("WWW-Authenticate") == challenge
    assert response.header("Retry-After") is None
    for name in ("ETag", "Last-Modified", "Accept-Ranges", "Content-Encoding", "Content-Range"):
        assert response.header(name) is None
    if method == "HEAD":
        assert response.header("Content-Length") in (None, str(len(body)))
    else:
        assert response.header("Content-Length") == str(len(body))
        assert response.header("Transfer-Encoding") is None


denials = pytest.mark.parametrize("path, caller, status, body, challenge", DENIALS.values(), ids=DENIALS.keys())


@every_mpm
class TestDocument:
    expected = EXPECTED

    @staticmethod
    def configure(httpd):
        return config(httpd)

    @denials
    def test_get(self, httpd, path, caller, status, body, challenge):
        verify(httpd.get(path, headers=headers_of(caller)), status, body, challenge)

    @denials
    def test_head(self, httpd, path, caller, status, body, challenge):
        with httpd.connect() as connection:
            verify(connection.request("HEAD", path, headers=headers_of(caller)), status, body, challenge, "HEAD")
            if status == 500:
                assert connection.closed()
            else:
                assert connection.get("/index.html").body == b"hello\n"

    @denials
    def test_http_1_0(self, httpd, path, caller, status, body, challenge):
        with httpd.connect() as connection:
            response = connection.get(path, version="1.0", headers=headers_of(caller))
            verify(response, status, body, challenge)
            assert connection.closed()

    @denials
    def test_http_1_0_without_host(self, httpd, path, caller, status, body, challenge):
        verify(httpd.get(path, version="1.0", host=None, headers=headers_of(caller)), status, body, challenge)

    @denials
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_methods_with_a_small_body(self, httpd, path, caller, status, body, challenge, method):
        with httpd.connect() as connection:
            verify(connection.request(method, path, headers=headers_of(caller), body=b"x" * 1000), status, body, challenge, method)
            if status != 500:
                assert connection.get("/index.html").body == b"hello\n"

    def test_keep_alive(self, httpd):
        with httpd.connect() as connection:
            for _ in range(3):
                for path, caller, status, body, challenge in DENIALS.values():
                    if status != 500:
                        verify(connection.get(path, headers=headers_of(caller)), status, body, challenge)
                assert connection.get("/plain/x", token=key_of("full")).body == b"ok\n"

    def test_pipelined(self, httpd):
        rows = [row for row in DENIALS.values() if row[2] != 500]
        with httpd.connect() as connection:
            connection.send(b"".join(build("GET", path, headers=headers_of(caller)) for path, caller, *_ in rows))
            for _, _, status, body, challenge in rows:
                verify(connection.read(), status, body, challenge)

    def test_range_and_conditions_do_not_matter(self, httpd):
        fields = [("Range", "bytes=0-3"), ("If-None-Match", "*"), ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT"),
                  ("Accept", "text/html"), ("Accept-Encoding", "gzip")]
        path, caller, *rest = DENIALS["missing"]
        verify(httpd.get(path, headers=fields), *rest)


BODIES = {
    "900 MB announced": ([("Content-Length", "943718400")], b""),
    "900 MB announced, some sent": ([("Content-Length", "943718400")], b"x" * 1000),
    "100 KB announced": ([("Content-Length", "100000")], b""),
    "chunked": ([("Transfer-Encoding", "chunked")], b""),
    "chunked, some sent": ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n"),
    "beyond 32 bits": ([("Content-Length", "99999999999")], b""),
}
EXPECTING = {
    "small": ([("Content-Length", "10")], b""),
    "900 MB": ([("Content-Length", "943718400")], b""),
    "chunked": ([("Transfer-Encoding", "chunked")], b""),
}


@every_mpm
class TestBodies:
    """The answer never waits for a body."""
    expected = EXPECTED

    @staticmethod
    def configure(httpd):
        return config(httpd, "LimitRequestBody 0\n")

    @pytest.mark.parametrize("name", [name for name in DENIALS if name != "attribute beyond ASCII"])
    @pytest.mark.parametrize("fields, sent", BODIES.values(), ids=BODIES.keys())
    def test_body_that_never_comes(self, httpd, name, fields, sent):
        path, caller, status, body, challenge = DENIALS[name]
        with httpd.connect() as connection:
            connection.socket.settimeout(10)
            connection.send(build("POST", path, headers=headers_of(caller) + fields) + sent)
            response = connection.read()
            verify(response, status, body, challenge)
            assert response.interim == []
            assert response.header("Connection") == "close"
            assert connection.closed()

    @pytest.mark.parametrize("name", ["missing", "rejected", "scope", "access"])
    @pytest.mark.parametrize("fields, sent", EXPECTING.values(), ids=EXPECTING.keys())
    def test_expect_100_continue(self, httpd, name, fields, sent):
        path, caller, status, body, challenge = DENIALS[name]
        with httpd.connect() as connection:
            connection.socket.settimeout(10)
            connection.send(build("POST", path, headers=headers_of(caller) + fields + [("Expect", "100-continue")]))
            response = connection.read()
            verify(response, status, body, challenge)
            assert response.interim == []
            assert connection.closed()

    @pytest.mark.parametrize("size", [1, 1000, 65535, 65536])
    def test_connection_is_kept_after_a_body_that_came(self, httpd, size):
        path, caller, status, body, challenge = DENIALS["missing"]
        with httpd.connect() as connection:
            verify(connection.request("POST", path, body=b"x" * size), status, body, challenge)
            assert connection.get("/index.html").body == b"hello\n"

    @pytest.mark.parametrize("size", [65537, 1_000_000, 5_000_000])
    def test_answer_survives_a_body_that_nobody_reads(self, httpd, size):
        path, caller, status, body, challenge = DENIALS["rejected"]
        with httpd.connect() as connection:
            verify(connection.request("POST", path, headers=headers_of(caller), body=b"x" * size), status, body, challenge)
            assert connection.closed()

    def test_expect_100_continue_of_one_who_may(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/plain/x", token=key_of("full"),
                                  headers=[("Content-Length", "5"), ("Expect", "100-continue")]))
            connection.send(b"hello")
            assert connection.read().status in (200, 405)

    def test_worker_is_free_again(self, httpd):
        """As many stalled uploads as there are workers leave room for everybody."""
        stalled = [httpd.connect() for _ in range(httpd.workers)]
        for connection in stalled:
            connection.send(build("POST", "/plain/x", headers=[("Content-Length", "943718400")]))
        assert all(connection.read().status == 401 for connection in stalled)
        for connection in stalled:
            connection.socket.shutdown(socket.SHUT_WR)
            connection.close()
        assert httpd.get("/plain/x", token=key_of("full")).status == 200


DOCUMENTS = {
    "text": '"an ErrorDocument"', "a local path": "/error.html", "a local path that is protected": "/plain/error.html",
    "a URL": "http://elsewhere.example/error", "a missing path": "/no-such-page", "an expression": '"%{REQUEST_URI}"',
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
@pytest.mark.parametrize("scope", ["server", "directory"])
def test_error_document_does_not_replace_ours(bare, document, scope):
    lines = "".join(f"ErrorDocument {status} {document}\n" for status in (401, 403, 500, 503))
    bare.expect(*EXPECTED)
    bare.write("htdocs/error.html", "an ErrorDocument")
    text = config(bare, lines if scope == "server" else "")
    if scope == "directory":
        text = text.replace("AuthType Bearer\n", "AuthType Bearer\n" + lines)
    bare.configure(text)
    bare.start()
    for path, caller, status, body, challenge in DENIALS.values():
        for method in ("GET", "HEAD"):
            verify(bare.request(method, path, headers=headers_of(caller)), status, body, challenge, method)
    missing = bare.get("/plain/../missing")
    assert missing.status == 404


class TestHttpdsErrorDocuments:
    """What is not ours keeps its ErrorDocument, in the same location and after a passed check."""

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/plain-file.txt", "x").chmod(0)
        return (write_callers(httpd) + f"<Location /plain/>\n{BEARER}Require valid-user\nErrorDocument 404 \"not here\"\n"
                'ErrorDocument 403 "not yours"\nErrorDocument 401 "who are you"\n</Location>\n'
                f'Redirect 403 /plain/forbidden\nRedirect 401 /plain/unauthorized\nRedirect 410 /plain/gone\n')

    @pytest.mark.parametrize("path, status, body", [("/plain/nothing", 404, b"not here")])
    def test_not_found(self, httpd, path, status, body):
        response = httpd.get(path, token=key_of("full"))
        assert (response.status, response.body, response.note("error")) == (status, body, None)

    @pytest.mark.parametrize("path, status, body", [("/plain/forbidden", 403, b"not yours"), ("/plain/unauthorized", 401, b"who are you")])
    def test_refusals_of_other_modules(self, httpd, path, status, body):
        response = httpd.get(path, token=key_of("full"))
        assert (response.status, response.body, response.note("error")) == (status, body, None)


REALMS = {
    "spaces": ("my realm", "my realm"), "quotes": ('a "quoted" realm', 'a "quoted" realm'),
    "beyond ASCII": ("réalm", "réalm"), "comma": ("a, b", "a, b"), "header": ("x: y", "x: y"),
}


class TestRealm:
    @staticmethod
    def configure(httpd):
        text = write_callers(httpd)
        for number, (realm, _) in enumerate(REALMS.values()):
            quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
            text += (f'<Location /r{number}>\nAuthType Bearer\nAuthName "{quoted}"\nLlamaAuthUse keys\nRequire valid-user\n</Location>\n')
        text += "<Location /noname>\nAuthType Bearer\nLlamaAuthUse keys\nRequire valid-user\n</Location>\n"
        return text + "<Location /bare>\nAuthType bearer\nAuthName bare\nLlamaAuthUse keys\nRequire valid-user\n</Location>\n"

    @pytest.mark.parametrize("number, realm", [pytest.param(n, r, id=i) for n, (i, (_, r)) in enumerate(REALMS.items())])
    def test_is_quoted(self, httpd, number, realm):
        response = httpd.get(f"/r{number}")
        assert response.status == 401
        assert response.challenge["realm"].encode("latin-1").decode() == realm

    def test_without_a_name(self, httpd):
        response = httpd.get("/noname")
        assert response.status == 401 and response.challenge["realm"]

    def test_type_in_any_case(self, httpd):
        assert httpd.get("/bare").challenge == {"realm": "bare"}
        assert httpd.get("/bare", token=key_of("full")).status in (200, 404)


class TestHeadersAndFilters:
    """Header always, mod_deflate and CORS headers see our answer as any other."""
    modules = ("deflate", "filter", "setenvif")
    expected = EXPECTED

    @staticmethod
    def configure(httpd):
        return config(httpd, 'Header always set X-Always yes\nHeader always set Access-Control-Allow-Origin "*"\n'
                             'Header always append Vary Origin\nHeader onsuccess set X-Success yes\n') + \
            "<Location /plain/>\nSetOutputFilter DEFLATE\n</Location>\n"

    @denials
    def test_header_always(self, httpd, path, caller, status, body, challenge):
        response = httpd.get(path, headers=headers_of(caller))
        verify(response, status, body, challenge)
        assert (response.header("X-Always"), response.header("Access-Control-Allow-Origin")) == ("yes", "*")
        assert response.header("X-Success") is None

    def test_deflate(self, httpd):
        response = httpd.get("/plain/x", headers=[("Accept-Encoding", "gzip")])
        assert response.status == 401
        body = gzip.decompress(response.body) if response.header("Content-Encoding") == "gzip" else response.body
        assert body == DENIALS["missing"][3]

    def test_access_log_has_the_status(self, httpd):
        httpd.get("/plain/logged-anonymous")
        httpd.get("/scope/logged-refused", token=key_of("full"))
        anonymous, refused = httpd.logged("/plain/logged-anonymous", 1), httpd.logged("/scope/logged-refused", 1)
        assert anonymous[0].startswith("401 - - missing_token GET /plain/logged-anonymous")
        assert refused[0].startswith("403 full full insufficient_scope GET /scope/logged-refused")
