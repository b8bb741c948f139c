"""Runs the unit programs, the fuzz corpora, the http and the fault tests and ends with one plain line: "N passed, M failed". Of real
servers and of files that are named it says "K skipped" too.

Usage: run.py [unit] [fuzz] [http] [faults] [real] [test files] [pytest arguments]. Exits 0 only when something ran and nothing failed.
A signal that asks to end, as Ctrl-C does, has the running tests stop what they started; that counts as a failure.
"""

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNIT_SECONDS = 1200 if os.environ.get("LA_EMULATOR") else 300
BUILT = ROOT / ".build" / os.environ.get("LA_BUILD", "asan")
UNIT = BUILT / "unit"
REAL_SECONDS = int(os.environ.get("LA_REAL_SECONDS", "2400"))  # they need a third of it on two cores that nobody else uses
STOP_SECONDS = 180  # for tests that were asked to end: a server may take 30 s, and there are several
EMULATOR = shlex.split(os.environ.get("LA_EMULATOR", ""))  # what runs programs built for another machine


def run_unit(program):
    """Runs one cmocka program; a crash counts as one failure more than it reported."""
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="halt_on_error=1")
    try:
        done = subprocess.run([*EMULATOR, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                              text=True, errors="replace", timeout=UNIT_SECONDS)
    except subprocess.TimeoutExpired as slow:
        print((slow.stdout or b"").decode(errors="replace"), f"{program.name}: 0 passed, 1 failed: not done in {UNIT_SECONDS} seconds", flush=True)
        return 0, 1
    passed = len(re.findall(r"^\[ +OK \]", done.stdout, re.M))
    failed = len(set(re.findall(r"^\[  FAILED  \] (?!.*\d+ test\(s\))(\S.*)$", done.stdout, re.M)))
    if done.returncode != 0 and failed == 0:
        failed = 1
    if os.environ.get("LA_TEST_VERBOSE") or failed:
        print(done.stdout, end="")
    print(f"{program.name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def unit():
    programs = sorted(p for p in UNIT.glob("test_*") if p.is_file() and os.access(p, os.X_OK))
    wanted = {p.stem for p in (ROOT / "tests" / "unit").glob("test_*.c")}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each has files and memory of its own
        results = list(pool.map(run_unit, [p for p in programs if p.name in wanted]))
    missing = len(wanted) - len(results)
    return sum(r[0] for r in results), sum(r[1] for r in results) + missing


def replay(corpus):
    """One fuzz target over its corpus: each file is a test; a crash ends the target."""
    files = sorted(str(path.relative_to(ROOT)) for path in corpus.iterdir())
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="halt_on_error=1")
    try:
        done = subprocess.run([*EMULATOR, BUILT / "fuzz" / corpus.name, *files], cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=env, text=True, errors="replace", timeout=UNIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"fuzz corpus {corpus.name}: 0 passed, {len(files)} failed: {error}", flush=True)
        return 0, len(files)
    passed = len(re.findall(r"^\[ +OK \]", done.stdout, re.M))
    failed = len(files) - passed or int(done.returncode != 0)
    if failed:
        print(done.stdout, end="")
    print(f"fuzz corpus {corpus.name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def fuzz():
    results = [replay(corpus) for corpus in sorted((ROOT / "tests" / "fuzz" / "corpus").iterdir())]
    return sum(r[0] for r in results), sum(r[1] for r in results)


class Running:
    """The pytest processes under way, each in a session of its own: a terminal's Ctrl-C reaches them once, through stop(). To them
    SIGTERM is what Ctrl-C is (tests/http/conftest.py)."""

    def __init__(self):
        self.processes, self.why = set(), None

    def begin(self, arguments, env=None):
        """None if no more may begin."""
        if self.why:
            return None
        process = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *arguments], cwd=ROOT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", env=env, start_new_session=True)
        self.processes.add(process)
        if self.why:  # since we looked
            process.terminate()
        return process

    def end(self, process):
        process.wait()
        self.processes.discard(process)

    def stop(self, why):
        """Once: a second signal would end a test's own cleaning up. What does not end in STOP_SECONDS is killed."""
        if not self.why:
            self.why = why
            for process in list(self.processes):
                process.terminate()
            timer(STOP_SECONDS, self.kill).start()

    def kill(self):
        for process in list(self.processes):
            process.kill()

    def heed_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, lambda got, _: self.stop(f"interrupted by {signal.Signals(got).name}"))


