"""What the backend is told of the caller: LlamaAuthForward, LlamaAuthForwardToken, LlamaAuthEnv, and that no client can say it."""

import pytest

from behaviour import reply
from callers import CALLERS, PROVIDER, key_of, write_callers
from conftest import every_mpm
from server import client_id, key_entry

BEARER = 'AuthType Bearer\n    AuthName "forward"\n    LlamaAuthUse keys\n    Require valid-user'

MANY = [f"scope-{number}" for number in range(1000)]
STRANGE = {
    "Cem Özdemir, 100%": ("key-of-strange-000011", {}),
    "tenants": ("key-of-strange-000008", {"scopes": ["a"], "teams": ["core", "pay,roll"]}),
    "noscope": ("key-of-strange-000009", {"teams": ["core", "payroll"]}),
    "odd": ("key-of-strange-000010", {"teams": ["c,ö%", "c,ö%"], "roles": ["a,b", "ö\"\n", "[\"admin\"]"], "missing": []}),
    "many": ("key-of-strange-000007", {"scopes": MANY}),
    "values": ("key-of-strange-000006", {"roles": ["a,b", "50%", "naïve", "😀", "tab\there", 'say "hi"', "cr\r\nX-Evil: 1"],
                                         "empty": [], "nul": ["a\x00b"]}),
}


def tell(peer, call):
    """The backend: answers with nothing of interest, the call is recorded."""
    reply(200, b"{}")(peer, call)


def proxied(httpd, body):
    backend = httpd.endpoint("backend")
    backend.default = tell
    return body.replace("{backend}", f"http://127.0.0.1:{backend.port}")


CONFIG = """
<Location "/v1">
    {bearer}
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForward X-Auth-Attributes attributes
    LlamaAuthForward X-Auth-Client client_id
    LlamaAuthForward X-Auth-Provider provider
    LlamaAuthForward X-Auth-Roles attribute:roles
    LlamaAuthForward X-Auth-Missing attribute:missing
    LlamaAuthForward X-Auth-Empty attribute:empty
    ProxyPass "{backend}/v1"
</Location>
<Location "/v1/nested">
    LlamaAuthForward x-auth-user-id client_id
    LlamaAuthForward X-Only-Here principal
</Location>
<Location "/scopes">
    {bearer}
    LlamaAuthForward X-Auth-Scopes attribute:scopes
    RequireScope scope-0 scope-999
    ProxyPass "{backend}/scopes"
</Location>
<Location "/scopes/missing">
    RequireScope scope-999 scope-1000
</Location>
<Location "/tenant">
    {bearer}
    LlamaAuthForward X-Tenant one:teams
    LlamaAuthForward X-Roles json:roles
    LlamaAuthForward X-Json-Missing json:missing
    LlamaAuthForward X-One-Missing one:missing
    ProxyPass "{backend}/tenant"
</Location>
<Location "/tenant/nested">
    LlamaAuthForward x_tenant principal
</Location>
<Location "/tenant/rules">
    RequireScope a
</Location>
<Location "/public">
    Require all granted
    ProxyPass "{backend}/public"
</Location>
<Location "/off">
    {bearer}
    LlamaAuthForwardToken off
    ProxyPass "{backend}/off"
</Location>
<Location "/open-off">
    Require all granted
    LlamaAuthForwardToken off
    ProxyPass "{backend}/open-off"
</Location>
<Location "/sources">
    {bearer}
    LlamaAuthTokenSource Authorization header:X-Api-Key query:access_token cookie:session
    LlamaAuthForwardToken off
    ProxyPass "{backend}/sources"
</Location>
<Location "/nocanon">
    {bearer}
    LlamaAuthTokenSource query:access_token
    LlamaAuthForwardToken off
    ProxyPass "{backend}/nocanon" nocanon
</Location>
"""


