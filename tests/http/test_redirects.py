"""Requests that httpd makes of a request: internal redirects, subrequests, error documents, proxies. None of them
shows a protected page to somebody who may not see it."""

import pytest

from callers import BEARER, check, key_of, passed, write_callers
from behaviour import accept, reply
from configs import location, provider
from conftest import every_mpm, new_token

SECRET = b"the protected page"


def pages(httpd):
    httpd.write("htdocs/protected/page.txt", SECRET)
    httpd.write("htdocs/protected/page.html", SECRET)
    httpd.write("htdocs/protected/index.html", SECRET)
    httpd.write("htdocs/public/page.txt", "public")
    httpd.write("htdocs/public/top.txt", "top")
    httpd.write("htdocs/public/include.shtml", 'before <!--#include virtual="/protected/page.txt" --> after')
    httpd.write("htdocs/public/twice.shtml", '<!--#include virtual="/public/page.txt" -->|<!--#include virtual="/protected/page.txt" -->'
                                             '|<!--#include virtual="/public/page.txt" -->')
    httpd.write("htdocs/both/page.shtml", 'a <!--#include virtual="/both/inner.shtml" --> c')
    httpd.write("htdocs/both/inner.shtml", "b")
    httpd.write("htdocs/both/weaker.shtml", 'a <!--#include virtual="/protected/page.txt" --> c')
    httpd.write("htdocs/index-of/protected-index.txt", SECRET)
    httpd.write("htdocs/index-of/other.txt", "other")
    httpd.write("htdocs/index-alone/protected-index.txt", SECRET)
    httpd.write("htdocs/var/page.txt.en", SECRET)


CONFIG = """
AddType text/html .shtml
AddLanguage en .en
AddOutputFilter INCLUDES .shtml
<Directory "{root}/htdocs">
    Options +Includes +FollowSymLinks +MultiViews
    AllowOverride None
</Directory>
<Location /protected/>
    {bearer}
    RequireScope b
    AcceptPathInfo On
</Location>
<Location /both/>
    {bearer}
    RequireScope a
</Location>
<Directory "{root}/htdocs/index-of">
    DirectoryIndex protected-index.txt other.txt
    <Files protected-index.txt>
        {bearer}
        RequireScope b
    </Files>
</Directory>
<Directory "{root}/htdocs/index-alone">
    DirectoryIndex protected-index.txt
    <Files protected-index.txt>
        {bearer}
        RequireScope b
    </Files>
</Directory>
<Directory "{root}/htdocs/var">
    <Files page.txt.en>
        {bearer}
        RequireScope b
    </Files>
</Directory>
RewriteEngine On
RewriteRule "^/rewrite/early$" "/protected/page.txt" [PT]
RewriteRule "^/rewrite/lookahead$" "%{LA-U:REMOTE_USER}/protected/page.txt" [PT]
<Directory "{root}/htdocs/public">
    RewriteEngine On
    RewriteRule "^late$" "/protected/page.txt" [L]
    FallbackResource disabled
</Directory>
<Location /public/missing>
    ErrorDocument 404 /protected/page.txt
</Location>
<Location /fallback/>
    FallbackResource /protected/page.txt
</Location>
<Location /denied/>
    {bearer}
    RequireScope b
    ErrorDocument 401 /denied/page.txt
    ErrorDocument 403 /denied/page.txt
    ErrorDocument 500 /denied/page.txt
</Location>
<Location /elsewhere/>
    {bearer}
    RequireScope b
    ErrorDocument 401 /protected/page.txt
    ErrorDocument 403 /public/page.txt
</Location>
Action la-test /protected/page.txt virtual
<Location /action/>
    SetHandler la-test
</Location>
Alias /moved/ "{root}/htdocs/protected/"
"""

# name: (path, what an anonymous, a weak and a full caller get)
WAYS = {
    "directly": ("/protected/page.txt", (401, "scope b", True)),
    "rewritten before": ("/rewrite/early", (401, "scope b", True)),
    "rewritten in a directory": ("/public/late", (401, "scope b", True)),
    "directory index": ("/protected/", (401, "scope b", True)),
    "directory index that is protected alone": ("/index-alone/", (401, "scope b", True)),
    "action": ("/action/x", (401, "scope b", True)),
    "fallback": ("/fallback/x", (401, "scope b", True)),
    "dot segments": ("/public/../protected/page.txt", (401, "scope b", True)),
    "encoded letters": ("/%70rotected/page.txt", (401, "scope b", True)),
    "double slash": ("//protected//page.txt", (401, "scope b", True)),
    "path info": ("/protected/page.txt/more", (401, "scope b", True)),
    "not there": ("/protected/nothing", (401, "scope b", None)),
    "ErrorDocument 401 into itself": ("/denied/x", (401, "scope b", None)),
    "ErrorDocument 401 into another": ("/elsewhere/x", (401, "scope b", None)),
}


