"""What depends on the process model: connections to the endpoint, many requests at once, graceful restarts."""

import os
import re
import signal
import threading

import pytest

from behaviour import Hold, accept, reply
from callers import BEARER, key_of, write_callers
from client import build
from configs import location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from server import MODULE


def in_parallel(count, work):
    """Runs work(number) in threads; raises the first failure."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@every_mpm
class TestConnections:
    """1,000 distinct tokens over 8 client connections: connections to the endpoint are kept and used again."""

    @staticmethod
    def configure(httpd):
        return provider("ep", httpd.endpoint().url()) + location("/", "ep")

    def test_thousand_tokens(self, httpd):
        endpoint = httpd.endpoint()

        def client(number):
            with httpd.visitor() as visitor:
                for _ in range(125):
                    assert visitor.get("/index.html", token=new_token()).status == 200
        in_parallel(8, client)
        assert len(endpoint.calls) == 1000
        assert len({call.token for call in endpoint.calls}) == 1000
        assert endpoint.connections <= httpd.workers

    def test_more_clients_than_workers(self, httpd):
        """More new tokens at once than may be asked about: the others are told to come again."""
        endpoint = httpd.endpoint()
        httpd.expect("too many workers wait")
        statuses = []

        def client(number):
            for _ in range(10):
                with httpd.connect() as connection:
                    response = connection.get("/index.html", token=new_token())
                    statuses.append((response.status, response.note("error")))
        in_parallel(40, client)
        assert set(statuses) <= {(200, None), (401, "provider_error")} and (200, None) in statuses
        assert endpoint.connections <= httpd.workers

    def test_callers_do_not_mix(self, httpd):
        """Each answer is about the token that was sent, with everything going on at once."""
        endpoint = httpd.endpoint()
        tokens = [new_token() for _ in range(300)]
        for number, token in enumerate(tokens):
            endpoint.on(token, accept(f"user{number}", {"roles": [f"r{number}"]}) if number % 3 else reply(403, b""))

        def client(offset):
            with httpd.visitor() as visitor:
                for number in range(offset, len(tokens), 8):
                    response = visitor.get("/", token=tokens[number])
                    if number % 3:
                        assert (response.status, response.note("user"), response.note("attribute.roles")) == \
                            (200, f"user{number}", f"r{number}")
                    else:
                        assert (response.status, response.note("user")) == (401, None)
        in_parallel(8, client)

    def test_at_the_same_moment(self, httpd):
        """Many calls are under way together; half the workers, since httpd may give one process more than its share."""
        count = httpd.workers // 2
        holds = {new_token(): Hold(accept("held")) for _ in range(count)}
        for token, hold in holds.items():
            httpd.endpoint().on(token, hold)
        connections = [httpd.connect() for _ in holds]
        for connection, token in zip(connections, holds):
            connection.send(build("GET", "/", token=token))
        for token in holds:
            httpd.endpoint().await_call(token)
        for hold in holds.values():
            hold.release()
        assert all(connection.read().note("user") == "held" for connection in connections)
        for connection in connections:
            connection.close()


@every_mpm
class TestRestart:
    @staticmethod
    def configure(httpd):
        return (write_callers(httpd) + provider("ep", httpd.endpoint().url()) + location("/ep", "ep") +
                f"<Location /keys>\n{BEARER}RequireScope a\n</Location>\n" +
                f'AliasMatch "^/(ep|keys)" "{httpd.root}/htdocs/index.html"\n')

    def works(self, httpd):
        assert httpd.get("/ep", token=new_token()).status == 200
        assert httpd.get("/keys", token=key_of("some")).status == 200
        assert httpd.get("/keys", token=key_of("bare")).status == 403
        assert httpd.get("/keys").status == 401

    def test_graceful(self, httpd):
        self.works(httpd)
        for _ in range(3):
            httpd.graceful()
            self.works(httpd)

    def test_changed_configuration(self, httpd):
        httpd.configure(httpd.text.replace("RequireScope a", "RequireScope b"))
        httpd.graceful()
        await_until(lambda: all(httpd.get("/keys", token=key_of("some")).status == 403 for _ in range(20)), "the new rule")
        httpd.configure(httpd.text.replace("RequireScope b", "RequireScope a"))
        httpd.graceful()
        await_until(lambda: all(httpd.get("/keys", token=key_of("some")).status == 200 for _ in range(20)), "the old rule")

    def test_request_under_way_is_finished(self, httpd):
        token, hold = new_token(), Hold(accept("held"))
        httpd.endpoint().on(token, hold)
        with httpd.connect() as connection:
            connection.send(build("GET", "/ep", token=token))
            httpd.endpoint().await_call(token)
            httpd.graceful()
            hold.release()
            assert connection.read().note("user") == "held"
        self.works(httpd)

    def test_child_that_dies_is_replaced(self, httpd):
        httpd.expect("exit signal Killed")
        pid = httpd.children()[0]
        os.kill(pid, signal.SIGKILL)  # a SIGTERM to a child alone crashes plain httpd too, now and then
        await_until(lambda: pid not in httpd.children(), "the child to go")
        for _ in range(20):
            self.works(httpd)


class TestReconfigured:
    """A configuration that does not parse is refused by -t while the server goes on."""

    @staticmethod
    def configure(httpd):
        return write_callers(httpd) + f"<Location /keys>\n{BEARER}RequireScope a\n</Location>\nAlias /keys htdocs/index.html\n".replace(
            "Alias /keys htdocs", f"Alias /keys {httpd.root}/htdocs")

    def test_mistake_changes_nothing(self, httpd):
        good = httpd.text
        httpd.configure(good + "LlamaAuthOutageStatus 500\n")
        assert httpd.check()[0] != 0
        assert httpd.get("/keys", token=key_of("some")).status == 200
        httpd.configure(good)


@every_mpm
class TestCgi:
    """A CGI inherits no connection to the endpoint and no token."""
    modules = ("cgi",)

    @staticmethod
    def configure(httpd):
        script = httpd.write("cgi-bin/look", "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv\nls -l /proc/self/fd/\n"
                             "echo == tcp\ncat /proc/net/tcp\n")
        script.chmod(0o755)
        return (provider("ep", httpd.endpoint().url()) + location("/cgi/", "ep") +
                f'ScriptAlias /cgi/ "{httpd.root}/cgi-bin/"\n<Directory "{httpd.root}/cgi-bin">\nRequire all granted\n</Directory>\n')

    def test_inherits_nothing(self, httpd):
        for _ in range(5):
            token = new_token()
            response = httpd.get("/cgi/look", token=token)
            assert response.status == 200 and b"REMOTE_USER=alice" in response.body and b"AUTH_TYPE=Bearer" in response.body
            files, _, tcp = response.body.decode().partition("== tcp")
            connected = {line.split()[9] for line in tcp.split("\n")[2:] if line.strip()}
            assert connected and not connected & set(re.findall(r"socket:\[(\d+)\]", files))
            assert token.encode() not in response.body


class TestAddressSpace:
    """Requests, good and bad, leave no descriptors behind."""
    processes = 1
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return provider("ep", httpd.endpoint().url(), "Timeout 5s") + location("/", "ep")

    def descriptors(self, httpd, pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def test_no_descriptor_is_lost(self, httpd):
        kinds = [accept("a"), reply(403, b""), reply(500, b""), reply(200, b"no"), lambda peer, call: peer.reset(),
                 reply(200, {"principal": "a"}, [("Connection", "close")])]

        def round_of_requests(count):
            with httpd.visitor() as visitor:
                for number in range(count):
                    token = httpd.endpoint().on(new_token(), kinds[number % len(kinds)])
                    visitor.get("/", token=token)
        round_of_requests(60)
        pid = httpd.children()[0]
        before = self.descriptors(httpd, pid)
        round_of_requests(300)
        assert self.descriptors(httpd, pid) <= before + 4

    @pytest.mark.skipif("asan" in str(MODULE), reason="AddressSanitizer keeps freed memory")
    @pytest.mark.parametrize("size", [100_000])
    def test_memory_does_not_grow_with_requests(self, httpd, size):
        body = reply(200, {"principal": "a", "pad": "x" * size})

        def resident(pid):
            with open(f"/proc/{pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def run(count):
            with httpd.visitor() as visitor:
                for _ in range(count):
                    visitor.get("/index.html", token=httpd.endpoint().on(new_token(), body))
        run(100)
        pid = httpd.children()[0]
        before = resident(pid)
        run(400)
        assert resident(pid) - before < 40 * size
