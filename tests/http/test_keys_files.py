"""llama-auth-keys and what lies around a key file: access control lists, other names, locks of others."""

import fcntl
import json
import os
import pwd
import struct
import subprocess

import pytest

from server import key_entry
from test_keys import COMMAND, Folder, done, entries, keys

ACL = "system.posix_acl_access"
NOBODY = 0xFFFFFFFF
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 1, 2, 4, 16, 32


def access_list(*entries):
    """The value of the attribute: version 2, and tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def let_read(path, uid, attribute=ACL):
    """What `setfacl -m u:UID:r` does."""
    try:
        os.setxattr(path, attribute, access_list((USER_OBJ, 6, NOBODY), (USER, 4, uid), (GROUP_OBJ, 0, NOBODY), (MASK, 4, NOBODY),
                                                 (OTHER, 0, NOBODY)))
    except OSError:
        pytest.skip("the file system has no access control lists")


class Lock:
    """Holds the lock of a folder."""

    def __init__(self, folder):
        self.descriptor = os.open(folder, os.O_RDONLY)

    def __enter__(self):
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_):
        os.close(self.descriptor)


@pytest.fixture
def path(tmp_path):
    done("add", tmp_path / "keys.json", "ci")
    return tmp_path / "keys.json"


class TestAccessControlLists:
    """Without its list httpd could not read the file any more, and would go on with keys that were revoked."""

    @pytest.mark.parametrize("command", [["disable"], ["rotate"], ["revoke"]])
    def test_the_list_is_kept(self, path, command):
        let_read(path, pwd.getpwnam("nobody").pw_uid)
        before = (os.getxattr(path, ACL), path.stat().st_mode)
        done(*command, path, "ci")
        assert (os.getxattr(path, ACL), path.stat().st_mode) == before

    def test_none_comes_from_the_folder(self, path):
        let_read(path.parent, pwd.getpwnam("nobody").pw_uid, "system.posix_acl_default")
        done("disable", path, "ci")
        assert ACL not in os.listxattr(path)

    def test_a_list_may_let_httpd_read(self):
        with Folder() as folder:
            path = folder.file("keys.json", json.dumps({"keys": [key_entry("k", "ci")]}))
            path.chmod(0o600)
            let_read(path, 0)
            assert keys("disable", path, "ci").stderr == ""


def test_every_change_warns_if_httpd_cannot_read(path):
    path.chmod(0o600)
    for command in ("rotate", "disable", "revoke"):
        assert "cannot read" in keys(command, path, "ci").stderr


def test_a_link_that_changes_meanwhile(path):
    """What httpd reads by the link must be what is changed."""
    (path.parent / "next").mkdir()
    done("add", path.parent / "next" / "keys.json", "ci")
    link = path.parent / "link.json"
    link.symlink_to("keys.json")
    with Lock(path.parent):
        process = subprocess.Popen([COMMAND, "disable", link, "ci"], stderr=subprocess.PIPE, text=True)
        assert "another process has locked its folder" in process.stderr.readline()
        link.unlink()
        link.symlink_to("next/keys.json")
    assert (process.wait(20) == 0) == ("disabled" in entries(link)[0])
    assert "disabled" not in entries(path)[0]


def test_another_name_keeps_the_old_keys(path):
    """A rename cannot change both names; an httpd that reads the other one would not see what is revoked."""
    other = path.with_name("other.json")
    os.link(path, other)
    assert "other names" in keys("revoke", path, "ci").stderr
    assert entries(path) == [] and len(entries(other, "ci")) == 1
    assert "other names" not in keys("add", path, "ci").stderr


def test_a_long_wait_is_told_of(path):
    """Everybody who may read the folder can lock it."""
    with Lock(path.parent):
        process = subprocess.Popen([COMMAND, "disable", path, "ci"], stderr=subprocess.PIPE, text=True)
        assert "another process has locked its folder" in process.stderr.readline()
        assert process.poll() is None and "disabled" not in entries(path)[0]
    assert process.wait(20) == 0
    assert entries(path)[0]["disabled"]


def test_a_principal_from_another_member(path):
    """`PrincipalClaim id` makes do without `principal`: such keys are changed like all others."""
    path.write_text(json.dumps({"keys": [{"id": "ci", "sha256": "a" * 64}]}))
    assert "no principal" in keys("check", path).stderr
    assert done("list", path).splitlines()[1].split()[:3] == ["ci", "-", "valid"]
    done("rotate", path, "ci")
    assert ["principal" in entry for entry in entries(path, "ci")] == [False, False]
    done("revoke", path, "ci")
    assert entries(path) == []


def peak_kilobytes(*arguments):
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL) as process:
        return os.wait4(process.pid, 0)[2].ru_maxrss


def test_a_long_list_takes_little_memory(path):
    path.write_text(json.dumps({"keys": [key_entry(f"key-{n}", "p", name=f"id{n}", note="n") for n in range(20000)]}))
    assert peak_kilobytes("list", path, "--json") < 1.5 * peak_kilobytes("list", path)


def test_a_rotation_warns_if_the_new_key_ends_too(path):
    done("add", path, "short", "--expires", "3d")
    assert "the new key ends at 2" in keys("rotate", path, "short").stderr
    assert "the new key" not in keys("rotate", path, "ci").stderr
