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

paths_of_one_machine() {
    git grep -nE '/(work|farm|root|home)/[a-z]' -- . ':!tests/check_layout.sh'
}

none 'a lower floor includes httpd' grep -rnE '#include +[<"](httpd|http_|ap_|mod_|util_)' src/core src/provider
none 'core includes a floor above' grep -rnE '#include +"(provider|httpd)/' src/core
none 'provider includes a floor above' grep -rnE '#include +"httpd/' src/provider
none 'curl outside http.c and http_url.c' found_outside 'src/provider/http(_url)?\.c' '#include +<curl/'
none 'hiredis outside redis.c' found_outside 'src/provider/redis\.c' '#include +<hiredis/'
none 'json-c outside json.c' found_outside 'src/core/json\.c' '#include +<json'
none 'a banned call' grep -rnE '\b(atoi|strcpy|strcat|sprintf|sscanf|strtok|json_tokener_parse)\(' src mod_llama_auth.c
none 'an EVP result that is not compared with 1' grep -rnE 'if \(!?EVP_[A-Za-z_]+\(([^()]|\([^()]*\))*\)\)' src
none 'a log number used twice' same_log_numbers
none 'at the top level, outside the agreed layout' strange_top_level
none 'a file over 500 lines' long_files
none 'a path of one machine' paths_of_one_machine
exit "$broken"
