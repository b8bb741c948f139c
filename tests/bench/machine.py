"""The machine under the measurement: which cores, how much CPU a process tree used, who disturbed it.

CPU times come from each process's own CPU clock (nanoseconds, ended threads included); what /proc/PID/stat
offers is rounded down to 10 ms per process, which is 1 % of a slice. Foreign work is what /proc/stat counted as
busy on our two cores and our processes did not use.
"""

import os
import platform
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def cores():
    """(server core, load core): two allowed cores, not siblings of one physical core where that can be had."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: needs two cores")
    server = allowed[-1]
    siblings = _siblings(server)
    apart = [c for c in allowed if c not in siblings]
    return server, (apart or allowed)[-1 if apart else 0]


def _siblings(core):
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    found = {core}
    if path.exists():
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def pin(*which):
    """A preexec_fn that keeps the new process, and all that it starts, on the given cores."""
    return lambda: os.sched_setaffinity(0, which)


def tree(root):
    """The process ids of `root` and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found, fresh = {root}, {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return frozenset(found)


def cpu_of(pids):
    """Seconds of CPU that the living processes among `pids` have used: CLOCK_PROCESS_CPUTIME of another process."""
    total = 0
    for pid in pids:
        try:
            total += time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            continue
    return total / 1e9


def anonymous_kb(pids):
    """Memory of each of the processes, in KB, averaged: its own, and its share of pages that it still has in common with
    its parent since the fork; shared memory segments are not in it."""
    sizes = []
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes.append(int(re.search(r"^Pss_Anon: +(\d+) kB", text, re.M).group(1)))
    return sum(sizes) / len(sizes)


@dataclass
class Reading:
    """One look at the clocks; two of them bound a slice."""
    at: float
    pids: frozenset
    server: float
    ours: float
    busy: float
    steal: float


class Meter:
    """Reads the clocks of one server and of everything that the harness started."""

    def __init__(self, server_core, load_core):
        self._cores = {f"cpu{server_core}", f"cpu{load_core}"}

    def read(self, server_pid):
        pids = tree(server_pid)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = cpu_of(tree(os.getpid())) + ended.ru_utime + ended.ru_stime
        busy, steal = self._core_times()
        return Reading(time.monotonic(), pids, cpu_of(pids), ours, busy, steal)

    def _core_times(self):
        busy = steal = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name in self._cores:
                user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, fields[:8])
                busy += user + nice + system + irq + softirq + stolen
                steal += stolen
        return busy * TICK, steal * TICK


@dataclass
class Usage:
    """What happened between two readings."""
    server_cpu: float
    foreign: float
    steal: float
    stable: bool

    @property
    def disturbed(self):
        """5 % is twice the error of a count by 4 ms ticks over a second and a half."""
        return self.foreign > 0.05 or self.steal > 0.02 or not self.stable


def usage(before, after):
    wall = after.at - before.at
    foreign = (after.busy - before.busy) - (after.ours - before.ours)
    return Usage(server_cpu=after.server - before.server, foreign=foreign / wall,
                 steal=(after.steal - before.steal) / wall, stable=before.pids == after.pids)


def description():
    """One line about the hardware, for the report."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
