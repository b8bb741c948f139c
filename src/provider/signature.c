/* Signatures by keys that change. Owns when a newer key set is asked for, and what an unknown key
 * means meanwhile: strangers may make one up at any time, and an issuer may begin to use one at any
 * time. So it is a rejection only if a fetch has shown that there is no such key. jwt.c chooses the
 * key for a token, remote_doc.c fetches sets.
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
    la_result_t *result;
} check_t;

static int give_up(const check_t *c, const char *reason)
{
    la_result_set(c->result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR, reason);
    return 0;
}

/* Verifies with the current keys. Sets the result, which stands unless the key is unknown. */
static la_jwt_verified_e try_keys(const check_t *c)
{
    la_jwt_verified_e verified;
    la_keyset_hold_t hold;
    const char *reason;

    if (!la_keyset_hold(c->keys->keyset, c->call->now, c->pool, &hold)) {
        give_up(c, "there is no key set yet");
        return LA_JWT_BAD;
    }
    verified = la_jwt_verify(c->pool, c->jwt, hold.keys, c->keys->algorithms, &reason);
    c->result->epoch = hold.version;
    la_keyset_release(c->keys->keyset, &hold);
    if (verified != LA_JWT_VERIFIED) {
        la_result_set(c->result, LA_VERDICT_REJECTED, LA_SIGNATURE_MESSAGE, reason);
    }
    return verified;
}

/* What tells the token's key from others that the set may lack: its name, or without one the token.
 * 0 if libcrypto fails. */
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
static int ask_later(const check_t *c, const char *reason)
{
    c->result->cause = LA_CAUSE_TOKEN;
    c->result->retry_after_s = la_remote_doc_retry_s(c->keys->document);
    return give_up(c, c->jwt->kid.data ? apr_pstrcat(c->pool, reason, ": kid ",
                                                     la_json_quoted(c->pool, c->jwt->kid), NULL)
                                       : reason);
}

/* The key may be newer than the set: tries the token once more with a newer one. */
static int try_newer_keys(const check_t *c)
{
    /* Before the keys are read again: what is known of one set says nothing of a later one. */
    la_remote_doc_e answer =
        la_remote_doc_renew(c->keys->document, c->result->epoch, name_of_key(c), c->pool);
    la_jwt_verified_e verified = try_keys(c);

    if (verified != LA_JWT_UNKNOWN_KEY) {
        return verified == LA_JWT_VERIFIED;
    }
    switch (answer) {
    case LA_REMOTE_DOC_CURRENT:
        return 0;
    case LA_REMOTE_DOC_RECENT:
        return ask_later(c, "its key is not in the key set, which was fetched a moment ago");
    case LA_REMOTE_DOC_BUSY:
        return ask_later(c, "its key is not in the key set, which is being fetched");
    case LA_REMOTE_DOC_FAILED:
        break;
    }
    /* Without the key's name: the log tells an outage once for each reason, and strangers choose
     * names. */
    return give_up(c, "its key is not in the key set, and fetching a newer one failed");
}

int la_signature_check(const la_signature_keys_t *keys, const la_jwt_t *jwt, const la_call_t *call,
                       apr_pool_t *pool, la_result_t *result)
{
    check_t c = {keys, jwt, call, pool, result};
    la_jwt_verified_e verified;

    if (keys->document) {
        (void)la_remote_doc_ensure(keys->document, pool); /* try_keys() sees what came of it */
    }
    verified = try_keys(&c);
    return verified == LA_JWT_UNKNOWN_KEY && keys->document ? try_newer_keys(&c)
                                                            : verified == LA_JWT_VERIFIED;
}
