"""RequireOrigin: a page of another origin is refused before anybody is asked who it is, on whatever way its request reaches the place."""

import re

import pytest

from callers import BEARER, key_of, write_callers
from conftest import new_token
from test_http2 import curl
from test_matrix import KINDS, SLUGS, protect

APP, OTHER = "https://app.example", "https://evil.example"
LIST = f"RequireOrigin {APP} http://localhost:6274"
PAGE = b"text"
REFUSED = b'{"error": {"detail": "Access denied: origin not allowed"}}'

# name: lines of the section
SECTIONS = {
    "open": LIST,
    "all granted": f"{LIST}\nRequire all granted",
    "all denied": f"{LIST}\nRequire all denied",
    "satisfied": f"{LIST}\nSatisfy any\nAllow from all",
    "satisfied by nobody": f"{LIST}\nSatisfy any\nDeny from all\nRequire all granted",
    "satisfied with a rule": f"{BEARER}{LIST}\nRequireScope b\nSatisfy any\nAllow from all",
    "no type": f"{LIST}\nRequireScope b\nLlamaAuthUse keys",
    "no provider": f"AuthType Bearer\nAuthName x\n{LIST}\nRequire valid-user",
    "basic": f"AuthType Basic\nAuthName b\nAuthBasicProvider file\nAuthUserFile conf/passwords\nRequire valid-user\n{LIST}",
    "bearer": f"{BEARER}{LIST}\nRequire valid-user",
    "rule": f"{BEARER}{LIST}\nRequireScope b",
    "let through": f"{BEARER}{LIST}\nRequire valid-user\nLlamaAuthPreflight on",
    "readable": f"{BEARER}{LIST}\nRequire valid-user\nLlamaAuthCors {APP} {OTHER}",
    "asked": f"AuthType Bearer\nAuthName x\nLlamaAuthUse corp\n{LIST}\nRequire valid-user",
    "post": f"<Limit POST>\n{LIST}\n</Limit>",
    "not get": f"<LimitExcept GET>\n{LIST}\n</LimitExcept>",
    "two lines": f"{LIST}\nRequireOrigin {APP} {OTHER}",
    "error page": f"<Limit POST>\n{LIST}\n</Limit>\nErrorDocument 404 /open/x.txt",
    "unruled": "ErrorDocument 404 /post/x.txt",
    "own error page": f"<Limit GET>\n{LIST}\n</Limit>\nErrorDocument 404 /own-error-page/x.txt",
    "index": LIST, "views": LIST, "rewritten": LIST, "included": LIST,
}
SECTIONS_IN = {  # nested in the section of that name
    "open/none": "RequireOrigin none",
    "open/other": f"RequireOrigin {OTHER}",
    "open/post": f"<Limit POST>\nRequireOrigin {OTHER}\n</Limit>",
    "open/silent": "Options None",
}
GENERAL = """
Options +FollowSymLinks
RewriteEngine On
RewriteRule ^/rewriting$ /rewritten/x.txt [PT]
<Directory "{root}/htdocs">
    Options +MultiViews +Includes +FollowSymLinks
    AllowOverride None
    DirectoryIndex x.txt
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
<Directory "{root}/htdocs/redirecting">
    RewriteEngine On
    RewriteRule ^.*$ /rewritten/x.txt [L]
</Directory>
<Directory "{root}/htdocs/files">
    <Files "page.txt">
        RequireOrigin {app}
    </Files>
    FallbackResource /files/page.txt
    DirectoryIndex page.txt
</Directory>
<LlamaAuthProvider corp custom>
    Endpoint {endpoint}
</LlamaAuthProvider>
"""


def path_of(name):
    return "/" + name.replace(" ", "-")


def with_origin(*origins):
    return [("Origin", origin) for origin in origins if origin is not None]


def check_refused(response, method="GET"):
    assert (response.status, response.note("error")) == (403, "origin_not_allowed"), response
    assert response.header("WWW-Authenticate") is None and response.header("Content-Type") == "application/json"
    assert response.body == (b"" if method == "HEAD" else REFUSED)


# origins of a request, and whether it passes LIST
ORIGINS = [
    ([None], True), ([APP], True), (["HTTPS://App.Example"], True), ([f"{APP}:443"], True), (["http://localhost:6274"], True),
    ([OTHER], False), (["http://app.example"], False), ([f"{APP}:8443"], False), (["http://localhost"], False), (["null"], False),
    ([""], False), ([APP, APP], False), ([APP, OTHER], False), ([APP, ""], False), ([f"{APP} {OTHER}"], False), ([f"{APP}/"], False),
    ([f"{APP}.evil.example"], False), ([f"https://user@{APP[8:]}"], False), (["https://app.example."], False), (["app.example"], False),
    ([f"{APP}#"], False), (["*"], False), (["https://\u00e4pp.example"], False), ([f"{APP}:0443"], False), (["none"], False)]