class TestBackend:
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        write_callers(httpd)
        entries = [key_entry(key, name, attributes) for name, (key, attributes) in {**CALLERS, **STRANGE}.items()]
        httpd.write_keys("conf/keys.json", *entries)
        return PROVIDER + proxied(httpd, CONFIG.replace("{bearer}", BEARER))

    @staticmethod
    def call(httpd, path, token=None, headers=(), method="GET"):
        """What the backend saw of a request."""
        backend = httpd.endpoint("backend")
        before = len(backend.calls)
        response = httpd.request(method, path, token=token, headers=headers)
        assert response.status == 200, response
        assert len(backend.calls) == before + 1
        return backend.calls[-1]

    def test_values(self, httpd):
        seen = self.call(httpd, "/v1/x", key_of("full"))
        assert seen.header("X-Auth-User-Id") == "full"
        assert seen.header("X-Auth-Client") == client_id(key_of("full"))
        assert self.call(httpd, "/v1/x", STRANGE["Cem Özdemir, 100%"][0]).header("X-Auth-User-Id") == "Cem %C3%96zdemir, 100%25"
        assert seen.header("X-Auth-Provider") == "keys"
        assert seen.header("X-Auth-Roles") == "admin,dev"
        assert seen.header("X-Auth-Missing") is None
        assert seen.header("X-Auth-Attributes").startswith('{"scopes"')
        assert seen.header("Authorization") == f"Bearer {key_of('full')}"

    def test_no_value_breaks_out(self, httpd):
        seen = self.call(httpd, "/v1/x", STRANGE["values"][0])
        assert seen.header("X-Auth-Roles") == ("a%2Cb,50%25,na%C3%AFve,%F0%9F%98%80,tab%09here,say \"hi\","
                                               "cr%0D%0AX-Evil: 1")
        assert seen.header("X-Evil") is None
        assert seen.header("X-Auth-Attributes").isascii()

    @pytest.mark.parametrize("headers", [
        [("X-Auth-User-Id", "root")], [("x-auth-user-id", "root")], [("X_Auth_User_Id", "root")], [("X.Auth.User.Id", "root")],
        [("X-Auth-User-Id", "root"), ("X_Auth_User_Id", "root"), ("x-auth-user-id", "root"), ("X.Auth.User.Id", "root")],
        [("Connection", "X-Auth-User-Id")], [("Connection", "close, x-auth-user-id")], [("Connection", "x_auth_user_id , keep-alive")],
        [("X-Auth-User-Id", "root"), ("Connection", "X-Auth-User-Id, X-Auth-Attributes")],
        [("X-Auth-User-Id", "a"), ("X-Auth-User-Id", "b"), ("Connection", "keep-alive"), ("Connection", "X-Auth-User-Id")],
        [("X_Auth_User_Id", "root"), ("X.Auth.User.Id", "root"), ("x-auth-user-id", "root"), ("Connection", "X-Auth-User-Id")],
        [("x.auth_user-id", "root"), ("X!Auth~User*Id", "root")],
        [("Connection", "close;X-Auth-User-Id")], [("Connection", "keep-alive X-Auth-User-Id")],
        [("Connection", "keep-alive\tX-Auth-User-Id;x-auth-attributes")], [("Connection", ";;X-Auth-User-Id ;TE")],
        [("Connection", 'a"b, c" X-Auth-User-Id')], [("Connection", "Upgrade;X-Auth-User-Id"), ("Upgrade", "x")],
        [("Connection", "keep-alive"), ("Connection", "TE X-Auth-User-Id")],
    ], ids=lambda headers: "; ".join(f"{n}: {v}" for n, v in headers))
    @pytest.mark.parametrize("path, expected", [("/v1/x", ["full"]), ("/public/x", [])])
    def test_clients_cannot_speak_in_our_name(self, httpd, path, expected, headers):
        seen = self.call(httpd, path, key_of("full"), headers)
        named = [(n, v) for n, v in seen.headers if n.lower().translate(str.maketrans("_.!~*", "-----")) == "x-auth-user-id"]
        assert named == [("X-Auth-User-Id", value) for value in expected]

    def test_what_is_absent_is_not_the_clients(self, httpd):
        seen = self.call(httpd, "/v1/x", key_of("full"), [("X-Auth-Missing", "root")])
        assert seen.header("X-Auth-Missing") is None

    def test_category_without_values(self, httpd):
        """No header, as for one that is not there."""
        seen = self.call(httpd, "/v1/x", STRANGE["values"][0], [("X-Auth-Empty", "root")])
        assert '"empty":[]' in seen.header("X-Auth-Attributes") and seen.header("X-Auth-Empty") is None

    def test_a_thousand_scopes(self, httpd):
        seen = self.call(httpd, "/scopes/x", STRANGE["many"][0])
        assert seen.header("X-Auth-Scopes") == ",".join(MANY)
        response = httpd.get("/scopes/missing/x", token=STRANGE["many"][0])
        assert response.status == 403 and response.json["error"]["detail"].endswith("scope: scope-1000")

    CLIENTS_OWN = [(name, "forged") for name in ("X-Tenant", "x_roles", "X-Json-Missing", "X.One.Missing")]

    def forwarded(self, httpd, path, token):
        seen = self.call(httpd, path, token, self.CLIENTS_OWN)
        return {name: value for name, value in seen.headers if "forged" in value or
                name.lower().replace("_", "-") in ("x-tenant", "x-roles", "x-json-missing", "x-one-missing")}

    def test_json_and_one(self, httpd):
        assert self.forwarded(httpd, "/tenant/x", key_of("full")) == {"X-Tenant": "core", "X-Roles": '["admin","dev"]'}

    def test_json_and_one_of_odd_values(self, httpd):
        assert self.forwarded(httpd, "/tenant/x", STRANGE["odd"][0]) == {
            "X-Tenant": "c%2C%C3%B6%25", "X-Roles": '["a,b","\\u00f6\\"\\n","[\\"admin\\"]"]'}

    def test_json_and_one_of_nothing(self, httpd):
        assert self.forwarded(httpd, "/tenant/x", key_of("bare")) == {}

    def test_one_of_several_is_refused(self, httpd):
        mark, before = httpd.log.mark(), len(httpd.endpoint("backend").calls)
        response = httpd.get("/tenant/x", token=STRANGE["tenants"][0])
        assert (response.status, response.note("error")) == (403, "insufficient_attributes")
        assert response.json == {"error": {"detail": "Access denied: more than one value of attribute: teams"}}
        assert response.header("WWW-Authenticate") is None
        assert len(httpd.endpoint("backend").calls) == before
        line = httpd.log.await_line("LA0030", mark)
        assert "LlamaAuthForward X-Tenant one:teams sends one value, and the caller has core,pay%2Croll" in line.text

    def test_one_of_several_is_refused_after_rules(self, httpd):
        response = httpd.get("/tenant/rules/x", token=STRANGE["noscope"][0])
        assert (response.status, response.note("error")) == (403, "insufficient_scope")
        response = httpd.get("/tenant/rules/x", token=STRANGE["tenants"][0])
        assert (response.status, response.note("error")) == (403, "insufficient_attributes")

    def test_one_is_replaced_in_a_nested_section(self, httpd):
        assert self.forwarded(httpd, "/tenant/nested/x", STRANGE["tenants"][0]) == {"x_tenant": "tenants"}

    def test_nested_lines(self, httpd):
        seen = self.call(httpd, "/v1/nested/x", key_of("full"))
        assert seen.header("X-Auth-User-Id") == client_id(key_of("full"))
        assert seen.header("X-Only-Here") == "full"
        assert seen.header("X-Auth-Roles") == "admin,dev"

    @pytest.mark.parametrize("connection", ["X-Mine", "X-Auth-User-Id;X-Mine", "X-Mine X-Auth-User-Id"])
    def test_other_connection_options_stay(self, httpd, connection):
        seen = self.call(httpd, "/v1/x", key_of("full"), [("Connection", connection), ("X-Mine", "gone")])
        assert seen.header("X-Mine") is None and seen.header("X-Auth-User-Id") == "full"

    def test_token_off(self, httpd):
        assert self.call(httpd, "/off/x", key_of("full")).header("Authorization") is None

    def test_token_off_where_nobody_asks_for_it(self, httpd):
        assert self.call(httpd, "/open-off/x", key_of("full")).header("Authorization") is None
        assert self.call(httpd, "/open-off/x", headers=[("Authorization", "Basic YTpi")]).header("Authorization") == "Basic YTpi"

    def test_token_off_header(self, httpd):
        seen = self.call(httpd, "/sources/x", headers=[("x-api-key", key_of("full"))])
        assert seen.header("X-Api-Key") is None

    def test_token_off_query(self, httpd):
        key = key_of("full")
        for query, left in ((f"access_token={key}", ""), (f"a=1&access_token={key}&b=%41+c", "?a=1&b=%41+c"),
                            (f"acc%65ss_token={key}&a=1", "?a=1"), (f"a&access_token={key}&&", "?a&&")):
            assert self.call(httpd, f"/sources/x?{query}").target == "/sources/x" + left
            assert self.call(httpd, f"/nocanon/x?{query}").target == "/nocanon/x" + left

    def test_token_off_cookie(self, httpd):
        seen = self.call(httpd, "/sources/x", headers=[("Cookie", f'a=1; session="{key_of("full")}"; b=2')])
        assert seen.header("Cookie") == "a=1; b=2"
        assert self.call(httpd, "/sources/x", headers=[("Cookie", f"session={key_of('full')}")]).header("Cookie") is None

    def test_query_tokens_are_not_in_the_request_line(self, httpd):
        key = key_of("full")
        self.call(httpd, f"/sources/logged?a=1&access_token={key}")
        assert httpd.get(f"/sources/logged-denied?access_token={key}x").status == 401
        lines = httpd.logged("/sources/logged", 2)
        assert len(lines) == 2 and all(key not in line for line in lines)
        assert any("GET /sources/logged?a=1 HTTP/1.1" in line for line in lines)


