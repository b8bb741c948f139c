"""Runs the unit programs, the fuzz corpora, the http and the fault tests and ends with one plain line: "N passed, M failed".

Usage: run.py [unit] [fuzz] [http] [faults] [real] [test files] [pytest arguments]. Exits 0 only when something ran and nothing failed.
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
REAL_SECONDS = 2400  # they need a third of it on two cores that nobody else uses
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


def pytest(directory, arguments):
    """Runs pytest; its counts come from the closing line. Real servers have so much time for all of them; what they run is ended in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *arguments, f"tests/{directory}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    limit = threading.Timer(REAL_SECONDS, process.send_signal, [signal.SIGINT])
    limit.daemon = True
    if directory == "real":
        limit.start()
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if line.strip() else last
    process.wait()
    limit.cancel()
    count = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    failed = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
    if process.returncode != 0 and failed == 0:
        failed = 1
    return count.get("passed", 0), failed


def pytest_file(path, share, shares):
    """One file in a process of its own, which takes its ports from its share of them. Its output is shown when it has ended."""
    outer, others = map(int, os.environ.get("LA_SHARE", "0/1").split("/"))
    env = dict(os.environ, LA_SHARE=f"{outer + others * share}/{others * shares}")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", str(path.relative_to(ROOT))],
                          cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env)
    last = ([line for line in done.stdout.splitlines() if line.strip()] or [""])[-1]
    count = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    failed = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
    if done.returncode not in (0, 5) and failed == 0:  # 5: the file has no tests
        failed = 1
    print(done.stdout if failed else f"{path.relative_to(ROOT)}: {last}", flush=True)
    return count.get("passed", 0), failed


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
    files = [ROOT / a for a in sys.argv[1:] if re.match(r"tests/\w+/test_\w+\.py$", a)]
    rest = [a for a in sys.argv[1:] if a not in kinds and ROOT / a not in files]
    results = []
    if "unit" in which:
        results.append(unit())
    if "fuzz" in which:
        results.append(fuzz())
    directories = [directory for directory in ("http", "faults", "real") if directory in which]
    if rest or directories == ["real"]:
        results += [pytest(directory, rest) for directory in directories]
    else:
        files += [path for directory in directories for path in (ROOT / "tests" / directory).glob("test_*.py")]
        results += side_by_side(files)
    passed = sum(r[0] for r in results)
    failed = sum(r[1] for r in results)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
