"""Makes a finding's configuration smaller for as long as it still shows the same kind of finding by the same way."""

from dataclasses import replace

PATIENCE = 80  # httpds to start


def candidates(configuration, way):
    """Smaller configurations: without the other ways, without a section, without a line."""
    if way and any(other != way for other in configuration.ways):
        yield replace(configuration, ways=(way,))
    if not way and configuration.ways:
        yield replace(configuration, ways=())
    for other in configuration.ways:
        if other != way:
            yield replace(configuration, ways=tuple(w for w in configuration.ways if w != other))
    if configuration.inside_host:
        yield replace(configuration, inside_host=False)
    for index in range(len(configuration.sections)):
        yield configuration.without(index)
    for index, section in enumerate(configuration.sections):
        for line in range(len(section.lines)):
            yield configuration.without_line(index, line)


def step(configuration, finding, attempt):
    """The first smaller one that shows it, with what it shows, and how many were tried."""
    for tried, smaller in enumerate(candidates(configuration, finding.ask.way), 1):
        ask = replace(finding.ask, configuration=smaller)
        try:
            found = [f for f in attempt(smaller, ask) if f.kind == finding.kind]
        except AssertionError:  # it does not start
            continue
        if found:
            return smaller, found[0], tried
    return None, finding, PATIENCE


def smaller(finding, attempt):
    """attempt(configuration, ask) -> findings."""
    configuration, left = finding.ask.configuration, PATIENCE
    while left > 0:
        shorter, found, tried = step(configuration, finding, attempt)
        left -= tried
        if shorter is None:
            break
        configuration, finding = shorter, found
    return configuration, finding
