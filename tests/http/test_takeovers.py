"""Where another section's configuration takes over a request (an index file, a fallback, an error page, an included page), that
section's providers and rules decide, for the client's own method, and the handler is told of that caller and of nobody else. The
token is the one that the client sent, whatever other modules make of the header fields on the way to the backend."""

import json
import subprocess

import pytest

from behaviour import accept, reply
from callers import BEARER, check, key_of, write_callers
from configs import provider
from conftest import new_token
from server import key_entry

CGI = """#!/bin/sh
printf 'Content-Type: application/json\\n\\n'
printf '{"user": "%s", "x_user": "%s", "principal": "%s", "provider": "%s", "roles": "%s", "method": "%s"}' \\
    "$REMOTE_USER" "$HTTP_X_USER" "$LLAMA_AUTH_PRINCIPAL" "$LLAMA_AUTH_PROVIDER" "$LLAMA_AUTH_ATTRIBUTE_ROLES" "$REQUEST_METHOD"
"""
WEAK_ONLY = "key-of-weak-only-000001"
BARE = key_of("bare")
ORIGIN = ("Origin", "https://app.example")
METHOD = ("Access-Control-Request-Method", "POST")


def script(httpd, path):
    httpd.write(path, CGI).chmod(0o755)


def weak_provider(httpd):
    """Another provider, to which the caller `bare` is `root`, and which knows somebody whom nobody else does."""
    httpd.write_keys("conf/weak.json", key_entry(BARE, "root", {"roles": ["admin"], "scopes": ["admin"]}),
                     key_entry(WEAK_ONLY, "weakling", {"scopes": ["admin"]}))
    return "<LlamaAuthProvider weak static>\n    File conf/weak.json\n</LlamaAuthProvider>\n"


def told(user):
    """What the handler is told of a caller: of `keys`, or of nobody."""
    return {"user": user, "x_user": user, "principal": user, "provider": "keys" if user else "", "roles": ""}


def assert_told(body, user):
    seen = json.loads(body)
    assert {name: seen[name] for name in told(user)} == told(user)


class TestIndexFiles:
    modules = ("cgid", "rewrite", "include", "filter", "negotiation")
    expected = (r"AH0137|unable to include", r"AH01631")

    @staticmethod
    def configure(httpd):
        for path in ("dir/index.cgi", "alone/index.cgi", "open/index.cgi", "elsewhere/target.cgi", "fall/back.cgi"):
            script(httpd, f"htdocs/{path}")
        httpd.write("htdocs/ssi/page.shtml", '<!--#include virtual="/dir/index.cgi" -->|<!--#include virtual="/plain/x.cgi" -->')
        script(httpd, "htdocs/plain/x.cgi")
        (httpd.root / "htdocs" / "from").mkdir()
        all_of_it = "LlamaAuthForward X-User principal\n LlamaAuthEnv on\n"
        weak = f"AuthType Bearer\n AuthName weak\n LlamaAuthUse weak\n Require valid-user\n {all_of_it}"
        return write_callers(httpd) + weak_provider(httpd) + f"""
ScriptSock cgisock
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +Includes
    AddHandler cgi-script .cgi
    DirectoryIndex index.cgi
</Directory>
<Directory "{httpd.root}/htdocs/dir">
    {weak}
    <Files index.cgi>
        LlamaAuthUse keys
        <Limit POST>
            RequireScope a
        </Limit>
    </Files>
</Directory>
<Directory "{httpd.root}/htdocs/alone">
    <Files index.cgi>
        {BEARER}
        Require valid-user
        {all_of_it}
    </Files>
</Directory>
<Directory "{httpd.root}/htdocs/open">
    {weak}
    <Files index.cgi>
        AuthType None
        Require all granted
    </Files>
</Directory>
<Directory "{httpd.root}/htdocs/from">
    {weak}
    DirectoryIndex /elsewhere/target.cgi
</Directory>
<Location /elsewhere>
    {BEARER}
    {all_of_it}
    <Limit POST>
        Require user full
    </Limit>
    <LimitExcept POST>
        Require valid-user
    </LimitExcept>
</Location>
<Directory "{httpd.root}/htdocs/fall">
    {weak}
    FallbackResource /fall/back.cgi
    <Files back.cgi>
        LlamaAuthUse keys
        LlamaAuthTokenSource header:x-api-key
    </Files>
</Directory>
<Location /ssi>
    {weak}
</Location>
"""

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    def test_an_index_file_has_its_own_providers(self, httpd, method):
        response = httpd.request(method, "/dir/", token=WEAK_ONLY)
        assert (response.status, response.note("error")) == (401, "invalid_token")

    @pytest.mark.parametrize("path", ["/dir/", "/alone/", "/dir/index.cgi", "/alone/index.cgi", "/from/"])
    def test_the_handler_is_told_of_that_caller(self, httpd, path):
        response = httpd.get(path, token=BARE)
        assert response.status == 200
        assert_told(response.body, "bare")
        assert (response.note("principal"), response.note("provider"), response.note("user")) == ("bare", "keys", "bare")

    @pytest.mark.parametrize("path", ["/open/", "/open/index.cgi"])
    def test_an_open_section_has_no_caller(self, httpd, path):
        response = httpd.get(path, token=BARE)
        assert response.status == 200
        assert json.loads(response.body)["user"] == ""
        assert response.note("principal") is None and response.note("attribute.roles") is None

    @pytest.mark.parametrize("path, refused", [("/dir/", "scope a"), ("/dir/index.cgi", "scope a"), ("/from/", "access 401"),
                                               ("/elsewhere/target.cgi", "access 401")])
    def test_rules_hold_for_the_clients_method(self, httpd, path, refused):
        check(httpd.request("POST", path, token=BARE), refused)
        response = httpd.request("POST", path, token=key_of("full"))
        assert response.status == (401 if path in ("/dir/", "/from/") else 200)  # `full` is nobody to the directory's provider

    def test_a_fallback_has_its_own_sources(self, httpd):
        assert httpd.get("/fall/nothing", token=BARE).note("error") == "missing_token"
        assert httpd.get("/fall/nothing", headers=[("X-Api-Key", BARE)]).note("error") == "missing_token"
        response = httpd.get("/fall/nothing", token=BARE, headers=[("X-Api-Key", BARE)])
        assert_told(response.body, "bare")

    def test_an_included_page_is_told_of_its_own_caller(self, httpd):
        response = httpd.get("/ssi/page.shtml", token=BARE)
        protected, plain = response.body.split(b"|")
        assert_told(protected.strip(), "bare")
        assert_told(plain.strip(), "")


