"""The dearest JSON that fits into an answer, a key set or a key file costs little memory, and that little is given back
(targets.md section 4, row 31)."""

import json
import os
import re

import pytest

from behaviour import accept, raw, render
from configs import everywhere, location, provider
from conftest import new_token
from errorlog import await_until
from keyserver import accepted, jwt
from processes import anonymous, resident
from server import Httpd, key_entry, sanitizer_environment
from signer import key, key_set

ALICE = "key-of-alice-000000000001"
KEY = key("ES256", "one")
STATIC = """
<LlamaAuthProvider keys static>
    File conf/keys.json
</LlamaAuthProvider>
"""
MB = 1 << 20
PEAK, KEPT = 16 * MB, 5 * MB  # httpd keeps up to 2 MB of a thread's pools (MaxMemFree), and more than one may be asked
pytestmark = pytest.mark.skipif(bool(sanitizer_environment()) or "LA_VALGRIND" in os.environ, reason="tools take memory themselves")


def filled(before, item, after, size=MB):
    """A text of at most `size` bytes with as many items as fit."""
    count = (size - len(before) - len(after) + 1) // (len(item) + 1)
    return before + b",".join([item] * count) + after


class Watch:
    """How far a process's memory rises meanwhile, and what of that stays."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")  # the highest so far is forgotten
        self.before = resident(self.pid)
        return self

    def __exit__(self, *error):
        with open(f"/proc/{self.pid}/status") as file:
            highest = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
        self.peak = highest - self.before
        self.kept = resident(self.pid) - self.before

    def small(self):
        assert self.peak < PEAK and self.kept < KEPT, (self.peak, self.kept)


VALUES = {"objects": b"{}", "arrays": b"[]", "arrays of one": b"[0]", "objects of one": b'{"":0}', "digits": b"0", "fractions": b"0.5",
          "strings": b'"a"', "nulls": b"null", "booleans": b"true"}


def words(before, after, size=MB):
    """As many different short strings as fit."""
    made, length = [], len(before) + len(after)
    while length < size - 16:
        made.append(b'"%x"' % len(made))
        length += len(made[-1]) + 1
    return before + b",".join(made) + after


ANSWERS = {name: filled(b'{"principal": "x", "pad": [', item, b"]}") for name, item in VALUES.items()}
ANSWERS |= {"one string": filled(b'{"principal": "x", "pad": "', b"xxxxxxx", b'"}'),
            "attributes": words(b'{"principal": "x", "attributes": {"roles": [', b"]}}"),
            "an attribute of control characters": filled(b'{"principal": "x", "attributes": {"roles": "', b"\x7f" * 7, b'"}}'),
            "categories": words(b'{"principal": "x", "attributes": {', b': []}}').replace(b",", b":[],")}


# The others are no answers; an identity that cannot be used is a rejection.
OUTCOMES = {"one string": (200, None), "an attribute of control characters": (401, "invalid_token")}


class TestAnswers:
    processes = 1
    expected = (r"provider corp",)

    @staticmethod
    def configure(httpd):
        endpoint = httpd.endpoint()
        endpoint.default = lambda peer, call: raw(render(200, ANSWERS[call.token.partition(".")[0].replace("_", " ")]), then="stay")(peer, call)
        return provider("corp", endpoint.url(), "CacheVary none") + location("/", "corp") + everywhere(httpd, "/x")

    @pytest.mark.parametrize("name", ANSWERS)
    def test_answer(self, httpd, name):
        token = name.replace(" ", "_")
        httpd.get("/x", token=f"{token}.0")
        with Watch(httpd.children()[0]) as watch:
            response = httpd.get("/x", token=f"{token}.1")
        assert (response.status, response.note("error")) == OUTCOMES.get(name, (401, "provider_error")), response
        watch.small()
        if name != "one string":
            httpd.log.await_line("too many values|the identity is too large")


def reload(httpd, path, text):
    """Puts a new version in place and asks until it has been looked at."""
    mark = httpd.log.mark()
    httpd.write(path, text)
    await_until(lambda: httpd.get("/x", token="a.b.c").status and
                any(re.search(r"read again|still used", entry.text) for entry in httpd.log.since(mark)), "a look at the file")


def measured(httpd, path, text):
    for _ in range(50):  # what every thread takes once is not what is looked for
        httpd.get("/x", token="a.b.c")
    with Watch(httpd.children()[0]) as watch:
        reload(httpd, path, text)
    watch.small()


KEYS = {f"{where} {name}": filled(before, VALUES[name], after) for name in ("objects", "digits") for where, before, after in (
    ("keys that are", b'{"keys": [', b"]}"), ("a key that holds", b'{"keys": [{"kty": "EC", "x": [', b"]}]}"),
    ("beside the keys", b'{"keys": [], "more": [', b"]}"))}


class TestKeyFile:
    processes = 1
    expected = (r"its last good version is still used",)

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        return STATIC + location("/", "keys") + everywhere(httpd, "/x")

    @pytest.mark.parametrize("name", KEYS)
    def test_dear(self, httpd, name):
        measured(httpd, "conf/keys.json", KEYS[name])
        assert httpd.get("/x", token=ALICE).status == 200

    def test_many_keys(self, httpd):
        """Thousands are a file as any other; what is kept of them is more than what reading them takes."""
        entries = [key_entry(f"key-number-{i:012d}", f"user-{i}", {"roles": ["admin", "dev"], "scopes": ["a"]}, name=f"k{i}") for i in range(6000)]
        text = json.dumps({"keys": [key_entry(ALICE, "alice"), *entries]}).encode()
        assert len(text) > MB
        reload(httpd, "conf/keys.json", text)
        assert httpd.get("/x", token="key-number-000000005999").note("user") == "user-5999"
        measured(httpd, "conf/keys.json", text + b"\n")


class TestKeySet:
    processes = 1
    expected = (r"its last good version is still used",)

    @staticmethod
    def configure(httpd):
        httpd.write("conf/jwks.json", json.dumps(key_set(KEY)))
        return jwt("idp", "JwksFile conf/jwks.json") + location("/", "idp") + everywhere(httpd, "/x")

    @pytest.mark.parametrize("name", KEYS)
    def test_dear(self, httpd, name):
        measured(httpd, "conf/jwks.json", KEYS[name])
        accepted(httpd.get("/x", token=KEY.sign()))


class TestIdleConnections:
    """What a connection keeps between two requests, over what httpd keeps for it."""

    processes = 1
    connections = 400

    @classmethod
    def configure(cls, httpd):
        httpd.endpoint().default = accept("alice")
        return ("AsyncRequestWorkerFactor 1000\nKeepAliveTimeout 300\n" + provider("corp", httpd.endpoint().url()) +
                location("/v1", "corp") + everywhere(httpd, "/v1") + everywhere(httpd, "/open"))

    def test_idle(self, httpd):
        token = new_token() + "x" * 900
        pid, = httpd.children()
        connections = [httpd.connect() for _ in range(self.connections)]
        for connection in 2 * connections:
            assert connection.get("/open", token=token).status == 200
        for _ in range(50):
            httpd.get("/v1", token=token)
        with Watch(pid) as watch:
            for connection in connections:
                assert connection.get("/v1", token=token).note("user") == "alice"
        print(f"{watch.kept / self.connections:.0f} bytes a connection")
        assert watch.kept < 512 * self.connections


def test_idle_beside_httpd():
    """The same against an httpd without the module, with what requests touched in the connection's pages and httpd does not give
    back. That comes in whole pages, so it is the mean over requests whose sizes spread over one."""
    more = idle_bytes(True) - idle_bytes(False)
    print(f"{more:.0f} bytes a connection over httpd's own")
    assert more < 2560


def idle_bytes(module):
    httpd = Httpd(processes=1, module=module, notes=False)
    try:
        text = "LogLevel warn\nAsyncRequestWorkerFactor 1000\nKeepAliveTimeout 300\n"
        if module:
            httpd.endpoint().default = accept("alice", {"roles": ["admin"], "scopes": ["a"]})
            lines = ("Require valid-user", "RequireScope a", "LlamaAuthForward X-User principal")
            text += "LogLevel llama_auth:warn\n" + provider("corp", httpd.endpoint().url(), "CacheVary none") + location("/v1", "corp", lines=lines)
        httpd.configure(text + everywhere(httpd, "/v1"))
        httpd.start()
        return mean_growth(httpd)
    finally:
        wrong = httpd.stop()
        httpd.remove()
        assert not wrong, wrong


def mean_growth(httpd, each=16, step=128, requests=2):
    pid, = httpd.children()
    token, connections, grown = new_token(), [], 0
    for _ in range(200):
        assert httpd.get("/v1", token=token + "x" * 4096).status == 200
    for size in range(0, 4096, step):
        longer = token + "x" * size
        assert httpd.get("/v1", token=longer).status == 200
        before = anonymous(pid)
        for _ in range(each):
            connections.append(httpd.connect())
            for _ in range(requests):
                assert connections[-1].get("/v1", token=longer).status == 200
        grown += anonymous(pid) - before
    for connection in connections:
        connection.close()
    return grown / len(connections)


BODIES = {name: filled(b'{"model": "m", "pad": [', item, b"]}") for name, item in VALUES.items()}
BODIES |= {"one string": filled(b'{"model": "m", "pad": "', b"xxxxxxx", b'"}'), "names": filled(b'{"model": "m", "x": {', b'"":0', b"}}"),
           "escaped names": filled(b'{"model": "m", "x": {', b'"\\u006d":0', b"}}"), "many models": filled(b"{", b'"model":"mmmmmmm"', b"}"),
           "nested": b'{"model": "m", "x": ' + b"[" * (MB // 2) + b"]" * (MB // 2) + b"}"}
LISTS = {name: filled(b'{"data": [', item, b"]}") for name, item in VALUES.items()}
LISTS |= {"models": filled(b'{"data": [', b'{"id":"m"}', b"]}"), "models by name": filled(b'{"models": [', b'{"name":"m"}', b"]}"),
          "both": filled(b'{"models": [', b'{"name":"m"}', b'], "data": [', MB // 2) + filled(b"", b'{"id":"m"}', b"]}", MB // 2)}


class TestBodies:
    """Request bodies that RequireModel reads, and lists of models that it filters."""

    modules = ("proxy", "proxy_http")
    processes = 1
    expected = (r"LA0284",)

    @staticmethod
    def configure(httpd):
        endpoint = httpd.endpoint()
        endpoint.default = lambda peer, call: peer.send(render(200, LISTS.get(call.target.rpartition("/")[2].replace("_", " "), b"{}")))
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        return STATIC + f"""
<Location /x>
    AuthType Bearer
    AuthName x
    LlamaAuthUse keys
    Require valid-user
    RequireModel m
    LlamaAuthModelList filter
    ProxyPass {endpoint.url("/x")}
</Location>
"""

    @staticmethod
    def post(httpd, body):
        return httpd.request("POST", "/x/chat", token=ALICE, headers=[("Content-Type", "application/json")], body=body)

    @pytest.mark.parametrize("name", BODIES)
    def test_body(self, httpd, name):
        self.post(httpd, b'{"model": "m"}')
        with Watch(httpd.children()[0]) as watch:
            response = self.post(httpd, BODIES[name])
        assert response.status == (400 if name in ("many models", "nested") else 200), response
        watch.small()

    @pytest.mark.parametrize("name", LISTS)
    def test_list(self, httpd, name):
        httpd.get("/x/none", token=ALICE)
        with Watch(httpd.children()[0]) as watch:
            response = httpd.get("/x/" + name.replace(" ", "_"), token=ALICE)
        assert response.status == 200
        # It is let through: more pools have it, and the C library keeps some of what was freed.
        assert watch.peak < PEAK and watch.kept < 8 * MB, (watch.peak, watch.kept)
