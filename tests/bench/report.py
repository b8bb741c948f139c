"""The measurements as Markdown, to be quoted in its README.md."""

import statistics

import httpd

DASH = ""
WORKERS = httpd.PROCESSES * httpd.THREADS


def render(facts, rounds, extras):
    """The whole report. facts: lines about the machine; rounds: slices.Rounds; extras: {part: its result}."""
    records = [r for r in rounds.records.values()]
    parts = ["## Measured", "", *facts, _quality(rounds), ""]
    counts = extras.get("instructions") or {}
    parts += _speed("Warm: the verdict is cached, or the credentials are static", records, counts, cold=False)
    parts += _speed("Cold: a new token with each request", records, counts, cold=True)
    parts += _parallel(extras.get("parallel"))
    parts += _instructions(extras.get("instructions"))
    parts += _micro("The cache's table alone", extras.get("table"))
    parts += _micro("An assertion alone", extras.get("assertions"))
    parts += _budgets(records, extras)
    parts += _notes(records, extras)
    return "\n".join(parts) + "\n"


def grid(head, lines):
    """A Markdown table; every column but the first is flush right."""
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return ["| " + " | ".join(map(str, cells)) + " |" for cells in [head, rule, *lines]] + [""]


def _quality(rounds):
    slices = sum(len(record.slices) for record in rounds.records.values())
    loud = " **The machine was not quiet: not to be quoted.**" if rounds.disturbed > slices / 4 else ""
    return (f"Medians of {rounds.rounds} rounds; in brackets the smallest and the largest. Disturbed slices were "
            f"run again ({rounds.repeated} times); {rounds.disturbed} of {slices} stayed disturbed and are left out "
            f"where enough others remain.{loud}")


def _speed(title, records, counts, cold):
    members = [r for r in records if r.slices and not r.failure and r.row.base and r.row.cold == cold]
    bases = {r.row.base for r in members}
    shown = [r for r in records if r in members or r.row.name in bases]
    if not members:
        return []
    head = ["", "CPU us/request", "over no auth", "throughput against no auth"]
    head += ["p99 ms", "connections for N calls"] if cold else ["endpoint calls per request"]
    lines = [_speed_line(r, cold) for r in shown]
    if counts:
        head.append("instructions/request")
        lines = [line + [_total(counts.get(r.row.name))] for line, r in zip(lines, shown)]
    return [f"### {title}", ""] + grid(head, lines)


def _total(count):
    return f"{count.total:,.0f}" if count and not count.note else DASH


def _speed_line(record, cold):
    cpu = _median(record, "cpu_us")
    line = [record.row.title, f"{cpu:.1f}"]
    if record.over_us:
        line += [_spread(record.over_us), f"{statistics.median(record.throughput):.2f}"]
    else:
        line += ["0", "1.00"]
    if cold:
        calls, connections = _most_connections(record)
        line += [f"{_median(record, 'p99_ms'):.1f}", f"{connections:,} for {calls:,}" if record.row.base else DASH]
    else:
        line.append(_calls(record))
    return line


def _most_connections(record):
    """(calls, connections) of the round with the most connections."""
    return max(record.endpoint, key=lambda pair: pair[1])


def _calls(record):
    requests = sum(s.requests for s in record.slices)
    share = sum(s.calls for s in record.slices) / requests
    return f"{share:.2f}" if share >= 0.005 else DASH


def _spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _median(record, name):
    return statistics.median(record.values(name))


def _parallel(outcomes):
    if not outcomes:
        return []
    lines = [[o.title, f"{o.calls:,}", o.answers, f"{o.seconds:.2f}"] for o in outcomes if not o.note]
    return ["### 500 requests at once with one new token, endpoint answering after 300 ms", ""] + \
        grid(["", "calls", "answers", "seconds"], lines)


def _instructions(counts):
    if not counts:
        return []
    lines = [[c.title, f"{c.total:,.0f}", f"{c.ours:,.0f}" if c.ours else DASH] for c in counts.values() if not c.note]
    return ["### Instructions per request (callgrind, whole server)", ""] + \
        grid(["", "all", "in mod_llama_auth's functions and what they call"], lines)


def _micro(title, values):
    if not values:
        return []
    lines = [[name.replace("_", " "), value, unit] for name, value, unit in values]
    return [f"### {title}", ""] + grid(["", "value", "unit"], lines)


def _budgets(records, extras):
    """What ../shared/targets.md section 2 demands, beside what was measured."""
    lines = []
    for record in records:
        budget = record.row.budget
        if not budget or not record.over_us or record.failure:
            continue
        title = record.row.title
        if budget.over_us is not None:
            over = "no auth" if record.row.base == "plain" else "its base"
            lines.append(_median_at_most(f"{title}: us over {over}", budget.over_us, record.over_us))
        if budget.throughput is not None:
            measured = statistics.median(record.throughput)
            lines.append([f"{title}: throughput", f"at least {budget.throughput}", f"{measured:.3f}",
                          _verdict(measured >= budget.throughput)])
    lines += _other_budgets({r.row.name: r for r in records}, extras)
    return ["### Budgets", ""] + grid(["", "budget", "measured", "met"], lines) if lines else []


