"""Parallel misses: 500 clients at once with one new token, and an endpoint that answers after 300 ms.

Endpoint and clients are one asyncio program on the load core; the server has 4 processes with 128 threads each, so
that every request can hold a worker.
"""

import asyncio
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass

import httpd
import lab as laboratory
import load
import nginx
import rows

CLIENTS = 500
DELAY_SECONDS = 0.3
ANSWER = json.dumps({"principal": "alice", "active": True, "sub": "alice", "exp": int(time.time()) + 86400}).encode()


@dataclass
class Outcome:
    """calls: what the endpoint saw; note: why it was not tried."""
    title: str
    calls: int = 0
    answers: str = ""
    seconds: float = 0
    note: str = ""


@dataclass(frozen=True)
class _SlowPort:
    """Stands in for nginx.Endpoint where a row's set-up asks for ports."""
    http: int
    tls: int = 0


def run(lab):
    """One outcome per server."""
    port = laboratory.free_port()
    endpoint = _SlowPort(port)
    outcomes = [_httpd(lab, endpoint, "mod_llama_auth", rows.ours(options=rows.CUSTOM)),
                _httpd(lab, endpoint, "mod_auth_openidc", rows.openidc(tls=False))]
    for title, cache in (("nginx, proxy_cache_lock on", nginx.LOCKED), ("nginx, proxy_cache_lock off", nginx.CACHED)):
        server = nginx.start_peer(lab, "parallel-nginx", port, True, cache)
        outcomes.append(_storm(lab, server, title, port))
    return outcomes


def _httpd(lab, endpoint, title, setup):
    made = setup(lab, endpoint)
    refused = httpd.refusal(lab, "parallel", made)
    if refused:
        return Outcome(title, note=refused)
    server = httpd.start(lab, "parallel", made, processes=4, threads=128)
    return _storm(lab, server, title, endpoint.http)


def _storm(lab, server, title, endpoint_port):
    try:
        server.wait_until_listening()
        time.sleep(1)  # all children have started their threads
        return asyncio.run(_both_sides(title, server.port, endpoint_port))
    except (RuntimeError, OSError, asyncio.TimeoutError) as error:
        return Outcome(title, note=str(error) or type(error).__name__)
    finally:
        lab.stop(server)


async def _both_sides(title, port, endpoint_port):
    calls = 0
    issuer = f"http://127.0.0.1:{endpoint_port}"
    metadata = json.dumps({"issuer": issuer, "introspection_endpoint": f"{issuer}/introspect"}).encode()

    async def answer(reader, writer):
        nonlocal calls
        try:
            while path := await _request_read(reader):
                body = metadata
                if path != b"/metadata":
                    calls += 1
                    body = ANSWER
                    await asyncio.sleep(DELAY_SECONDS)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                             % (len(body), body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    endpoint = await asyncio.start_server(answer, "127.0.0.1", endpoint_port, backlog=1024)
    async with endpoint:
        statuses, seconds = await asyncio.wait_for(_clients(port), 60)
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return Outcome(title, calls, answers, seconds)


async def _request_read(reader):
    """Takes one request with its body from a connection and returns its path; None at the connection's end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            await reader.readexactly(int(value))
    return head.split(b" ")[1]


async def _clients(port):
    """Opens all connections first, then sends everything at once."""
    request = (f"GET {load.PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               f"Authorization: Bearer tok-{secrets.token_hex(18)}\r\n\r\n").encode()
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    start = time.monotonic()

    async def one(reader, writer):
        writer.write(request)
        try:
            status = (await reader.readline())[9:12].decode() or "no answer"
            await reader.read()
        except ConnectionError:
            status = "reset"
        writer.close()
        return status

    statuses = await asyncio.gather(*(one(*pair) for pair in opened))
    return Counter(statuses), time.monotonic() - start
