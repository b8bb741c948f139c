"""Row 33: a key server, a name server or a Redis hangs, and purges from another machine arrive within two seconds all the same."""

import subprocess

import pytest

from behaviour import hang, reply
from configs import everywhere, location
from conftest import new_token
from endpoint import Endpoint
from errorlog import await_until
from keyserver import jwt, key_server
from server import Httpd, client_id, sanitizer_environment
from signer import key
from test_second import MODULES, Machines, ask, purge, text
from traffic import by_name

NAME = "redis.invalid"
PATIENCE = 4  # two seconds, on a machine that has other things to do

# A resolver that knows one name, and hangs for it as soon as a file is there.
RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

    if (!node || strcmp(node, "redis.invalid") != 0) return real(node, service, hints, found);
    if (hints && hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
    while (access(getenv("RESOLVER_HANGS"), F_OK) == 0) sleep(1);
    return real("127.0.0.1", service, hints, found);
}
"""


@pytest.fixture
def endpoint():
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


@pytest.fixture
def machines():
    made = Machines()
    yield made
    made.end()


def start(machines, configuration, processes=2, env=None):
    httpd = Httpd(modules=MODULES, expected=("LA0052", "LA0054", "key set"), processes=processes, env=env)
    machines.servers.append(httpd)
    httpd.configure(configuration(httpd))
    httpd.start()
    return httpd


def arrives(machines, endpoint, httpd, before=lambda: None):
    """A purge that another machine takes."""
    other = machines.add(endpoint.url(), expected=("LA0052", "LA0054"))
    alice = new_token("alice")
    assert ask(httpd, alice)[0] == 200
    before()
    endpoint.on(alice, reply(401))
    assert purge(other, f"client_id:{client_id(alice)}").json["shared_cache"] == "told"
    await_until(lambda: ask(httpd, alice)[0] == 401, "the purge to arrive", patience=PATIENCE)


class TestPurgesArrive:
    def test_while_a_key_server_hangs(self, machines, endpoint):
        """More of them than there are processes."""
        def configuration(httpd):
            keys = key_server(httpd)
            keys.default = hang
            return text(httpd, endpoint.url(), f"redis://127.0.0.1:{machines.redis.port}") + "".join(
                jwt(f"idp{number}", f"JwksUri {keys.url(f'/{number}')}", "Timeout 60s") + location(f"/jwt{number}", f"idp{number}") +
                everywhere(httpd, f"/jwt{number}") for number in range(3))
        httpd = start(machines, configuration)
        await_until(lambda: len(key_server(httpd).calls) >= 2, "every process to wait for keys")
        arrives(machines, endpoint, httpd)

    @pytest.mark.parametrize("processes", [1, 2])
    def test_while_a_name_server_hangs(self, machines, endpoint, tmp_path, processes):
        """Redis was away for a moment, so its name was asked for."""
        library, hangs = tmp_path / "resolver.so", tmp_path / "hangs"
        for directory in (tmp_path, *tmp_path.parents):
            if str(directory).startswith("/tmp/pytest"):
                directory.chmod(0o755)
        (tmp_path / "resolver.c").write_text(RESOLVER)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "resolver.c", "-ldl"], check=True)
        preload = ":".join(filter(None, [sanitizer_environment().get("LD_PRELOAD"), str(library)]))

        def configuration(httpd):
            return (text(httpd, endpoint.url(), f"redis://{NAME}:{machines.redis.port}") +
                    jwt("idp", f"JwksUri {key_server(httpd).put_keys(key('ES256', 'one'))}", "JwksRefresh 1s"))
        httpd = start(machines, configuration, processes, {"LD_PRELOAD": preload, "RESOLVER_HANGS": str(hangs)})

        def away():
            hangs.touch()
            machines.redis.pause()
            await_until(lambda: httpd.log.since() and any("LA0052" in line.text for line in httpd.log.since()), "Redis to be missed")
            machines.redis.resume()
        try:
            arrives(machines, endpoint, httpd, away)
            fetched = len(key_server(httpd).calls)
            await_until(lambda: len(key_server(httpd).calls) > fetched, "keys to be fetched meanwhile")
        finally:
            hangs.unlink()
