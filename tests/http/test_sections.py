"""Where a rule may stand: every kind of section, .htaccess, virtual hosts, and how they merge."""

import pytest

from behaviour import close
from callers import BEARER, check, key_of, write_callers
from server import key_entry

# name: (configuration with {root} and {path}, files below htdocs, {caller and method: what happens to /<n>/page.txt})
SECTIONS = {
    "Location": ("<Location {path}>\n{bearer}RequireScope b\n</Location>", {}),
    "Location with slash": ("<Location {path}/>\n{bearer}RequireScope b\n</Location>", {}),
    "LocationMatch": ('<LocationMatch "^{path}/.*\\.txt$">\n{bearer}RequireScope b\n</LocationMatch>', {}),
    "Directory": ('<Directory "{root}/htdocs{path}">\n{bearer}RequireScope b\n</Directory>', {}),
    "DirectoryMatch": ('<DirectoryMatch "^{root}/htdocs{path}">\n{bearer}RequireScope b\n</DirectoryMatch>', {}),
    "Files": ('<Directory "{root}/htdocs{path}">\n<Files "page.txt">\n{bearer}RequireScope b\n</Files>\n</Directory>', {}),
    "FilesMatch": ('<Directory "{root}/htdocs{path}">\n<FilesMatch "\\.txt$">\n{bearer}RequireScope b\n</FilesMatch>\n</Directory>', {}),
    "If": ('<Location {path}>\n{bearer}<If "true">\nRequireScope b\n</If>\n</Location>', {}),
    "If over the request": ('<Location {path}>\n{bearer}<If "%{{REQUEST_URI}} =~ /page/">\nRequireScope b\n</If>\n</Location>', {}),
    "everything in If": ('<If "%{{REQUEST_URI}} =~ m#^{path}/#">\n{bearer}RequireScope b\n</If>', {}),
    "If, else": ('<Location {path}>\n{bearer}<If "false">\nRequireScope none\n</If>\n<Else>\nRequireScope b\n</Else>\n</Location>', {}),
    "Proxy-free Location over Directory": (
        '<Directory "{root}/htdocs{path}">\n{bearer}RequireScope none\n</Directory>\n<Location {path}>\nRequireScope b\n</Location>', {}),
    "Directory's rule under a silent Location": (
        '<Directory "{root}/htdocs{path}">\nRequireScope b\n</Directory>\n<Location {path}>\n{bearer}</Location>', {}),
    "split over three sections": (
        '<Location {path}>\nAuthType Bearer\nAuthName policy\n</Location>\n<Directory "{root}/htdocs{path}">\nLlamaAuthUse keys\n'
        '</Directory>\n<Files page.txt>\n<If "%{{REQUEST_URI}} =~ m#^{path}/#">\nRequireScope b\n</If>\n</Files>', {}),
    ".htaccess": ('<Directory "{root}/htdocs{path}">\nAllowOverride AuthConfig\n</Directory>', {".htaccess": "{bearer}RequireScope b\n"}),
    ".htaccess over a Directory": ('<Directory "{root}/htdocs{path}">\nAllowOverride AuthConfig\n{bearer}RequireScope a\n</Directory>',
                                   {".htaccess": "RequireScope b\n"}),
    ".htaccess with Files": ('<Directory "{root}/htdocs{path}">\nAllowOverride AuthConfig\n{bearer}</Directory>',
                             {".htaccess": "<Files page.txt>\nRequireScope b\n</Files>\n"}),
    "Require all granted around": ('<Location {path}>\n{bearer}Require all granted\n</Location>\n<Directory "{root}/htdocs{path}">\nRequireScope b\n</Directory>', {}),
    "AuthMerging Off": ('<Directory "{root}/htdocs{path}">\n{bearer}RequireScope b\nRequire valid-user\n</Directory>\n<Location {path}>\n'
                        "AuthMerging Off\nRequire all granted\n</Location>", {}),
    "AuthMerging Or": ('<Directory "{root}/htdocs{path}">\n{bearer}RequireScope b\nRequire valid-user\n</Directory>\n<Location {path}>\n'
                       "AuthMerging Or\nRequire all granted\n</Location>", {}),
    "AllowOverride None ignores .htaccess": ('<Directory "{root}/htdocs{path}">\nAllowOverride None\n{bearer}RequireScope b\n</Directory>',
                                             {".htaccess": "RequireScope none\n"}),
}


class TestSections:
    @staticmethod
    def configure(httpd):
        text = write_callers(httpd) + f'<Directory "{httpd.root}/htdocs">\nAllowOverride None\n</Directory>\n'
        for number, (config, files) in enumerate(SECTIONS.values()):
            path = f"/s{number}"
            words = {"root": httpd.root, "path": path, "bearer": BEARER}
            httpd.write(f"htdocs{path}/page.txt", "secret page\n")
            for name, content in files.items():
                httpd.write(f"htdocs{path}/{name}", content.format(**words)).chmod(0o644)
            text += config.format(**words) + "\n"
        return text

    @pytest.mark.parametrize("caller, expected", [("anon", 401), ("some", "scope b"), ("full", True)])
    @pytest.mark.parametrize("number", [pytest.param(n, id=name) for n, name in enumerate(SECTIONS)])
    def test_section(self, httpd, number, caller, expected):
        response = httpd.get(f"/s{number}/page.txt", token=key_of(caller))
        check(response, expected)
        assert (response.body == b"secret page\n") == (expected is True)


