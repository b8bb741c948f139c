/* The key file of the `static` provider: from JSON text to a table of keys, which is constant. */
#ifndef LA_STATIC_KEYS_H
#define LA_STATIC_KEYS_H

#include "access/identity.h"
#include "access/token.h"
#include "provider/provider.h"

#include <apr_pools.h>
#include <apr_time.h>

typedef struct la_static_keys_t la_static_keys_t;

/* One key. */
typedef struct la_api_key_t {
    unsigned char digest[LA_DIGEST_BYTES]; /* SHA-256 of the key */
    const char *label;                     /* for the log: its id, or "keys[3]" */
    apr_time_t expires;                    /* the first moment when it is not accepted; 0: never */
    const la_identity_t *identity;
    struct la_api_key_t *next; /* with the same first bytes */
} la_api_key_t;

/* Reads a key file, strictly (spec section 4, static).
 *
 * common: PrincipalClaim and Claim of the provider. pool: holds the table. scratch: for what is
 * needed only while reading; may become large. keys: NULL on failure.
 * Returns NULL, or what is wrong, beginning with the entry's position ("keys[3]: duplicate
 * sha256"), in `pool`; it never quotes the file, where somebody may have put a key by mistake.
 */
const char *la_static_keys_parse(la_slice_t text, const la_provider_common_t *common,
                                 apr_pool_t *pool, apr_pool_t *scratch, la_static_keys_t **keys);

/* The key with that SHA-256 (LA_DIGEST_BYTES bytes), or NULL. Expired ones too. */
const la_api_key_t *la_static_keys_find(const la_static_keys_t *keys, const unsigned char *digest);

#endif