# name: (section, method, passes with the other origin)
METHODS = {
    "Limit POST, GET": ("post", "GET", True), "Limit POST, POST": ("post", "POST", False), "Limit POST, OPTIONS": ("post", "OPTIONS", True),
    "LimitExcept GET, GET": ("not get", "GET", True), "LimitExcept GET, HEAD": ("not get", "HEAD", True),
    "LimitExcept GET, PUT": ("not get", "PUT", False), "LimitExcept GET, an unknown one": ("not get", "FROB", False),
    "nested none": ("open/none", "GET", True), "nested other": ("open/other", "GET", True),
    "nested for POST, POST": ("open/post", "POST", True), "nested for POST, GET": ("open/post", "GET", False),
    "nested silent": ("open/silent", "GET", False), "HEAD": ("open", "HEAD", False), "POST": ("open", "POST", False),
    "OPTIONS": ("open", "OPTIONS", False), "both lines": ("two lines", "GET", False),
}

WAYS = {"plain": "/open/x.txt", "index": "/index/", "views": "/views/x", "rewritten": "/rewriting", "redirected": "/redirecting/x.txt",
        "a file": "/files/page.txt", "a file, by index": "/files/", "a file, by fallback": "/files/nothing"}


class TestOrigin:
    modules = ("access_compat", "auth_basic", "authn_file", "rewrite", "include", "negotiation", "http2")
    expected = ("AH01630", "AH01797", "AH01631", "AH01627", "LA0020", "unable to include")

    @staticmethod
    def configure(httpd):
        httpd.write_passwords("conf/passwords", u="p")
        httpd.write("htdocs/files/page.txt", PAGE)
        httpd.write("htdocs/redirecting/x.txt", "no")
        httpd.write("htdocs/including/page.shtml", '<!--#include virtual="/included/x.txt" -->')
        text = write_callers(httpd) + GENERAL.replace("{root}", str(httpd.root)).replace("{app}", APP).replace("{endpoint}", httpd.endpoint().url())
        for name, lines in {**SECTIONS, **SECTIONS_IN}.items():
            httpd.write(f"htdocs{path_of(name)}/x.txt", PAGE)
            text += f"<Location {path_of(name)}>\n{lines}\n</Location>\n"
        return "Protocols h2c http/1.1\n" + text

    @pytest.mark.parametrize("origins, passes", ORIGINS, ids=[" + ".join(map(str, o)) or "empty" for o, _ in ORIGINS])
    def test_origins(self, httpd, origins, passes):
        response = httpd.get("/open/x.txt", headers=with_origin(*origins))
        if passes:
            assert (response.status, response.body) == (200, PAGE), response
        else:
            check_refused(response)

    @pytest.mark.parametrize("name", [n for n in SECTIONS if n not in ("post", "not get", "unruled", "error page", "own error page")])
    @pytest.mark.parametrize("caller", ["anon", "full"])
    def test_refused_whatever_else_stands_there(self, httpd, name, caller):
        check_refused(httpd.get(f"{path_of(name)}/x.txt", token=key_of(caller), headers=with_origin(OTHER)))

    @pytest.mark.parametrize("name, status", [("open", 200), ("all granted", 200), ("all denied", 403), ("satisfied", 200), ("basic", 401),
                                              ("no provider", 500), ("bearer", 401), ("satisfied with a rule", 401), ("two lines", 200)])
    def test_the_listed_one_meets_the_rest(self, httpd, name, status):
        assert httpd.get(f"{path_of(name)}/x.txt", headers=with_origin(APP)).status == status

    @pytest.mark.parametrize("name", METHODS)
    def test_methods_and_nesting(self, httpd, name):
        section, method, passes = METHODS[name]
        response = httpd.request(method, f"{path_of(section)}/x.txt", headers=with_origin(OTHER))
        if passes:
            assert response.status in (200, 405, 501) and response.note("error") is None, response
        else:
            check_refused(response, method)

    @pytest.mark.parametrize("name", WAYS)
    def test_ways(self, httpd, name):
        for origin, passes in ((None, True), (APP, True), (OTHER, False)):
            response = httpd.get(WAYS[name], headers=with_origin(origin))
            if passes:
                assert (response.status, response.body) == (200, PAGE), response
            else:
                assert response.status == 403 and PAGE not in response.body, response
                assert response.note("error") == "origin_not_allowed"

    def test_included(self, httpd):
        assert PAGE in httpd.get("/including/page.shtml", headers=with_origin(APP)).body
        assert PAGE not in httpd.get("/including/page.shtml", headers=with_origin(OTHER)).body

    def test_error_page_of_another_section(self, httpd):
        """The page is a GET of a section whose list holds for all methods."""
        for method in ("GET", "POST"):
            response = httpd.request(method, "/error-page/nothing", headers=with_origin(OTHER))
            assert response.status in (403, 404) and PAGE not in response.body

    def test_error_page_of_its_own_section(self, httpd):
        """The page is a GET, which the list covers, for a POST that it does not; httpd does not check the section again."""
        assert PAGE in httpd.request("POST", "/own-error-page/nothing", headers=with_origin(APP)).body
        assert PAGE not in httpd.request("POST", "/own-error-page/nothing", headers=with_origin(OTHER)).body

    def test_error_page_by_the_clients_method(self, httpd):
        """The list of the page's section covers POST, and the page is a GET."""
        assert PAGE not in httpd.request("POST", "/unruled/nothing", headers=with_origin(OTHER)).body
        assert PAGE in httpd.get("/unruled/nothing", headers=with_origin(OTHER)).body

    def test_error_page_is_a_page(self, httpd):
        assert PAGE in httpd.get("/error-page/nothing", headers=with_origin(APP)).body

    def test_nobody_is_authenticated(self, httpd):
        token = new_token()
        check_refused(httpd.get("/asked/x.txt", token=token, headers=with_origin(OTHER)))
        assert not httpd.endpoint().calls_for(token)
        assert httpd.get("/asked/x.txt", token=token, headers=with_origin(APP)).status == 200

    @pytest.mark.parametrize("section", ["let through", "readable"])
    @pytest.mark.parametrize("origin, passes", [(APP, True), (OTHER, False)])
    def test_preflights(self, httpd, section, origin, passes):
        headers = [*with_origin(origin), ("Access-Control-Request-Method", "POST")]
        response = httpd.request("OPTIONS", f"{path_of(section)}/x.txt", headers=headers)
        if passes:
            assert response.status in (200, 204) and response.note("error") is None, response
        else:
            check_refused(response)

    def test_a_listed_page_reads_the_refusal(self, httpd):
        response = httpd.get("/readable/x.txt", headers=with_origin(OTHER))
        check_refused(response)
        assert response.header("Access-Control-Allow-Origin") == OTHER

    def test_websocket_handshake(self, httpd):
        headers = [*with_origin(OTHER), ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                   ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        check_refused(httpd.get("/open/x.txt", headers=headers))

    @pytest.mark.parametrize("origin, status", [(APP, 200), (OTHER, 403)])
    def test_http2(self, httpd, origin, status):
        [(got, _, body)] = curl(httpd, "-H", f"Origin: {origin}", f"http://127.0.0.1:{httpd.port}/open/x.txt")
        assert got == status and (status == 200 or body.encode() == REFUSED)

    def test_the_log_names_the_origin(self, httpd):
        mark = httpd.log.mark()
        httpd.get("/open/x.txt", headers=with_origin("https://evil.example/\u00e4"))
        line = httpd.log.await_line("LA0260", mark)
        assert "RequireOrigin of /open/x.txt: the origin is \"https://evil.example/" in line.text
        assert re.search(f"and the line at .*/test.conf:\\d+ lists {APP}, http://localhost:6274(,|$)", line.text), line.text


class TestUsersOfOthers:
    """A user that another module set without an AuthType, as SSLUserName does, stays on all ways to a page."""

    modules = ("lua", "rewrite", "include", "cgid")

    @staticmethod
    def configure(httpd):
        httpd.write("conf/user.lua", "require 'apache2'\nfunction set(r)\n  r.user = 'other'\n  return apache2.DECLINED\nend\n")
        httpd.write("htdocs/env.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n").chmod(0o755)
        httpd.write("htdocs/page.shtml", '<!--#include virtual="/env.cgi" -->')
        return write_callers(httpd) + f"""
ScriptSock {httpd.root}/run/cgisock
LuaHookAccessChecker {httpd.root}/conf/user.lua set
<Directory "{httpd.root}/htdocs">
    {LIST}
    Options +ExecCGI +Includes
    AddHandler cgi-script .cgi
    AddOutputFilter INCLUDES .shtml
    DirectoryIndex env.cgi
    ErrorDocument 404 /env.cgi
    RewriteEngine On
    RewriteRule ^rewritten$ /env.cgi [L]
</Directory>
"""

    @pytest.mark.parametrize("path", ["/env.cgi", "/", "/rewritten", "/page.shtml", "/nothing"])
    def test_stays(self, httpd, path):
        assert b"\nREMOTE_USER=other\n" in httpd.get(path, headers=with_origin(APP)).body
        assert b"REMOTE_USER" not in httpd.get(path, headers=with_origin(OTHER)).body


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "htaccess"])
class TestKinds:
    @pytest.fixture(scope="class")
    def served(self, httpd):
        return httpd

    @staticmethod
    def configure(httpd):
        return write_callers(httpd) + "".join(protect(httpd, kind, SLUGS[kind], LIST) for kind in KINDS if kind != "htaccess")

    def test_kind(self, httpd, kind):
        path = f"/{SLUGS[kind]}/page.txt"
        check_refused(httpd.get(path, headers=with_origin(OTHER)))
        assert httpd.get(path, headers=with_origin(APP)).status == httpd.get(path).status == 200


