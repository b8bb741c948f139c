"""Our rules beside httpd's Require and other AuthTypes: success of ours never short-circuits httpd's, and what is
missing in a configuration is a 500 that the log explains."""

import base64
import re

import pytest

from callers import BEARER, check, key_of, passed, write_callers
from configs import everywhere

BASIC = 'AuthType Basic\nAuthName "basic"\nAuthUserFile conf/passwords\n'

ADMIN = """Require expr "%{REMOTE_USER} != '' && 'admin' in llama_attribute('roles')\""""
ALIAS = f"<AuthzProviderAlias expr administrator \"{ADMIN.split(' ', 2)[2][1:-1]}\">\n</AuthzProviderAlias>\n"

# name: (lines in a Bearer location, {caller: what happens})
REQUIRES = {
    "user": ("Require user full", {"anon": 401, "full": True, "some": "access"}),
    "users": ("Require user full bare", {"full": True, "bare": True, "some": "access"}),
    "user and scope": ("Require user some\nRequireScope b", {"anon": 401, "some": "scope b", "full": "access"}),
    "user and scope, both held": ("Require user full\nRequireScope b", {"full": True, "some": "scope b"}),
    "user and attribute": ("Require user some\nRequireAttribute roles dev", {"some": True, "full": "access", "bare": "attribute roles"}),
    "any of user and address": ("<RequireAny>\nRequire ip 192.0.2.1\nRequire user full\n</RequireAny>",
                                {"anon": 401, "full": True, "some": "access"}),
    "address suffices without a rule": ("<RequireAny>\nRequire ip 127.0.0.1\nRequire user full\n</RequireAny>", {"anon": True}),
    "all of address and user": ("<RequireAll>\nRequire ip 127.0.0.1\nRequire user full\n</RequireAll>",
                                {"anon": 401, "full": True, "some": "access"}),
    "all but one": ("<RequireAll>\nRequire valid-user\nRequire not user some\n</RequireAll>",
                    {"anon": 401, "full": True, "some": "access"}),
    "none of": ("<RequireAll>\nRequire valid-user\n<RequireNone>\nRequire user some\n</RequireNone>\n</RequireAll>",
                {"full": True, "some": "access"}),
    "expression over the user": ('Require expr "%{REMOTE_USER} == \'full\'"', {"anon": 401, "full": True, "some": "access"}),
    "expression over attributes": (ADMIN, {"anon": 401, "full": True, "some": "access", "bare": "access"}),
    "expression or user": (f"<RequireAny>\n{ADMIN}\nRequire user bare\n</RequireAny>", {"anon": 401, "full": True, "some": "access", "bare": True}),
    "user or expression": (f"<RequireAny>\nRequire user bare\n{ADMIN}\n</RequireAny>", {"anon": 401, "full": True, "some": "access", "bare": True}),
    "expression or address": (f"<RequireAny>\nRequire ip 192.0.2.1\n{ADMIN}\n</RequireAny>", {"anon": 401, "full": True, "some": "access"}),
    "expression and valid-user": (f"<RequireAll>\nRequire valid-user\n{ADMIN}\n</RequireAll>", {"anon": 401, "full": True, "some": "access"}),
    "not expression": (f"<RequireAll>\nRequire valid-user\n{ADMIN.replace('Require', 'Require not')}\n</RequireAll>",
                       {"anon": 401, "full": "access", "some": True}),
    "none of expressions": (f"<RequireAll>\nRequire valid-user\n<RequireNone>\n{ADMIN}\n</RequireNone>\n</RequireAll>",
                            {"anon": 401, "full": "access", "some": True}),
    "expression by an alias": ("Require administrator", {"anon": 401, "full": True, "some": "access"}),
    "expression and scope": (f"{ADMIN}\nRequireScope a", {"anon": 401, "full": True, "some": "access", "bare": "scope a"}),
    "valid-user and scope": ("Require valid-user\nRequireScope a", {"anon": 401, "some": True, "bare": "scope a"}),
}