SHOW = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
printf %s "$LLAMA_AUTH_PRINCIPAL|$LLAMA_AUTH_PROVIDER|$LLAMA_AUTH_ATTRIBUTES|$LLAMA_AUTH_ATTRIBUTE_ROLES"
"""


class TestEnvironment:
    modules = ("include", "filter", "rewrite", "cgid")

    @staticmethod
    def configure(httpd):
        write_callers(httpd)
        httpd.write("htdocs/env/page.shtml", '<!--#echo var="LLAMA_AUTH_PRINCIPAL" -->|<!--#echo var="LLAMA_AUTH_ATTRIBUTE_ROLES" -->|'
                                             '<!--#echo var="LLAMA_AUTH_CLIENT_ID" -->|<!--#echo var="LLAMA_AUTH_PROVIDER" -->')
        httpd.write("htdocs/env/off/page.shtml", '<!--#echo var="LLAMA_AUTH_PRINCIPAL" -->')
        httpd.write("htdocs/env/index.html", "index")
        httpd.write("htdocs/target/page.txt", "target")
        for name in ("known", "silent", "open"):
            httpd.write(f"htdocs/{name}/x.cgi", SHOW).chmod(0o755)
        httpd.write("htdocs/outer/page.shtml", "".join(f'<!--#include virtual="/{name}/x.cgi" -->;'
                                                        for name in ("known", "silent", "open", "known")))
        httpd.write_keys("conf/weak.json", key_entry(key_of("bare"), "root", {"roles": ["admin"], "roles.x": ["a"]}))
        return PROVIDER + f"""
