#!/usr/bin/env bash
# Shows that each protection of authorization is needed: builds the module without one after another of its hooks, and runs the
# matrix, which must fail. Ends with "N of N protections are needed". Slow: a build and a part of the matrix for each.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
protections=(la_request_begin la_query_read la_scrub_read la_scrub_insert_filter la_forward_before_handler la_authz_check_access, la_authz_check_access_ex la_authz_force_authn la_authn_check
             'la_authz_check,' la_authz_gate la_authz_last_fixup la_respond_insert_error_filter la_cors_insert_filter)
needed=0
for protection in "${protections[@]}"; do
    rm -rf "$work/tree"
    mkdir "$work/tree"
    cp -r mod_llama_auth.c src tests conf Makefile.apxs README.md "$work/tree"
    perl -0pi -e "s/\n    ap_hook_\w+\(\Q$protection\E.*?;//s" "$work/tree/mod_llama_auth.c"
    cmp -s mod_llama_auth.c "$work/tree/mod_llama_auth.c" && { echo "no hook $protection"; exit 1; }
    make -C "$work/tree" --no-print-directory -f Makefile.apxs all >/dev/null
    if LA_MODULE="$work/tree/.build/release/mod_llama_auth.so" "${PYTHON:-/usr/bin/python3}" -m pytest -q -x -p no:cacheprovider \
        tests/http/test_takeovers.py tests/http/test_query.py tests/http/test_trailers.py tests/http/test_matrix.py tests/http/test_redirects.py \
        tests/http/test_forward.py tests/http/test_origin.py tests/http/test_cors.py >"$work/log" 2>&1; then
        echo "${protection%,}: nothing fails without it"
    else
        needed=$((needed + 1))
        echo "${protection%,}: $(grep -E '^(FAILED|ERROR|E  )' "$work/log" | tail -1 | cut -c1-150)"
    fi
done
echo "$needed of ${#protections[@]} protections are needed"
[ "$needed" = "${#protections[@]}" ]
