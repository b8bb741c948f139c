"""The static provider: keys, their reload, and a key file that cannot be used (spec section 4, static)."""

import json
import os
import re
import threading

import pytest

from behaviour import Hold, reply
from client import build
from errorlog import await_until
from server import client_id, key_entry, unprivileged

ALICE = "key-of-alice-000000000001"
BOB = "key-of-bob-00000000000002"
LATE = "key-that-has-expired-0003"
SOON = "key-that-will-expire-0004"
BARE = "key-without-attributes-05"
ODD = "key-with-odd-values-00006"
UNKNOWN = "Invalid API key"

LOCATION = """
<Location "/">
    AuthType Bearer
    AuthName "static"
    LlamaAuthUse keys
    Require valid-user
</Location>
"""
PROVIDER = """
<LlamaAuthProvider keys static>
    File conf/keys.json
</LlamaAuthProvider>
"""


class TestKeys:
    @staticmethod
    def configure(httpd):
        httpd.write_keys(
            "conf/keys.json",
            key_entry(ALICE, "alice", {"roles": ["admin", "dev"], "teams": ["core"], "scopes": ["a", "b"]}),
            key_entry(BOB, "bob", {"roles": "single"}),
            key_entry(LATE, "late", expires="2020-01-01T00:00:00Z"),
            key_entry(SOON, "soon", expires="2099-12-31T23:59:59Z"),
            key_entry(BARE, "bare"),
            key_entry(ODD, "Ødd ünïcode", {"roles": ["a,b", "50%", "naïve", "tab\there"], "empty": []}))
        return PROVIDER + LOCATION

    def test_attributes(self, httpd):
        response = httpd.get("/", token=ALICE)
        assert response.status == 200
        assert json.loads(response.note("attributes")) == {"roles": ["admin", "dev"], "teams": ["core"],
                                                           "scopes": ["a", "b"]}
        assert response.note("attribute.roles") == "admin,dev"
        assert response.note("attribute.scopes") == "a,b"
        assert response.note("provider") == "keys"
        assert response.note("client_id") == client_id(ALICE)

    def test_one_string_is_a_list_of_one(self, httpd):
        response = httpd.get("/", token=BOB)
        assert json.loads(response.note("attributes")) == {"roles": ["single"]}
        assert response.note("attribute.roles") == "single"

    def test_no_attributes(self, httpd):
        response = httpd.get("/", token=BARE)
        assert (response.status, response.note("user")) == (200, "bare")
        assert json.loads(response.note("attributes") or "{}") == {}

    def test_values_are_encoded_in_notes(self, httpd):
        response = httpd.get("/", token=ODD)
        assert response.status == 200
        assert response.note("principal") == "Ødd ünïcode"
        assert response.note("attribute.roles") == "a%2Cb,50%25,na%C3%AFve,tab%09here"
        assert json.loads(response.note("attributes")) == {"roles": ["a,b", "50%", "naïve", "tab\there"], "empty": []}

    def test_attributes_note_is_ascii(self, httpd):
        assert httpd.get("/", token=ODD).header("X-Note-attributes").isascii()

    def test_before_expiry(self, httpd):
        assert httpd.get("/", token=SOON).note("user") == "soon"

    def test_expired(self, httpd):
        response = httpd.get("/", token=LATE)
        assert (response.status, response.note("error")) == (401, "invalid_token")
        assert response.message == UNKNOWN

    def test_wrong(self, httpd):
        response = httpd.get("/", token="key-that-nobody-issued")
        assert (response.status, response.message) == (401, UNKNOWN)

    def test_the_digest_is_no_key(self, httpd):
        digest = key_entry(ALICE, "x")["sha256"]
        assert httpd.get("/", token=digest).status == 401


def settled(httpd, token, status):
    """Waits until every process says so: many answers in a row, each on a connection of its own."""
    def agreed():
        return all(httpd.get("/", token=token).status == status for _ in range(20))
    await_until(agreed, f"{status} for a key", patience=10)


class TestReload:
    """Files are looked at once a second; revoked keys stop working within 2 seconds."""

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        return PROVIDER + LOCATION

    def test_add_and_revoke(self, httpd):
        assert httpd.get("/", token=ALICE).status == 200
        assert httpd.get("/", token=BOB).status == 401
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"), key_entry(BOB, "bob"))
        settled(httpd, BOB, 200)
        assert httpd.get("/", token=ALICE).status == 200
        httpd.write_keys("conf/keys.json", key_entry(BOB, "bob"))
        settled(httpd, ALICE, 401)
        assert httpd.get("/", token=BOB).status == 200

    def test_written_in_place(self, httpd):
        path = httpd.root / "conf" / "keys.json"
        path.write_text(json.dumps({"keys": [key_entry(ALICE, "alice")]}))
        settled(httpd, ALICE, 200)
        path.write_text(json.dumps({"keys": [key_entry(ALICE, "alice2", {"roles": ["new"]})]}))
        await_until(lambda: all(httpd.get("/", token=ALICE).note("user") == "alice2" for _ in range(20)), "new name")
        assert httpd.get("/", token=ALICE).note("attribute.roles") == "new"

    def test_all_keys_revoked(self, httpd):
        httpd.write_keys("conf/keys.json")
        settled(httpd, ALICE, 401)


