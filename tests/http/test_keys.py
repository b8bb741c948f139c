"""llama-auth-keys: every command, every exit status, and files that cannot be used (spec section 17). test_keys_live.py kills it, runs
many at once, and has an httpd follow.

The file stays as it was, byte for byte, whenever a command fails or is killed."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from server import MODULE, key_entry, unprivileged

COMMAND = Path(os.environ.get("LA_KEYS", MODULE.parent / "llama-auth-keys"))
KEY = re.compile(r"[0-9A-Za-z]{49}$")
ROOT_USER = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT_USER, reason="only root can give files away")
OTHER = {"version": 2, "keys": [{**key_entry("elsewhere", "p", name="old"), "team": {"x": [1, "]}"]}}, None]}


def keys(*arguments, given=None, **more):
    """Runs the command; returns its exit status and what it printed."""
    return subprocess.run([COMMAND, *arguments], input=given, capture_output=True, timeout=60,
                          **{"text": not isinstance(given, bytes), **more})


def done(*arguments, **more):
    result = keys(*arguments, **more)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def entries(path, name=None):
    listed = [entry for entry in json.loads(path.read_text())["keys"] if entry]
    return [entry for entry in listed if name in (None, entry.get("id"))]


def verify(path, key):
    return keys("verify", path, given=key + "\n")


def as_nobody():
    """Arguments for subprocess that make a child an unprivileged user."""
    user = unprivileged()[0]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if ROOT_USER else {}


@pytest.fixture
def path(tmp_path):
    """A key file with one key, `ci`, in a folder that everybody may read; as `tmp_path` is not."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [key_entry("key-of-ci", "ci")]}, indent=2) + "\n")
    return file


def left_alone(path, *arguments, status=1, said="", **more):
    """Runs a command that must fail and change nothing, nor leave anything behind."""
    before = path.read_bytes() if path.exists() else None
    names = sorted(os.listdir(path.parent))
    result = keys(*arguments, **more)
    assert result.returncode == status, (result.returncode, result.stderr)
    assert said in str(result.stderr), result.stderr
    assert result.stdout == ("" if isinstance(result.stdout, str) else b"")
    assert (path.read_bytes() if path.exists() else None) == before
    assert sorted(os.listdir(path.parent)) == names
    return result