BROKEN_HTACCESS = {
    "unknown provider": "AuthType Bearer\nAuthName x\nLlamaAuthUse nobody\n",
    "scope that is none": 'RequireScope "a b"\n',
    "none beside others": "RequireScope none a\n",
    "no words": "RequireScope\n",
    "attribute without a value": "RequireAttribute roles\n",
    "a server directive": "LlamaAuthOutageStatus 503\n",
    "a provider": "<LlamaAuthProvider x static>\nFile /x\n</LlamaAuthProvider>\n",
}


class TestHtaccessErrors:
    """What httpd -t cannot see is a 500 on the request, with the line in the log."""
    expected = (r"htaccess",)

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd) + f'<Directory "{httpd.root}/htdocs">\nAllowOverride AuthConfig\n</Directory>\n'
        for number, lines in enumerate(BROKEN_HTACCESS.values()):
            httpd.write(f"htdocs/h{number}/page.txt", "secret page\n")
            httpd.write(f"htdocs/h{number}/.htaccess", lines)
        httpd.write("htdocs/override/page.txt", "secret page\n")
        httpd.write("htdocs/override/.htaccess", BEARER + "RequireScope b\n")
        return text + f'<Directory "{httpd.root}/htdocs/override">\nAllowOverride FileInfo\n</Directory>\n'

    @pytest.mark.parametrize("number", [pytest.param(n, id=name) for n, name in enumerate(BROKEN_HTACCESS)])
    def test_is_a_500(self, httpd, number):
        mark = httpd.log.mark()
        response = httpd.get(f"/h{number}/page.txt", token=key_of("full"))
        assert response.status == 500 and b"secret" not in response.body
        assert any(f"h{number}/.htaccess" in line.text for line in httpd.log.since(mark, level="alert"))

    def test_needs_AuthConfig(self, httpd):
        response = httpd.get("/override/page.txt", token=key_of("full"))
        assert response.status == 500 and b"secret" not in response.body


class TestVirtualHosts:
    """Providers of the main server are inherited; a virtual host's own are its own; OutageStatus merges."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.second, httpd.third = httpd.listen(), httpd.listen()
        closed = httpd.endpoint("closing")
        httpd.write_keys("conf/second.json", key_entry("key-of-the-second-host", "second"))
        httpd.write_keys("conf/third.json", key_entry("key-of-the-third-host", "third"))

        def host(port, *lines):
            return f"<VirtualHost 127.0.0.1:{port}>\nServerName 127.0.0.1\n" + "\n".join(lines) + "\n</VirtualHost>\n"

        def own(name):
            return (f"<LlamaAuthProvider own static>\nFile conf/{name}.json\n</LlamaAuthProvider>\n<Location /own/>\nAuthType Bearer\n"
                    f"AuthName {name}\nLlamaAuthUse own\nRequire valid-user\n</Location>\n")
        outage = "<Location /down/>\nAuthType Bearer\nAuthName down\nLlamaAuthUse down\nRequire valid-user\n</Location>\n"
        shared = f"<Location /shared/>\n{BEARER}Require valid-user\n</Location>\n"
        httpd.write("htdocs/shared/page.txt", "page\n")
        httpd.write("htdocs/own/page.txt", "page\n")
        return (write_callers(httpd) + f"<LlamaAuthProvider down custom>\nEndpoint {closed.url()}\nBreaker off\n</LlamaAuthProvider>\n" +
                "LlamaAuthOutageStatus 503\n" + outage + shared +
                host(httpd.second, "ServerName second", own("second"), outage) +
                host(httpd.third, "ServerName third", "LlamaAuthOutageStatus 401", own("third"), outage,
                     "<Location /shared/>\nRequireScope b\n</Location>"))

    def test_own_provider(self, httpd):
        for port, key, name in ((httpd.second, "key-of-the-second-host", "second"), (httpd.third, "key-of-the-third-host", "third")):
            assert httpd.get("/own/page.txt", port=port, token=key).note("user") == name
            other = "key-of-the-third-host" if name == "second" else "key-of-the-second-host"
            refused = httpd.get("/own/page.txt", port=port, token=other)
            assert (refused.status, refused.challenge["realm"]) == (401, name)

    def test_inherited_provider(self, httpd):
        for port in (httpd.port, httpd.second, httpd.third):
            assert httpd.get("/shared/page.txt", port=port, token=key_of("full")).note("user") == "full"

    def test_inherited_section_with_a_rule_of_its_own(self, httpd):
        check(httpd.get("/shared/page.txt", port=httpd.third, token=key_of("some")), "scope b")
        check(httpd.get("/shared/page.txt", port=httpd.second, token=key_of("some")), True)

    def test_outage_status(self, httpd, token):
        httpd.endpoint("closing").default = close
        for port, status in ((httpd.port, 503), (httpd.second, 503), (httpd.third, 401)):
            assert httpd.get("/down/x", port=port, token=token + str(port)).status == status
