"""tests/run.py counts what was skipped and what could not be installed; it ends in time, and when it is asked to, with nothing left running.
So does tests/real/run.sh, which installs the real servers before."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest

from errorlog import await_until
from server import ROOT, free_port

WAITS = """
import os, subprocess
import pytest

@pytest.fixture
def program():
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()

def test_waits(program):
    path = __file__ + ".pid"
    with open(path + ".new", "w") as file:
        file.write(str(program.pid))
    os.rename(path + ".new", path)
    program.wait()
"""

SKIPS = """
import pytest

def test_passes():
    pass

@pytest.mark.parametrize("number", range(2))
def test_skipped(number):
    pytest.skip("no such server")
"""


PROGRAMS = "idp clients mcp litellm ogx keycloak hydra kubernetes"


def start(folder, text, installs=None, **env):
    """run.py of a repository whose only test of real servers is this one. installs: targets of make that differ from "is there already",
    with their commands; then by run.sh."""
    tests = folder / "tests"
    (tests / "real").mkdir(parents=True)
    (tests / "systems").mkdir()
    for name in ("run.py", "real/run.sh", "systems/bounded.sh"):
        shutil.copy(ROOT / "tests" / name, tests / name)
    (tests / "real" / "conftest.py").symlink_to(ROOT / "tests" / "real" / "conftest.py")
    (tests / "real" / "test_it.py").write_text(text)
    rules = {**dict.fromkeys(PROGRAMS.split(), "true"), **(installs or {})}
    (folder / "Makefile.apxs").write_text("".join(f".PHONY: {name}\n{name}:\n\t@{command}\n" for name, command in rules.items()))
    command = [tests / "real" / "run.sh"] if installs else [sys.executable, tests / "run.py", "real"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "PYTHON": sys.executable, **env})


def end(process):
    """Exit status, the last line, and those that say what failed beside the tests."""
    said = process.communicate(timeout=120)[0]
    return process.returncode, said.splitlines()[-1], re.findall(r"^FAILED: (.*)$", said, re.M)


def is_gone(path):
    """Whether the process whose number is in the file is."""
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_interrupted(tmp_path, name):
    process = start(tmp_path, WAITS)
    started = tmp_path / "tests" / "real" / "test_it.py.pid"
    await_until(started.exists, "the test to wait", 60)
    process.send_signal(getattr(signal, name))
    assert end(process) == (1, "0 passed, 1 failed, 0 skipped", [f"interrupted by {name}"])
    assert is_gone(started)


def test_takes_too_long(tmp_path):
    process = start(tmp_path, WAITS, LA_REAL_SECONDS="1")
    assert end(process) == (1, "0 passed, 1 failed, 0 skipped", ["not done in 1 seconds"])


def test_skipped_are_counted(tmp_path):
    assert end(start(tmp_path, SKIPS)) == (0, "1 passed, 0 failed, 2 skipped", [])


WAITS_TOO = "sleep 600 & echo $$! >pid.new; mv pid.new pid; wait"


def test_what_is_not_installed_has_failed(tmp_path):
    """What takes too long is none that is, and the others are tried."""
    process = start(tmp_path, SKIPS, {"clients": "exit 1", "hydra": WAITS_TOO}, INSTALL_SECONDS="5")
    said = end(process)
    assert (said[0], said[1], said[2][-2:]) == (1, "1 passed, 2 failed, 2 skipped", [f"{name} could not be installed" for name in ("clients", "hydra")])
    await_until(lambda: is_gone(tmp_path / "pid"), "its child to end")


def test_installed(tmp_path):
    assert end(start(tmp_path, SKIPS, {"ogx": "echo nothing to do"})) == (0, "1 passed, 0 failed, 2 skipped", [])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_installation_interrupted(tmp_path, name):
    process = start(tmp_path, SKIPS, {"mcp": WAITS_TOO})
    await_until((tmp_path / "pid").exists, "it to wait", 60)
    process.send_signal(getattr(signal, name))
    assert process.wait(120) == 130
    process.communicate()
    await_until(lambda: is_gone(tmp_path / "pid"), "its child to end")


def test_one_installs_at_a_time(tmp_path):
    process = start(tmp_path, SKIPS, {"mcp": WAITS_TOO})
    await_until((tmp_path / "pid").exists, "it to wait", 60)
    other = subprocess.run([tmp_path / "tests" / "real" / "run.sh"], capture_output=True, text=True, timeout=60)
    assert (other.returncode, other.stderr) == (1, "another run is installing them\n")
    process.terminate()
    process.communicate(timeout=120)


# ---- tests/systems ----


def run_bash(folder, script):
    """Its exit status and what it printed."""
    done = subprocess.run(["bash", "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


COUNTED = {"all pass": ("2 passed, 0 failed", 0, (0, "2 passed, 0 failed, 0 skipped")),
           "some are skipped": ("2 passed, 0 failed, 3 skipped", 0, (0, "2 passed, 0 failed, 3 skipped")),
           "nothing ran": ("0 passed, 0 failed, 3 skipped", 1, (1, "0 passed, 1 failed, 3 skipped")),
           "ended badly": ("2 passed, 0 failed", 137, (1, "2 passed, 1 failed, 0 skipped")),
           "some fail": ("2 passed, 3 failed", 1, (1, "2 passed, 3 failed, 0 skipped")),
           "no count": ("2 passed, 0 failed in 3 s", 0, (1, "0 passed, 1 failed, 0 skipped"))}


@pytest.mark.parametrize("line, status, expected", COUNTED.values(), ids=COUNTED.keys())
def test_steps_count(tmp_path, line, status, expected):
    status, said = run_bash(tmp_path, f'. {ROOT}/tests/systems/steps.sh; count tests sh -c "echo {line}; exit {status}"; closing')
    assert (status, said[-1]) == expected


def test_no_half_copy_of_the_sources(tmp_path):
    """Where git knows nothing, nothing is tested."""
    assert run_bash(tmp_path, f"cd {ROOT}; . tests/systems/roots.sh; cd {tmp_path}; copy_tree root 2>/dev/null")[0] != 0


def test_one_run_uses_the_roots_at_a_time(tmp_path):
    script = f"cd {ROOT}; . tests/systems/roots.sh; systems={tmp_path}; lock_systems && bash -c '. tests/systems/roots.sh; systems={tmp_path}; lock_systems'"
    assert run_bash(tmp_path, script) == (1, [f"another run uses {tmp_path}"])


# ---- ports ----


def test_no_port_is_given_twice(monkeypatch):
    """Nobody listens there yet."""
    first = free_port()
    ports = iter([first, *range(20000, 20100)])
    monkeypatch.setattr(random, "randrange", lambda *_: next(ports))
    assert free_port() != first