RUNNING = Running()


def timer(seconds, function, *arguments):
    made = threading.Timer(seconds, function, arguments)
    made.daemon = True
    return made


def counts(output, status, allowed=()):
    """Passed, failed and skipped, from pytest's closing line. allowed: statuses beside 0 that are no failure."""
    last = ([line for line in output if line.strip()] or [""])[-1]
    count = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    failed = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
    if status != 0 and status not in allowed and failed == 0:
        failed = 1
    return count.get("passed", 0), failed, count.get("skipped", 0)


def pytest(directory, arguments):
    """A whole folder, its output shown as it comes. Real servers have so much time for all of them."""
    process = RUNNING.begin([*arguments, f"tests/{directory}"])
    if not process:
        return 0, 1, 0
    limit = timer(REAL_SECONDS, RUNNING.stop, f"not done in {REAL_SECONDS} seconds")
    if directory == "real":
        limit.start()
    output = []
    for line in process.stdout:
        print(line, end="", flush=True)
        output.append(line)
    RUNNING.end(process)
    limit.cancel()
    return counts(output, process.returncode)


def pytest_file(path, share, shares):
    """One file in a process of its own, which takes its ports from its share of them. Its output is shown when it has ended."""
    outer, others = map(int, os.environ.get("LA_SHARE", "0/1").split("/"))
    env = dict(os.environ, LA_SHARE=f"{outer + others * share}/{others * shares}")
    process = RUNNING.begin([str(path.relative_to(ROOT))], env)
    if not process:
        return 0, 0, 0
    output = process.stdout.read()
    RUNNING.end(process)
    result = counts(output.splitlines(), process.returncode, (5,))  # 5: the file has no tests
    print(output if result[1] else f"{path.relative_to(ROOT)}: {output.strip().rpartition(chr(10))[2]}", flush=True)
    return result


def side_by_side(paths):
    """The test files, a few at a time: most of them wait for httpd most of the time."""
    shares = max(2, min(4, os.cpu_count() or 1))
    free = queue.Queue()
    for share in range(shares):
        free.put(share)

    def run(path):
        share = free.get()
        try:
            return pytest_file(path, share, shares)
        finally:
            free.put(share)
    paths = sorted(paths, key=lambda path: -path.stat().st_size)  # long ones first, so that none is left alone at the end
    with ThreadPoolExecutor(shares) as pool:
        return list(pool.map(run, paths))


def main():
    kinds = ("unit", "fuzz", "http", "faults", "real")
    which = [a for a in sys.argv[1:] if a in kinds]
    named = [ROOT / a for a in sys.argv[1:] if re.match(r"tests/\w+/test_\w+\.py$", a)]
    rest = [a for a in sys.argv[1:] if a not in kinds and ROOT / a not in named]
    results = []
    if "unit" in which:
        results.append(unit())
    if "fuzz" in which:
        results.append(fuzz())
    RUNNING.heed_signals()
    directories = [directory for directory in ("http", "faults", "real") if directory in which]
    if rest or directories == ["real"]:
        results += [pytest(directory, rest) for directory in directories]
    else:
        results += side_by_side(named + [path for directory in directories for path in (ROOT / "tests" / directory).glob("test_*.py")])
    passed, failed, skipped = (sum(column) for column in zip(*[(*r, 0)[:3] for r in results] or [(0, 0, 0)]))
    if RUNNING.why:
        print(f"FAILED: {RUNNING.why}")
        failed = failed or 1
    for what in os.environ.get("LA_NOT_INSTALLED", "").split():
        print(f"FAILED: {what} could not be installed")
        failed += 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if named or "real" in which else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        RUNNING.stop("ended")  # what a failure of ours left