class TestCommands:
    def test_add(self, tmp_path):
        path = tmp_path / "keys.json"
        key = done("add", path, "ci", "--scope", "models.read", "--scope=b", "--attribute", "roles=x,y", "--attribute", "teams=ops",
                   "--expires", "90d", "--not-before", "2020-01-01", "--from", "10.0.0.0/8", "--from", "::1", "--note", 'Zoë\'s "CI"')
        assert key.startswith("lla_") and KEY.fullmatch(key[4:])
        [entry] = entries(path)
        created = datetime.fromisoformat(entry.pop("created").replace("Z", "+00:00"))
        expires = datetime.fromisoformat(entry.pop("expires").replace("Z", "+00:00"))
        assert expires - created == timedelta(days=90)
        assert entry == {"id": "ci", "sha256": hashlib.sha256(key.encode()).hexdigest(), "principal": "ci",
                         "attributes": {"scopes": ["models.read", "b"], "roles": ["x", "y"], "teams": ["ops"]},
                         "not_before": "2020-01-01T00:00:00Z", "from": ["10.0.0.0/8", "::1"], "note": 'Zoë\'s "CI"'}
        assert key not in path.read_text()
        assert "ci: valid, principal ci" in verify(path, key).stdout

    def test_keys_differ(self, tmp_path):
        made = {done("add", tmp_path / "keys.json", f"key{n}") for n in range(20)}
        assert len(made) == 20 and len(entries(tmp_path / "keys.json")) == 20

    def test_a_new_file(self, tmp_path):
        tmp_path.chmod(0o750)
        done("add", tmp_path / "keys.json", "ci", umask=0o077)
        info = (tmp_path / "keys.json").stat()
        assert info.st_mode & 0o7777 == 0o640 and info.st_gid == tmp_path.stat().st_gid

    @as_root
    def test_the_group_of_a_new_file(self, tmp_path):
        group = unprivileged()[1]
        os.chown(tmp_path, -1, group.gr_gid)
        done("add", tmp_path / "keys.json", "ci")
        assert (tmp_path / "keys.json").stat().st_gid == group.gr_gid
        os.chown(tmp_path, -1, 0)
        done("add", tmp_path / "other.json", "ci", "--group", group.gr_name)
        assert (tmp_path / "other.json").stat().st_gid == group.gr_gid
        left_alone(tmp_path / "third.json", "add", tmp_path / "third.json", "ci", "--group", "no-such-group", said="no group")

    def test_principal_and_prefix(self, path):
        key = done("add", path, "x", "--principal", "Ødd ünïcode", "--prefix", "acme-prod_")
        assert key.startswith("acme-prod_") and entries(path, "x")[0]["principal"] == "Ødd ünïcode"

    def test_a_key_from_elsewhere(self, path):
        assert done("add", path, "x", "--sha256", hashlib.sha256(b"sk-other").hexdigest()) == ""
        assert verify(path, "sk-other").returncode == 0
        left_alone(path, "add", path, "y", "--sha256", hashlib.sha256(b"sk-other").hexdigest(), said="duplicate sha256")

    def test_an_id_that_exists(self, path):
        left_alone(path, "add", path, "ci", said="already")

    def test_rotate(self, path):
        old = done("add", path, "x", "--scope", "a", "--note", "n", "--from", "::1")
        new = done("rotate", path, "x", "--overlap", "1h", "--prefix", "new_")
        first, second = entries(path, "x")
        assert (verify(path, old).returncode, verify(path, new).returncode, new[:4]) == (0, 0, "new_")
        assert "expires" in first and "expires" not in second
        same = {name: value for name, value in first.items() if name not in ("expires", "sha256", "created")}
        assert same == {name: value for name, value in second.items() if name not in ("sha256", "created")}
        newest = done("rotate", path, "x", "--overlap", "0")
        assert [verify(path, key).returncode for key in (old, new, newest)] == [1, 1, 0]

    def test_rotate_keeps_the_end(self, path):
        done("add", path, "x", "--expires", "2099-01-01")
        done("rotate", path, "x")
        assert [entry["expires"][:4] == "2099" for entry in entries(path, "x")] == [False, True]
        done("rotate", path, "x", "--overlap", "8d")
        soon = datetime.now(timezone.utc) + timedelta(days=7, hours=1)
        assert entries(path, "x")[0]["expires"] < soon.strftime("%Y-%m-%dT%H:%M:%SZ")

    def test_rotate_what_has_ended(self, path):
        done("add", path, "x", "--expires", "2020-01-01")
        left_alone(path, "rotate", path, "x", said="expired")

    def test_revoke_disable_enable_take_all_of_an_id(self, path):
        old = done("add", path, "x")
        new = done("rotate", path, "x")
        before = path.read_bytes()
        done("disable", path, "x")
        assert [verify(path, key).returncode for key in (old, new)] == [1, 1]
        disabled = path.read_bytes()
        done("disable", path, "x")
        assert path.read_bytes() == disabled != before
        done("enable", path, "x")
        assert [verify(path, key).returncode for key in (old, new)] == [0, 0]
        done("revoke", path, "x")
        assert entries(path, "x") == [] and len(entries(path, "ci")) == 1

    @pytest.mark.parametrize("command", ["rotate", "revoke", "disable", "enable"])
    def test_no_such_id(self, path, command):
        left_alone(path, command, path, "nobody", said='"nobody"')

    def test_list(self, path):
        done("add", path, "soon", "--expires", "3d", "--note", "the note")
        done("add", path, "late", "--expires", "2020-01-01")
        done("add", path, "early", "--not-before", "2099-01-01")
        done("disable", path, "ci")
        rows = {line.split()[0]: line for line in done("list", path).splitlines()}
        assert list(rows) == ["ID", "ci", "soon", "late", "early"]
        assert [rows[name].split()[2] for name in list(rows)[1:]] == ["disabled", "valid", "expired", "early"]
        assert rows["soon"].endswith("the note") and " never" in rows["early"]
        assert [line.split()[0] for line in done("list", path, "--expiring", "14d").splitlines()] == ["ID", "soon"]
        done("rotate", path, "soon", "--overlap", "1d")
        assert [line.split()[3][:4] for line in done("list", path, "--expiring", "2d").splitlines()[1:]] == []

    def test_list_as_json(self, path):
        done("add", path, "x", "--from", "::1")
        listed = json.loads(done("list", path, "--json"))["keys"]
        assert [entry["state"] for entry in listed] == ["valid", "valid"]
        for shown, entry in zip(listed, entries(path)):
            digest = entry.pop("sha256")
            assert shown == {**entry, "state": "valid"} and digest not in json.dumps(listed)

    def test_a_terminal_is_told_no_commands(self, path):
        path.write_text(json.dumps({"keys": [key_entry("k", "p", name="a\u009b31m", note="x\x1b[2J\x7f")]}))
        for text in (done("list", path), verify(path, "k").stdout):
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)

    def test_check(self, path):
        assert keys("check", path).stderr.rstrip().endswith("good, keys: 1")
        path.write_text(json.dumps(OTHER))
        left_alone(path, "check", path)
        path.write_text(json.dumps({"keys": OTHER["keys"]}))
        left_alone(path, "check", path, said="keys[0]: unknown field (number 4), team")

    @pytest.mark.parametrize("given, status", [
        ("key-of-ci", 0), ("key-of-ci\n", 0), ("key-of-ci\r\n", 0), ("key-of-ci\n\n", 1), (" key-of-ci", 1), ("", 1), ("\n", 1), ("x", 1),
        ("x" * 16384, 1), ("x" * 16385, 1), ("x" * 100000, 1), (b"key-of-ci\0", 1), (b"\xff\xfe", 1)])
    def test_verify(self, path, given, status):
        result = keys("verify", path, given=given)
        assert result.returncode == status and (len(given) < 5 or str(given) not in str(result.stderr))

    def test_verify_says_why(self, path):
        key = done("add", path, "x", "--expires", "2020-01-01")
        assert "expired at 2020-01-01" in verify(path, key).stderr
        assert "mistyped" in verify(path, key[:-5] + ("a" if key[-5] != "a" else "b") + key[-4:]).stderr
        assert "no such key" in verify(path, "other").stderr

    def test_help(self):
        assert done("--help").startswith("Usage: llama-auth-keys COMMAND") and keys().returncode == 2


