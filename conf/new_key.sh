#!/bin/sh
# Makes an API key for a `static` provider. Usage: new_key.sh NAME [SCOPE...]
# The key goes to standard error, since it is shown only once; a key file with its SHA-256 to standard output.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 NAME [SCOPE...]" >&2; exit 2; }
name=$1
shift
scopes=$(printf ', "%s"' "$@" | cut -c3-)
[ $# -gt 0 ] || scopes=
key=$(openssl rand -hex 32)
sum=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
echo "the key: $key" >&2
printf '{"keys": [\n  {"id": "%s", "sha256": "%s", "principal": "%s", "attributes": {"scopes": [%s]}}\n]}\n' \
    "$name" "$sum" "$name" "$scopes"
