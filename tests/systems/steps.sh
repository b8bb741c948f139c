# The steps of a system's script, and their count. Sourced by the scripts here and by tests/deb/run.sh.
passed=0
failed=0
skipped=0
logs=$PWD/.build/steps-${0##*/} # each step's output, by its number
log=
rm -rf "$logs"
mkdir -p "$logs"

next_log() { log=$logs/$((steps += 1)).log; }
steps=0

show_end() {
    { grep -E '\b(error|undefined reference)\b' "$log" | tail -10; tail -30 "$log"; } | cut -c1-300
}

check() { # a sentence, then a command that must succeed
    local what=$1
    shift
    next_log
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        show_end
        return 1
    fi
}

count() { # a sentence, then a command that ends with "N passed, M failed" and perhaps ", K skipped"
    local what=$1 last result
    shift
    next_log
    "$@" >"$log" 2>&1
    result=$?
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -1)
    set -- ${last:-0 passed, 1 failed}
    [ $result = 0 ] || [ "$3" != 0 ] || set -- "$1" passed, 1 "${@:4}" # it ended badly, or ran nothing
    echo "$what: $*"
    passed=$((passed + $1))
    failed=$((failed + $3))
    skipped=$((skipped + ${5:-0}))
    [ "$3" = 0 ] || { grep -E '^(FAILED|ERROR|\[  FAILED|E  )|^test_.* [1-9][0-9]* failed' "$log" || show_end; return 1; }
}

skip() { # what, and why
    skipped=$((skipped + 1))
    echo "skipped: $1: $2"
}

closing() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
}
