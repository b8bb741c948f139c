"""What a server leaves when it ends by itself is ended with it."""

import pytest

from errorlog import await_until
from program import Program


def is_gone(pid):
    """Whether nobody has that number, or one whom nobody has waited for yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def start(folder, command):
    return Program(folder, "program", ["sh", "-c", f"sleep 600 & echo $! >child; {command}"], lambda program: (folder / "served").exists())


def child(folder):
    return int((folder / "child").read_text())


def test_ends_before_it_serves(tmp_path):
    with pytest.raises(AssertionError, match="program ended"):
        start(tmp_path, "exit 1")
    await_until(lambda: is_gone(child(tmp_path)), "its child to end")


def test_cannot_be_furnished(tmp_path):
    program = start(tmp_path, "touch served; wait")
    with pytest.raises(ZeroDivisionError):
        program.furnish(lambda: 1 / 0)
    assert program.has_ended()
    await_until(lambda: is_gone(child(tmp_path)), "its child to end")


def test_ends_later(tmp_path):
    program = start(tmp_path, "touch served; until [ -e end ]; do sleep 0.01; done")
    (tmp_path / "end").touch()
    await_until(program.has_ended, "the program to end")
    assert not is_gone(child(tmp_path))
    program.stop()
    await_until(lambda: is_gone(child(tmp_path)), "its child to end")


def test_stopped(tmp_path):
    program = start(tmp_path, "touch served; wait")
    program.pause()
    program.stop()
    program.stop()
    await_until(lambda: is_gone(child(tmp_path)), "its child to end")
