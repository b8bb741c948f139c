"""Nothing that is configured, or left out, ends a child: rules without any provider, in each way to have none."""

import re

import pytest

from callers import BEARER, key_of, write_callers
from conftest import every_mpm
from errorlog import await_until

SECTIONS = """
<Location /rule>
    RequireScope a
</Location>
<Location /attribute>
    RequireAttribute roles admin
</Location>
<Location /bearer>
    AuthType Bearer
    AuthName x
    Require valid-user
</Location>
<Location /resource>
    LlamaAuthResource https://api.example.com/mcp
    RequireScope a
</Location>
<Location /metadata>
    LlamaAuthResource https://api.example.com/mcp
    SetHandler llama-auth-metadata
    LlamaAuthResourceServer https://idp.example
    Require all granted
</Location>
<Location /told>
    LlamaAuthForward X-User principal
    LlamaAuthTokenSource query:t cookie:c header:X-Key
    LlamaAuthForwardToken off
    LlamaAuthEnv on
    LlamaAuthPreflight on
    Require all granted
</Location>
<Location /status>
    SetHandler llama-auth-status
    Require all granted
</Location>
<Location /guarded>
    SetHandler llama-auth-status
    AuthType Basic
    AuthName admin
    AuthUserFile conf/passwords
    Require valid-user
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
"""
OFF = ['<IfDefine PROVIDERS>', '<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>', '</IfDefine>']
# name: what stands before the sections
CONFIGS = {
    "nothing": "",
    "no cache": "LlamaAuthCacheSize off",
    "a cache": "LlamaAuthCacheSize 64M\nLlamaAuthOutageStatus 503",
    "a second-level cache": "LlamaAuthCacheShared redis://127.0.0.1:1\nLlamaAuthCacheSecret file:conf/secret",
    "providers that are defined out": "\n".join(OFF),
    "a virtual host's provider, not this one's":
        '<VirtualHost 127.0.0.1:*>\nServerName other\n</VirtualHost>',
}
# request: (path, arguments, status)
REQUESTS = [
    ("/rule/x", {}, 500), ("/rule/x", {"token": "x"}, 500), ("/attribute/x", {"token": "x"}, 500), ("/bearer/x", {}, 500),
    ("/bearer/x", {"token": "x"}, 500), ("/resource/x", {"token": "x"}, 500), ("/metadata", {}, 200), ("/app/x", {"token": "x"}, 500),
    ("/told/x?t=1&a=2", {"headers": [("X-User", "root"), ("Cookie", "c=1; d=2"), ("X-Key", "k"), ("Connection", "X-User")]}, 404),
    ("/index.html", {}, 200), ("/status", {}, 200), ("/status?format=json", {}, 200), ("/status?format=prometheus", {}, 200),
    ("/server-status", {}, 200), ("/server-status?auto", {}, 200),
]
ADMIN = [("Authorization", "Basic YWRtaW46c2VjcmV0")]


def ask_all(httpd):
    for path, arguments, status in REQUESTS:
        response = httpd.get(path, **arguments)
        assert response.status == status, (path, response)
        if status == 500:
            assert response.note("error") == "misconfigured", (path, response)
    purge = httpd.request("POST", "/guarded", headers=ADMIN, body=b"purge=all")
    assert (purge.status, purge.json["dropped"]) == (200, 0)


def configure(httpd, before):
    httpd.write("htdocs/app/.htaccess", "RequireScope x\n")
    httpd.write("htdocs/app/x", "x")
    httpd.write("conf/secret", "s" * 40)
    httpd.write_passwords("conf/passwords", admin="secret")
    allow = f'<Directory "{httpd.root}/htdocs">\nAllowOverride AuthConfig\n</Directory>\n'
    httpd.configure(before + "\n" + allow + SECTIONS)


@pytest.fixture
def server(bare):
    bare.modules += ("status", "auth_basic", "authn_file")
    bare.expect("LA0020", "LA0044")
    return bare


def misconfigured(httpd):
    shown = httpd.get("/status?format=json").json["requests"]
    return shown["misconfigured"]


@pytest.mark.parametrize("before", CONFIGS.values(), ids=CONFIGS)
def test_no_child_ends(server, before):
    configure(server, before)
    server.start()
    children = server.children()
    ask_all(server)
    ask_all(server)
    assert server.children() == children


def test_refusals_are_counted(server):
    configure(server, "")
    server.start()
    ask_all(server)
    expected = sum(status == 500 for _, _, status in REQUESTS)
    await_until(lambda: misconfigured(server) == expected, "the counters to show all refusals")


def test_the_last_provider_goes_and_comes_back(server):
    configure(server, "")
    none = server.text
    some = write_callers(server) + none + f"<Location /keys>\n{BEARER}\nRequire valid-user\n</Location>\n"
    server.configure(some)
    server.start()
    server.write("htdocs/keys", "keys")
    assert server.get("/keys", token=key_of("full")).status == 200
    for _ in range(2):
        server.configure(none)
        server.graceful()
        ask_all(server)
        assert server.get("/keys").status == 200
        server.configure(some)
        server.graceful()
        assert server.get("/keys", token=key_of("full")).status == 200
        assert server.get("/keys").status == 401
        assert server.get("/rule/x", token=key_of("full")).status == 500
    assert not re.search(b"exit signal", server.log.everything())


@every_mpm
class TestEveryMpm:
    modules = ("status", "auth_basic", "authn_file")
    expected = ("LA0020",)

    @staticmethod
    def configure(httpd):
        configure(httpd, "")
        return httpd.text

    def test_no_child_ends(self, httpd):
        children = httpd.children()
        for _ in range(5):
            ask_all(httpd)
        assert set(children) <= set(httpd.children())
