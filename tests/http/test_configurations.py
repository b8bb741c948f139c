"""Random configurations, each with all the ways to its pages: tests/configurations, from fixed seeds. More of them:
`make -f Makefile.apxs fuzz-config CONFIGS=500 SEED=7`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "configurations"))

import run


@pytest.mark.parametrize("seed", range(8))
def test_random_configurations(seed):
    findings, providers, requests = run.one_server(seed, run.PER_SERVER)
    assert requests > 1000
    assert not findings, f"{len(findings)} findings\n\n" + "\n\n".join(run.report_kinds(findings, seed, providers, set(), most=2))