<LlamaAuthProvider weak static>
    File conf/weak.json
</LlamaAuthProvider>
<Location /outer>
    {BEARER.replace("Use keys", "Use weak")}
    LlamaAuthEnv on
</Location>
<LocationMatch ^/(known|silent)>
    {BEARER}
</LocationMatch>
<Location /known>
    LlamaAuthEnv on
</Location>
<LocationMatch ^/(known|silent|open)>
    SetEnv LLAMA_AUTH_PRINCIPAL forged
    SetEnv LLAMA_AUTH_ATTRIBUTE_ROLES forged
</LocationMatch>
ScriptSock {httpd.root}/run/cgisock
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
<Directory "{httpd.root}/htdocs">
    Options +Includes +FollowSymLinks +ExecCGI
</Directory>
<Location /env>
    {BEARER}
    LlamaAuthEnv on
</Location>
<Location /env/off>
    LlamaAuthEnv off
</Location>
<Directory "{httpd.root}/htdocs/env">
    RewriteEngine on
    RewriteRule "^moved$" "/target/page.txt" [L]
</Directory>
<Location /env>
    LlamaAuthForwardToken off
</Location>
<Location /target>
    {BEARER}
    RequireScope a
</Location>
"""

    def test_variables(self, httpd):
        response = httpd.get("/env/page.shtml", token=key_of("full"))
        assert response.body.decode().strip() == f"full|admin,dev|{client_id(key_of('full'))}|keys"

    def test_off(self, httpd):
        assert httpd.get("/env/off/page.shtml", token=key_of("full")).body.decode().strip() == "(none)"

    @pytest.mark.parametrize("path, seen", [("/known", "bare|keys|{}|"), ("/silent", "|||"), ("/open", "|||")])
    def test_nobody_else_sets_them(self, httpd, path, seen):
        assert httpd.get(f"{path}/x.cgi", token=key_of("bare")).body.decode() == seen

    def test_nothing_stays_of_another_sections_caller(self, httpd):
        none, bare = "|||", "bare|keys|{}|"
        assert httpd.get("/outer/page.shtml", token=key_of("bare")).body.decode() == f"{bare};{none};{none};{bare};"

    def test_a_token_taken_out_is_still_known_to_a_redirect(self, httpd):
        assert httpd.get("/env/moved", token=key_of("full")).body == b"target"
        assert httpd.get("/env/moved", token=key_of("bare")).status == 403
        assert httpd.get("/env/", token=key_of("bare")).body == b"index"


@every_mpm
class TestHtaccess:
    modules = ("proxy", "proxy_http", "rewrite")

    @staticmethod
    def configure(httpd):
        write_callers(httpd)
        httpd.write("htdocs/app/.htaccess", f"""{BEARER}
