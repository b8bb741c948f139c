"""Measures mod_llama_auth beside httpd without authentication and beside its peers.

    tests/bench/run.py [--rounds N] [--seconds S] [--limit S] [--only ROW,...] [--list]

Prints Markdown tables and writes them to .build/bench.md. LA_MODULE names the module to measure (default
.build/release/mod_llama_auth.so). Needs apache2-bin, libapache2-mod-auth-openidc, nginx, openssl, valgrind, wrk.
Exits 1 if a row failed; a row that cannot be configured is left out with a note.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".build" / "bench.md"
MICRO = ROOT / ".build" / "release" / "bench"
PARTS = ["startup", "parallel", "instructions", "table", "assertions"]

os.chdir(ROOT)

import httpd  # noqa: E402  (rows resolves LA_MODULE from the root)
import instructions  # noqa: E402
import jwts  # noqa: E402
import load  # noqa: E402
import machine  # noqa: E402
import nginx  # noqa: E402
import parallel  # noqa: E402
import report  # noqa: E402
import rows as table_rows  # noqa: E402
import startup  # noqa: E402
from lab import Lab  # noqa: E402
from slices import Rounds  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description="Measures mod_llama_auth beside its peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one slice")
    parser.add_argument("--limit", type=float, default=600,
                        help="seconds after which no slice is repeated and no round begun")
    parser.add_argument("--only", type=lambda s: s.split(","), default=[],
                        help=f"rows, and of the other parts {', '.join(PARTS)}; 'rows' is all rows")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _raise_descriptor_limit()
    for program in ("wrk", "valgrind", "openssl"):
        if not shutil.which(program):
            raise SystemExit(f"bench: {program} is not installed")
    cores = machine.cores()
    os.sched_setaffinity(0, set(cores))
    with Lab(*cores) as lab:
        table = table_rows.all_rows(lab)
        if options.list:
            print("\n".join([row.name for row in table] + PARTS))
            return 0
        return _run(options, lab, table)


def _run(options, lab, table):
    deadline = time.monotonic() + options.limit
    named = [name for name in options.only if name not in PARTS + ["rows"]]
    wants_rows = not options.only or bool(named) or "rows" in options.only
    chosen = table_rows.choose(table, named) if wants_rows else []
    endpoint = nginx.Endpoint(lab)
    for alg in sorted({row.load.file.stem for row in chosen if row.load.mode == "file"}):
        print(f"signing {jwts.COUNT:,} {alg} tokens ...", file=sys.stderr, flush=True)
        lab.tokens.file(alg)
    refused = {row.name: why for row in chosen if (why := row.refusal(lab, endpoint))}
    rounds = Rounds(lab, endpoint, [r for r in chosen if r.name not in refused], options.seconds, deadline)
    extras = {"refused": refused, "notes": []}
    _other_parts(options, lab, endpoint, table, chosen, extras)
    rounds.run(options.rounds if wants_rows else 0)
    extras["verification"] = jwts.verification_us() if any(row.alg for row in chosen) else {}
    text = report.render(_facts(lab), rounds, extras)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(text)
    print(text)
    return 1 if any(record.failure for record in rounds.records.values()) else 0


def _other_parts(options, lab, endpoint, table, chosen, extras):
    """What is not a row: measured before the rounds, whose length bends to the limit."""
    by_name = {row.name: row for row in table}
    parts = {
        "startup": lambda: startup.run(lab, endpoint, by_name["plain"], by_name["cached-40"]),
        "parallel": lambda: parallel.run(lab),
        "instructions": lambda: instructions.run(lab, endpoint, chosen or [row for row in table if not row.extra]),
        "table": lambda: _micro("table", extras["notes"]),
        "assertions": lambda: _micro("assertion", extras["notes"]),
    }
    for name, measure in parts.items():
        if not options.only or name in options.only:
            print(f"{name} ...", file=sys.stderr, flush=True)
            extras[name] = measure()


def _micro(name, notes):
    """(name, value, unit) from each line of a C micro-benchmark, where it was built."""
    program = MICRO / name
    if not program.exists():
        notes.append(f"{name}: {program.relative_to(ROOT)} is not built")
        return []
    try:
        done = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        notes.append(f"{name}: {error}")
        return []
    return [tuple(line.split(None, 2)) for line in done.stdout.splitlines() if len(line.split(None, 2)) == 3]


def _facts(lab):
    return [f"{machine.description()}; httpd {httpd.version()} (event, {httpd.PROCESSES} processes of {httpd.THREADS} "
            f"threads) on core {lab.server_core}, wrk with {load.CONNECTIONS} keep-alive connections on core "
            f"{lab.load_core} with the local endpoint, static 1 KiB file, no access log; mod_auth_openidc "
            f"{_package('libapache2-mod-auth-openidc')}, nginx {nginx.version()} with one worker. "
            "CPU is user and system time of the server's processes."]


def _package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout or "(not installed)"


def _raise_descriptor_limit():
    """500 clients and the endpoint's side of 500 calls are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


if __name__ == "__main__":
    sys.exit(main())
