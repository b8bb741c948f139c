"""Mixed traffic for a long time, with everything going wrong that may: tests/soak/run.py SECONDS.

One httpd with five providers. Clients ask with known, unknown, rejected and new tokens, with API keys and JWTs, without scopes, and
read streams through a proxy; meanwhile it is restarted gracefully, children are killed, endpoints fail and hang, and signing keys
change. Each answer is predicted: one that is wrong, or a 5xx where no outage was made, ends the run. At the end memory, descriptors
and shared segments of the second half are compared with those of the first. LA_MODULE names the module.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "http"))

from behaviour import hang, reply, reset  # noqa: E402
from configs import everywhere, location, provider  # noqa: E402
from conftest import new_token  # noqa: E402
from keyserver import jwt, key_server  # noqa: E402
from processes import descriptors, shared_mappings  # noqa: E402
from server import Httpd, key_entry  # noqa: E402
from signer import Key, claims  # noqa: E402
from traffic import Load, by_name, name_of  # noqa: E402

OUTAGES = ("provider_timeout", "provider_error")
STREAM = b"data: part\n\n" * 50


class Forgotten(list):
    """A record of calls that keeps none: there may be a million."""

    def append(self, call):
        pass


class World:
    """What is true at the moment: which tokens are good, what is in an outage, with which key one signs."""

    def __init__(self):
        self.known = [new_token("known") for _ in range(200)]
        self.revoked = {new_token("bad") for _ in range(50)}
        self.outage_until = 0
        self.keys = [Key("ES256", "k0")]
        self.signing = self.keys[0]
        self.counts = Counter()

    def answer(self, peer, call):
        if call.token in self.revoked or call.token.startswith("random-"):
            reply(403)(peer, call)
        else:
            by_name(peer, call)

    def in_outage(self):
        """A moment longer than it is made: a breaker closes after it, and calls under way end."""
        return time.monotonic() < self.outage_until + 6


def configure(httpd, world):
    corp, flaky = httpd.endpoint("corp"), httpd.endpoint("flaky")
    corp.default = flaky.default = world.answer
    httpd.write_keys("conf/keys.json", key_entry("soak-static-key", "ci", {"scopes": ["a"]}))
    server = key_server(httpd)
    jwks = server.put_keys(*world.keys)
    backend = httpd.endpoint("backend")
    backend.default = lambda peer, call: peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/event-stream\r\n\r\n" % len(STREAM) + STREAM)
    for endpoint in httpd.endpoints.values():
        endpoint.calls = Forgotten()
    httpd.configure(
        "LogLevel warn\nLlamaAuthCacheSize 4M\nLlamaAuthOutageStatus 503\n" +
        provider("corp", corp.url(), "CacheVary none", "CacheTTL 3s", "CacheNegativeTTL 1s") +
        provider("flaky", flaky.url(), "CacheVary none", "CacheTTL 500ms", "Timeout 500ms", "Breaker 3 1s") +
        "<LlamaAuthProvider keys static>\n    File conf/keys.json\n</LlamaAuthProvider>\n" +
        jwt("idp", f"JwksUri {jwks}", "JwksRefresh 2s", "CacheTTL 5s") +
        location("/v1", "corp") + location("/scope", "corp", lines=("RequireScope never",)) + location("/flaky", "flaky") +
        location("/keys", "keys") + location("/jwt", "idp") + location("/chain", "keys", "corp") +
        location("/stream", "corp", lines=("Require valid-user", f'ProxyPass "http://127.0.0.1:{backend.port}/"')) +
        "".join(everywhere(httpd, path) for path in ("/v1", "/scope", "/flaky", "/keys", "/jwt", "/chain")))


def choose_for(world):
    def choose(chance):
        kind = chance.random()
        if kind < 0.35:
            return chance.choice(["/v1", "/chain", "/stream"]), chance.choice(world.known)
        if kind < 0.45:
            return "/v1", new_token("fresh")
        if kind < 0.60:
            return chance.choice(["/v1", "/chain"]), f"random-{chance.random()}"
        if kind < 0.65:
            return "/v1", chance.choice(sorted(world.revoked))
        if kind < 0.70:
            return "/scope", chance.choice(world.known)
        if kind < 0.80:
            return "/keys", "soak-static-key" if chance.random() < 0.7 else f"random-{chance.random()}"
        if kind < 0.85:
            return "/v1", None
        if kind < 0.93:
            return "/jwt", world.signing.sign(claims(sub=f"user-{chance.randrange(1000)}"))
        return "/flaky", chance.choice(world.known)
    return choose


def judge_for(world):
    def judge(token, answer):
        world.counts[answer.status] += 1
        if answer.status == 200:
            assert token and not token.startswith("random-") and token not in world.revoked, answer
            if token.startswith(("known", "fresh")):
                assert answer.note("user") == name_of(token), answer
            return
        error = answer.note("error")
        if answer.status == 503:
            assert error in OUTAGES and answer.note("provider") is None and world.in_outage(), answer
        elif answer.status == 403:
            assert error == "insufficient_scope" and token in world.known, answer
        else:
            assert answer.status == 401, answer
            expected = "missing_token" if token is None else "invalid_token"
            assert error == expected and (token is None or token.startswith("random-") or token in world.revoked), answer
    return judge


class Chaos(threading.Thread):
    """One mishap after another until it is stopped."""

    def __init__(self, httpd, world):
        super().__init__(daemon=True)
        self.httpd, self.world = httpd, world
        self.stopping = threading.Event()
        self.done = Counter()
        self.mishaps = [self.restart, self.outage, self.kill, self.rotate]

    def run(self):
        chance = random.Random(1)
        while not self.stopping.wait(4):
            mishap = chance.choice(self.mishaps)
            mishap(chance)
            self.done[mishap.__name__] += 1

    def restart(self, chance):
        self.httpd.graceful()

    def outage(self, chance):
        flaky = self.httpd.endpoint("flaky")
        self.world.outage_until = time.monotonic() + 2
        flaky.default = chance.choice([reply(500), reset, hang])
        self.stopping.wait(2)
        flaky.default = self.world.answer

    def kill(self, chance):
        children = self.httpd.children()
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)

    def rotate(self, chance):
        """A new key is published beside the old one, and used once every process can know it."""
        fresh = Key("ES256", f"k{len(self.world.keys)}")
        self.world.keys = [*self.world.keys[-1:], fresh]
        key_server(self.httpd).put_keys(*self.world.keys)
        self.stopping.wait(13)
        self.world.signing = fresh


def sample(httpd):
    """Private memory in KB, descriptors and shared mappings of the parent and its children; None while one comes or goes."""
    try:
        children = httpd.children()
        if len(children) != httpd.processes:
            return None
        memory = 0
        for pid in children:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                memory += sum(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:"))
        pids = [httpd.process.pid, *children]
        return memory, sum(descriptors(pid) for pid in pids), sum(len(shared_mappings(pid)) for pid in pids)
    except (FileNotFoundError, ProcessLookupError):
        return None


def watch(httpd, load, seconds):
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not load.failures:
        time.sleep(min(2, seconds / 20))
        found = sample(httpd)
        if found:
            samples.append(found)
    return samples


def growth(samples):
    """Of each measure, the median of the last third against that of the second: what start-up takes is in the first."""
    third = len(samples) // 3
    middle, last = samples[third:2 * third], samples[2 * third:]
    return [(name, median(s[i] for s in middle), median(s[i] for s in last))
            for i, name in enumerate(("private memory of the children, KB", "descriptors", "shared mappings"))]


def report(world, load, chaos, samples, seconds):
    print(f"soak: {load.answers:,} answers in {seconds:.0f} s, {load.broken} connections broken by kills and restarts")
    print("answers by status: " + ", ".join(f"{status}: {count:,}" for status, count in sorted(world.counts.items())))
    print("mishaps: " + ", ".join(f"{name}: {count}" for name, count in sorted(chaos.done.items())))
    wrong = list(load.failures)
    if len(samples) < 6:
        print("too few samples for a trend")
        return wrong
    for name, middle, last in growth(samples):
        flat = last <= middle * 1.2 + (4096 if "KB" in name else 8)
        print(f"{name}: {middle:.0f} in the middle, {last:.0f} at the end{'' if flat else ': GREW'}")
        wrong += [] if flat else [f"{name} grew"]
    return wrong


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    world = World()
    httpd = Httpd(modules=("proxy", "proxy_http"), processes=3,
                  expected=("is unavailable", "LA0050", r"AH00052", "AH00051", "AH01102", "AH01114", "proxy:error", "AH00045", "AH00046",
                            "scoreboard is full"))
    try:
        configure(httpd, world)
        httpd.start()
        chaos = Chaos(httpd, world)
        start = time.monotonic()
        with Load(httpd, choose_for(world), judge_for(world), clients=6, may_break=True) as load:
            chaos.start()
            samples = watch(httpd, load, seconds)
            chaos.stopping.set()
            chaos.join(20)
            load.stopping.set()
    except AssertionError as error:
        print(f"a wrong answer: {error}")
    finally:
        wrong = report(world, load, chaos, samples, time.monotonic() - start)
        wrong += httpd.stop()
        httpd.remove()
    for each in wrong:
        print(f"WRONG: {each}")
    print("soak: " + (f"{len(wrong)} things went wrong" if wrong else "nothing went wrong"))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
