"""Runs fuzz targets for so many seconds each: run.py SECONDS TARGET...

New inputs go to .build/fuzz/corpus/TARGET, findings to .build/fuzz/findings; the seeds in tests/fuzz/corpus are only read. Prints one
line for each target and fails if one found something.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".build" / "fuzz"


def run(target, seconds):
    own = BUILT / "corpus" / target
    findings = BUILT / "findings"
    own.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    dictionary = ROOT / "tests" / "fuzz" / f"{target}.dict"
    command = [str(BUILT / target), f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-detect_leaks=0", "-print_final_stats=1",
               f"-artifact_prefix={findings}/{target}-", "-max_len=16384"]
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    done = subprocess.run([*command, str(own), str(ROOT / "tests" / "fuzz" / "corpus" / target)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    executions = re.search(r"stat::number_of_executed_units: +(\d+)", done.stdout)
    covered = re.findall(r"cov: (\d+)", done.stdout)
    if done.returncode != 0:
        print(done.stdout[-6000:])
    print(f"fuzz {target}: {executions.group(1) if executions else '?'} executions in {seconds} s, "
          f"coverage {covered[-1] if covered else '?'}, {'FINDING' if done.returncode else 'nothing found'}", flush=True)
    return done.returncode


def main():
    return int(any([run(target, sys.argv[1]) for target in sys.argv[2:]]))


if __name__ == "__main__":
    sys.exit(main())
