"""What the author of an .htaccess may not do: read files through an error document, or purge the server's cache
(spec section 10). And the handlers of this module wherever SetHandler names them, below a ProxyPass too."""

import pytest

from configs import everywhere, location, provider
from conftest import new_token
from test_status import ADMIN, FORM, guarded, purge, status_location
from traffic import by_name

LOGIN = "AuthType Basic\nAuthName x\nAuthUserFile {passwords}\nRequire user admin\n"


def allow(answer):
    return {word.strip() for word in answer.header("Allow").split(",")} - {"TRACE"}


# Each makes /h/NAME/page a status page from within an .htaccess.
WAYS = {
    "sethandler": "SetHandler llama-auth-status\n",
    "case": "SetHandler LLAMA-AUTH-status\n",
    "files": "<Files page>\nSetHandler llama-auth-status\n</Files>\n",
    "if": '<If "true">\nSetHandler llama-auth-status\n</If>\n',
    "files-if": '<Files page>\n<If "true">\nSetHandler llama-auth-status\n</If>\n</Files>\n',
    "expression": 'SetHandler "llama-auth-%{reqenv:NONE}status"\n',
    "addhandler": "AddHandler llama-auth-status .txt\n",
    "rewrite": "RewriteEngine on\nRewriteRule page - [H=llama-auth-status]\n",
    "server-expression": "SetEnvIf Host . HANDLER=llama-auth-status\nRewriteEngine on\nRewriteRule page - [H=llama-auth-status]\n",
}


class TestPurge:
    modules = ("auth_basic", "authn_file", "rewrite", "setenvif")

    @staticmethod
    def configure(httpd):
        httpd.write_passwords("conf/passwords", admin="secret")
        login = LOGIN.format(passwords=httpd.root / "conf" / "passwords")
        for name, lines in WAYS.items():
            httpd.write(f"htdocs/h/{name}/page.txt", "x\n")
            httpd.write(f"htdocs/h/{name}/page", "x\n")
            httpd.write(f"htdocs/h/{name}/.htaccess", login + lines)
        httpd.write("htdocs/h/again/status/.htaccess", "SetHandler llama-auth-status\n")
        httpd.write("htdocs/dir/page", "x\n")
        httpd.write("htdocs/dir/.htaccess", login)
        httpd.write("htdocs/files/status", "x\n")
        httpd.endpoint().default = by_name
        return (provider("corp", httpd.endpoint().url()) + location("/v1", "corp") + everywhere(httpd, "/v1") + guarded(httpd) +
                f'<Directory "{httpd.root}/htdocs">\nOptions FollowSymLinks\nAllowOverride AuthConfig FileInfo\n</Directory>\n'
                f'<Directory "{httpd.root}/htdocs/h/server-expression">\nSetHandler default-handler\n</Directory>\n'
                f'<Directory "{httpd.root}/htdocs/dir">\nSetHandler llama-auth-status\n</Directory>\n'
                f'<Directory "{httpd.root}/htdocs/files">\n<Files status>\n<If "true">\nSetHandler Llama-Auth-Status\n</If>\n'
                f'{login}</Files>\n</Directory>\n')

    @pytest.mark.parametrize("way", WAYS)
    def test_not_by_an_htaccess(self, httpd, way):
        caller = new_token("alice")
        assert httpd.get("/v1/x", token=caller).status == 200
        path = f"/h/{way}/page" + (".txt" if way == "addhandler" else "")
        page = httpd.get(path, headers=(ADMIN,))
        assert page.status == 200 and b"LlamaAuth" in page.body or b"llama" in page.body.lower(), page.body[:100]
        assert b'name="purge"' not in page.body
        answer = purge(httpd, "all", path)
        assert answer.status == 403, answer.body
        assert httpd.get("/v1/x", token=caller).note("cache") == "hit"

    @pytest.mark.parametrize("path", ["/status", "/dir/page", "/files/status"])
    def test_by_the_server(self, httpd, path):
        caller = new_token("alice")
        assert httpd.get("/v1/x", token=caller).status == 200
        assert b'name="purge"' in httpd.get(path, headers=(ADMIN,)).body
        assert purge(httpd, "all", path).status == 200
        assert httpd.get("/v1/x", token=caller).note("cache") == "miss"

    def test_after_a_graceful_restart(self, httpd):
        httpd.graceful()
        assert purge(httpd, "all").status == 200
        assert purge(httpd, "all", "/h/sethandler/page").status == 403