# name: (a whole location, what the log must name)
MISCONFIGURED = {
    "no LlamaAuthUse": ('AuthType Bearer\nAuthName "x"\nRequire valid-user', "LlamaAuthUse"),
    "no LlamaAuthUse, a scope": ('AuthType Bearer\nAuthName "x"\nRequireScope a', "LlamaAuthUse"),
    "no LlamaAuthUse, an attribute": ('AuthType Bearer\nAuthName "x"\nRequireAttribute roles x\nRequire all granted', "LlamaAuthUse"),
    "nothing but a scope": ("RequireScope a", "LlamaAuthUse|AuthType"),
    "nothing but a scope, all granted": ("RequireScope a\nRequire all granted", "LlamaAuthUse|AuthType"),
    "nothing but an attribute": ("RequireAttribute roles x", "LlamaAuthUse|AuthType"),
    "a scope under Satisfy any": ("RequireScope a\nSatisfy any\nAllow from all", "LlamaAuthUse|AuthType"),
    "no AuthType": ("LlamaAuthUse keys\nRequireScope a", "AuthType"),
    "no AuthType, all granted": ("LlamaAuthUse keys\nRequireScope a\nRequire all granted", "AuthType"),
    "AuthType None": ("AuthType None\nLlamaAuthUse keys\nRequireScope a\nRequire all granted", "AuthType"),
    "Basic without LlamaAuthUse": (BASIC + "RequireScope a\nRequire all granted", "LlamaAuthUse"),
}


def locations(prefix, table, before):
    text = ""
    for number, (lines, _) in enumerate(table.values()):
        text += f"<Location /{prefix}/{number}/>\n{before}{lines}\n</Location>\n"
    return text


def cases(table):
    for number, (name, (_, expectations)) in enumerate(table.items()):
        for caller, expected in expectations.items():
            yield pytest.param(number, caller, expected, id=f"{name}: {caller}")


