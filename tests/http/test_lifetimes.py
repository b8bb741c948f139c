"""What a look-up leaves on the request that made it outlives the look-up, whose memory mod_dir frees: the form of an error document and the
metadata's URL of an .htaccess that only the look-up met."""

import pytest

from callers import BEARER, check, key_of, write_callers

HTACCESS = """RequireScope b
LlamaAuthResource https://api.example/{name}
LlamaAuthErrorDocument default '{{"said": "%{{message}}", "by": "{name}"}}'
"""


class TestLookUpsOfIndexFiles:
    expected = (r"AH01276",)

    @staticmethod
    def configure(httpd):
        for name in ("first", "second"):
            httpd.write(f"htdocs/{name}/page.html", "page\n")
            httpd.write(f"htdocs/{name}/.htaccess", HTACCESS.format(name=name))
        httpd.write("htdocs/one/x", "")
        httpd.write("htdocs/two/x", "")
        return write_callers(httpd) + f"""
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
"""

    @pytest.mark.parametrize("path", ["/one/", "/two/", "/first/page.html"])
    def test_the_document_is_of_the_refusing_section(self, httpd, path):
        for _ in range(20):
            response = httpd.get(path, token=key_of("bare"))
            assert response.status == 403
            assert response.json == {"said": "Access denied: user does not have required scope: b", "by": "first"}
            assert response.challenge["resource_metadata"] == "https://api.example/.well-known/oauth-protected-resource/first"