LlamaAuthForward X-Htaccess-User principal
RewriteEngine on
RewriteRule "^(.*)$" "http://127.0.0.1:{httpd.endpoint('backend').port}/$1" [P]
""")
        httpd.endpoint("backend").default = tell
        return PROVIDER + f"""
<Directory "{httpd.root}/htdocs">
    Options +FollowSymLinks
    AllowOverride AuthConfig FileInfo Limit
</Directory>
"""

    def test_forward(self, httpd):
        backend = httpd.endpoint("backend")
        headers = [("X_Htaccess_User", "root"), ("Connection", "keep-alive X-Htaccess-User")]
        assert httpd.get("/app/x", token=key_of("full"), headers=headers).status == 200
        seen = backend.calls[-1]
        assert seen.header("X-Htaccess-User") == "full"
        assert seen.header("X_Htaccess_User") is None


# line: a part of the message
REFUSED = {
    "LlamaAuthForward X-A": "takes two arguments",
    "LlamaAuthForward X-A name": "'name' is none of principal",
    "LlamaAuthForward X-A attribute:": "none of",
    "LlamaAuthForward X-A one:": "none of principal, client_id, provider, model, attributes, attribute:CATEGORY, json:CATEGORY, one:CATEGORY",
    "LlamaAuthForward X-A json": "none of",
    "LlamaAuthForward X-A principal:x": "none of",
    "LlamaAuthForward X:A principal": "no name of a header field",
    'LlamaAuthForward "" principal': "takes two arguments",
    "LlamaAuthForward Authorization principal": "cannot carry",
    "LlamaAuthForward proxy principal": "cannot carry",
    "LlamaAuthForward Content_Length principal": "cannot carry",
    "LlamaAuthForward X-A principal\n    LlamaAuthForward x_a provider": "named twice",
    "LlamaAuthTokenSource header:X-K\n    LlamaAuthForward x-k principal": "is the header of a LlamaAuthTokenSource",
    "LlamaAuthForward X-K principal\n    LlamaAuthTokenSource header:x-k": "is the header of a LlamaAuthForward",
    "LlamaAuthTokenSource": "takes the places",
    "LlamaAuthTokenSource authorisation": "is none of Authorization",
    "LlamaAuthTokenSource header:": "names nothing",
    "LlamaAuthTokenSource query:a=b": "names nothing",
    "LlamaAuthTokenSource header:Cookie": "cannot hold a bare token",
    "LlamaAuthTokenSource cookie:a cookie:a": "named twice",
    "LlamaAuthTokenSource cookie:a\n    LlamaAuthTokenSource cookie:b": "only once",
    "LlamaAuthForwardToken maybe": "must be On or Off",
    "LlamaAuthEnv 1": "must be On or Off",
    "LlamaAuthPreflight x": "must be On or Off",
}


@pytest.mark.parametrize("lines", REFUSED, ids=lambda lines: lines.replace("\n    ", "; "))
def test_refused_at_startup(bare, lines):
    bare.configure(f"<Location />\n    {lines}\n</Location>\n")
    status, said = bare.check()
    assert status != 0 and REFUSED[lines] in said
