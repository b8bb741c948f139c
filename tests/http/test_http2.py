"""Denials over HTTP/2 in clear text, spoken by curl: one request at a time, since the curl of Debian 12 and
mod_http2 trip over more than one, and over uploads that are refused, with plain httpd too."""

import json
import re
import shutil
import subprocess

import pytest

from callers import BEARER, key_of, write_callers
from configs import everywhere

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")


def curl(httpd, *arguments, token=None):
    """Runs curl with prior knowledge of HTTP/2; a list of (status, headers, body), one for each URL."""
    command = ["curl", "-s", "-i", "--http2-prior-knowledge", "--max-time", "20", "--noproxy", "*", *arguments]
    if token:
        httpd.secrets.add(token.encode())
        command += ["-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=True)
    answers = []
    for part in re.split(r"HTTP/(?:2|1\.1) ", done.stdout.decode())[1:]:
        head, _, body = part.partition("\r\n\r\n")
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        answers.append((int(lines[0].split()[0]), headers, body))
    return answers


class TestHttp2:
    modules = ("http2",)

    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + "Protocols h2c http/1.1\n" + everywhere(httpd, "/h2") +
                f"<Location /h2/>\n{BEARER}RequireScope b\nRequire all granted\n</Location>\n"
                "<Location /h2/query>\nLlamaAuthTokenSource query:t\n</Location>\n"
                "<Location /h2/query/off>\nLlamaAuthForwardToken off\n</Location>\n")

    def url(self, httpd, path="/h2/x"):
        return f"http://127.0.0.1:{httpd.port}{path}"

    @pytest.mark.parametrize("caller, status, code", [("anon", 401, "missing_token"), ("bare", 403, "insufficient_scope"),
                                                      ("full", 200, "")])
    def test_get(self, httpd, caller, status, code):
        (answer,) = curl(httpd, self.url(httpd), token=key_of(caller))
        assert (answer[0], answer[1]["x-note-error"]) == (status, code)
        if status == 200:
            assert answer[2] == "ok\n"
        else:
            assert answer[1]["content-type"] == "application/json"
            assert answer[1]["content-length"] == str(len(answer[2]))
            assert "error" in json.loads(answer[2])
            assert answer[1]["www-authenticate"].startswith('Bearer realm="policy"')

    @pytest.mark.parametrize("path, arguments", [("on", ()), ("off", ()), ("on/asks", ("--http2",)), ("off/asks", ("--http2",))])
    def test_query_token(self, httpd, path, arguments):
        """One that asks to be upgraded is answered by HTTP/1.1: httpd would make it anew of what its handler would have got."""
        httpd.secrets.add(key_of("full").encode())
        (answer,) = curl(httpd, *arguments, self.url(httpd, f"/h2/query/{path}?a=1&t={key_of('full')}"))
        assert (answer[0], answer[2]) == (200, "ok\n")
        lines = httpd.logged(f"/h2/query/{path}?", 1)
        assert all(f"GET /h2/query/{path}?a=1 HTTP/" in line for line in lines)

    def test_head(self, httpd):
        (answer,) = curl(httpd, "-I", self.url(httpd))
        assert (answer[0], answer[2]) == (401, "")
