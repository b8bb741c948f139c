"""llama-auth-keys under bad luck: a full disk, many at once, kills; and beside an httpd that follows the file."""

import json
import os
import random
import resource
import subprocess
import threading
import time

from errorlog import await_until
from server import key_entry, unprivileged
from test_keys import COMMAND, ROOT_USER, done, entries, left_alone

LOCATION = """
<LlamaAuthProvider keys static>
    Match ^lla_
    File conf/keys.json
</LlamaAuthProvider>
<Location "/">
    AuthType Bearer
    AuthName "keys"
    LlamaAuthUse keys
    Require valid-user
</Location>
"""


def many(path, count):
    path.write_text(json.dumps({"keys": [key_entry(f"key-{n}", f"id{n}") for n in range(count)]}, indent=1))
    return path


class TestBadLuck:
    def test_a_full_disk(self, tmp_path):
        path = many(tmp_path / "keys.json", 100)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        for command in (["add", path, "x"], ["disable", path, "id1"], ["rotate", path, "id1"], ["revoke", path, "id1"]):
            left_alone(path, *command, said="File too large", preexec_fn=limit)

    def test_the_key_cannot_be_printed(self, tmp_path):
        path = many(tmp_path / "keys.json", 1)
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([COMMAND, "add", path, "x"], stdout=full, stderr=subprocess.PIPE, text=True)
        assert result.returncode == 1 and "could not be printed" in result.stderr and len(entries(path, "x")) == 1

    def test_many_at_once(self, tmp_path):
        path = tmp_path / "keys.json"
        running = [subprocess.Popen([COMMAND, "add", path, f"id{n}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for n in range(30)]
        assert [process.wait(60) for process in running] == [0] * 30
        made = {process.stdout.read() for process in running}
        assert len(made) == 30 and sorted(entry["id"] for entry in entries(path)) == sorted(f"id{n}" for n in range(30))
        running = [subprocess.Popen([COMMAND, command, path, f"id{n}"], stderr=subprocess.DEVNULL)
                   for n in range(30) for command in ("disable", "revoke")[n % 2:n % 2 + 1]]
        assert [process.wait(60) for process in running] == [0] * 30
        assert [entry["disabled"] for entry in entries(path)] == [True] * 15
        assert os.listdir(tmp_path) == ["keys.json"]

    def test_killed_at_any_moment(self, tmp_path):
        """The file is the old one or the new one, and the next command finds no obstacle."""
        path = many(tmp_path / "keys.json", 2000)
        began = time.monotonic()
        done("disable", path, "id7")
        took = max(time.monotonic() - began, 0.005)
        outcomes = {"old": 0, "new": 0}
        for _ in range(60):
            before = path.read_bytes()
            command = "enable" if b'"disabled": true' in before else "disable"
            process = subprocess.Popen([COMMAND, command, path, "id7"], stderr=subprocess.DEVNULL)
            try:
                process.wait(random.uniform(0, 2 * took))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            after = path.read_bytes()
            outcomes["old" if after == before else "new"] += 1
            assert [entry.get("disabled") for entry in entries(path, "id7")] in ([True], [False]) and len(entries(path)) == 2000
        assert min(outcomes.values()) > 0, outcomes
        done("disable", path, "id7")
        assert os.listdir(tmp_path) == ["keys.json"]

    def test_killed_while_others_wait(self, tmp_path):
        """A process that dies gives its lock back: all others end, and none of theirs is lost."""
        path = tmp_path / "keys.json"
        running = [subprocess.Popen([COMMAND, "add", path, f"id{n}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in range(40)]
        for process in random.sample(running, 10):
            process.kill()
        finished = {f"id{n}" for n, process in enumerate(running) if process.wait(60) == 0}
        assert finished <= {entry["id"] for entry in entries(path)} and len(finished) >= 30


def settled(httpd, key, status):
    """Waits until every process says so: many answers in a row, each on a connection of its own."""
    def agreed():
        return all(httpd.get("/", token=key).status == status for _ in range(12))
    await_until(agreed, f"{status} for a key", patience=10)


class Load:
    """Requests with a key, on kept connections, until the end; all of them must be let through."""

    def __init__(self, httpd, key):
        self.httpd, self.key, self.wrong, self.count = httpd, key, [], 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]

    def run(self):
        with self.httpd.visitor() as visitor:
            while not self.stop.is_set():
                response = visitor.get("/", token=self.key)
                self.count += 1
                if response.status != 200:
                    self.wrong.append(response)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.count > 0 and not self.wrong, self.wrong[0]


class TestRunningHttpd:
    """Add, rotate, disable and revoke beside an httpd under load."""

    @classmethod
    def configure(cls, httpd):
        path = httpd.root / "conf" / "keys.json"
        group = ["--group", unprivileged()[1].gr_name] if ROOT_USER else []
        cls.permanent = done("add", path, "permanent", *group)
        return LOCATION

    def test_the_life_of_keys(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        with Load(httpd, self.permanent):
            for turn in range(2):
                name = f"key{turn}"
                first = done("add", path, name, "--attribute", "roles=ci")
                settled(httpd, first, 200)
                with Load(httpd, first):
                    second = done("rotate", path, name, "--overlap", "1h")
                    settled(httpd, second, 200)
                with Load(httpd, second):
                    third = done("rotate", path, name, "--overlap", "1h")
                    settled(httpd, third, 200)
                assert httpd.get("/", token=third).note("attribute.roles") == "ci"
                done("disable", path, name)
                for key in (first, second, third):
                    settled(httpd, key, 401)
                assert httpd.get("/", token=third).message == "Invalid API key"
                done("enable", path, name)
                settled(httpd, third, 200)
                last = done("rotate", path, name, "--overlap", "0")
                settled(httpd, last, 200)
                assert [httpd.get("/", token=key).status for key in (first, second, third)] == [401] * 3
                done("revoke", path, name)
                settled(httpd, last, 401)

    def test_a_key_ends_and_begins_by_the_clock(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        short = done("add", path, "short", "--expires", "4s")
        later = done("add", path, "later", "--not-before", "4s")
        await_until(lambda: httpd.get("/", token=short).status == 200, "the short key")
        assert httpd.get("/", token=later).status == 401
        settled(httpd, short, 401)
        settled(httpd, later, 200)

    def test_the_log_tells_why(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        key = done("add", path, "off")
        settled(httpd, key, 200)
        done("disable", path, "off")
        settled(httpd, key, 401)
        mark = httpd.log.mark()
        mistyped = key[:10] + ("a" if key[10] != "a" else "b") + key[11:]
        assert [httpd.get("/", token=token).message for token in (key, mistyped)] == ["Invalid API key"] * 2
        await_until(lambda: len(httpd.log.since(mark, "llama_auth", "info")) >= 2, "two lines")
        text = "\n".join(line.text for line in httpd.log.since(mark, "llama_auth", "info"))
        assert "the key off is disabled" in text and "mistyped" in text and key[4:] not in text


class TestFrom:
    """A key's networks, by the address that mod_remoteip believes: on each request of a connection, behind the cache too."""
    modules = ("remoteip",)

    @classmethod
    def configure(cls, httpd):
        path = httpd.root / "conf" / "keys.json"
        group = ["--group", unprivileged()[1].gr_name] if ROOT_USER else []
        cls.anywhere = done("add", path, "anywhere", *group)
        cls.office = done("add", path, "office", "--from", "10.0.0.0/8", "--from", "2001:db8::/32")
        cls.local = done("add", path, "local", "--from", "127.0.0.1")
        cls.nowhere = "lla_nowhere"
        listed = json.loads(path.read_text())
        listed["keys"].append(key_entry(cls.nowhere, "nowhere", **{"from": []}))
        path.write_text(json.dumps(listed))
        return "RemoteIPHeader X-Client\nRemoteIPInternalProxy 127.0.0.1\n" + LOCATION

    def statuses(self, httpd, address):
        headers = [("X-Client", address)] if address else []
        with httpd.visitor() as visitor:
            return [visitor.get("/", token=key, headers=headers).status for key in (self.anywhere, self.office, self.local, self.nowhere)]

    def test_addresses(self, httpd):
        assert self.statuses(httpd, None) == [200, 401, 200, 401]
        assert self.statuses(httpd, "10.1.2.3") == [200, 200, 401, 401]
        assert self.statuses(httpd, "11.1.2.3") == [200, 401, 401, 401]
        assert self.statuses(httpd, "2001:db8::7") == [200, 200, 401, 401]
        assert self.statuses(httpd, "2001:db9::7") == [200, 401, 401, 401]

    def test_one_connection_of_two_addresses(self, httpd):
        with httpd.visitor() as visitor:
            got = [visitor.get("/", token=self.office, headers=[("X-Client", address)]).status for address in ("10.1.2.3", "11.1.2.3") * 3]
        assert got == [200, 401] * 3
