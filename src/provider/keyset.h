/* The keys of a jwt provider in this process: parsed once per version of their source, which is a
 * document that all processes share (JwksUri, Issuer) or a file that each process watches
 * (JwksFile). Any thread.
 */
#ifndef LA_KEYSET_H
#define LA_KEYSET_H

#include "jose/jwk.h"
#include "provider/remote_doc.h"
#include "io/file.h"

typedef struct la_keyset_t la_keyset_t;

/* The keys in force, held by a request: they stay whole until given back, whatever replaces them.
 */
typedef struct la_keyset_hold_t {
    const la_jwks_t *keys; /* NULL: nothing is held */
    apr_uint64_t version;
    void *version_in_use; /* keyset.c's */
} la_keyset_hold_t;

/* Reads a JwksFile while the configuration is read, to find its mistakes then. Returns NULL, or
 * what is wrong, in `pool`. */
const char *la_keyset_check_file(const char *path, la_jwa_set_t allowed, apr_pool_t *pool);

/* Whether a fetched text is a key set with a usable key; for a document's fetch. As
 * la_jwks_parse(). Logs nothing. */
const char *la_keyset_check(la_slice_t text, la_jwa_set_t allowed, apr_pool_t *scratch);

/* Whether two key sets give every token the same verdict: the same usable keys, in whatever order
 * and with whatever else beside them, and the same names of keys that are skipped. */
int la_keyset_same(la_slice_t a, la_slice_t b, la_jwa_set_t allowed, apr_pool_t *scratch);

/* Makes this process's keys from a shared document, or if `path` is not NULL from a file (read now:
 * the child inherits nothing).
 *
 * name: the provider's, for the log.
 */
apr_status_t la_keyset_make(const char *name, la_remote_doc_t *document, const char *path,
                            la_jwa_set_t allowed, apr_pool_t *pchild, la_keyset_t **keyset);

/* What the keys' verdicts hang on: changes when a usable key changes, comes or goes; 0 while there
 * are none. Cheap enough for each request: an atomic load, and for a file a look at most once a
 * second.
 */
apr_uint64_t la_keyset_epoch(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch);

/* Takes hold of the keys in force, bringing them up to date first: one thread parses a new version,
 * the others go on with the old one, or wait if they have none. Skipped keys are logged once per
 * version.
 *
 * Returns 1, or 0 when there are none; la_remote_doc_ensure() is the caller's to ask before.
 */
int la_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch,
                   la_keyset_hold_t *hold);

/* Gives them back; once. */
void la_keyset_release(la_keyset_t *keyset, la_keyset_hold_t *hold);

#endif