class TestUsage:
    """2, and nothing happens; the file is not even looked for. The table of all lines is the unit test's."""

    @pytest.mark.parametrize("arguments", [
        ["revoke", "FILE"], ["add", "FILE", "a\x1bb"], ["add", "FILE", b"\xff"], ["add", "FILE", "x", "--principal", "a\nb"],
        ["add", "FILE", "x", "--note", b"a\xc3"], ["list", "FILE", "--overlap", "1d"], ["erase", "FILE", "ci"],
        ["verify", "FILE", "lla_" + "0" * 49], ["verify", "FILE", "key-of-ci"], ["add", "FILE", "lla_" + "0" * 49]])
    def test_refused(self, path, arguments):
        result = left_alone(path, *(path if word == "FILE" else word for word in arguments), status=2)
        assert "0000" not in result.stderr and "key-of-ci" not in result.stderr and "\x1b" not in result.stderr

    def test_300_characters(self, path):
        key = done("add", path, "i" * 300, "--principal", "ü" * 300, "--note", "n" * 300)
        assert verify(path, key).returncode == 0
        done("revoke", path, "i" * 300)
        left_alone(path, "revoke", path, b"\xff" * 300)


class TestFilesOfOthers:
    def test_what_is_not_changed_keeps_its_bytes(self, path):
        text = '{ "version": 2,\n "keys" :[\t%s ,\n\n null,%s\n], "x": {}}' % tuple(
            json.dumps({**key_entry(name, name), "team": ["]", {}]}) for name in ("a", "b"))
        path.write_text(text)
        done("disable", path, "b")
        assert path.read_text() == text.replace('}\n], "x"', ', "disabled": true}\n], "x"')
        done("add", path, "c")
        done("revoke", path, "c")
        done("enable", path, "b")
        assert path.read_text() == text.replace('}\n], "x"', ', "disabled": false}\n], "x"')

    def test_unknown_members_are_kept(self, path):
        path.write_text(json.dumps(OTHER))
        done("rotate", path, "old")
        assert [entry["team"] for entry in entries(path, "old")] == [{"x": [1, "]}"]}] * 2
        assert json.loads(path.read_text())["version"] == 2 and len(done("list", path).splitlines()) == 3

    @pytest.mark.parametrize("text", [
        "", " ", "{", "[]", "{}", '{"keys": {}}', '{"keys": [{}]}', '{"keys": []} x', '{"keys": [{"sha256": "x", "principal": "p"}]}',
        json.dumps({"keys": [key_entry("k", "ci", disabled="yes")]}), json.dumps({"keys": [key_entry("k", "ci")] * 2}),
        '{"k\\u0065ys": []}', b'{"keys": [], "\xff": 1}', b'{"keys": []}\0'])
    def test_damaged(self, path, text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        for command in (["add", path, "x"], ["rotate", path, "ci"], ["revoke", path, "ci"], ["disable", path, "ci"], ["list", path],
                        ["check", path], ["verify", path]):
            left_alone(path, *command)

    def test_missing(self, tmp_path):
        path = tmp_path / "keys.json"
        for command in (["rotate", path, "ci"], ["revoke", path, "ci"], ["enable", path, "ci"], ["list", path], ["check", path], ["verify", path]):
            left_alone(path, *command, said="No such file")
        left_alone(path, "add", tmp_path / "no" / "folder.json", "ci", said="No such file")

    @pytest.mark.parametrize("kind", ["folder", "pipe"])
    def test_no_file(self, tmp_path, kind):
        path = tmp_path / "keys.json"
        path.mkdir() if kind == "folder" else os.mkfifo(path)
        for command in (["add", path, "ci"], ["disable", path, "ci"], ["list", path]):
            assert keys(*command).returncode == 1
        assert path.is_dir() or path.is_fifo()

    def test_a_symbolic_link(self, path, tmp_path):
        (tmp_path / "etc").mkdir()
        link = tmp_path / "etc" / "link.json"
        link.symlink_to("../keys.json")
        done("add", link, "x")
        assert link.is_symlink() and len(entries(path)) == 2 and os.listdir(tmp_path / "etc") == ["link.json"]
        path.unlink()
        left_alone(path, "add", link, "x", said="symbolic link")
        assert link.is_symlink()

    def test_a_file_in_the_current_folder(self, path):
        done("add", path.name, "x", cwd=path.parent)
        done("add", "new.json", "x", cwd=path.parent)
        assert len(entries(path)) == 2 and (path.parent / "new.json").exists()

    def test_mode_is_kept(self, path):
        path.chmod(0o604)
        done("disable", path, "ci", umask=0o077)
        assert path.stat().st_mode & 0o7777 == 0o604

    @as_root
    def test_owner_and_group_are_kept(self, path):
        user, group = unprivileged()
        os.chown(path, user.pw_uid, group.gr_gid)
        path.chmod(0o640)
        done("add", path, "x")
        info = path.stat()
        assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (user.pw_uid, group.gr_gid, 0o640)

    @as_root
    @pytest.mark.parametrize("mode, said", [(0o644, "ermission denied"), (0o666, "owner"), (0o600, "ermission denied")])
    def test_of_another_owner(self, mode, said):
        with Folder() as folder:
            path = folder.file("keys.json", json.dumps({"keys": [key_entry("k", "ci")]}))
            os.chown(path, 0, 0)
            path.chmod(mode)
            left_alone(path, "disable", path, "ci", said=said, **as_nobody())

    def test_read_only(self):
        with Folder() as folder:
            path = folder.file("keys.json", json.dumps({"keys": [key_entry("k", "ci")]}))
            path.chmod(0o444)
            left_alone(path, "disable", path, "ci", said="ermission denied", **as_nobody())
            path.chmod(0o644)
            folder.path.chmod(0o555)
            left_alone(path, "disable", path, "ci", said="ermission denied", **as_nobody())

    @as_root
    def test_httpd_cannot_read_it(self, path):
        assert "warning: " in keys("add", path, "x").stderr
        with Folder() as folder:
            os.chown(folder.path, -1, unprivileged()[1].gr_gid)
            if unprivileged()[0].pw_name == "www-data":
                assert keys("add", folder.path / "keys.json", "x").stderr == ""


class Folder:
    """A folder of the unprivileged user's, which pytest's, below one that only we may enter, are not."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="la-keys-"))
        self.path.chmod(0o755)
        self.own(self.path)
        return self

    def own(self, path):
        if ROOT_USER:
            user = unprivileged()[0]
            os.chown(path, user.pw_uid, user.pw_gid)

    def file(self, name, text):
        path = self.path / name
        path.write_text(text)
        self.own(path)
        return path

    def __exit__(self, *_):
        shutil.rmtree(self.path)
