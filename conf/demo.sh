#!/usr/bin/env bash
# Starts a private httpd with demo.conf, walks through the main job with curl, and checks each answer.
# On a terminal it keeps serving afterwards. Usage: demo.sh MODULE.so; called by `make -f Makefile.apxs demo`.
#
# LA_DEMO_WRAP=asan|valgrind runs httpd -X under the tool and fails if a report names our source. valgrind looks for
# leaks; LeakSanitizer cannot, because it finds no pointers in the memory of APR pools.
set -u
here=$(cd "$(dirname "$0")" && pwd)
apxs=$(command -v apxs || command -v apxs2)
httpd=$("$apxs" -q SBINDIR)/$("$apxs" -q PROGNAME)
LA_MODULE=$(realpath "$1")
LA_MODULES=$("$apxs" -q LIBEXECDIR)
LA_RUN=$(mktemp -d)
keys=$(dirname "$LA_MODULE")/llama-auth-keys
wrap=${LA_DEMO_WRAP:-}
wrong=0
pid=

free_port() { # the first port from $1 on that nobody listens on
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; pid=; }
}

cleanup() {
    stop
    rm -rf "$LA_RUN"
}

serve() {
    local run=() mode=-DFOREGROUND
    case $wrap in
    asan)
        mode=-X
        run=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
            "ASAN_OPTIONS=log_path=$LA_RUN/report:exitcode=0:detect_leaks=0"
            "UBSAN_OPTIONS=log_path=$LA_RUN/report:print_stacktrace=1") ;;
    valgrind)
        mode=-X
        run=(valgrind --quiet --leak-check=full --num-callers=30 --log-file="$LA_RUN/report.%p") ;;
    esac
    "${run[@]}" "$httpd" "$mode" -d "$LA_RUN" -f "$here/demo.conf" &
    pid=$!
    until curl -s -o /dev/null "http://127.0.0.1:$LA_PORT/"; do
        kill -0 "$pid" 2>/dev/null || { echo "httpd did not start" >&2; cat "$LA_RUN/error.log" >&2; exit 1; }
        sleep 0.1
    done
}

ask() { # what it shows, the expected status, the path, curl's other arguments
    local title=$1 expected=$2 path=$3 answer status
    shift 3
    printf '\n%s\n$ curl -i' "$title"
    [ $# = 0 ] || printf " %s '%s'" "$@"
    printf ' http://127.0.0.1:%s%s\n' "$LA_PORT" "$path"
    answer=$(curl -s -i "$@" "http://127.0.0.1:$LA_PORT$path" | tr -d '\r' |
        grep -viE '^(date|server|accept-ranges|vary): ')
    printf '%s\n' "$answer" | sed 's/^/  /'
    status=$(printf '%s' "$answer" | sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p')
    [ "$status" = "$expected" ] || { printf '  ^ expected %s\n' "$expected"; wrong=$((wrong + 1)); }
}

walk() {
    ask '1. No token.' 401 /v1/models
    ask '2. A token that nobody knows.' 401 /v1/models -H 'Authorization: Bearer not-a-key'
    ask '3. Something that is no Bearer credential.' 401 /v1/models -H 'Authorization: Basic YWxpY2U6c2VjcmV0'
    ask '4. A good token: the backend sees who is calling.' 200 /v1/models -H "Authorization: Bearer $alice"
    ask '5. The same caller where a scope is required.' 403 /v1/telemetry -H "Authorization: Bearer $alice"
    ask '6. A caller who has the scope.' 200 /v1/telemetry -H "Authorization: Bearer $ops"
    ask '7. A caller without the role that is required.' 403 /v1/admin -H "Authorization: Bearer $alice"
}

make_keys() {
    local add=("$keys" add "$LA_RUN/demo_keys.json")
    alice=$("${add[@]}" demo-alice --principal alice --attribute roles=user --scope models.read 2>/dev/null) &&
        ops=$("${add[@]}" demo-ops --principal ops --attribute roles=admin --scope models.read --scope telemetry.read 2>/dev/null) ||
        { echo "no keys were made" >&2; exit 1; }
}

check_reports() { # under a tool: more requests, then nothing of ours may be in its report
    local i
    for i in $(seq 200); do
        curl -s -o /dev/null -H "Authorization: Bearer $alice$((i % 3))" "http://127.0.0.1:$LA_PORT/v1/models"
    done
    stop
    if grep -qE 'mod_llama_auth|src/[a-z]+/' "$LA_RUN"/report.* 2>/dev/null; then
        cat "$LA_RUN"/report.* >&2
        wrong=$((wrong + 1))
    else
        printf '\n%s: nothing of ours in its report\n' "$wrap"
    fi
}

[ -n "$httpd" ] && [ -x "$httpd" ] || { echo "no httpd found through apxs" >&2; exit 1; }
trap cleanup EXIT
trap 'exit 130' INT TERM
chmod "$([ -z "$wrap" ] && echo 755 || echo 777)" "$LA_RUN" # a tool writes its report as the httpd User
cp "$here/demo_backend.shtml" "$LA_RUN/"
make_keys
chmod 644 "$LA_RUN"/*
LA_PORT=$(free_port 8080)
LA_BACKEND_PORT=$(free_port $((LA_PORT + 1)))
export LA_MODULE LA_MODULES LA_RUN LA_PORT LA_BACKEND_PORT

serve
walk
[ -z "$wrap" ] || check_reports
if [ "$wrong" != 0 ]; then
    printf '\n%s answers were not as expected\n' "$wrong"
    exit 1
fi
printf '\nAll answers were as expected.\n'
if [ -t 0 ] && [ -t 1 ] && [ -z "$wrap" ]; then
    cat <<END

Still serving on http://127.0.0.1:$LA_PORT until Ctrl-C. To try next, in another terminal:
  - become admin:   curl -H 'Authorization: Bearer $ops' http://127.0.0.1:$LA_PORT/v1/admin
  - see the keys:   $keys list $LA_RUN/demo_keys.json
  - revoke a key:   $keys revoke $LA_RUN/demo_keys.json demo-ops, and ask again two seconds later
  - read the log:   tail -f $LA_RUN/error.log
  - write your own: start from conf/llama_auth.conf
END
    wait "$pid"
fi
