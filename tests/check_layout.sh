#!/usr/bin/env bash
# The house rules that a grep can prove; `make -f Makefile.apxs check` runs it. Prints what breaks a rule, exits 1 then.
set -u
cd "$(dirname "$0")/.."
broken=0

none() { # the rule, then a command that must print nothing
    local rule=$1 found
    shift
    found=$("$@")
    [ -z "$found" ] && return
    printf 'check: %s\n%s\n' "$rule" "$found" >&2
    broken=1
}

found_outside() { # the file that may, then the pattern
    grep -rlE "$2" src mod_llama_auth.c | grep -vxE "$1"
}

# Who may use whom: a folder of src, and the folders that its files may include.
uses='base:
access: base
shm: base
jose: base
io: base
provider: io jose shm access base
lookup: provider io jose shm access base
quota: shm io access base
signer: io jose shm access base
keys: provider io access base
httpd: signer quota lookup provider io jose shm access base'

# Pairs "file included", both without their endings, so that a source, its header and its private header (x_layout.h) are one.
includes() {
    grep -rE '^#include "' src mod_llama_auth.c |
        sed -E 's,^(src/)?([^:]*)\.[ch]:#include "([^"]*)\.h".*,\2 \3,' |
        sed 's/_layout//g' | awk '$1 != $2'
}

strange_uses() {
    includes | awk -v table="$uses" '
        BEGIN { n = split(table, rows, "\n"); for (i = 1; i <= n; i++) { split(rows[i], r, ":"); allowed[r[1]] = r[2] " " } }
        { split($1, a, "/"); split($2, b, "/") }
        a[1] != b[1] && a[1] != "mod_llama_auth" && index(allowed[a[1]], " " b[1] " ") == 0 { print $1 " includes " $2 }'
}

circles() {
    includes | tsort 2>&1 >/dev/null
}

lower_floors_with_httpd() {
    grep -rnE '#include +[<"](httpd|http_|ap_|mod_|util_)' src --include='*.[ch]' | grep -vE '^src/httpd/|"(io|provider)/'
}

same_log_numbers() {
    grep -rohE 'LA_LOGNO\([0-9]+\)' src mod_llama_auth.c | sort | uniq -d
}

strange_top_level() {
    git ls-files | cut -d/ -f1 | sort -u |
        grep -vxE 'mod_llama_auth\.c|src|conf|tests|Makefile\.apxs|README\.md|LICENSE|\..*'
}

long_files() {
    git ls-files '*.c' '*.h' '*.py' | xargs wc -l | awk '$2 != "total" && $1 > 500 {print $2 ": " $1 " lines"}'
}

long_lines() {
    git ls-files 'src/*.[ch]' mod_llama_auth.c | xargs awk 'length > 100 {print FILENAME ":" FNR ": " length " columns"}'
}

paths_of_one_machine() {
    git grep -nE '/(work|farm|root|home)/[a-z]' -- . ':!tests/check_layout.sh'
}

none 'a lower floor includes httpd' lower_floors_with_httpd
none 'a folder uses what its row does not name' strange_uses
none 'files that include each other in a circle' circles
none 'curl outside io/http*.c and io/url.c' found_outside 'src/io/(http(_handle|_tls)?|url)\.[ch]' '#include +<curl/'
none 'hiredis outside io/redis_connection.c' found_outside 'src/io/redis_connection\.c' '#include +<hiredis/'
none 'json-c outside base/json.c' found_outside 'src/base/json\.c' '#include +<json'
none 'a banned call' grep -rnE '\b(atoi|strcpy|strcat|sprintf|sscanf|strtok|json_tokener_parse)\(' src mod_llama_auth.c
none 'an EVP result that is not compared with 1' grep -rnE 'if \(!?EVP_[A-Za-z_]+\(([^()]|\([^()]*\))*\)\)' src
none 'a log number used twice' same_log_numbers
none 'at the top level, outside the agreed layout' strange_top_level
none 'a file over 500 lines' long_files
none 'a line over 100 columns' long_lines
none 'a path of one machine' paths_of_one_machine
exit "$broken"
