"""What is shipped for people to use as it is: the demo, the configuration to start from, the README's one-liner."""

import json
import os
import re
import subprocess

from server import MODULE, ROOT, sanitizer_environment

CONF = ROOT / "conf"
PROXY = ("proxy", "proxy_http")


def test_demo_without_a_terminal():
    wrap = {"LA_DEMO_WRAP": "asan"} if sanitizer_environment() else {}
    done = subprocess.run([CONF / "demo.sh", MODULE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, env={**os.environ, **wrap})
    assert done.returncode == 0, done.stdout
    answers = re.findall(r"^  HTTP/1\.1 (\d+)", done.stdout, re.M)
    assert answers == ["401", "401", "401", "200", "403", "200", "403"]
    assert '"X-Auth-User-Id": "alice"' in done.stdout


def one_liner():
    """The README's command that makes a key."""
    return next(line.strip() for line in (ROOT / "README.md").read_text().split("\n") if "openssl rand -hex 32" in line)


def make_key():
    """Runs it; returns the key and its entry."""
    said = subprocess.run(["bash", "-c", one_liner()], capture_output=True, text=True, check=True).stdout
    return re.search(r"the key: (\w+)", said).group(1), json.loads(said.split("\n", 1)[1])


class TestStartingConfiguration:
    """conf/llama_auth.conf, included, with the README's first key; the backend it names is not there."""
    modules = PROXY
    expected = (r"AH00957", r"AH01114", r"AH00959")

    @classmethod
    def configure(cls, httpd):
        cls.key, entry = make_key()
        httpd.write("conf/api_keys.json", json.dumps({"keys": [entry]}))
        return f'Include "{CONF}/llama_auth.conf"\nProxyTimeout 5\n'

    def test_is_sound(self, httpd):
        status, said = httpd.check()
        assert status == 0 and "Syntax OK" in said

    def test_shipped_key_file_is_sound(self):
        assert json.loads((CONF / "api_keys.json").read_text()) == {"keys": []}

    def test_asks_for_a_key(self, httpd):
        assert httpd.get("/v1/models").status == 401

    def test_key_of_the_readme_passes(self, httpd):
        response = httpd.get("/v1/models", token=self.key)
        assert response.note("principal") == "ci-bot" and response.status in (502, 503)

    def test_hole_is_open_and_one_path_wide(self, httpd):
        assert httpd.get("/v1/health").status in (502, 503)
        assert [httpd.get(path).status for path in ("/v1/health/", "/v1/healthy", "/v1/Health")] == [401, 401, 401]
