/* The key file of the `static` provider: from JSON text to a table of keys, which is constant. */
#pragma once

#include "access/identity.h"
#include "access/token.h"
#include "provider/provider.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <stdint.h>

typedef struct la_static_keys_t la_static_keys_t;

/* Largest key file. */
#define LA_STATIC_KEYS_BYTES ((apr_size_t)64 * 1024 * 1024)

/* What the entries of one id have in common: the keys before a rotation, and the new one. */
typedef struct la_key_entries_t {
    int count;
    int endless;     /* how many never expire */
    apr_time_t ends; /* when the last one that is not disabled expires; LA_KEY_NEVER */
} la_key_entries_t;

#define LA_KEY_NEVER APR_INT64_MAX

/* One key. */
typedef struct la_api_key_t {
    unsigned char digest[LA_DIGEST_BYTES]; /* SHA-256 of the key */
    uint64_t mark;                         /* a hash of the digest, for la_key_uses_note() */
    const char *id;                        /* or NULL */
    const char *label;                     /* its id, or "keys[3]" */
    int position;                          /* in the file's list, from 0 */
    int entry;                             /* its place among the entries of its id, from 1 */
    int disabled;
    apr_time_t created;             /* 0: unknown */
    apr_time_t not_before;          /* 0: always */
    apr_time_t expires;             /* the first moment when it is not accepted; 0: never */
    const apr_array_header_t *from; /* of la_cidr_t: where it is accepted; NULL: anywhere */
    const la_identity_t *identity;
    const la_key_entries_t *entries; /* of its id */
    struct la_api_key_t *next;       /* with the same first bytes */
} la_api_key_t;

/* How to read a file. */
typedef struct la_static_keys_form_t {
    const la_provider_common_t *common; /* PrincipalClaim and Claim of the provider */
    int lenient; /* passes over members that nobody knows; "-" is an absent principal, because
                    PrincipalClaim may name another member */
} la_static_keys_form_t;

/* Reads a key file, strictly (spec sections 4 and 17). pool: holds the table. scratch: for what is
 * needed only while reading; may become large. keys: NULL on failure. Returns NULL, or what is
 * wrong, beginning with the entry's position ("keys[3]: duplicate sha256"), in `pool`; it never
 * quotes the file, where somebody may have put a key by mistake. */
const char *la_static_keys_parse(la_slice_t text, const la_static_keys_form_t *form,
                                 apr_pool_t *pool, apr_pool_t *scratch, la_static_keys_t **keys);

/* The key with that SHA-256 (LA_DIGEST_BYTES bytes), or NULL. Keys that are not valid too. */
const la_api_key_t *la_static_keys_find(const la_static_keys_t *keys, const unsigned char *digest);

/* All keys in the file's order: array of const la_api_key_t *. */
const apr_array_header_t *la_static_keys_all(const la_static_keys_t *keys);

/* NULL if the key is valid now, else the reason as it follows its name ("expired at ..."), in
 * `pool` or constant. */
const char *la_static_keys_refusal(const la_api_key_t *key, apr_time_t now, apr_pool_t *pool);

/* Whether the key expires within that time, and no other key of its id lasts longer. */
int la_static_keys_ends_soon(const la_api_key_t *key, apr_time_t now, apr_interval_time_t within);

/* Whether the key is accepted from that address. A `from` that is empty, and a text that is no
 * address (NULL too), admit nobody. */
int la_static_keys_is_from(const la_api_key_t *key, const char *client_ip);
