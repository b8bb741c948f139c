/* Signatures by keys that change. Owns when a newer key set is asked for, and what an unknown key
 * means meanwhile: a stranger may make one up at any time, and an issuer may begin to use one at
 * any time. So it is a rejection only where a fetch has shown that there is no such key. Which key
 * a token is verified with is core's (jwt.c), when sets are fetched remote_doc.c's.
 */
#include "provider/signature.h"

#include <string.h>

#include <apr_strings.h>

/* One check under way. */
typedef struct check_t {
    const la_signature_keys_t *keys;
    const la_jwt_t *jwt;
    const la_call_t *call;
    apr_pool_t *pool;
    la_signature_t *said;
} check_t;

/* Verifies with the keys in force. Returns 0 when there are none. */
static int try_keys(const check_t *c, la_jwt_verified_e *verified)
{
    la_keyset_hold_t hold = {0};

    *verified = LA_JWT_BAD;
    c->said->reason = "there is no key set yet";
    if (!la_keyset_hold(c->keys->keyset, c->call->now, c->pool, &hold)) {
        return 0;
    }
    c->said->epoch = hold.version;
    *verified = la_jwt_verify(c->pool, c->jwt, hold.keys, c->keys->algorithms, &c->said->reason);
    la_keyset_release(c->keys->keyset, &hold);
    return 1;
}

static la_signature_e conclude(la_jwt_verified_e verified)
{
    return verified == LA_JWT_VERIFIED ? LA_SIGNATURE_RIGHT : LA_SIGNATURE_WRONG;
}

/* What tells the token's key from others that the set may lack: its name, or without one the token.
 * 0 when libcrypto fails. */
static apr_uint64_t name_of_key(const check_t *c)
{
    unsigned char digest[LA_DIGEST_BYTES];
    apr_uint64_t name = 0;

    if (!c->jwt->kid.data) {
        memcpy(&name, c->call->digest, sizeof(name));
    } else if (la_digest_sha256(c->jwt->kid, digest) == APR_SUCCESS) {
        memcpy(&name, digest, sizeof(name));
    }
    return name;
}

/* Nobody can tell yet whether the token's key exists. */
static la_signature_e ask_later(const check_t *c, const char *reason)
{
    c->said->reason = c->jwt->kid.data ? apr_pstrcat(c->pool, reason, ": kid ",
                                                     la_json_quoted(c->pool, c->jwt->kid), NULL)
                                       : reason;
    c->said->retry_after_s = la_remote_doc_retry_s(c->keys->document);
    return LA_SIGNATURE_EARLY;
}

/* The key may be newer than the set: the token is tried once more with a newer one. */
static la_signature_e try_newer_keys(const check_t *c)
{
    /* Before the keys are read again: what is known of one set says nothing of a later one. */
    la_remote_doc_e ended =
        la_remote_doc_renew(c->keys->document, c->said->epoch, name_of_key(c), c->pool);
    la_jwt_verified_e verified;

    if (!try_keys(c, &verified)) {
        return LA_SIGNATURE_NO_KEYS;
    }
    if (verified != LA_JWT_UNKNOWN_KEY) {
        return conclude(verified);
    }
    switch (ended) {
    case LA_REMOTE_DOC_CURRENT:
        return LA_SIGNATURE_WRONG;
    case LA_REMOTE_DOC_RECENT:
        return ask_later(c, "its key is not in the key set, which was fetched a moment ago");
    case LA_REMOTE_DOC_BUSY:
        return ask_later(c, "its key is not in the key set, which is being fetched");
    case LA_REMOTE_DOC_FAILED:
        break;
    }
    /* Without the key's name: the log tells an outage once for each reason, and strangers choose
     * names. */
    c->said->reason = "its key is not in the key set, and fetching a newer one failed";
    return LA_SIGNATURE_NO_KEYS;
}

la_signature_e la_signature_check(const la_signature_keys_t *keys, const la_jwt_t *jwt,
                                  const la_call_t *call, apr_pool_t *pool, la_signature_t *said)
{
    check_t c = {keys, jwt, call, pool, said};
    la_jwt_verified_e verified;

    *said = (la_signature_t){0};
    if (keys->document) {
        (void)la_remote_doc_ensure(keys->document, pool); /* what came of it, try_keys() sees */
    }
    if (!try_keys(&c, &verified)) {
        return LA_SIGNATURE_NO_KEYS;
    }
    return verified == LA_JWT_UNKNOWN_KEY && keys->document ? try_newer_keys(&c)
                                                            : conclude(verified);
}