def _other_budgets(records, extras):
    lines = []
    hot, many = records.get("cached-40"), records.get("tokens-5000")
    if hot and many and hot.over_us and many.over_us:
        dearer = [a - b for a, b in zip(many.over_us, hot.over_us)]
        lines.append(_median_at_most("5,000 tokens in use: us over a single hot one", 1, dearer))
    lines += _instruction_budgets({name: count.total for name, count in (extras.get("instructions") or {}).items() if not count.note})
    for outcome in extras.get("parallel") or []:
        if outcome.title == "mod_llama_auth" and not outcome.note:
            lines.append(_at_most("calls for 500 parallel misses", 1, outcome.calls, 0))
    for scheme in ("http", "tls"):
        ours = records.get(f"cold-{scheme}")
        if ours and ours.over_us and not ours.failure:
            lines.append(_at_most(f"connections, {ours.row.title}", WORKERS, _most_connections(ours)[1], 0))
    lines += _verification_budgets(records, extras.get("verification") or {})
    plain, cold = records.get("plain"), records.get("cold-tls")
    for title, record in (("cached", hot), ("cold over TLS", cold)):
        if plain and record and record.memory_kb and plain.memory_kb:
            more = statistics.median(record.memory_kb) - statistics.median(plain.memory_kb)
            lines.append(_at_most(f"private memory of a process over httpd's own, {title}: KB", 1024, more, 0))
    lines += _table_budgets({name: float(value) for name, value, _ in extras.get("table") or []})
    lines += _assertion_budgets({name: float(value) for name, value, _ in extras.get("assertions") or []})
    if extras.get("startup") is not None:
        lines.append(_at_most("start-up over httpd's own: ms", 20, extras["startup"], 1))
    return lines


def _instruction_budgets(totals):
    """Of the whole server, by name of the row."""
    lines = []
    if "cached-40" in totals and "plain" in totals:
        lines.append(_at_most("cached, 40-byte token: instructions over no auth", 8000, totals["cached-40"] - totals["plain"], 0))
    if "jwt-rs256" in totals and "openidc-unique" in totals:
        lines.append(_at_most("unique RS256 JWTs: instructions, against mod_auth_openidc", round(totals["openidc-unique"]),
                              totals["jwt-rs256"], 0))
    return lines


def _verification_budgets(records, verification):
    """What a proof costs beside its bare verification; a new JWT costs less than with mod_auth_openidc."""
    lines = []
    for record in records.values():
        row = record.row
        if row.alg in verification and row.beyond_us is not None and record.over_us and not record.failure:
            bare = verification[row.alg]
            lines.append(_median_at_most(f"{row.title}: us over its base and the bare verification ({bare:.1f})", row.beyond_us,
                                         [over - bare for over in record.over_us]))
    ours, peer = records.get("jwt-rs256"), records.get("openidc-unique")
    if ours and peer and ours.over_us and peer.over_us:
        lines.append(_median_at_most("unique RS256 JWTs: us over no auth, against mod_auth_openidc",
                                     round(statistics.median(peer.over_us), 1), ours.over_us))
    return lines


def _assertion_budgets(values):
    """From tests/bench/assertion.c: one that is signed costs its signature and 10 us."""
    if not values:
        return []
    return [_at_most("an assertion, reused: us", 2, values["assertion_reused"], 2),
            _at_most(f"an assertion, signed: us beyond the bare signature ({values['signature_alone']:.1f})", 10,
                     values["assertion_signed"] - values["signature_alone"], 1)]


def _table_budgets(values):
    """From tests/bench/table.c's own names; a name that it does not print is passed over."""
    lines = []
    if (alone := values.get("lookup_1000_entries_1_process")) is not None:
        lines.append(_at_most("look-up in the table alone: ns", 100, alone, 1))
    if (rate := values.get("rate_per_core_8_processes_1000_entries")) is not None:
        lines.append(["look-ups by 8 processes: rate per core against one process", "at least 0.9", f"{rate:.2f}",
                      _verdict(rate >= 0.9)])
    return lines


def _median_at_most(title, budget, values):
    return [title, f"at most {budget:,}", _spread(values), _verdict(statistics.median(values) <= budget)]


def _at_most(title, budget, measured, digits):
    return [title, f"at most {budget:,}", f"{measured:,.{digits}f}", _verdict(measured <= budget)]


def _verdict(met):
    return "yes" if met else "NO"


def _notes(records, extras):
    notes = [f"- {r.row.name}: failed: {r.failure}" for r in records if r.failure]
    notes += [f"- {name}: left out: {why}" for name, why in extras.get("refused", {}).items()]
    notes += [f"- parallel misses, {o.title}: {o.note}" for o in extras.get("parallel") or [] if o.note]
    notes += [f"- instructions, {c.title}: {c.note}" for c in (extras.get("instructions") or {}).values() if c.note]
    notes += [f"- {line}" for line in extras.get("notes", [])]
    return ["### Notes", "", *(" ".join(note.split()) for note in notes), ""] if notes else []
