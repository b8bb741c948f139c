"""The error log of a server under test: lines since a mark, waiting for one, and the verdict at the end."""

import re
import time

from crash import backtrace, is_close_worker_sockets

LINE = re.compile(r"^\[[^\]]*\] \[(?P<module>[^\]:]*):(?P<level>\w+)\] (?P<rest>.*)$")
SEVERE = ("emerg", "alert", "crit", "error")
CRASH = re.compile(r"exit signal|AddressSanitizer|LeakSanitizer|runtime error:|Assertion|AH00046|\*\*\* ")

# What httpd's event MPM says when a child ends while a worker thread has just finished a request: the
# child's pollset is gone by then. It has nothing to do with the module.
SHUTDOWN_RACE = re.compile(r"Bad file descriptor: AH(0309[23]: .* apr_pollset_add failure|00468: error closing socket)")

# What a test that kills children declares as expected.
KILLED = "exit signal Killed"

PATIENCE = 20
SHORTEST_SECRET = 8


def await_until(condition, what, patience=PATIENCE):
    """Polls until the condition gives something true, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited {patience} s in vain for {what}"
        time.sleep(0.01)


class Entry:
    """One line: module, level, and all of it as text."""

    def __init__(self, text):
        self.text = text
        match = LINE.match(text)
        self.module = match.group("module") if match else ""
        self.level = match.group("level") if match else ""

    @property
    def severe(self):
        return self.level in SEVERE

    def __repr__(self):
        return self.text


class ErrorLog:
    """cores: the folder where processes of `program` leave their core files, if it is known."""

    def __init__(self, *paths, cores=None, program=None):
        self.path = paths[0]
        self.paths = paths
        self.cores = cores
        self.program = program

    def mark(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark=0, module=None, level=None):
        """Complete lines after the mark, of one module and level if named."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(mark)
            text = file.read().decode("utf-8", "replace")
        entries = [Entry(line) for line in text.split("\n")[:-1]]
        return [e for e in entries if module in (None, e.module) and level in (None, e.level)]

    def await_line(self, pattern, mark=0, **kind):
        def found():
            return next((e for e in self.since(mark, **kind) if re.search(pattern, e.text)), None)
        return await_until(found, f"a log line like {pattern!r}")

    def everything(self):
        return b"\n".join(path.read_bytes() for path in self.paths if path.exists())

    def verdict(self, expected, secrets):
        """What is wrong with the log at the end, in words; an empty list if nothing is."""
        wrong = []
        crashes = []
        text = self.everything()
        for line in text.decode("utf-8", "replace").split("\n"):
            if CRASH.search(line) and not any(re.search(e, line) for e in expected if e.startswith(KILLED)):
                crashes.append(f"crash: {line}")
            elif SHUTDOWN_RACE.search(line):
                continue
            elif Entry(line).severe and not any(re.search(e, line) for e in expected):
                wrong.append(f"unexpected: {line}")
        return self.explained(crashes) + wrong + [f"a secret reached the log: {secret!r}" for secret in sorted(shown(secrets, text))]

    def explained(self, crashes):
        """The crashes with what they were doing, without the one that is httpd's own."""
        frames = backtrace(self.program, self.cores) if crashes else ""
        if len(crashes) == 1 and is_close_worker_sockets(frames):
            return []
        return crashes + [frames] * bool(frames)


def shown(secrets, text):
    """Those of the secrets that the text shows. Both ends are looked for: tokens of one kind begin alike, and what is logged may be cut."""
    begun = {}  # a test may have thousands of tokens, but they begin in few ways
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            for end in (secret[:64], secret[-64:]):
                begun.setdefault(end[:4], []).append((end, secret))
    return {secret for beginning, ends in begun.items() if beginning in text for end, secret in ends if end in text}