def configure(httpd):
    httpd.write("htdocs/denied/page.txt", SECRET)
    pages(httpd)
    return write_callers(httpd) + CONFIG.replace("{root}", str(httpd.root)).replace("{bearer}", BEARER)


class TestWays:
    modules = ("rewrite", "include", "actions", "negotiation", "filter")
    expected = (r"AH0062|AH01374|AH01375|unable to include", r"AH00126|AH00127|AH00128", r"AH00687")
    configure = staticmethod(configure)

    @pytest.mark.parametrize("caller", [0, 1, 2], ids=["anon", "some", "full"])
    @pytest.mark.parametrize("path, expected", WAYS.values(), ids=WAYS.keys())
    def test_way(self, httpd, path, expected, caller):
        response = httpd.get(path, token=key_of(("anon", "some", "full")[caller]))
        if expected[caller] is None:
            assert response.status == 404
        else:
            check(response, expected[caller])
        assert (SECRET in response.body) == (expected[caller] is True)

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    def test_error_document_shows_no_protected_page(self, httpd, caller, seen):
        response = httpd.get("/public/missing", token=key_of(caller))
        assert (SECRET in response.body) == seen
        assert response.status == 404 if seen else response.status in (401, 403, 404), response

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    def test_include(self, httpd, caller, seen):
        response = httpd.get("/public/include.shtml", token=key_of(caller))
        assert response.status == 200 and response.note("error") is None
        assert response.body.startswith(b"before ") and response.body.endswith(b" after")
        assert (SECRET in response.body) == seen
        assert b'{"error"' not in response.body
        assert response.header("WWW-Authenticate") is None
        assert response.header("Content-Type").startswith("text/html")

    @pytest.mark.parametrize("caller, body", [("anon", b"other"), ("some", b"other"), ("full", SECRET)])
    def test_the_next_directory_index(self, httpd, caller, body):
        """httpd goes on to the next name when one fails: nothing of the failure may stick to the answer."""
        response = httpd.get("/index-of/", token=key_of(caller))
        assert (response.status, response.body, response.note("error")) == (200, body, None)
        assert response.header("WWW-Authenticate") is None

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    def test_negotiation(self, httpd, caller, seen):
        response = httpd.get("/var/page.txt", token=key_of(caller))
        assert (SECRET in response.body) == seen
        assert response.status == 200 if seen else response.status in (401, 403, 404), response

    def test_include_fails_between_two_that_work(self, httpd):
        response = httpd.get("/public/twice.shtml", token=key_of("some"))
        first, second, third = response.body.split(b"|")
        assert (response.status, first, third) == (200, b"public", b"public") and SECRET not in second

    def test_include_in_the_same_section(self, httpd):
        assert httpd.get("/both/page.shtml", token=key_of("some")).body == b"a b c"
        check(httpd.get("/both/page.shtml"), 401)
        check(httpd.get("/both/page.shtml", token=key_of("bare")), "scope a")

    def test_include_of_what_is_guarded_more(self, httpd):
        response = httpd.get("/both/weaker.shtml", token=key_of("some"))
        assert response.status == 200 and SECRET not in response.body
        assert httpd.get("/both/weaker.shtml", token=key_of("full")).body == b"a " + SECRET + b" c"

    def test_lookahead_finds_no_user_for_the_anonymous(self, httpd):
        response = httpd.get("/rewrite/lookahead")
        assert SECRET not in response.body

    def test_notes_survive_an_internal_redirect(self, httpd):
        response = httpd.get("/public/late", token=key_of("full"))
        assert (response.note("principal"), response.note("user"), response.note("attribute.teams")) == ("full", "full", "core")

    def test_connection_is_usable_after_each(self, httpd):
        with httpd.connect() as connection:
            for path, expected in WAYS.values():
                check(connection.get(path), expected[0])
            assert connection.get("/protected/page.txt", token=key_of("full")).body == SECRET


