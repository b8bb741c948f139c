"""What a refused look-up of mod_dir leaves on the request that made it. It outlives the look-up, whose memory mod_dir frees: the form of an
error document and the metadata's URL of an .htaccess that only the look-up met. And it ends with the request's passing."""

import pytest

from behaviour import reply
from callers import BEARER, check, key_of, write_callers

HTACCESS = """RequireScope b
LlamaAuthResource https://api.example/{name}
LlamaAuthErrorDocument default '{{"said": "%{{message}}", "by": "{name}"}}'
"""


class TestLookUpsOfIndexFiles:
    modules = ("proxy", "proxy_http")
    expected = (r"AH01276",)

    @staticmethod
    def configure(httpd):
        for name in ("first", "second"):
            httpd.write(f"htdocs/{name}/page.html", "page\n")
            httpd.write(f"htdocs/{name}/.htaccess", HTACCESS.format(name=name))
        httpd.write("htdocs/one/x", "")
        httpd.write("htdocs/two/x", "")
        httpd.write("htdocs/three/x", "")
        httpd.write_keys("conf/other.json")
        httpd.endpoint("backend").default = reply(401, b"of the backend")
        return write_callers(httpd) + f"""
<LlamaAuthProvider other static>
    File conf/other.json
</LlamaAuthProvider>
<Location /stranger>
    {BEARER.replace("keys", "other")}
    Require valid-user
</Location>
<Location /open>
    AuthType None
    Require all granted
    ErrorDocument 401 "open's own"
    ProxyPass "http://127.0.0.1:{httpd.endpoint("backend").port}"
    ProxyErrorOverride On
</Location>
<Directory "{httpd.root}/htdocs">
    AllowOverride AuthConfig
    {BEARER}
    Require valid-user
    AuthzSendForbiddenOnFailure On
</Directory>
<Directory "{httpd.root}/htdocs/one">
    DirectoryIndex /first/page.html
</Directory>
<Directory "{httpd.root}/htdocs/two">
    DirectoryIndex /nowhere/at/all /first/page.html /nowhere/else
</Directory>
<Directory "{httpd.root}/htdocs/three">
    DirectoryIndex /stranger/page.html /first/page.html /open/page
</Directory>
"""

    @pytest.mark.parametrize("path", ["/one/", "/two/", "/first/page.html"])
    def test_the_document_is_of_the_refusing_section(self, httpd, path):
        for _ in range(20):
            response = httpd.get(path, token=key_of("bare"))
            assert response.status == 403
            assert response.json == {"said": "Access denied: user does not have required scope: b", "by": "first"}
            assert response.challenge["resource_metadata"] == "https://api.example/.well-known/oauth-protected-resource/first"

    def test_an_answer_of_the_page_that_is_found_at_last(self, httpd):
        response = httpd.get("/three/", token=key_of("bare"))
        assert (response.status, response.note("error"), response.body) == (401, None, b"open's own")
