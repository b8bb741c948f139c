"""tests/run.py counts what was skipped and what could not be installed; it ends in time, and when it is asked to, with nothing left running."""

import os
import re
import signal
import subprocess
import sys

import pytest

from errorlog import await_until
from server import ROOT

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


def start(folder, text, **env):
    """run.py of a repository whose only test of real servers is this one."""
    tests = folder / "tests"
    (tests / "real").mkdir(parents=True)
    (tests / "run.py").write_text((ROOT / "tests" / "run.py").read_text())
    (tests / "real" / "conftest.py").symlink_to(ROOT / "tests" / "real" / "conftest.py")
    (tests / "real" / "test_it.py").write_text(text)
    return subprocess.Popen([sys.executable, tests / "run.py", "real"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, **env})


def end(process):
    """Exit status, the last line, and those that say what failed beside the tests."""
    said = process.communicate(timeout=120)[0]
    return process.returncode, said.splitlines()[-1], re.findall(r"^FAILED: (.*)$", said, re.M)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_interrupted(tmp_path, name):
    process = start(tmp_path, WAITS)
    started = tmp_path / "tests" / "real" / "test_it.py.pid"
    await_until(started.exists, "the test to wait", 60)
    process.send_signal(getattr(signal, name))
    assert end(process) == (1, "0 passed, 1 failed, 0 skipped", [f"interrupted by {name}"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_takes_too_long(tmp_path):
    process = start(tmp_path, WAITS, LA_REAL_SECONDS="1")
    assert end(process) == (1, "0 passed, 1 failed, 0 skipped", ["not done in 1 seconds"])


def test_skipped_are_counted(tmp_path):
    assert end(start(tmp_path, SKIPS)) == (0, "1 passed, 0 failed, 2 skipped", [])


def test_what_is_not_installed_has_failed(tmp_path):
    said = end(start(tmp_path, SKIPS, LA_NOT_INSTALLED="hydra ogx"))
    assert said == (1, "1 passed, 2 failed, 2 skipped", ["hydra could not be installed", "ogx could not be installed"])
