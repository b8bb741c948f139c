"""LlamaAuthScopeImplies: who has one scope has others too, for every rule on scopes, and for nothing else."""

import pytest

from callers import BEARER, check, key_of, passed, write_callers
from configs import everywhere

# `full` has the scopes a, b and c; `some` has a; `bare` has none. path: (lines, {caller: what happens})
RULES = {
    "all": ("RequireScope read list", {"full": True, "some": True, "bare": "scope read", "anon": 401}),
    "some": ("RequireScope read own", {"full": True, "some": "scope own"}),
    "any": ("RequireScope any nothing list", {"some": True, "bare": "scope nothing, list"}),
    "up": ("RequireScope admin", {"some": "scope admin"}),
    "require": ("Require llama-scope list", {"some": True, "bare": "access"}),
    "not": ("<RequireAll>\nRequire valid-user\nRequire not llama-scope list\n</RequireAll>", {"some": "access", "bare": True}),
    "attribute": ("RequireAttribute scopes list", {"some": "attribute scopes"}),
    "llama-attribute": ("Require llama-attribute scopes list", {"some": "access"}),
    "expression": ("Require valid-user\nRequireScope list\nHeader set X-Has \"expr=%{llama_attribute:scopes}\"", {"some": True}),
    "elsewhere": ("RequireScope hosts", {"some": "scope hosts"}),
}


def locations():
    return "".join(f"<Location /{path}>\n{BEARER}AuthzSendForbiddenOnFailure On\n{lines}\n</Location>\n" for path, (lines, _) in RULES.items())


class TestImplied:
    modules = ("headers",)
    expected = ("AH01631",)

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/app/.htaccess", f"{BEARER}RequireScope list\n")
        httpd.write("htdocs/app/page", "page")
        httpd.other = httpd.listen()
        return (write_callers(httpd) + "LlamaAuthScopeImplies read list\nLlamaAuthScopeImplies a read\nLlamaAuthScopeImplies admin a\n"
                "LlamaAuthScopeImplies b own\n" + locations() + "".join(everywhere(httpd, f"/{path}") for path in RULES) + f"""
<Directory "{httpd.root}/htdocs">
    AllowOverride AuthConfig
</Directory>
<VirtualHost 127.0.0.1:{httpd.other}>
    ServerName other.example
    LlamaAuthScopeImplies list hosts
    {"".join(everywhere(httpd, f"/{path}") for path in RULES)}
</VirtualHost>
""")

    @pytest.mark.parametrize("path, caller", [(path, caller) for path, (_, callers) in RULES.items() for caller in callers])
    def test_rule(self, httpd, path, caller):
        check(httpd.get(f"/{path}/x", token=key_of(caller)), RULES[path][1][caller])

    def test_htaccess(self, httpd):
        assert passed(httpd.get("/app/page", token=key_of("some")))
        assert httpd.get("/app/page", token=key_of("bare")).status == 403

    def test_a_virtual_host_adds(self, httpd):
        assert passed(httpd.get("/elsewhere/x", token=key_of("some"), port=httpd.other))
        assert passed(httpd.get("/all/x", token=key_of("some"), port=httpd.other))
        assert httpd.get("/elsewhere/x", token=key_of("bare"), port=httpd.other).status == 403

    def test_what_is_shown_stays(self, httpd):
        response = httpd.get("/expression/x", token=key_of("some"))
        assert response.header("X-Has") == "a"
        assert response.note("attributes") == '{"scopes":["a"],"roles":["dev"]}'


REFUSED = {
    "LlamaAuthScopeImplies a": "takes a scope and the scopes",
    "LlamaAuthScopeImplies": "takes a scope and the scopes",
    "LlamaAuthScopeImplies a b,c": "LlamaAuthScopeImplies: 'b,c' is one scope",
    'LlamaAuthScopeImplies "a b" c': "is no scope",
    "<Location />\nLlamaAuthScopeImplies a b\n</Location>": "not allowed",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused_at_startup(bare, line):
    bare.configure(line + "\n")
    status, said = bare.check()
    assert status != 0 and REFUSED[line] in said
