"""The interleaved rounds: each slice of a row stands between two of its base, and a disturbed slice is run again.

Every round starts its servers anew, so that the medians are over several memory layouts, and every second round
goes through the rows backwards. All servers of a round stand idle while one is measured.
"""

import sys
import time
from dataclasses import dataclass, field

import load
import machine

WARM_UP_SECONDS = 0.4
WARM_UP_LIMIT_SECONDS = 60
SETTLE_SECONDS = 0.15  # what was under way when the load stopped shall not run into the next slice
RETRIES = 3


@dataclass
class Slice:
    """One undisturbed, or least disturbed, measurement."""
    cpu_us: float
    rate: float
    p99_ms: float
    calls: int
    requests: int
    disturbed: bool


@dataclass
class Pair:
    """A slice against the mean of the two of its base around it."""
    over_us: float
    throughput: float
    disturbed: bool


def _clean(measured):
    undisturbed = [one for one in measured if not one.disturbed]
    return undisturbed if 2 * len(undisturbed) >= len(measured) else measured


@dataclass
class Record:
    """What the rounds yielded for one row: one entry per round in each list (a base has several slices a round).

    endpoint: [calls, connections] that the endpoint saw in the life of the row's server, warm-up included.
    """
    row: object
    slices: list = field(default_factory=list)
    pairs: list = field(default_factory=list)
    memory_kb: list = field(default_factory=list)
    endpoint: list = field(default_factory=list)
    failure: str = ""

    def values(self, name):
        """A field of its slices; of the undisturbed ones alone if these are at least half."""
        return [getattr(s, name) for s in _clean(self.slices)]

    @property
    def over_us(self):
        return [pair.over_us for pair in _clean(self.pairs)]

    @property
    def throughput(self):
        return [pair.throughput for pair in _clean(self.pairs)]

    def asked(self, before, after):
        """Adds to the round's [calls, connections] what the endpoint saw between two looks at its counters."""
        self.endpoint[-1][0] += after[0] - before[0]
        self.endpoint[-1][1] += after[1] - before[1]


class Rounds:
    """Runs the rounds over the chosen rows and fills `records`."""

    def __init__(self, lab, endpoint, rows, seconds, deadline):
        self._lab, self._endpoint, self._seconds, self._deadline = lab, endpoint, seconds, deadline
        self._meter = machine.Meter(lab.server_core, lab.load_core)
        self._rows = rows
        self._servers = {}
        self.records = {row.name: Record(row) for row in rows}
        self.repeated = self.disturbed = self.rounds = 0

    def run(self, rounds):
        for number in range(rounds):
            if self.rounds and time.monotonic() > self._deadline:
                break
            self._say(f"round {number + 1} of {rounds}: ")
            self._round(backwards=number % 2 == 1)
            self.rounds += 1
            self._say("\n")

    def _round(self, backwards):
        rows = [row for row in self._rows if not self.records[row.name].failure]
        self._servers = {row.name: row.start(self._lab, self._endpoint) for row in rows}
        try:
            for row in rows:
                self._prepare(row)
            for base in [row for row in rows if not row.base]:
                members = [r for r in rows if r.base == base.name and not self.records[r.name].failure]
                self._group(base, members[::-1] if backwards else members)
            self._weigh(rows)
        finally:
            self._lab.stop(*self._servers.values())

    def _prepare(self, row):
        """Waits for the server, proves that it does what the row says, and warms it up."""
        server, record = self._servers[row.name], self.records[row.name]
        before = self._endpoint.counters()
        record.endpoint.append([0, 0])
        try:
            server.wait_until_listening()
            record.failure = load.prove(server.port, row.load)
            if not record.failure:
                record.failure = self._warm_up(server, row.load)
        except (RuntimeError, OSError) as error:
            record.failure = str(error)
        if record.failure:
            self._say(f"[{row.name}: {record.failure}] ")
        record.asked(before, self._endpoint.counters())

    def _warm_up(self, server, what):
        """Short, but with many tokens until the endpoint is asked no more. "" or what went wrong."""
        give_up = time.monotonic() + (WARM_UP_LIMIT_SECONDS if what.count else 0)
        while True:
            before, _ = self._endpoint.counters()
            result = load.wrk(server.port, what, WARM_UP_SECONDS + what.count / 6000, self._lab.load_core)
            after, _ = self._endpoint.counters()
            warm = after == before and result.requests > what.count
            if result.errors or warm or time.monotonic() > give_up:
                return result.errors

    def _group(self, base, members):
        """Base, row, base, row ... base. Ends early when the base itself fails."""
        before = None if self.records[base.name].failure else self._measure(base, self._seconds)
        for row in members if before else []:
            slice_ = self._measure(row, self._seconds)
            if slice_ is None:
                continue
            after = self._measure(base, self._seconds)
            if after is None:
                break
            self._compare(self.records[row.name], slice_, before, after)
            before = after

    @staticmethod
    def _compare(record, slice_, before, after):
        record.pairs.append(Pair(over_us=slice_.cpu_us - (before.cpu_us + after.cpu_us) / 2,
                                 throughput=slice_.rate / ((before.rate + after.rate) / 2),
                                 disturbed=slice_.disturbed or before.disturbed or after.disturbed))

    def _weigh(self, rows):
        for row in rows:
            if row.setup and not self.records[row.name].failure:
                size = machine.anonymous_kb(self._servers[row.name].children())
                self.records[row.name].memory_kb.append(size)

    def _measure(self, row, seconds):
        """One slice; disturbed ones again while there is time, then the least disturbed. None if the row failed."""
        record, best, least = self.records[row.name], None, None
        for attempt in range(1 + RETRIES):
            if attempt and time.monotonic() > self._deadline:
                break
            slice_, foreign = self._once(row, record, seconds)
            if slice_ is None:
                return None
            if best is None or foreign < least:
                best, least = slice_, foreign
            self.repeated += attempt > 0
            if not slice_.disturbed:
                break
        self.disturbed += best.disturbed
        record.slices.append(best)
        self._say("~" if best.disturbed else ".")
        return best

    def _once(self, row, record, seconds):
        server = self._servers[row.name]
        counted = self._endpoint.counters()
        before = self._meter.read(server.pid)
        try:
            result = load.wrk(server.port, row.load, seconds, self._lab.load_core)
        except (RuntimeError, OSError) as error:
            result = load.Result(0, 0, 0, str(error))
        used = machine.usage(before, self._meter.read(server.pid))
        if row.cold:
            time.sleep(SETTLE_SECONDS)
        after = self._endpoint.counters()
        if result.errors:
            record.failure = result.errors
            self._say(f"[{row.name}: {result.errors}] ")
            return None, None
        record.asked(counted, after)
        return Slice(cpu_us=used.server_cpu / result.requests * 1e6, rate=result.requests / result.seconds,
                     p99_ms=result.p99_ms, calls=after[0] - counted[0], requests=result.requests,
                     disturbed=used.disturbed), used.foreign + used.steal

    @staticmethod
    def _say(text):
        sys.stderr.write(text)
        sys.stderr.flush()