# preset: the refusal's document
DOCUMENTS = {
    "llama": {"error": {"detail": "Access denied: origin not allowed"}},
    "ogx": {"error": {"message": "Access denied: origin not allowed"}},
    "openai": {"error": {"message": "Access denied: origin not allowed", "type": "permission_error", "param": None,
                         "code": "origin_not_allowed"}},
    "anthropic": {"type": "error", "error": {"type": "permission_error", "message": "Access denied: origin not allowed"}},
    "problem": {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "Access denied: origin not allowed",
                "code": "origin_not_allowed"},
}


class TestDocuments:
    @staticmethod
    def configure(httpd):
        return "".join(f"<Location /{name}>\n{LIST}\nLlamaAuthErrorDocument default {name}\nErrorDocument 403 /index.html\n</Location>\n"
                       for name in DOCUMENTS)

    @pytest.mark.parametrize("name", DOCUMENTS)
    def test_document(self, httpd, name):
        response = httpd.get(f"/{name}", headers=with_origin(OTHER))
        assert response.status == 403 and response.json == DOCUMENTS[name]


# lines: what httpd -t says of them; None if they are right
LINES = {
    "RequireOrigin": "origin is missing",
    "RequireOrigin none": None,
    "RequireOrigin none https://a.example": "'none' is no origin",
    "RequireOrigin *": "is no origin",
    "RequireOrigin https://a.example/": "write https://a.example",
    "RequireOrigin https://a.example/mcp": "write https://a.example",
    "RequireOrigin a.example": "write SCHEME://HOST",
    "RequireOrigin https://\u00e4.example": "xn--",
    "RequireOrigin null https://A.example:443 http://[::1]:80 chrome-extension://abcdefghij": None,
    "RequireOrigin https://a.example\nRequireOrigin https://b.example": "write one line with all origins",
    "RequireOrigin https://a.example\nRequireOrigin none": "none cannot stand beside",
    "RequireOrigin https://a.example https://b.example\n<Limit POST>\nRequireOrigin https://a.example\n</Limit>": None,
    "<Limit post>\nRequireOrigin https://a.example\n</Limit>": "capitals",
    "<RequireAny>\nRequireOrigin https://a.example\n</RequireAny>": "<RequireAny>",
    "LlamaAuthCors": "takes origins",
    "LlamaAuthCors off": None,
    "LlamaAuthCors *": None,
    "LlamaAuthCors https://a.example http://localhost:3000 null": None,
    "LlamaAuthCors * https://a.example": "stands alone",
    "LlamaAuthCors https://a.example off": "'off' is no origin",
    "LlamaAuthCors https://a.example/": "write https://a.example",
    "LlamaAuthCors https://a.example\nLlamaAuthCors https://b.example": "only once",
    "<Limit POST>\nLlamaAuthCors *\n</Limit>": "<Limit",
}


@pytest.mark.parametrize("lines", LINES)
def test_configuration(bare, lines):
    bare.configure(f"<Location /x>\n{lines}\n</Location>\n")
    status, said = bare.check()
    assert (status == 0) == (LINES[lines] is None), said
    assert LINES[lines] is None or LINES[lines] in said


def test_a_second_field_of_mod_headers(bare):
    """httpd joins the fields that a client repeats, but not those that are added later."""
    bare.configure(f"RequestHeader add Origin {APP} early\n<Location />\n{LIST}\n</Location>\n")
    bare.start()
    assert bare.get("/index.html").status == 200
    check_refused(bare.get("/index.html", headers=with_origin(APP)))


@pytest.mark.parametrize("line", ["RequireOrigin none", "LlamaAuthCors *"])
def test_not_in_htaccess(bare, line):
    """Not even where AllowOverrideList names them."""
    bare.write("htdocs/.htaccess", line)
    bare.configure(f'<Directory "{bare.root}/htdocs">\nAllowOverride All\nAllowOverrideList {line.split()[0]}\n</Directory>\n')
    bare.expect("cannot occur within htaccess files")
    bare.start()
    assert bare.get("/index.html").status == 500
