# Commands whose time is bounded, and that end when the script does: it has `trap end_job EXIT` and exits at signals.
job=

# Runs a command for so many seconds at most, and waits so that a signal to us ends it.
bounded() {
    local result
    setpriv --pdeathsig TERM timeout -k 10 "$1" "${@:2}" </dev/null &
    job=$!
    wait "$job"
    result=$?
    job=
    [ $result != 124 ] || echo "it took longer than $1 seconds" >&2
    return $result
}

end_job() {
    [ -z "$job" ] || { kill "$job" 2>/dev/null; wait "$job" 2>/dev/null; job=; }
}
