/* Remembering proofs here and in Redis. In request threads.
 *
 * Here first: what this machine has seen costs Redis nothing, and while Redis is away this memory
 * goes on alone. Purges and the eras of the second-level cache do not concern proofs.
 *
 * A name that is there already was set by this machine a moment ago if Redis closed the connection
 * before it answered, so that the command was sent again: its value tells.
 *
 * While two secrets are configured, a proof is remembered under the name that each gives it: a
 * machine that has the older one alone meets the second name, and one that has the newer one alone
 * the first. Of those that come at once, one at most gets all its names.
 */
#include "lookup/proofs.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "io/server.h"
#include "lookup/remote_link.h"

#include <apr_strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

/* Redis keeps a proof for so much longer than its life: the clock of a machine may be behind. */
#define CLOCKS_APART_US (APR_TIME_C(300) * APR_USEC_PER_SEC)

/* ---- what the log is told ---- */

static void tell_matter(la_replay_t *memory, la_replay_matter_e matter,
                        const la_replay_item_t *proof, apr_time_t now, apr_pool_t *pool)
{
    if (!la_replay_tell(memory, matter, la_clock_us())) {
        return;
    }
    switch (matter) {
    case LA_REPLAY_IS_FULL:
        la_log(LA_LOG_ERROR, LA_LOGNO(0410) "the memory of DPoP proofs is full, so requests with a "
                                            "proof are refused; it has room again within minutes");
        break;
    case LA_REPLAY_IS_OVER:
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0420) "the caller %s has sent so many DPoP proofs that end in the same "
                              "minute that others would find no room, so further ones are refused",
               la_json_quoted(pool, proof->owner[1]));
        break;
    case LA_REPLAY_IS_BUSY:
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0411) "requests with a DPoP proof are refused: a process of this server "
                              "that is stopped holds the lock of the proofs' memory");
        break;
    case LA_REPLAY_IS_LATE:
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0412) "the clock was put back to before the memory of DPoP proofs began: "
                              "proofs are refused until %s, or until httpd is stopped and started",
               la_timestamp_text(pool, la_replay_ready(memory, now)));
        break;
    case LA_REPLAY_NO_MATTER:
    case LA_REPLAY_IS_ALONE:
        break;
    }
}

static void tell_alone(la_replay_t *memory, const la_remote_t *remote, const char *reason)
{
    if (la_replay_tell(memory, LA_REPLAY_IS_ALONE, la_clock_us())) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0413) "second-level cache %s does not remember DPoP proofs: %s; this "
                              "machine goes on alone, and another may accept the same proofs again",
               remote->options->redis.address, reason);
    }
}

/* ---- in Redis ---- */

/* The name of a proof under one secret. Returns 0 when it cannot be made. */
static int make_name(const la_remote_t *remote, int secret, const unsigned char *digest,
                     apr_pool_t *pool, la_slice_t *name)
{
    la_slice_t parts[2] = {LA_SLICE("proof"), {(const char *)digest, LA_DIGEST_BYTES}};
    char text[LA_SEAL_NAME_LEN + 1];
    la_seal_keys_t keys;
    apr_status_t rv;

    la_remote_keys(remote, secret, &keys);
    rv = la_seal_name(&keys, parts, 2, text);
    OPENSSL_cleanse(&keys, sizeof(keys));
    if (rv == APR_SUCCESS) {
        *name = la_remote_word(remote, pool, "p:", text);
    }
    return rv == APR_SUCCESS;
}

/* Whether the name has this value. If Redis does not answer any more, it is another's. */
static int has_value(la_remote_t *remote, la_slice_t name, const char *value, apr_pool_t *pool)
{
    la_slice_t words[2] = {LA_SLICE("GET"), name};
    la_redis_answer_t answer = {0};

    return la_remote_command(remote, 2, words, LA_REMOTE_READS, pool, &answer) == LA_REDIS_OK &&
           answer.kind == LA_REDIS_TEXT && la_slice_is(answer.text, value);
}

/* Remembers one name. value: that nobody else sets. Returns LA_REPLAY_REFUSED, with the reason,
 * when Redis does not answer, or answers something else. */
static la_replay_e set_name(la_remote_t *remote, la_slice_t name, const char *value,
                            apr_interval_time_t life_us, apr_pool_t *pool, const char **reason)
{
    const char *ms = apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)(life_us / 1000 + 1));
    la_slice_t words[6] = {LA_SLICE("SET"), name,           la_slice_of(value),
                           LA_SLICE("NX"),  LA_SLICE("PX"), la_slice_of(ms)};
    la_redis_answer_t answer = {0};

    if (la_remote_command(remote, 6, words, LA_REMOTE_WRITES, pool, &answer) != LA_REDIS_OK) {
        *reason = answer.text.data;
        return LA_REPLAY_REFUSED;
    }
    if (answer.kind == LA_REDIS_NIL) {
        return answer.is_again && has_value(remote, name, value, pool) ? LA_REPLAY_NEW
                                                                       : LA_REPLAY_SEEN;
    }
    if (answer.kind == LA_REDIS_TEXT && la_slice_is(answer.text, "OK")) {
        return LA_REPLAY_NEW;
    }
    *reason = "it answers SET with something else";
    return LA_REPLAY_REFUSED;
}

/* A value that nobody else sets: a number, since Redis keeps one in less memory than a text. NULL
 * when libcrypto fails. */
static const char *make_value(apr_pool_t *pool)
{
    uint64_t number;

    if (RAND_bytes((unsigned char *)&number, sizeof(number)) != 1) {
        ERR_clear_error();
        return NULL;
    }
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, number >> 1);
}

static la_replay_e remember_in_redis(la_remote_t *remote, const unsigned char *digest,
                                     apr_interval_time_t life_us, apr_pool_t *pool,
                                     const char **reason)
{
    const char *value = make_value(pool);
    la_replay_e result = LA_REPLAY_NEW;

    for (int i = 0; i < remote->options->secret_count && result == LA_REPLAY_NEW; i++) {
        la_slice_t name;

        if (!value || !make_name(remote, i, digest, pool, &name)) {
            *reason = "libcrypto failed";
            return LA_REPLAY_REFUSED;
        }
        result = set_name(remote, name, value, life_us, pool, reason);
    }
    return result;
}

/* ---- both ---- */

/* What Redis says of a proof that is new here. is_alone: it says nothing. */
static la_replay_e ask_redis(const la_shared_t *shared, const la_replay_item_t *proof,
                             apr_time_t now, apr_pool_t *pool, int *is_alone)
{
    const char *reason = "";
    la_replay_e result = remember_in_redis(shared->remote, proof->digest,
                                           proof->until - now + CLOCKS_APART_US, pool, &reason);

    *is_alone = result == LA_REPLAY_REFUSED;
    if (*is_alone) {
        tell_alone(shared->proofs, shared->remote, reason);
        result = LA_REPLAY_NEW;
    }
    return result;
}

la_replay_e la_proofs_remember(const la_shared_t *shared, const la_replay_item_t *proof,
                               apr_time_t now, apr_pool_t *pool)
{
    la_replay_t *memory = shared->proofs;
    la_replay_matter_e matter;
    la_replay_e result;
    int is_alone = 0;

    if (!memory) {
        return LA_REPLAY_REFUSED;
    }
    result = la_replay_remember(memory, proof, now, &matter);
    tell_matter(memory, matter, proof, now, pool);
    if (result == LA_REPLAY_NEW && shared->remote) {
        result = ask_redis(shared, proof, now, pool, &is_alone);
    }
    la_replay_count(memory, result, is_alone);
    return result;
}