class TestSkippedByHttpd:
    """httpd checks nothing again for a request that it makes itself and that meets the same sections, even when
    the first request was refused or was made with a method that no rule covers. We do."""
    modules = ("include", "filter")
    expected = (r"AH01630: client denied", r"AH01374|AH01375|unable to include")

    @staticmethod
    def configure(httpd):
        for name in ("limit", "address"):
            httpd.write(f"htdocs/{name}/page.txt", SECRET)
            httpd.write(f"htdocs/{name}/page.shtml", 'before <!--#include virtual="page.txt" --> after')
        return write_callers(httpd) + f'''
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "{httpd.root}/htdocs">
    Options +Includes
</Directory>
<Location /limit/>
    {BEARER}
    <Limit GET>
        RequireScope b
    </Limit>
    Require all granted
    ErrorDocument 404 /limit/page.txt
    ErrorDocument 405 /limit/page.txt
</Location>
<Location /address/>
    {BEARER}
    RequireScope b
    Require ip 192.0.2.1
    ErrorDocument 403 /address/page.txt
</Location>
'''

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    @pytest.mark.parametrize("method, path, status", [("POST", "/limit/nothing", 404), ("PUT", "/limit/page.txt", 405)])
    def test_error_document_is_a_get(self, httpd, method, path, status, caller, seen):
        response = httpd.request(method, path, token=key_of(caller))
        assert (SECRET in response.body) == seen
        assert response.status in ((status,) if seen else (status, 401, 403))

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    def test_include_is_a_get(self, httpd, caller, seen):
        response = httpd.request("POST", "/limit/page.shtml", token=key_of(caller))
        assert response.status == 200 and response.body.startswith(b"before ")
        assert (SECRET in response.body) == seen

    @pytest.mark.parametrize("caller, seen", [("anon", False), ("some", False), ("full", True)])
    def test_error_document_of_one_who_was_refused(self, httpd, caller, seen):
        response = httpd.get("/address/page.txt", token=key_of(caller))
        assert (SECRET in response.body) == seen
        assert response.status in (401, 403)


@every_mpm
class TestCalls:
    """How often the endpoint is asked: once per request, whatever httpd makes of it."""
    modules = ("rewrite", "include")

    @staticmethod
    def configure(httpd):
        pages(httpd)
        httpd.write("htdocs/all/index.html", "index")
        httpd.write("htdocs/all/page.shtml", '<!--#include virtual="/all/index.html" -->' * 3)
        return ("AddOutputFilter INCLUDES .shtml\n<Directory htdocs>\nOptions +Includes\n</Directory>\n" +
                provider("ep", httpd.endpoint().url(), "CacheTTL 0", "CacheNegativeTTL 0") + location("/all/", "ep"))

    @pytest.mark.parametrize("path", ["/all/index.html", "/all/", "/all/nothing"])
    def test_once(self, httpd, token, path):
        httpd.get(path, token=token)
        calls = httpd.endpoint().calls_for(token)
        assert calls[0].json["request"]["path"] == path
        assert len(calls) <= (2 if path == "/all/" else 1)  # the index file is another path

    def test_rejected_once(self, httpd):
        token = httpd.endpoint().on(new_token(), reply(401, b""))
        assert httpd.get("/all/index.html", token=token).status == 401
        assert len(httpd.endpoint().calls_for(token)) == 1


class TestProviders:
    """A redirect into a section with other providers asks those."""
    modules = ("rewrite",)

    @staticmethod
    def configure(httpd):
        pages(httpd)
        return (provider("one", httpd.endpoint("one").url()) + provider("two", httpd.endpoint("two").url()) +
                location("/public/", "one") + location("/protected/", "two", lines=("RequireScope s",)) +
                f'<Directory "{httpd.root}/htdocs/public">\nRewriteEngine On\nRewriteRule "^late$" "/protected/page.txt" [L]\n</Directory>\n')

    @pytest.mark.parametrize("one, two, status, code", [
        (accept("a", {"scopes": ["s"]}), accept("b", {"scopes": ["s"]}), 200, None),
        (accept("a", {"scopes": ["s"]}), accept("b"), 403, "insufficient_scope"),
        (accept("a", {"scopes": ["s"]}), reply(403, b""), 401, "invalid_token"),
        (reply(403, b""), accept("b", {"scopes": ["s"]}), 401, "invalid_token")],
        ids=["both accept", "second has no scope", "second rejects", "first rejects"])
    def test_identity_is_the_second_ones(self, httpd, token, one, two, status, code):
        httpd.endpoint("one").on(token, one)
        httpd.endpoint("two").on(token, two)
        response = httpd.get("/public/late", token=token)
        assert (response.status, response.note("error")) == (status, code)
        assert (SECRET in response.body) == (status == 200)
        if status == 200:
            assert (response.note("user"), response.note("provider")) == ("b", "two")


