"""What a stranger can make a child spend: every list that a request brings is sent at its largest, and the child's memory grows by a
small multiple of that. Steps are counted where the lists are read: tests/unit/test_linear.c."""

import pytest

from behaviour import reply
from callers import key_of, write_callers
from client import build
from configs import provider

LARGE = 32768
# For each byte that is sent; httpd itself takes 4.
PER_BYTE = 96
# Of an allocator, and of a first use of something.
GRAIN = 4 << 20


def fill(unit, size=LARGE - 200):
    return unit * (size // len(unit))


def field(name, unit):
    return lambda path: build("GET", path, headers=[(name, fill(unit))])


def query(unit):
    return lambda path: build("GET", f"{path}?{fill(unit)}")


def fields(name, value, count):
    return lambda path: build("GET", path, headers=[(name, value)] * count)


def trailers(name, count):
    head = "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    return lambda path: (head.format(path) + f"{name}: root\r\n" * count + "\r\n").encode()


LISTS = {
    "Connection, commas": field("Connection", "a,"), "Connection, ours": field("Connection", "X-User,"),
    "Connection, every other one": field("Connection", "a;x-user "), "Connection, blanks": field("Connection", "a\t"),
    "Connection, fields": fields("Connection", "a,X-User;b", 2000),
    "query, separators": query("&"), "query, others": query("a&"), "query, tokens": query("t=x&"),
    "query, escaped": query("a=1&%74=%78&"), "query, parameters": query("a=1&"),
    "Referer": field("Referer", "?a&t=1&#"), "Referer, one query": field("Referer", "?t&"),
    "Cookie, separators": field("Cookie", ";"), "Cookie, others": field("Cookie", "a;"),
    "Cookie, tokens": field("Cookie", "c=x;a=1;"), "Cookie, fields": fields("Cookie", "c=x; a=1", 2000),
    "Authorization, commas": field("Authorization", "Bearer a, "), "Authorization, blanks": field("Authorization", "Bearer \t"),
    "Authorization, fields": fields("Authorization", "Bearer a", 2000),
    "a source's field, commas": field("X-Key", "a,"), "a source's fields": fields("X-Key", "a", 2000),
    "our fields": fields("X-User", "root", 2000), "our fields, another spelling": fields("x_user", "root", 2000),
    "our trailers": trailers("X-User", 2000), "trailers": trailers("X-Other", 2000),
}
PATHS = ["/private/x", "/off/x", "/custom/x", "/open/x", "/elsewhere"]


def peak_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def forget_peak(pid):
    """From here on the peak is that of what follows."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


class TestSpend:
    processes = 1

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = reply(403, b"")
        for path in PATHS:
            httpd.write(f"htdocs{path}", "x")
        section = """    AuthType Bearer
    AuthName spend
    LlamaAuthTokenSource Authorization query:t query:u cookie:c header:X-Key
    LlamaAuthForward X-User principal
    LlamaAuthEnv on
"""
        return write_callers(httpd) + provider("corp", httpd.endpoint().url(), "CacheNegativeTTL 0") + f"""
LimitRequestLine {LARGE}
LimitRequestFieldSize {LARGE}
LimitRequestFields 0
MergeTrailers On
<Location /private>
{section}
    LlamaAuthUse keys
    Require valid-user
</Location>
<Location /off>
{section}
    LlamaAuthForwardToken off
    Require all granted
</Location>
<Location /custom>
{section}
    LlamaAuthUse corp
    Require valid-user
</Location>
<Location /open>
    Require all granted
</Location>
"""

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("name", LISTS)
    def test_memory(self, httpd, name, path):
        (pid,) = httpd.children()
        data = LISTS[name](path)
        for _ in range(8):  # what a child and its threads take when they begin is not looked for
            assert httpd.get(path).status in (200, 401)
        forget_peak(pid)
        before = peak_kb(pid)
        with httpd.connect() as connection:
            connection.socket.sendall(data)
            assert connection.read().status in (200, 400, 401, 403, 405)
        assert httpd.children() == [pid]
        grown = (peak_kb(pid) - before) * 1024
        assert grown <= PER_BYTE * len(data) + GRAIN

    def test_it_still_serves(self, httpd):
        assert httpd.get("/private/x", token=key_of("full")).status == 200
