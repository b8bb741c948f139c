"""A server as people install it, as a process of its own: started, paused, restarted and ended by its pid."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from errorlog import await_until

# Such servers take half a minute to start alone, and many minutes on a machine that is busy.
PATIENCE = 900


def listens(port, host="127.0.0.1"):
    """Whether somebody accepts connections at a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def is_stopped(pid):
    """Whether each thread of a process is: that takes a moment."""
    try:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # a thread that just ended
        return False
    return set(states) == {"T"}


def end_with_input(process):
    """Ends a process that ends with its input; by force if it does not, which is an error."""
    process.stdin.close()
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Program:
    """One process with its log in `root`/NAME.log. ready(program) says when it serves; it may fail as often as it likes before."""

    secrets = frozenset()

    def __init__(self, root, name, command, ready, env=None):
        self.root, self.name, self.command, self.ready = root, name, [str(part) for part in command], ready
        self.env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(root), "LANG": "C.UTF-8", **(env or {})}
        self.log = root / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.root, env=self.env,
                                            start_new_session=True)
        self.furnish(lambda: await_until(self.serves, f"{self.name} to serve", PATIENCE))

    def furnish(self, how):
        """What a server needs before it is of use; it ends if that fails, since nobody has it yet who could end it."""
        try:
            how()
        except BaseException:
            self.kill()
            raise

    def has_ended(self):
        """Without taking note of it, as poll() does: until wait() nobody else can be given its number, nor its session's."""
        return self.process.returncode is not None or os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def serves(self):
        assert not self.has_ended(), f"{self.name} ended:\n{self.tail()}"
        try:
            return self.ready(self)
        except OSError:
            time.sleep(0.1)
            return False

    def tail(self):
        return self.log.read_text("utf-8", "replace")[-4000:]

    def pids(self):
        """The processes that answer, or wait for those that do."""
        return [self.process.pid]

    def pause(self):
        """Accepts connections still, as the kernel does for it, and answers nothing."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await_until(lambda: all(map(is_stopped, pids)), f"{self.name} to stop")

    def resume(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def kill(self):
        """At once, and its children with it, those too that it left when it ended: it has a session of its own."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """As its administrator would; a second time does nothing."""
        if not self.has_ended():
            self.resume()
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                await_until(self.has_ended, f"{self.name} to end", 120)
            except AssertionError:
                pass
        self.kill()

    def restart(self, command=None):
        """With another command line, if there is one."""
        self.stop()
        self.command = [str(part) for part in command or self.command]
        self.start()
