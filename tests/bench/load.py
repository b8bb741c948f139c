"""Requests: wrk for the measured slices, urllib for the single request that proves a row answers as it should."""

import http.client
import itertools
import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import machine
from proofs import SLICE, Prover

SCRIPT = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32
PATH = "/file.bin"
FILE_BYTES = 1024

_serials = itertools.count(1)


@dataclass(frozen=True)
class Load:
    """What the clients of a row send. mode: fixed, unique, many, file, body or proofs (wrk.lua); no token: no Authorization header.
    prover: who signs proofs."""
    token: str = ""
    mode: str = "fixed"
    count: int = 0
    file: Path = None
    prover: Prover = None

    def arguments(self):
        """wrk's arguments for one slice; a `unique` slice gets a prefix that no other slice had, one of `proofs` new proofs."""
        if self.mode == "proofs":
            return [], ["proofs", str(self.prover.write()), str(SLICE), "0"]
        if self.mode == "body":
            return ["-H", f"Authorization: Bearer {self.token}"], ["body", str(self.file)]
        if self.mode == "file":
            return [], ["file", str(self.file), str(self.count), str(random.randrange(self.count))]
        prefix = f"{time.time_ns() // 1000 % 10**12:012d}{next(_serials):05d}x" if self.mode == "unique" else "bench"
        headers = ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        return headers, [self.mode, prefix, str(self.count), str(random.randrange(max(self.count, 1)))]

    def tokens(self):
        """One for each request, without end, as wrk.lua sends them."""
        if self.mode == "file":
            return itertools.cycle(self.file.read_text().split())
        if self.mode in ("unique", "many"):
            prefix = self.arguments()[1][1]
            serials = itertools.count(1) if self.mode == "unique" else itertools.cycle(range(1, self.count + 1))
            return (prefix + f"{serial:0{40 - len(prefix)}}" for serial in serials)
        return itertools.repeat(self.token)

    def credentials(self):
        """The fields of each request, without end. Proofs are for the scheme's own port."""
        if self.prover:
            return (self.prover.fields() for _ in itertools.count())
        return ({"Authorization": f"Bearer {token}"} if token else {} for token in self.tokens())

    def sample(self):
        """A token such as wrk will send, for the proof; None where none is sent."""
        if self.mode == "file":
            with open(self.file) as tokens:
                return tokens.readline().strip()
        if self.mode in ("fixed", "body", "proofs"):
            return self.token or None
        return self.arguments()[1][1].ljust(40, "p")


@dataclass
class Result:
    requests: int
    seconds: float
    p99_ms: float
    errors: str


def wrk(port, load, seconds, core):
    """One slice. wrk knows whole seconds only, so it is interrupted; its own clock counts."""
    headers, script_arguments = load.arguments()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", "--timeout", "10s", *headers, "-s", str(SCRIPT),
               f"http://127.0.0.1:{port}{PATH}", "--", *script_arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               preexec_fn=machine.pin(core))
    try:
        time.sleep(seconds)
        return _parse(_interrupted(process))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _interrupted(process):
    """What wrk prints when it is interrupted; asked again where the first signal came before it slept."""
    for _ in range(30):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=1)[0]
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError("wrk does not end")


def _parse(output):
    """No status may be wrong; a connection in a thousand may be lost, since a busy httpd closes idle ones."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"wrk gave no result: {output[-300:]}")
    raw = json.loads(lines[-1][len("RESULT "):])
    errors = ""
    if raw["bad_status"] or raw["bad_socket"] > raw["requests"] / 1000 or not raw["requests"]:
        errors = (f"of {raw['requests']} answers {raw['bad_status']} were not 200, "
                  f"{raw['bad_socket']} connections failed")
    return Result(raw["requests"], raw["us"] / 1e6, raw["p99_us"] / 1e3, errors)


def get(port, path=PATH, token=None, body=None, fields=None):
    """(status, body length, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else dict(fields or {})
        connection.request("GET", path, body=body, headers={**headers, "Content-Type": "application/json"} if body else headers)
        response = connection.getresponse()
        body = response.read()
        return response.status, len(body), body
    finally:
        connection.close()


def prove(port, load):
    """"" if the row serves who may and refuses who may not, else what is wrong."""
    status, length, _ = get(port, token=load.sample(), body=load.file.read_bytes() if load.mode == "body" else None,
                            fields=load.prover.fields(f":{port}") if load.prover else None)
    if (status, length) != (200, FILE_BYTES):
        return f"a good request was answered {status}"
    if load.sample() is not None or load.prover:
        status, _, _ = get(port)
        if status != 401:
            return f"a request without a token was answered {status}"
    return ""
