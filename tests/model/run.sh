#!/bin/sh
# Checks the models of the table's publish protocol, of a purge that meets a store and of the memory of proofs, and that
# they fail when anything is taken out of the protocol. Needs Debian's spin and gcc.
#
# Usage: tests/model/run.sh [directory for what is built]. About a minute, 300 MB. Exits 0 when all is as
# it should be.
set -eu

models=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-.build/model}"
cd "${1:-.build/model}"

# errors MODEL [FLAG...]: prints the number of errors that spin finds, 0 or 1
errors() {
    model=$1
    shift
    spin "$@" -a "$models/$model.pml" >spin.log
    gcc -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c
    ./pan -E -m100000 -w22 >pan.log
    if grep -qE 'max search depth too small|out of memory' pan.log; then
        echo "the search was cut short"
    else
        sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
    fi
}

failed=0
report() {
    if [ "$2" = "$3" ]; then
        echo "ok: $1"
    else
        echo "FAILED: $1 (errors: $2)"
        failed=1
    fi
}

# check MODEL FLAG...: the model holds, and with each flag it does not
check() {
    checked=$1
    shift
    report "$checked as it is" "$(errors "$checked")" 0
    for flag in "$@"; do
        report "$checked: $flag is noticed" "$(errors "$checked" "-D$flag")" 1
    done
}

check sweep NO_PUT_FENCE NO_SWEEP_FENCE NO_KILL BLIND_PUBLISH
check table NO_RECHECK NO_ACQUIRE_FENCE NO_RELEASE_FENCE NO_WRITING NO_RETIRE RELAXED_PUBLISH \
    RELAXED_FIRST_READ STATE_REPEATS NO_LOCK BLIND_REMOVE
check replay NO_SPAN NO_LOCK NO_HEAD_CHECK RELAXED_WORD BLIND_SWAP
exit $failed
