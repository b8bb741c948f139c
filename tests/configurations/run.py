#!/usr/bin/env python3
"""Fuzzes configurations: tests/configurations/run.py [CONFIGURATIONS [SEED]].

Many random trees in each httpd. A finding is shown with its seed, its configuration, made as small as it still shows, and its
requests; exit status 1 then. The same seed makes the same configurations and requests.
"""

import random
import sys

import model
from generate import make_clients, make_configuration, make_providers
from judge import Ask, judge_difference, judge_direct, judge_lost, judge_way
from laboratory import Laboratory
from sections import METHODS
from smaller import smaller

PER_SERVER = 25
MANY = 1000
ASKS = 6  # for each page and each way
ASKED = ("GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS")
assert set(METHODS) < set(ASKED)


class Finding:
    def __init__(self, text, ask):
        self.text = text
        self.ask = ask

    @property
    def kind(self):
        """What makes two findings the same: the kind, and the way."""
        return self.text.partition(":")[0], self.ask and self.ask.way and self.ask.way.name


def promising(ask, providers):
    """A request gets far when the section that it meets first lets it in, and it tells more when somebody is known there."""
    conf = model.effective(ask.configuration, ask.url, ask.url)
    outcome, caller = model.decide(conf, ask.method, ask.client, providers)
    return (outcome in (model.SERVED, model.ANSWERED)) * (2 if caller else 1)


def choose(source, configuration, way, url, clients, providers):
    """One of some random requests: mostly the one that gets furthest."""
    some = [Ask(configuration, way, source.choice(ASKED), url, source.choice(clients)) for _ in range(6)]
    return max(some, key=lambda ask: promising(ask, providers)) if source.random() < 0.8 else some[0]


def make_asks(source, configuration, providers):
    clients = make_clients(source)
    asked = [(None, page) for page in configuration.pages] + [(way, way.first) for way in configuration.ways]
    return [choose(source, configuration, way, url, clients, providers) for way, url in asked for _ in range(ASKS)]


def follow(ask, run):
    """The direct requests that a run must follow from; none for a page that is proxied, which has no other way, and for a preflight
    that would be answered. GET is among them, since httpd asks its own Require no more than that for an index file, a fallback and
    a negotiated file."""
    conf = model.effective(ask.configuration, run.uri, run.filename)
    answered = model.is_answered(conf, ask.method, ask.client)
    methods = () if run.proxied or answered else dict.fromkeys((ask.method, run.method, "GET"))
    return [Ask(ask.configuration, None, method, run.uri, ask.client) for method in methods]


def compare(laboratory, ways):
    """Sends the direct requests for what was served otherwise, and compares."""
    direct = [(number, other) for number, (ask, run) in enumerate(ways) for other in follow(ask, run)]
    answers = {}
    for (number, other), (_, runs) in zip(direct, laboratory.send([other for _, other in direct])):
        answers.setdefault(number, {})[other.method] = runs
    findings = []
    for number, mine in answers.items():
        ask, run = ways[number]
        basic = model.effective(ask.configuration, run.uri, run.filename).type == "Basic"
        findings += [Finding(text, ask) for text in judge_difference(run, mine, basic)]
    return findings


def examine(laboratory, asks, providers):
    """Sends the requests, then the direct ones that they must follow from; returns the findings."""
    findings, ways = [], []
    for ask, (status, runs) in zip(asks, laboratory.send(asks)):
        if ask.way is None:
            findings += [Finding(text, ask) for text in judge_direct(ask, runs, status, providers)]
            continue
        found = [] if status else ["answer: none"]
        found += [text for run in runs for text in judge_way(ask, run, providers)]
        found += judge_lost(ask, runs, providers)
        findings += [Finding(text, ask) for text in found]
        ways += [] if found else [(ask, run) for run in runs]
    return findings + compare(laboratory, ways)


def try_alone(configuration, asks, providers):
    with Laboratory((configuration,), providers) as laboratory:
        return examine(laboratory, asks, providers)


def one_server(seed, count, first=0):
    """One httpd with `count` trees from a seed; returns the findings and the providers."""
    source = random.Random(seed)
    providers = make_providers(source)
    configurations = [make_configuration(source, number) for number in range(first, first + count)]
    asks = [ask for configuration in configurations for ask in make_asks(source, configuration, providers)]
    with Laboratory(configurations, providers) as laboratory:
        findings = examine(laboratory, asks, providers)
        findings += [Finding(text, None) for text in laboratory.end()]
    return findings, providers, len(asks)


def report(finding, seed, providers):
    """All that somebody needs to see it again."""
    lines = [f"==== seed {seed}: {finding.text}"]
    if finding.ask:
        configuration, finding = smaller(finding, lambda c, ask: try_alone(c, [ask], providers))
        for name, callers in providers.items():
            told = {token: f"{caller.principal} {dict(caller.attributes)}" for token, caller in callers.items()}
            lines.append(f"# {name}: {told}")
        way = finding.ask.way.name if finding.ask.way else "direct"
        lines += [configuration.shown("ROOT"), finding.text, f"{finding.ask.shown()}   # way: {way}"]
    return "\n".join(lines)


def report_kinds(findings, seed, providers, seen, most=MANY):
    """One report for each kind that was not seen yet, `most` at most."""
    reports = []
    for finding in findings:
        if finding.kind not in seen and len(reports) < most:
            seen.add(finding.kind)
            reports.append(report(finding, seed, providers))
    return reports


def fuzz(count, seed):
    """Yields (seed of one server, findings, providers, requests)."""
    done = 0
    while done < count:
        some = min(PER_SERVER, count - done)
        yield (seed, *one_server(seed, some))
        done += some
        seed += 1


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    seen, total, done = set(), 0, 0
    for server_seed, findings, providers, requests in fuzz(count, seed):
        done += min(PER_SERVER, count - done)
        total += len(findings)
        print(f"seed {server_seed}: {done} configurations, {requests} requests, {len(findings)} findings", flush=True)
        for text in report_kinds(findings, server_seed, providers, seen):
            print(f"\n{text}\n", flush=True)
    print(f"{done} configurations, {total} findings of {len(seen)} kinds")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