class TestNegotiation:
    """mod_negotiation puts the file's section in before the first fixup, looked up for GET only."""
    modules = ("cgid", "negotiation")
    expected = (r"AH0163[01]", r"AH00687")
    RULES = {"nobody": "Require all denied", "address": "Require ip 192.0.2.1", "user": "Require user full", "scope": "RequireScope b",
             "both": "<RequireAll>\nRequire ip 192.0.2.1\nRequire valid-user\n</RequireAll>"}

    @classmethod
    def configure(cls, httpd):
        sections = ""
        for name, rule in cls.RULES.items():
            script(httpd, f"htdocs/{name}/x.cgi")
            sections += (f'<Directory "{httpd.root}/htdocs/{name}">\n<Files x.cgi>\n<Limit POST>\n{rule}\n</Limit>\n<LimitExcept POST>\n'
                         "Require valid-user\n</LimitExcept>\n</Files>\n</Directory>\n")
        return write_callers(httpd) + f"""
ScriptSock cgisock
<Directory "{httpd.root}/htdocs">
    {BEARER}
    Require valid-user
    AuthzSendForbiddenOnFailure On
    Options +ExecCGI +MultiViews
    MultiviewsMatch Any
    AddHandler cgi-script .cgi
</Directory>
{sections}"""

    @pytest.mark.parametrize("name", RULES)
    def test_rules_hold_for_the_clients_method(self, httpd, name):
        assert httpd.get(f"/{name}/x", token=BARE).status == 200
        direct = httpd.request("POST", f"/{name}/x.cgi", token=BARE)
        found = httpd.request("POST", f"/{name}/x", token=BARE)
        assert direct.status == 403
        if name == "scope":
            assert found.status in (403, 404)  # refused in the look-up already, which leaves nothing to negotiate
        else:
            assert (found.status, found.note("error")) == (403, direct.note("error"))
        allowed = name in ("user", "scope")
        assert httpd.request("POST", f"/{name}/x", token=key_of("full")).status == (200 if allowed else 403)


class TestScriptsOfAPage:
    """A script that mod_include runs gets the page's query string once fixups are over."""
    modules = ("cgid", "include", "filter")

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/hidden/x.cgi", '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"; env\n').chmod(0o755)
        httpd.write("htdocs/page.shtml", '<!--#exec cgi="/hidden/x.cgi" -->')
        return write_callers(httpd) + f"""
ScriptSock cgisock
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +Includes
    AddHandler cgi-script .cgi
</Directory>
<Location /hidden>
    {BEARER}
    LlamaAuthTokenSource query:access_token
    LlamaAuthForwardToken off
    Require valid-user
</Location>
"""

    def test_no_token(self, httpd):
        body = httpd.get(f"/page.shtml?a=1&access_token={BARE}").body
        assert b"REMOTE_USER=bare" in body and b"QUERY_STRING=a=1" in body
        assert BARE.encode() not in body