class TestErrorDocument:
    expected = ("htaccess",)

    @staticmethod
    def configure(httpd):
        httpd.write("conf/secret.json", '{"secret": "value-of-another"}').chmod(0o644)
        for name, what in {"file": f"file:{httpd.root}/conf/secret.json", "text": "'{\"own\": 1}'", "preset": "openai"}.items():
            httpd.write(f"htdocs/{name}/page", "x\n")
            httpd.write(f"htdocs/{name}/.htaccess", f"LlamaAuthErrorDocument 401 {what}\n")
        for name, lines in {"any": "<RequireAny>\nRequireScope a\nRequire valid-user\n</RequireAny>", "comma": "RequireScope a,b", "two": "LlamaAuthEnv on off"}.items():
            httpd.write(f"htdocs/{name}/page", "x\n")
            httpd.write(f"htdocs/{name}/.htaccess", lines + "\n")
        httpd.write("htdocs/inner/page", "x\n")
        httpd.write("htdocs/inner/.htaccess", f'<If "true">\nLlamaAuthErrorDocument 401 file:{httpd.root}/conf/secret.json\n</If>\n')
        return (provider("corp", httpd.endpoint().url()) + f'<Directory "{httpd.root}/htdocs">\nAllowOverride AuthConfig\n'
                'AuthType Bearer\nAuthName x\nLlamaAuthUse corp\nRequire valid-user\n</Directory>\n')

    @pytest.mark.parametrize("name", ["file", "inner"])
    def test_no_file(self, httpd, name):
        mark = httpd.log.mark()
        answer = httpd.get(f"/{name}/page")
        assert answer.status == 500 and b"value-of-another" not in answer.body
        assert f"{name}/.htaccess: LlamaAuthErrorDocument: file: is for the server's own" in httpd.log.await_line("htaccess:", mark).text

    @pytest.mark.parametrize("name, said", [("any", "RequireScope: <RequireAny> does not weigh it"),
                                            ("comma", "RequireScope: 'a,b' is one scope"), ("two", "LlamaAuthEnv: takes on or off")])
    def test_refused(self, httpd, name, said):
        """What is refused in the server's configuration is refused here."""
        mark = httpd.log.mark()
        assert httpd.get(f"/{name}/page").status == 500
        assert said in httpd.log.await_line("htaccess:", mark).text

    @pytest.mark.parametrize("name, body", [("text", b'{"own": 1}'), ("preset", b'"invalid_request_error"')])
    def test_others(self, httpd, name, body):
        answer = httpd.get(f"/{name}/page")
        assert answer.status == 401 and body in answer.body, answer.body


class TestBelowAProxy:
    """Administrators proxy the whole site and set the handlers in sections inside."""

    modules = ("auth_basic", "authn_file", "proxy", "proxy_http", "rewrite")
    places = ["/location", "/server", "/rewritten", "/handler"]

    @classmethod
    def configure(cls, httpd):
        backend = httpd.endpoint("backend").url()
        httpd.write_passwords("conf/passwords", admin="secret")
        handlers = "".join(
            status_location(path + "/status", "AuthType Basic", "AuthName status", "AuthUserFile conf/passwords", "Require user admin") +
            f'<Location "{path}/metadata">\nSetHandler llama-auth-metadata\nLlamaAuthUse corp\n'
            "LlamaAuthResource https://api.example.com/mcp\nLlamaAuthResourceServer https://idp.example\nRequire all granted\n</Location>\n"
            for path in cls.places)
        return (provider("corp", httpd.endpoint().url()) + f'ProxyPass "/server" "{backend}"\n'
                f'<Location "/location">\nAuthType Bearer\nAuthName x\nLlamaAuthUse corp\nRequire valid-user\n'
                f'LlamaAuthBackendToken a-secret always\nProxyPass "{backend}"\n</Location>\n'
                f'RewriteEngine on\nRewriteRule "^/rewritten(.*)" "{backend}$1" [P]\n'
                f'<Location "/handler">\nSetHandler "proxy:{backend}"\n</Location>\n' + handlers)

    @pytest.mark.parametrize("place", places)
    def test_status(self, httpd, place):
        assert b"corp" in httpd.get(f"{place}/status?format=json", headers=(ADMIN,)).body
        assert purge(httpd, "all", f"{place}/status").json["dropped"] >= 0
        assert httpd.endpoint("backend").calls == []

    @pytest.mark.parametrize("place", places)
    def test_metadata(self, httpd, place):
        assert httpd.get(f"{place}/metadata").json["resource"] == "https://api.example.com/mcp"
        assert httpd.endpoint("backend").calls == []

    @pytest.mark.parametrize("path, methods", [("/server/status", {"GET", "HEAD", "POST"}), ("/location/metadata", {"GET", "HEAD", "OPTIONS"}),
                                               ("/server/metadata", {"GET", "HEAD", "OPTIONS"})])
    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "PROPFIND", "PURGE"])
    def test_allow(self, httpd, path, methods, method):
        answer = httpd.request(method, path, headers=(ADMIN, FORM))
        assert answer.status == 405 and allow(answer) == methods, answer
