"""llama-auth-keys under bad luck: a full disk, many at once, kills; and beside an httpd that follows the file."""

import hashlib
import json
import os
import random
import re
import resource
import subprocess
import threading
import time

from errorlog import await_until
from server import key_entry, unprivileged
from test_keys import COMMAND, ROOT_USER, done, entries, left_alone
from test_status import ADMIN, guarded, json_status, metrics, of

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
                process.wait(took * 2 ** random.uniform(-4, 3))
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


def settled(httpd, status, *keys):
    """Waits for the two seconds that are promised, and until all answers in a row, each on a connection of its own, say so."""
    promised = time.monotonic() + 2

    def agreed():
        return time.monotonic() > promised and all(httpd.get("/", token=key).status == status for key in keys for _ in range(8))
    await_until(agreed, f"{status} for keys", patience=10)


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
                settled(httpd, 200, first)
                with Load(httpd, first):
                    second = done("rotate", path, name, "--overlap", "1h")
                    settled(httpd, 200, first, second)
                assert httpd.get("/", token=second).note("attribute.roles") == "ci"
                done("disable", path, name)
                settled(httpd, 401, first, second)
                assert httpd.get("/", token=second).message == "Invalid API key"
                done("enable", path, name)
                settled(httpd, 200, first, second)
                with Load(httpd, second):
                    third = done("rotate", path, name, "--overlap", "1h")
                    settled(httpd, 200, third)
                last = done("rotate", path, name, "--overlap", "0")
                settled(httpd, 401, first, second, third)
                assert httpd.get("/", token=last).status == 200
                done("revoke", path, name)
                settled(httpd, 401, last)

    def test_a_key_ends_and_begins_by_the_clock(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        short = done("add", path, "short", "--expires", "4s")
        later = done("add", path, "later", "--not-before", "4s")
        await_until(lambda: httpd.get("/", token=short).status == 200, "the short key")
        assert httpd.get("/", token=later).status == 401
        await_until(lambda: httpd.get("/", token=short).status == 401, "its end", patience=10)
        settled(httpd, 200, later)

    def test_the_log_tells_why(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        key = done("add", path, "off")
        settled(httpd, 200, key)
        done("disable", path, "off")
        settled(httpd, 401, key)
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


ODD = 'we"ird\\ <b>id</b>'


class TestStatus:
    """Keys by id: expiry, last use, disabled, and which end soon; never a digest."""
    processes = 1
    modules = ("authn_file", "auth_basic")

    @classmethod
    def configure(cls, httpd):
        path = httpd.root / "conf" / "keys.json"
        group = ["--group", unprivileged()[1].gr_name] if ROOT_USER else []
        cls.used = done("add", path, "used", *group)
        cls.odd = done("add", path, ODD, "--expires", "3d")
        done("add", path, "rotated")
        done("rotate", path, "rotated")
        done("add", path, "off", "--expires", "1d", "--not-before", "2020-01-01")
        done("disable", path, "off")
        return LOCATION + guarded(httpd)

    @staticmethod
    def keys(httpd):
        return of(json_status(httpd), "keys")["keys"]

    def await_count(self, httpd, count):
        await_until(lambda: self.keys(httpd)["count"] == count, f"{count} keys")

    def test_json(self, httpd):
        report = self.keys(httpd)
        assert (report["count"], report["ending"], len(report["first"])) == (5, 1, 5)
        assert [(key["id"], key["entry"], key["disabled"]) for key in report["first"]] == \
            [("used", 1, False), (ODD, 1, False), ("rotated", 1, False), ("rotated", 2, False), ("off", 1, True)]
        assert [bool(key["expires"]) for key in report["first"]] == [False, True, True, False, True]
        assert report["first"][4]["not_before"] == "2020-01-01T00:00:00Z" and report["first"][0]["not_before"] is None

    def test_last_use(self, httpd):
        assert self.keys(httpd)["first"][1]["last_used"] is None
        before = int(time.time())
        assert httpd.get("/", token=self.odd).status == 200
        used = metrics(httpd)[f'llama_auth_key_last_used_timestamp_seconds{{provider="keys",id="{self.escaped()}",entry="1"}}']
        assert before <= used <= time.time()
        shown = self.keys(httpd)["first"]
        assert shown[1]["last_used"] and shown[3]["last_used"] is None
        httpd.graceful()
        assert self.keys(httpd)["first"][1]["last_used"] >= shown[1]["last_used"]

    def test_a_refused_key_was_not_used(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        key = done("add", path, "refused", "--from", "10.0.0.0/8")
        self.await_count(httpd, 6)
        assert httpd.get("/", token=key).status == 401
        assert self.keys(httpd)["first"][5]["last_used"] is None
        done("revoke", path, "refused")
        self.await_count(httpd, 5)

    @staticmethod
    def escaped():
        return ODD.replace("\\", "\\\\").replace('"', '\\"')

    def test_metrics(self, httpd):
        found = metrics(httpd)
        assert found['llama_auth_keys{provider="keys"}'] == 5 and found['llama_auth_keys_ending{provider="keys"}'] == 1
        assert found['llama_auth_key_disabled{provider="keys",id="off",entry="1"}'] == 1
        expires = found[f'llama_auth_key_expires_timestamp_seconds{{provider="keys",id="{self.escaped()}",entry="1"}}']
        assert 2 * 86400 < expires - time.time() < 4 * 86400
        assert 'llama_auth_key_expires_timestamp_seconds{provider="keys",id="used",entry="1"}' not in found

    def test_page(self, httpd):
        page = httpd.get("/status", headers=(ADMIN,)).body.decode()
        assert "Keys that end within 14 days: 1" in page and "<b>id</b>" not in page
        rows = dict(re.findall(r"<tr><td>(\w+)</td><td[^>]*>(\w[\w ]*)</td>", page))
        assert rows == {"used": "valid", "rotated": "valid", "off": "disabled"}

    def test_no_digest(self, httpd):
        digests = [entry["sha256"] for entry in entries(httpd.root / "conf" / "keys.json")]
        assert hashlib.sha256(self.used.encode()).hexdigest() in digests
        for query in ("", "?format=json", "?format=prometheus"):
            text = httpd.get("/status" + query, headers=(ADMIN,)).body.decode()
            assert not any(digest[:12] in text for digest in digests)


class TestManyKeys:
    """What is shown is bounded, what is counted is not."""
    modules = ("authn_file", "auth_basic")

    @classmethod
    def configure(cls, httpd):
        httpd.write_keys("conf/keys.json", *(key_entry(f"lla_{n}", f"user{n}") for n in range(1200)))
        return LOCATION + guarded(httpd)

    def test_bounded(self, httpd):
        report = TestStatus.keys(httpd)
        assert (report["count"], len(report["first"])) == (1200, 500)
        assert len([name for name in metrics(httpd) if name.startswith("llama_auth_key_disabled")]) == 500