class TestFieldsThatOthersChange:
    """mod_headers writes the backend's own key into the request; what it wrote is nobody's token."""
    modules = ("rewrite", "cgid")

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/errors/ops.html", "ops page")
        httpd.write("htdocs/errors/sorry.html", "sorry page")
        endpoint = httpd.endpoint()
        endpoint.default = reply(401, b"")

        def section(name, use, more, page):
            return f"""
<Location /{name}>
    AuthType Bearer
    AuthName x
    LlamaAuthUse {use}
    {more}
    Require valid-user
    ErrorDocument 404 /errors/{page}
</Location>
"""
        return (write_callers(httpd) + provider("corp", endpoint.url()) + section("set", "keys", f'RequestHeader set Authorization "Bearer {key_of("full")}"', "ops.html")
                + section("own", "corp", 'RequestHeader set Authorization "Bearer sk-upstream"\n RequestHeader set X-Upstream "sk-upstream"', "corp.html")
                + section("unset", "keys", "RequestHeader unset Authorization", "sorry.html")
                + section("off", "keys", f'LlamaAuthForwardToken off\n RequestHeader set Authorization "Bearer {key_of("full")}"', "ops.html") + f"""
<Location /errors/>
    {BEARER}
    Require valid-user
</Location>
<Location /errors/ops.html>
    RequireAttribute roles admin
</Location>
<Location /errors/corp.html>
    LlamaAuthUse corp
</Location>
""")

    @pytest.mark.parametrize("path", ["/set/missing", "/off/missing"])
    def test_a_written_key_makes_nobody(self, httpd, path):
        assert b"ops page" not in httpd.get(path, token=BARE).body
        assert b"ops page" in httpd.get(path, token=key_of("full")).body

    def test_a_field_that_is_gone_is_still_known(self, httpd):
        assert b"sorry page" in httpd.get("/unset/missing", token=BARE).body

    def test_no_provider_sees_what_others_wrote(self, httpd):
        endpoint = httpd.endpoint()
        token = new_token()
        endpoint.on(token, accept("bob"))
        httpd.write("htdocs/errors/corp.html", "corp page")
        before = len(endpoint.calls)
        assert b"corp page" in httpd.get("/own/missing", token=token).body
        calls = endpoint.calls[before:]
        assert {call.token for call in calls} == {token}
        assert "sk-upstream" not in str([call.json for call in calls])
        assert [call.json["request"]["path"] for call in calls] == ["/own/missing", "/errors/corp.html"]


class TestPathsWithinOneSection:
    """A verdict by path is asked for the path that is served, though httpd asks nobody again within one section."""
    modules = ("rewrite",)

    @staticmethod
    def configure(httpd):
        for name in ("page.html", "secret.html", "sub/index.html"):
            httpd.write(f"htdocs/{name}", name)
        return provider("corp", httpd.endpoint().url()) + provider("flat", httpd.endpoint("flat").url(), "CacheVary none", "CacheTTL 0") + f"""
<Directory "{httpd.root}/htdocs">
    AuthType Bearer
    AuthName x
    LlamaAuthUse corp
    Require valid-user
    RewriteEngine On
    RewriteRule ^moved$ /secret.html [L]
    RewriteRule ^page.html$ page.html?tenant=b [L]
</Directory>
<Location /sub/>
    LlamaAuthUse flat
</Location>
"""

    @staticmethod
    def only(*allowed):
        def behave(peer, call):
            query = call.json["request"].get("params") or {}
            asked = call.json["request"]["path"] + ("?" if query else "")
            (accept("bob") if asked in allowed else reply(403, b""))(peer, call)
        return behave

    @pytest.mark.parametrize("allowed, path, status", [
        (("/moved",), "/moved", 401), (("/moved", "/secret.html"), "/moved", 200), (("/page.html",), "/page.html", 401),
        (("/page.html", "/page.html?"), "/page.html", 200), (("/",), "/", 401), (("/", "/index.html"), "/", 200)])
    def test_path(self, httpd, allowed, path, status):
        token = new_token()
        httpd.endpoint().on(token, self.only(*allowed))
        assert httpd.get(path, token=token).status == status

    def test_one_call_where_the_path_does_not_matter(self, httpd):
        token = new_token()
        httpd.endpoint("flat").on(token, accept("bob"))
        assert httpd.get("/sub/", token=token).status == 200
        assert len([call for call in httpd.endpoint("flat").calls if call.token == token]) == 1


