#!/bin/sh
# Makes a manual page (man(7) macros) of the output of `llama-auth-keys --help`, which comes on standard input.
cat <<'END'
.TH LLAMA-AUTH-KEYS 1 "" "mod_llama_auth" "User Commands"
.SH NAME
llama\-auth\-keys \- make, list, rotate and revoke API keys for Apache httpd's mod_llama_auth
.SH SYNOPSIS
END
sed 's/\\/\\\\/g; s/-/\\-/g' | awk '
    /^Usage: / { sub(/^Usage: /, ""); print ".B " $0; print ".SH DESCRIPTION"; next }
    /^$/ { next }
    /^(Commands|Options of .*):$/ { sub(/:$/, ""); print ".SH " toupper($0); next }
    /^Exit status: / { sub(/^Exit status: /, ""); print ".SH EXIT STATUS"; print; next }
    /^                    / { sub(/^ +/, ""); print; next }
    /^  / {
        sub(/^  /, "")
        print ".TP"
        at = match($0, /  +/)
        print ".B " (at ? substr($0, 1, at - 1) : $0)
        if (at) print substr($0, at + RLENGTH)
        next
    }
    { print }'
