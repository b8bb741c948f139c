"""Instructions per request, from callgrind: `httpd -X` serves 50 requests in one run and 650 in another, and the
difference divided by 600 has no start-up in it.

"Ours" is the cost of every call that enters the module from outside, with all that it calls. Functions that call
back (apr_table_do and the like) are skipped by callgrind, so that such a callback is not counted as another entry.
The longer profile of each row is kept for callgrind_annotate in .build/callgrind/.
"""

import itertools
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpd
import load
import rows

FEW, MANY = 50, 650
KEPT = Path(".build/callgrind")
CALLERS_BACK = ["apr_table_do", "apr_table_vdo", "apr_hash_do", "apr_thread_once", "qsort", "bsearch"]


@dataclass
class Count:
    """total, ours: instructions per request, libcrypto's among them; note: why it was not counted."""
    title: str
    total: float = 0
    ours: float = 0
    note: str = ""


def run(lab, endpoint, chosen):
    """{row name: Count} for the rows that are httpd's."""
    return {row.name: _count(lab, endpoint, row) for row in chosen if row.setup}


def _count(lab, endpoint, row):
    refused = row.refusal(lab, endpoint)
    if refused:
        return Count(row.title, note=refused)
    setup = row.setup(lab, endpoint)
    try:
        with ThreadPoolExecutor(2) as pool:
            few, many = pool.map(lambda n: _profile(lab, row, setup, n), (FEW, MANY))
    except (RuntimeError, OSError) as error:
        return Count(row.title, note=str(error))
    per_request = [(b - a) / (MANY - FEW) for a, b in zip(few, many)]
    return Count(row.title, *per_request)


def _profile(lab, row, setup, requests):
    """(all instructions, those of our entries) of one run of httpd."""
    name = f"callgrind-{row.name}-{requests}"
    out = lab.directory("callgrind", 0o777) / name
    skipped = [f"--fn-skip={function}" for function in CALLERS_BACK]
    valgrind = ["valgrind", "--quiet", "--vgdb=no", "--tool=callgrind", f"--callgrind-out-file={out}", *skipped]
    server = httpd.start(lab, name, setup, processes=1, threads=4, before=valgrind, after=("-X",), any_core=True)
    try:
        server.wait_until_listening(60)
        out.chmod(0o666)  # made by root, written at the end by httpd's user
        _send(server.port, row.load, requests)
    finally:
        lab.stop(server)
    with open(out, errors="replace") as lines:
        total, entries = cost_of_entries(lines, rows.OURS.name)
    if not total:
        raise RuntimeError(f"callgrind wrote nothing: {server.tail()}")
    if requests == MANY:
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out, KEPT / f"{row.name}.out")
    return total, entries


def _send(port, load_, requests):
    """Requests one after the other on one connection, each answered with the file."""
    body = load_.file.read_bytes() if load_.mode == "body" else b""
    about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rb") as answers:
        for credential in itertools.islice(load_.credentials(), requests):
            header = "".join(f"{name}: {value}\r\n" for name, value in credential.items())
            connection.sendall(f"GET {load.PATH} HTTP/1.1\r\nHost: localhost\r\n{header}{about}\r\n".encode() + body)
            status = answers.readline()
            if b" 200 " not in status:
                raise RuntimeError(f"under callgrind the answer was {status.decode().strip()}")
            while answers.readline().strip():
                pass
            answers.read(load.FILE_BYTES)


def cost_of_entries(lines, library):
    """(total, inclusive cost of the calls from other objects into `library`) of a callgrind file.

    The format: https://valgrind.org/docs/manual/cl-format.html. A name is given once, as "(id) name".
    """
    names, total, entries = {}, 0, 0
    caller = callee = ""
    expecting = False
    for line in lines:
        if expecting:
            entries += int(line.split()[-1]) if callee == library != caller else 0
            expecting, callee = False, caller
        elif line.startswith("ob="):
            caller = callee = _object(names, line[3:])
        elif line.startswith("cob="):
            callee = _object(names, line[4:])
        elif line.startswith("calls="):
            expecting = True
        elif line.startswith(("summary:", "totals:")):
            total = int(line.split()[1])
    return total, entries


def _object(names, text):
    number, name = re.match(r"(?:\((\d+)\))? ?(.*)", text.strip()).groups()
    if number and name:
        names[number] = name
    return (name or names.get(number, "")).rpartition("/")[2]