class TestForbidden:
    """AuthzSendForbiddenOnFailure On, as the shipped configurations have it."""
    expected = (r"AH01631: user (full|some|bare): authorization failure",)

    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + ALIAS + everywhere(httpd, "/on") +
                locations("on", REQUIRES, BEARER + "AuthzSendForbiddenOnFailure On\n"))

    @pytest.mark.parametrize("number, caller, expected", cases(REQUIRES))
    def test_require(self, httpd, number, caller, expected):
        response = httpd.get(f"/on/{number}/x", token=key_of(caller))
        check(response, expected)
        if expected == "access":
            assert response.header("WWW-Authenticate") is None
            assert response.header("Cache-Control") == "no-store"
            assert response.note("user") == caller

    def test_log(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get(f"/on/{list(REQUIRES).index('user')}/x", token=key_of("some")).status == 403
        line = httpd.log.await_line("LA0241", mark).text
        assert line.endswith('a Require of this section does not hold; the caller\'s attributes: {"scopes":["a"],"roles":["dev"]}'), line


class TestUnauthorized:
    """Without it, httpd says 401: the document and the challenge are still ours."""
    expected = (r"AH01631: user (full|some|bare): authorization failure",)

    @staticmethod
    def configure(httpd):
        return write_callers(httpd) + ALIAS + everywhere(httpd, "/off") + locations("off", REQUIRES, BEARER)

    @pytest.mark.parametrize("number, caller, expected", [c for c in cases(REQUIRES) if "access" in str(c.values[2])])
    def test_access_denied(self, httpd, number, caller, expected):
        response = httpd.get(f"/off/{number}/x", token=key_of(caller))
        assert response.status == 401
        assert response.body == b'{"error": {"detail": "Access denied"}}'
        assert response.note("error") == "access_denied"
        assert response.challenge["realm"] == "policy"
        assert response.header("Content-Type") == "application/json"


class TestMisconfigured:
    modules = ("access_compat", "auth_basic", "authn_file")
    expected = (r"\[llama_auth:error\].* is missing for /", r"AH01797")

    @staticmethod
    def configure(httpd):
        httpd.write_passwords("conf/passwords", alice="wonderland")
        return write_callers(httpd) + everywhere(httpd, "/m") + locations("m", MISCONFIGURED, "")

    @pytest.mark.parametrize("caller", ["anon", "full"])
    @pytest.mark.parametrize("number, named", [pytest.param(number, named, id=name) for number, (name, (_, named))
                                               in enumerate(MISCONFIGURED.items())])
    def test_is_a_500(self, httpd, number, named, caller):
        mark = httpd.log.mark()
        response = httpd.get(f"/m/{number}/x", token=key_of(caller))
        check(response, 500)
        assert response.header("WWW-Authenticate") is None
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert any(re.search(f"({named}).* is missing", line.text) for line in lines), lines

    def test_what_needs_nothing_still_works(self, httpd):
        assert httpd.get("/index.html").body == b"hello\n"


def basic(user, password):
    return [("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())]


class TestOtherAuthType:
    """A caller of another AuthType has no scopes and no attributes; where there is no rule of ours we keep out."""
    modules = ("auth_basic", "authn_file")
    expected = (r"AH01614|AH01617|AH01618|AH01631",)
    ALICE = basic("alice", "wonderland-password")

    @staticmethod
    def configure(httpd):
        httpd.write_passwords("conf/passwords", alice="wonderland-password")
        return (write_callers(httpd) + everywhere(httpd, "/b") +
                f"<Location /b/plain/>\n{BASIC}Require valid-user\n</Location>\n"
                f"<Location /b/scope/>\n{BASIC}LlamaAuthUse keys\nRequireScope a\nRequire valid-user\n</Location>\n"
                f"<Location /b/attribute/>\n{BASIC}LlamaAuthUse keys\nRequireAttribute roles admin\nRequire valid-user\n</Location>\n"
                f"<Location /b/granted/>\n{BASIC}LlamaAuthUse keys\nRequireScope a\nRequire all granted\n</Location>\n"
                f"<Location /b/norequire/>\n{BASIC}LlamaAuthUse keys\nRequireScope a\n</Location>\n"
                f"<Location /b/bearer/>\n{BEARER}Require valid-user\n</Location>\n")

    def test_plain_basic_is_left_alone(self, httpd):
        assert passed(httpd.get("/b/plain/x", headers=self.ALICE))
        refused = httpd.get("/b/plain/x", headers=basic("alice", "wrong-password"))
        assert (refused.status, refused.header("WWW-Authenticate")) == (401, 'Basic realm="basic"')
        assert refused.header("Content-Type").startswith("text/html") and refused.note("error") is None
        assert httpd.get("/b/plain/x").header("WWW-Authenticate") == 'Basic realm="basic"'

    @pytest.mark.parametrize("path", ["scope", "granted", "norequire"])
    def test_scope(self, httpd, path):
        check(httpd.get(f"/b/{path}/x", headers=self.ALICE), "scope a", realm="basic")

    def test_attribute(self, httpd):
        check(httpd.get("/b/attribute/x", headers=self.ALICE), "attribute roles")

    @pytest.mark.parametrize("path", ["scope", "attribute", "granted", "norequire"])
    def test_anonymous(self, httpd, path):
        response = httpd.get(f"/b/{path}/x")
        assert (response.status, response.body == b"ok\n") == (401, False)
        assert response.header("WWW-Authenticate") == 'Basic realm="basic"'

    @pytest.mark.parametrize("path", ["plain", "scope", "granted", "norequire"])
    def test_a_bearer_token_is_no_basic_credential(self, httpd, path):
        assert httpd.get(f"/b/{path}/x", token=key_of("full")).status == 401

    def test_basic_credentials_are_no_bearer_token(self, httpd):
        response = httpd.get("/b/bearer/x", headers=self.ALICE)
        assert (response.status, response.note("error")) == (401, "invalid_request")


class TestWithoutProviders:
    """Loaded and not used, the module changes nothing."""

    @staticmethod
    def configure(httpd):
        return ""

    def test_serves(self, httpd):
        for headers in ([], [("Authorization", "Bearer some-token-or-other")], [("Authorization", "Basic x")]):
            assert httpd.get("/", headers=headers).body == b"hello\n"

    def test_not_found_is_httpds(self, httpd):
        response = httpd.get("/nothing")
        assert response.status == 404 and response.header("Content-Type").startswith("text/html")


class TestDeniedBeforeUs:
    """What Require decides without a user is httpd's: only the status is kept."""
    expected = (r"AH01630: client denied",)

    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + everywhere(httpd, "/d") +
                f"<Location /d/all/>\n{BEARER}Require all denied\n</Location>\n"
                f"<Location /d/rule/>\n{BEARER}Require all denied\nRequireScope a\n</Location>\n"
                f"<Location /d/ip/>\n{BEARER}Require ip 192.0.2.1\nRequireScope a\n</Location>\n")

    @pytest.mark.parametrize("path", ["all", "rule", "ip"])
    @pytest.mark.parametrize("caller", ["anon", "full"])
    def test_status(self, httpd, path, caller):
        response = httpd.get(f"/d/{path}/x", token=key_of(caller))
        assert response.status == 403 and b"ok" != response.body[:2]
