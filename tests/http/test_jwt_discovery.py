"""A jwt provider that knows its issuer only: the metadata of OpenID Connect Discovery and RFC 8414, and what is not believed in it."""

import pytest

from behaviour import hang, reply
from configs import everywhere, location
from errorlog import await_until
from keyserver import accepted, jwt, key_server, rejected, unavailable
from signer import claims, key

KEY = key("ES256")
OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


def metadata(issuer, jwks_uri, **more):
    return {"issuer": issuer, "jwks_uri": jwks_uri, "response_types_supported": ["code"], **more}


def sections(httpd, name, issuer, *options):
    return jwt(name, f"Issuer {issuer}", *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")


def paths_of(path):
    """Where the metadata of an issuer with that path may be, in the order in which they are tried."""
    return [path + OPENID, OAUTH + path, OPENID + path]


class TestFound:
    """Each issuer publishes its metadata in one place; what was asked before it is 404, or another 4xx."""
    PLACES = {"own": 0, "inserted": 1, "inserted-openid": 2}
    FORBIDDEN = {"forbidden": 1, "gone": 2}

    @classmethod
    def configure(cls, httpd):
        text = ""
        for name, place in {**cls.PLACES, **cls.FORBIDDEN}.items():
            server = key_server(httpd)
            issuer = server.url(f"/{name}/realm")
            keys = server.put_keys(KEY, path=f"/{name}/keys")
            for before in paths_of(f"/{name}/realm")[:place] if name in cls.FORBIDDEN else ():
                server.put(before, reply(403 if name == "forbidden" else 410, b""))
            server.put(paths_of(f"/{name}/realm")[place], metadata(issuer, keys))
            text += sections(httpd, name, issuer)
        for name, path in (("root", OPENID), ("root-oauth", OAUTH)):
            server = key_server(httpd, name)
            server.put(path, metadata(server.url(""), server.put_keys(KEY)))
            text += sections(httpd, name, server.url(""))
        server = key_server(httpd, "slash")
        server.put(OPENID, metadata(server.url("/"), server.put_keys(KEY)))
        return text + sections(httpd, "slash", server.url("/"))

    @pytest.mark.parametrize("name", [*PLACES, *FORBIDDEN])
    def test_with_a_path(self, httpd, name):
        server = key_server(httpd)
        issuer, place = server.url(f"/{name}/realm"), {**self.PLACES, **self.FORBIDDEN}[name]
        accepted(httpd.get(f"/{name}", token=KEY.sign(claims(iss=issuer))), "alice")
        rejected(httpd.get(f"/{name}", token=KEY.sign(claims(iss=issuer + "/"))))
        targets = [call.target for call in server.calls if f"/{name}/" in call.target]
        assert targets == [*paths_of(f"/{name}/realm")[:place + 1], f"/{name}/keys"]

    @pytest.mark.parametrize("name", ["root", "root-oauth"])
    def test_without_a_path(self, httpd, name):
        server = key_server(httpd, name)
        accepted(httpd.get(f"/{name}", token=KEY.sign(claims(iss=server.url("")))), "alice")
        assert [call.target for call in server.calls] == ([OPENID] if name == "root" else [OPENID, OAUTH]) + ["/jwks"]

    def test_with_a_slash_at_the_end(self, httpd):
        """It belongs to the issuer's name, and not to the path of its metadata."""
        server = key_server(httpd, "slash")
        accepted(httpd.get("/slash", token=KEY.sign(claims(iss=server.url("/")))), "alice")
        rejected(httpd.get("/slash", token=KEY.sign(claims(iss=server.url("")))))

    def test_hint(self, httpd):
        issuer = key_server(httpd).url("/own/realm")
        assert httpd.get("/own").message == f"Authentication required. Please provide a valid OAuth2 Bearer token from {issuer}"


class TestMoved:
    """The metadata is asked again at each refresh: a key set that moves is found."""

    @staticmethod
    def configure(httpd):
        server = key_server(httpd)
        server.put(OPENID, metadata(server.url(""), server.put_keys(KEY, path="/first")))
        return sections(httpd, "idp", server.url(""), "JwksRefresh 1s")

    def test_followed(self, httpd):
        server, other = key_server(httpd), key("ES256", "other")
        old, new = (signer.sign(claims(iss=server.url(""))) for signer in (KEY, other))
        accepted(httpd.get("/idp", token=old))
        server.put(OPENID, metadata(server.url(""), server.put_keys(other, path="/second")))
        await_until(lambda: httpd.get("/idp", token=new).status == 200, "the new place")
        await_until(lambda: httpd.get("/idp", token=old).status == 401, "the end of the old one")


class TestNotBelieved:
    """Metadata that is no good is an outage, and nothing that it names is called."""
    expected = (r"is unavailable", r"key set")

    BAD = {
        "another-issuer": lambda issuer, keys: metadata("https://else.example", keys),
        "issuer-with-slash": lambda issuer, keys: metadata(issuer + "/", keys),
        "issuer-in-upper-case": lambda issuer, keys: metadata(issuer.upper(), keys),
        "no-issuer": lambda issuer, keys: {"jwks_uri": keys},
        "issuer-is-a-list": lambda issuer, keys: metadata([issuer], keys),
        "no-keys": lambda issuer, keys: {"issuer": issuer},
        "keys-are-a-list": lambda issuer, keys: metadata(issuer, [keys]),
        "keys-in-a-file": lambda issuer, keys: metadata(issuer, "file:///etc/passwd"),
        "keys-by-ftp": lambda issuer, keys: metadata(issuer, "ftp://127.0.0.1/keys"),
        "relative-keys": lambda issuer, keys: metadata(issuer, "/keys"),
        "keys-with-a-password": lambda issuer, keys: metadata(issuer, keys.replace("http://", "http://user:pass@")),
        "a-list": lambda issuer, keys: [metadata(issuer, keys)],
        "garbage": lambda issuer, keys: reply(200, b"<html>"),
        "twice": lambda issuer, keys: reply(200, f'{{"issuer":"x","issuer":"{issuer}","jwks_uri":"{keys}"}}'.encode()),
        "server-error": lambda issuer, keys: reply(500, b""),
        "redirect": lambda issuer, keys: reply(302, b"", [("Location", keys)]),
        "hangs": lambda issuer, keys: hang,
    }

    @classmethod
    def configure(cls, httpd):
        server, text = key_server(httpd), ""
        for name, make in cls.BAD.items():
            issuer, keys = server.url(f"/{name}"), server.put_keys(KEY, path=f"/{name}/keys")
            server.put(f"/{name}{OPENID}", make(issuer, keys))
            for other in paths_of(f"/{name}")[1:]:  # never asked: only a 4xx leads on to them
                server.put(other, metadata(issuer, keys))
            text += sections(httpd, name, issuer, "Timeout 300ms")
        return text + sections(httpd, "nowhere", server.url("/nowhere"))

    @pytest.mark.parametrize("name", BAD)
    def test_bad(self, httpd, name):
        server = key_server(httpd)
        token = KEY.sign(claims(iss=server.url(f"/{name}")))
        unavailable(httpd.get(f"/{name}", token=token))
        assert {call.target for call in server.calls if f"/{name}" in call.target} == {f"/{name}{OPENID}"}

    def test_nowhere(self, httpd):
        server = key_server(httpd)
        unavailable(httpd.get("/nowhere", token=KEY.sign(claims(iss=server.url("/nowhere")))))
        assert [call.target for call in server.calls if "nowhere" in call.target][:3] == paths_of("/nowhere")


class TestTls:
    """An https issuer's keys come by https, from a server whose certificate is right."""
    needs_pki = True
    expected = (r"is unavailable", r"key set")

    @staticmethod
    def configure(httpd):
        plain = key_server(httpd, "plain")
        tls = key_server(httpd, "tls", tls=httpd.pki.server_context("good"))
        foreign = key_server(httpd, "foreign", tls=httpd.pki.server_context("foreign"))
        ca = f"TLSCAFile {httpd.write('conf/ca.pem', httpd.pki.read('ca.pem'))}"
        tls.put("/good" + OPENID, metadata(tls.url("/good"), tls.put_keys(KEY)))
        tls.put("/weak" + OPENID, metadata(tls.url("/weak"), plain.put_keys(KEY)))
        tls.put("/else" + OPENID, metadata(tls.url("/else"), foreign.put_keys(KEY)))
        foreign.put("/foreign" + OPENID, metadata(foreign.url("/foreign"), tls.url("/jwks")))
        return "".join(sections(httpd, name, server.url(f"/{name}"), ca)
                       for name, server in (("good", tls), ("weak", tls), ("else", tls), ("foreign", foreign)))

    def test_good(self, httpd):
        accepted(httpd.get("/good", token=KEY.sign(claims(iss=key_server(httpd, "tls").url("/good")))), "alice")

    @pytest.mark.parametrize("name, server", [("weak", "tls"), ("else", "tls"), ("foreign", "foreign")])
    def test_refused(self, httpd, name, server):
        unavailable(httpd.get(f"/{name}", token=KEY.sign(claims(iss=key_server(httpd, server).url(f"/{name}")))))
        assert not key_server(httpd, "plain").calls
        assert not key_server(httpd, "foreign").calls


class TestToken:
    """JwksToken goes to the issuer's own server, and to no other that the metadata names."""
    expected = (r"is unavailable", r"key set")

    @staticmethod
    def configure(httpd):
        httpd.secrets.add(b"token-for-the-key-set")
        server, other = key_server(httpd), key_server(httpd, "other")
        server.put("/here" + OPENID, metadata(server.url("/here"), server.put_keys(KEY)))
        server.put("/there" + OPENID, metadata(server.url("/there"), other.put_keys(KEY)))
        return "".join(sections(httpd, name, server.url(f"/{name}"), "JwksToken token-for-the-key-set") for name in ("here", "there"))

    def test_here(self, httpd):
        server = key_server(httpd)
        accepted(httpd.get("/here", token=KEY.sign(claims(iss=server.url("/here")))))
        assert server.calls_to("/jwks")[0].header("Authorization") == "Bearer token-for-the-key-set"

    def test_there(self, httpd):
        accepted(httpd.get("/there", token=KEY.sign(claims(iss=key_server(httpd).url("/there")))))
        calls = key_server(httpd, "other").calls
        assert calls and all(call.header("Authorization") is None for call in calls)