class TestUsersOfOtherModules:
    """A client certificate's name is no caller where AuthType is Bearer."""
    modules = ("cgid", "ssl", "socache_shmcb", "access_compat")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        script(httpd, "htdocs/who.cgi")
        httpd.tls_port = httpd.listen()
        return write_callers(httpd) + f"""
ScriptSock cgisock
<VirtualHost 127.0.0.1:{httpd.tls_port}>
    SSLEngine on
    SSLCertificateFile {httpd.pki.path("good.pem")}
    SSLCertificateKeyFile {httpd.pki.path("good.key")}
    SSLVerifyClient optional_no_ca
    SSLUserName SSL_CLIENT_S_DN_CN
    Alias /open "{httpd.root}/htdocs"
    <Directory "{httpd.root}/htdocs">
        Options +ExecCGI
        AddHandler cgi-script .cgi
    </Directory>
    <Location />
        {BEARER}
        Require valid-user
    </Location>
    <Location /any>
        Satisfy any
    </Location>
    Alias /fake "{httpd.root}/htdocs"
    <Location /fake>
        SSLOptions +FakeBasicAuth
    </Location>
    <Location /open>
        Require all granted
    </Location>
</VirtualHost>
"""

    @staticmethod
    def curl(httpd, path, *more):
        """Status and body, with a client certificate of CN=client."""
        done = subprocess.run(["curl", "-sk", "--max-time", "20", "-w", "\n%{http_code}", "--cert", httpd.pki.path("client.pem"),
                               "--key", httpd.pki.path("client.key"), *more, f"https://127.0.0.1:{httpd.tls_port}{path}"],
                              stdout=subprocess.PIPE, check=True, text=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    @pytest.mark.parametrize("path", ["/who.cgi", "/any/../who.cgi"])
    def test_a_certificate_is_no_token(self, httpd, path):
        status, body = self.curl(httpd, path)
        assert status == 401 and "Authentication required" in body

    def test_the_caller_is_the_tokens(self, httpd):
        status, body = self.curl(httpd, "/who.cgi", "-H", f"Authorization: Bearer {BARE}")
        assert (status, json.loads(body)["user"]) == (200, "bare")

    def test_a_faked_basic_login_hides_no_token(self, httpd):
        status, body = self.curl(httpd, "/fake/who.cgi", "-H", f"Authorization: Bearer {BARE}")
        assert status == 200 and json.loads(body)["user"] == "bare"
        status, body = self.curl(httpd, "/fake/who.cgi")
        assert status == 401 and "Authentication required" in body

    def test_nobody_in_an_open_section(self, httpd):
        status, body = self.curl(httpd, "/open/who.cgi")
        assert (status, json.loads(body)["user"]) == (200, "")


class TestPreflights:
    """A preflight that passes reaches the handler as it is; nothing that could be more than a preflight passes."""
    modules = ("cgid", "rewrite")
    expected = (r"AH01264",)

    @staticmethod
    def configure(httpd):
        for name in ("page.cgi", "error.cgi", "rules/error.cgi"):
            script(httpd, f"htdocs/{name}")
        return write_callers(httpd) + f"""
ScriptSock cgisock
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
<Location />
    {BEARER}
    LlamaAuthPreflight on
    Require valid-user
    ErrorDocument 404 /error.cgi
</Location>
<Location /rules>
    RequireScope b
    ErrorDocument 404 /rules/error.cgi
</Location>
"""

    def test_a_preflight_passes(self, httpd):
        assert httpd.request("OPTIONS", "/page.cgi", headers=[ORIGIN, METHOD]).status == 200

    def test_a_length_of_nothing_is_no_body(self, httpd):
        assert httpd.request("OPTIONS", "/page.cgi", headers=[ORIGIN, METHOD, ("Content-Length", "0")]).status == 200

    @pytest.mark.parametrize("headers, body", [
        ([ORIGIN], None), ([METHOD], None), ([("Origin", ""), METHOD], None), ([ORIGIN, ("Access-Control-Request-Method", "")], None),
        ([ORIGIN, METHOD, ("Content-Length", "2")], b"{}"), ([ORIGIN, METHOD, ("Transfer-Encoding", "chunked")], b"2\r\n{}\r\n0\r\n\r\n"),
        *(([ORIGIN, METHOD, (name, "DELETE")], None) for name in (
            "X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override", "X.Http.Method.Override", "X-Http-Override",
            "X-Request-Method"))])
    def test_not_quite_a_preflight(self, httpd, headers, body):
        response = httpd.request("OPTIONS", "/page.cgi", headers=headers, body=body or b"")
        assert (response.status, response.note("error")) == (401, "missing_token")

    @pytest.mark.parametrize("path", ["/nothing.cgi", "/rules/nothing.cgi"])
    def test_no_error_page(self, httpd, path):
        response = httpd.request("OPTIONS", path, headers=[ORIGIN, METHOD])
        assert response.status == 404 and b"method" not in response.body
        assert b'"user": "full"' in httpd.get(path, token=key_of("full")).body
