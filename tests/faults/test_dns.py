"""Row 11: a name that has no address, and a resolver that never answers, for which httpd gets a getaddrinfo() of the test's."""

import subprocess
import time

import pytest

from configs import everywhere, location, provider
from conftest import new_token
from outages import both_statuses
from server import Httpd, sanitizer_environment

# A resolver that hangs or fails for two names and is libc's for the others.
RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

    if (node && strcmp(node, "hangs.invalid") == 0) {
        for (;;) pause();
    }
    return node && strcmp(node, "fails.invalid") == 0 ? EAI_AGAIN : real(node, service, hints, found);
}
"""


@pytest.fixture(scope="module")
def resolver(tmp_path_factory):
    directory = tmp_path_factory.mktemp("resolver")
    directory.chmod(0o755)
    for parent in directory.parents:
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    (directory / "resolver.c").write_text(RESOLVER)
    library = directory / "resolver.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, directory / "resolver.c", "-ldl"], check=True)
    return library


class TestNames:
    @both_statuses
    @pytest.mark.parametrize("name, budget", [("hangs.invalid", 2), ("fails.invalid", 2)])
    def test_outage(self, resolver, name, budget, status):
        """Within its budget, and others are served meanwhile."""
        preload = ":".join(filter(None, [sanitizer_environment().get("LD_PRELOAD"), str(resolver)]))
        httpd = Httpd(expected=("is unavailable", "LA0050"), env={"LD_PRELOAD": preload})
        try:
            good = httpd.endpoint()
            httpd.configure(f"LlamaAuthOutageStatus {status}\n" +
                            provider("lost", f"https://{name}/validate", "Timeout 500ms", "ConnectTimeout 300ms") +
                            provider("corp", good.url(), "CacheVary none") + location("/lost", "lost") + location("/v1", "corp") +
                            everywhere(httpd, "/lost") + everywhere(httpd, "/v1"))
            httpd.start()
            with httpd.connect() as waiting:
                start = time.monotonic()
                waiting.send(b"GET /lost HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + new_token().encode() + b"\r\n\r\n")
                assert httpd.get("/v1", token=new_token()).status == 200
                answer = waiting.read()
            assert answer.status == status, answer
            assert answer.note("error") in ("provider_timeout", "provider_error")
            assert time.monotonic() - start < budget + 5  # a hang would last for ever
        finally:
            wrong = httpd.stop()
            httpd.remove()
        assert not [line for line in wrong if "did not end within" not in line], wrong