class TestForwardProxy:
    """As a forward proxy httpd asks with 407, and the credential is Proxy-Authorization."""
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.endpoint("backend").default = reply(200, b"backend page")
        return write_callers(httpd) + f'ProxyRequests On\n<Proxy "*">\n{BEARER}RequireScope b\n</Proxy>\n'

    @pytest.mark.parametrize("caller, status", [("anon", 407), ("bare", 403), ("full", 200)])
    def test_proxy_authorization(self, httpd, caller, status):
        headers = [("Proxy-Authorization", "Bearer " + key_of(caller))] if caller != "anon" else []
        response = httpd.get(httpd.endpoint("backend").url("/page"), headers=headers)
        assert response.status == status
        if status == 407:
            assert response.header("Proxy-Authenticate") == 'Bearer realm="policy", scope="b"'
            assert response.header("WWW-Authenticate") is None
        if status != 200:
            assert response.header("Content-Type") == "application/json" and "error" in response.json

    def test_authorization_is_for_the_origin(self, httpd):
        response = httpd.get(httpd.endpoint("backend").url("/page"), token=key_of("full"))
        assert response.status == 407


class TestProxy:
    """Behind mod_proxy: what the backend says stays as it is."""
    modules = ("proxy", "proxy_http")
    expected = (r"AH01114|AH00957|AH01102|AH00898",)

    @staticmethod
    def configure(httpd):
        backend = httpd.endpoint("backend")
        backend.default = reply(200, b"backend page", [("Content-Type", "text/plain")])
        text = write_callers(httpd) + "ProxyTimeout 5\n"
        for name, lines in (("plain", ""), ("override", "ProxyErrorOverride On\n")):
            text += (f"<Location /{name}/>\n{BEARER}RequireScope b\n{lines}ProxyPass {backend.url('/')} \n"
                     'ErrorDocument 401 "text of an ErrorDocument"\nErrorDocument 403 "text of an ErrorDocument"\n</Location>\n')
        return text

    def answer(self, httpd, behaviour):
        httpd.endpoint("backend").default = behaviour

    @pytest.mark.parametrize("path", ["/plain/x", "/override/x"])
    @pytest.mark.parametrize("caller, expected", [("anon", 401), ("some", "scope b"), ("full", True)])
    def test_guarded(self, httpd, path, caller, expected):
        self.answer(httpd, reply(200, b"backend page"))
        before = len(httpd.endpoint("backend").calls)
        response = httpd.get(path, token=key_of(caller))
        check(response, expected)
        assert len(httpd.endpoint("backend").calls) - before == (expected is True)
        assert (response.body == b"backend page") == (expected is True)

    @pytest.mark.parametrize("status", [401, 403, 500, 503])
    def test_backends_own_refusal(self, httpd, status):
        self.answer(httpd, reply(status, b"the backend's own words", [("WWW-Authenticate", 'Basic realm="backend"'),
                                                                     ("Content-Type", "text/plain")]))
        response = httpd.get("/plain/x", token=key_of("full"))
        assert (response.status, response.body) == (status, b"the backend's own words")
        assert response.header("WWW-Authenticate") == 'Basic realm="backend"'
        assert response.header("Content-Type") == "text/plain"
        assert response.note("error") is None

    @pytest.mark.parametrize("status", [401, 403])
    def test_overridden_refusal(self, httpd, status):
        self.answer(httpd, reply(status, b"the backend's own words"))
        response = httpd.get("/override/x", token=key_of("full"))
        assert (response.status, response.body) == (status, b"text of an ErrorDocument")
        assert response.note("error") is None
        assert "Bearer" not in (response.header("WWW-Authenticate") or "")

    def test_backend_down(self, httpd):
        self.answer(httpd, lambda peer, call: peer.reset())
        response = httpd.get("/plain/x", token=key_of("full"))
        assert response.status == 502 and b'{"error"' not in response.body

    def test_token_goes_on_by_default(self, httpd):
        self.answer(httpd, reply(200, b"backend page"))
        assert passed(httpd.get("/plain/token", token=key_of("full")))
        call = [c for c in httpd.endpoint("backend").calls if c.target == "/token"][-1]
        assert call.header("Authorization") == "Bearer " + key_of("full")
