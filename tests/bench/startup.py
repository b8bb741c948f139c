"""What the module adds to httpd's start: from the start of the program to the first accepted connection."""

import statistics
import time

import httpd

TIMES = 11


def run(lab, endpoint, plain, other):
    """Median milliseconds that `other` takes longer than `plain` to listen, or None where it cannot be started."""
    if other.refusal(lab, endpoint):
        return None
    taken = {plain.name: [], other.name: []}
    for _ in range(TIMES):
        for row in (plain, other):
            started = time.monotonic()
            server = httpd.start(lab, f"startup-{row.name}", row.setup(lab, endpoint))
            server.wait_until_listening()
            taken[row.name].append((time.monotonic() - started) * 1e3)
            lab.stop(server)
    return statistics.median(taken[other.name]) - statistics.median(taken[plain.name])
