"""What is shipped for people to use as it is: the demo, the configuration to start from, the first command."""

import json
import os
import re
import shutil
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


def test_first_command_before_the_packages_are_there(tmp_path):
    """Without apxs make prints no error of its own, and a build says what is missing."""
    for name in ("make", "sh", "grep", "mkdir", "cmp"):
        (tmp_path / name).symlink_to(shutil.which(name))

    def make(*arguments):
        return subprocess.run([tmp_path / "make", "-f", "Makefile.apxs", *arguments], cwd=CONF.parent, env={"PATH": str(tmp_path)},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for target in ("demo", "test"):
        tried = make("-n", target)
        assert tried.returncode == 0 and "llegal option" not in tried.stdout, tried.stdout
    built = make("all", "BUILD=none")
    assert built.returncode != 0 and built.stdout.startswith("apxs is missing: make -f Makefile.apxs deps\n"), built.stdout


class TestStartingConfiguration:
    """conf/llama_auth.conf, included, with the shipped key file and a key in it; the backend it names is not there."""
    modules = PROXY
    expected = (r"AH00957", r"AH01114", r"AH00959")

    @classmethod
    def configure(cls, httpd):
        path = httpd.write("conf/api_keys.json", (CONF / "api_keys.json").read_text())
        cls.key = subprocess.run([MODULE.parent / "llama-auth-keys", "add", path, "ci-bot"], capture_output=True, text=True, check=True).stdout.strip()
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
