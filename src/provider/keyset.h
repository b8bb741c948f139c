/* The keys of a jwt provider in one process: parsed once per version of their text, which is a
 * document that all processes share (JwksUri, Issuer) or a file (JwksFile). Any thread. */
#pragma once

#include "jose/jwk.h"
#include "provider/remote_doc.h"

typedef struct la_keyset_t la_keyset_t;

/* The current keys, held by a request: they stay whole until they are released. */
typedef struct la_keyset_hold_t {
    const la_jwks_t *keys; /* NULL: there are none */
    apr_uint64_t version;
    unsigned held; /* reload.h's */
} la_keyset_hold_t;

/* Whether two key sets give every token the same verdict: they have the same usable keys, in any
 * order and with anything beside them, and the same names of skipped keys. */
int la_keyset_same(la_slice_t a, la_slice_t b, la_jwa_set_t allowed, apr_pool_t *scratch);

/* Reads keys from a file, while the configuration is read; children inherit them. provider: its
 * name, for the log. keyset: in `pool`, NULL on failure. Returns NULL, or "path: what is wrong" in
 * `pool`. */
const char *la_keyset_read(const char *provider, const char *path, la_jwa_set_t allowed,
                           apr_pool_t *pool, la_keyset_t **keyset);

/* Makes this process's keys of a shared document. */
la_keyset_t *la_keyset_make(const char *provider, la_remote_doc_t *document, la_jwa_set_t allowed,
                            apr_pool_t *pool);

/* Warns if this process cannot read the file that the keys are in. */
void la_keyset_check_readable(const la_keyset_t *keyset, apr_pool_t *pool);

/* What verdicts depend on: changes when a usable key changes; 0 while there are no keys. Cheap
 * enough for each request: an atomic load, or for a file three and at most a stat() a second. */
apr_uint64_t la_keyset_epoch(la_keyset_t *keyset, apr_time_t now);

/* Takes hold of the current keys, after bringing them up to date: no verdict is made with keys that
 * are older than what la_keyset_epoch() has said before. Skipped keys are logged once per version.
 * Returns 1, or 0 when there are no keys and nothing is to be released. The caller asks
 * la_remote_doc_ensure() before. */
int la_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch,
                   la_keyset_hold_t *hold);

void la_keyset_release(la_keyset_t *keyset, const la_keyset_hold_t *hold);