BROKEN = {
    "truncated": lambda good: good[:len(good) // 2],
    "empty": lambda good: "",
    "not JSON": lambda good: "keys: []",
    "unknown field": lambda good: good.replace('"principal"', '"principle"'),
    "short digest": lambda good: good.replace('"sha256": "', '"sha256": "0'),
}


class TestReloadDuringARequest:
    """A request that is under way keeps the identity it was given, however often the file is replaced meanwhile."""
    processes = 1
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        return PROVIDER + LOCATION + f"<Location /slow/>\nProxyPass {httpd.endpoint('backend').url('/')}\n</Location>\n"

    def test_identity_stays(self, httpd):
        backend = httpd.endpoint("backend")
        backend.default = hold = Hold(reply(200, b"done"))
        attributes = {"roles": [f"role-number-{n}" for n in range(200)]}
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice-the-first", attributes))
        await_until(lambda: httpd.get("/", token=ALICE).note("user") == "alice-the-first", "the first version")
        with httpd.connect() as connection:
            connection.send(build("GET", "/slow/x", token=ALICE))
            await_until(lambda: backend.calls, "the request to reach the backend")
            for version in ("second", "third"):
                httpd.write_keys("conf/keys.json", key_entry(ALICE, version, {"roles": ["x" * 5000]}))
                await_until(lambda: httpd.get("/", token=ALICE).note("user") == version, "the next version")
            hold.release()
            response = connection.read()
        assert (response.status, response.body) == (200, b"done")
        assert response.note("principal") == response.note("user") == "alice-the-first"
        assert json.loads(response.note("attributes")) == attributes
        assert response.note("attribute.roles") == ",".join(attributes["roles"])

    def test_under_load(self, httpd):
        wrong, stop = [], threading.Event()

        def client():
            with httpd.visitor() as visitor:
                while not stop.is_set():
                    response = visitor.get("/", token=ALICE)
                    if response.status != 200:
                        wrong.append(response)
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in ("one", "two", "three"):
            httpd.write_keys("conf/keys.json", key_entry(ALICE, version, {"roles": ["x" * 1000] * 10}))
            await_until(lambda: httpd.get("/", token=ALICE).note("user") == version, "the next version")
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong, wrong[0]


class TestBrokenReload:
    """A broken new version leaves the old keys in force and is logged once in each process."""
    processes = 1
    expected = (r"\[llama_auth:error\].*keys\.json",)

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        return PROVIDER + LOCATION

    @pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
    def test_old_keys_stay(self, httpd, damage):
        good = httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice")).read_text()
        settled(httpd, ALICE, 200)
        mark = httpd.log.mark()
        httpd.write("conf/keys.json", damage(good))
        await_until(lambda: httpd.get("/", token=ALICE).status and
                    httpd.log.since(mark, "llama_auth", "error"), "the error")
        assert all(httpd.get("/", token=ALICE).status == 200 for _ in range(20))
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1, lines
        assert "conf/keys.json" in lines[0].text and "keys" in lines[0].text
        httpd.write_keys("conf/keys.json", key_entry(ALICE, "alice"), key_entry(BOB, "bob"))
        settled(httpd, BOB, 200)

    def test_vanished(self, httpd):
        settled(httpd, ALICE, 200)
        mark = httpd.log.mark()
        (httpd.root / "conf" / "keys.json").unlink()
        await_until(lambda: httpd.get("/", token=ALICE).status and
                    httpd.log.since(mark, "llama_auth", "error"), "the error")
        assert httpd.get("/", token=ALICE).status == 200
        assert len(httpd.log.since(mark, "llama_auth", "error")) == 1
        httpd.write_keys("conf/keys.json", key_entry(BOB, "bob"))
        settled(httpd, ALICE, 401)
        settled(httpd, BOB, 200)


def entries(*more):
    return json.dumps({"keys": [key_entry(ALICE, "alice"), *more]})


def altered(**change):
    entry = {**key_entry(BOB, "bob"), **change}
    return entries({name: value for name, value in entry.items() if value is not None})


SECOND = r"keys\[1\]"
UNUSABLE = {
    "empty file": ("", ""),
    "white space only": (" \n\t ", ""),
    "truncated": (entries()[:-30], ""),
    "not JSON": ("api keys go here", ""),
    "single quotes": (entries().replace('"', "'"), ""),
    "something after the end": (entries() + "x", ""),
    "NUL after the end": (entries() + "\0", ""),
    "not UTF-8": (entries().encode().replace(b"alice", b"\xff\xfe"), ""),
    "a list": (json.dumps([key_entry(ALICE, "alice")]), ""),
    "no keys": ("{}", "keys"),
    "keys is no list": ('{"keys": {}}', "keys"),
    "unknown top-level field": (entries()[:-1] + ', "version": 1}', ""),
    "duplicate member": (entries().replace('"id"', '"id": "x", "id"'), "duplicate"),
    "entry is no object": (entries("bob"), SECOND),
    "entry without sha256": (altered(sha256=None), SECOND + ".*sha256"),
    "entry without principal": (altered(principal=None), SECOND + ".*principal"),
    "empty principal": (altered(principal=""), SECOND + ".*principal"),
    "principal with a newline": (altered(principal="a\nb"), SECOND + ".*principal"),
    "principal is a number": (altered(principal=7), SECOND + ".*principal"),
    "digest too short": (altered(sha256="abcd"), SECOND + ".*sha256"),
    "digest too long": (altered(sha256="0" * 65), SECOND + ".*sha256"),
    "digest not hex": (altered(sha256="g" * 64), SECOND + ".*sha256"),
    "digest is a number": (altered(sha256=12), SECOND + ".*sha256"),
    "duplicate key": (entries(key_entry(ALICE, "other")), SECOND + ".*duplicate"),
    "duplicate key in upper case": (altered(sha256=key_entry(ALICE, "x")["sha256"].upper()), SECOND + ".*duplicate"),
    "duplicate id": (altered(id="alice"), SECOND + ".*duplicate"),
    "unknown field": (altered(scope=["a"]), SECOND + ".*unknown field"),
    "expires is no date": (altered(expires="tomorrow"), SECOND + ".*expires"),
    "expires is a number": (altered(expires=1700000000), SECOND + ".*expires"),
    "expires on February 30": (altered(expires="2027-02-30T00:00:00Z"), SECOND + ".*expires"),
    "expires without zone": (altered(expires="2027-01-01T00:00:00"), SECOND + ".*expires"),
    "attributes is a list": (altered(attributes=["admin"]), SECOND + ".*attributes"),
    "value is a number": (altered(attributes={"roles": 7}), SECOND + ".*attribute \"roles\""),
    "list holds a number": (altered(attributes={"roles": ["a", 7]}), SECOND + ".*attribute \"roles\""),
}


class TestUnusableFile:
    """An error in the file stops the server and says where; `httpd -t` finds it."""

    def refused(self, bare, user=None):
        bare.configure(PROVIDER + LOCATION)
        status, said = bare.check(user)
        assert status != 0, said
        assert "conf/keys.json" in said, said
        assert "test.conf" in said, said
        return said

    @pytest.mark.parametrize("content, named", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_content(self, bare, content, named):
        bare.write("conf/keys.json", content)
        said = self.refused(bare)
        assert re.search(named, said, re.S), said

    def test_never_quotes_a_digest(self, bare):
        entry = key_entry(BOB, "bob")
        bare.write("conf/keys.json", entries(entry, entry))
        assert entry["sha256"] not in self.refused(bare)

    def test_missing(self, bare):
        assert "No such file" in self.refused(bare)

    def test_directory(self, bare):
        (bare.root / "conf" / "keys.json").mkdir()
        self.refused(bare)

    def test_named_pipe_does_not_hang(self, bare):
        os.mkfifo(bare.root / "conf" / "keys.json")
        self.refused(bare)

    def test_unreadable(self, bare):
        path = bare.write_keys("conf/keys.json", key_entry(ALICE, "alice"))
        path.chmod(0)
        if os.geteuid() != 0:
            assert "ermission denied" in self.refused(bare)
            return
        user = unprivileged()[0].pw_uid
        os.chown(path, 0, 0)
        for directory in ("logs", "run"):
            os.chown(bare.root / directory, user, -1)
        assert "ermission denied" in self.refused(bare, user=user)

    def test_good_file_with_every_field(self, bare):
        bare.write_keys("conf/keys.json", key_entry(ALICE, "alice", {"roles": ["a"], "x": "y", "none": []},
                                                    expires="2027-01-01T00:00:00Z"))
        bare.configure(PROVIDER + LOCATION)
        assert bare.check()[0] == 0

    def test_no_keys_is_a_valid_file(self, bare):
        bare.write("conf/keys.json", '{"keys": []}')
        bare.configure(PROVIDER + LOCATION)
        assert bare.check()[0] == 0


class TestManyKeys:
    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", *(key_entry(f"bulk-key-number-{n}", f"user{n}") for n in range(5000)))
        return PROVIDER + LOCATION

    @pytest.mark.parametrize("number", [0, 1, 2500, 4998, 4999])
    def test_each_is_found(self, httpd, number):
        assert httpd.get("/", token=f"bulk-key-number-{number}").note("user") == f"user{number}"

    def test_next_is_not(self, httpd):
        assert httpd.get("/", token="bulk-key-number-5000").status == 401
