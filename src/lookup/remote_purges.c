/* Purges on all machines: tells others, hears of theirs, and begins a new era when Redis lost its
 * words. Runs in request threads and in mod_watchdog's.
 *
 * Redis has two words: `era` and `epoch`, the number of purges in that era. Together they are a
 * position (shm/purge_log.h). The machine that takes a purge drops the entries that it names and
 * increments `epoch`; a machine that sees another position than it knows drops everything it has.
 * Entries hold the position at which their provider was asked, and are used only while Redis and
 * this machine are both at that position.
 *
 * After a failover both masters may take purges for some seconds, and machines that have changed
 * over do not hear of those that the old one took. So a machine that told one of them begins a new
 * era when it comes to the other.
 *
 * If Redis lost data, its words are missing, belong to another server process, database or prefix,
 * or are at an earlier position than this machine's. In all these cases a new era begins, later
 * than any before. */
#include "lookup/remote.h"
#include "lookup/remote_link.h"

#include "access/token.h"
#include "io/server.h"

#include <apr_strings.h>

#include <string.h>

#define TICK_US APR_USEC_PER_SEC

/* Hex digits of each half of `era`: the number, and what it is bound to. */
#define HALF 16

typedef struct state_t {
    la_slice_t era; /* as Redis has them; empty when they are missing */
    la_slice_t epoch;
    const char *bound; /* second half of each `era` of that server, database and prefix */
} state_t;

static void drop_all(const la_cache_t *cache)
{
    static const la_purge_t all = {LA_PURGE_ALL, {"", 0}};

    la_cache_purge(cache, &all);
}

/* ---- what Redis says ---- */

/* Returns the first digits of the text's digest. */
static const char *short_digest(apr_pool_t *pool, const char *text)
{
    char id[LA_CLIENT_ID_LEN + 1] = "";
    unsigned char digest[LA_DIGEST_BYTES];

    if (la_digest_sha256(la_slice_of(text), digest) == APR_SUCCESS) {
        la_token_client_id(digest, id);
    }
    return apr_pstrmemdup(pool, id, HALF);
}

/* Returns what stands for a server process in the log of purges. */
static uint64_t number_of_server(apr_pool_t *pool, const char *server)
{
    uint64_t number;

    memcpy(&number, short_digest(pool, server), sizeof(number)); /* text, so never 0 */
    return number;
}

static state_t read_state(const la_remote_t *remote, const la_redis_answer_t *words,
                          const char *server, apr_pool_t *pool)
{
    const la_redis_options_t *options = &remote->options->redis;
    state_t state = {words[0].text, words[1].text, NULL};

    state.bound =
        short_digest(pool, apr_psprintf(pool, "%s %d %s", server, options->db, options->prefix));
    return state;
}

static int read_number(la_slice_t text, int base, apr_uint64_t max, apr_uint64_t *number)
{
    char copy[HALF + 1] = "";
    char *end;
    apr_int64_t value;

    *number = 0;
    if (text.len == 0 || text.len > HALF) {
        return 0;
    }
    memcpy(copy, text.data, text.len);
    if (strspn(copy, "0123456789abcdef") != text.len) {
        return 0;
    }
    value = apr_strtoi64(copy, &end, base);
    *number = value > 0 ? (apr_uint64_t)value : 0;
    return *end == '\0' && *number > 0 && *number <= max;
}

/* Reads the era. Returns 0 if it is not one of this Redis. */
static int read_era(const state_t *state, apr_uint64_t *era)
{
    *era = 0;
    return state->era.len == (apr_size_t)2 * HALF &&
           memcmp(state->era.data + HALF, state->bound, HALF) == 0 &&
           read_number((la_slice_t){state->era.data, HALF}, 16, APR_INT64_MAX, era) &&
           la_purge_era_is_sound(*era, apr_time_now());
}

/* Reads the position. Returns 0 if the words are incomplete or not of this Redis. */
static int read_position(const state_t *state, la_purge_position_t *position)
{
    return read_era(state, &position->era) &&
           read_number(state->epoch, 10, LA_PURGE_NUMBER_MAX, &position->number);
}

/* ---- what Redis is told ---- */

/* Runs a script on both words, which returns them. It bypasses the breaker: it is rare, and the
 * caller must know whether it ran. */
static la_redis_e run_script(la_remote_t *remote, const char *script, const la_slice_t *arguments,
                             apr_size_t count, apr_pool_t *pool, la_redis_answer_t *answer)
{
    la_slice_t words[8] = {LA_SLICE("EVAL"), la_slice_of(script), LA_SLICE("2"),
                           la_remote_word(remote, pool, "era", ""),
                           la_remote_word(remote, pool, "epoch", "")};
    la_redis_e result;

    if (count > 0) { /* memcpy from NULL is undefined even then */
        memcpy(words + 5, arguments, count * sizeof(*arguments));
    }
    result = la_redis_command(remote->redis, 5 + count, words, pool, answer);
    if (result == LA_REDIS_OK && (answer->kind != LA_REDIS_LIST || answer->count != 2)) {
        answer->text = LA_SLICE("its answer is of an unknown kind");
        result = LA_REDIS_FAILED;
    }
    if (result != LA_REDIS_OK) {
        la_remote_note_error(remote, answer->text.data);
    }
    return result;
}

/* Has Redis begin a new era, unless its words have changed. Returns NULL and its words, or why it
 * could not. */
static const char *begin_era(la_remote_t *remote, const state_t *seen, apr_pool_t *pool,
                             la_redis_answer_t *answer)
{
    static const char script[] = "local v = redis.call('MGET', KEYS[1], KEYS[2]) "
                                 "if (v[1] or '') == ARGV[1] and (v[2] or '') == ARGV[2] then "
                                 "redis.call('MSET', KEYS[1], ARGV[3], KEYS[2], '1') end "
                                 "return redis.call('MGET', KEYS[1], KEYS[2])";
    apr_uint64_t era = la_purge_draw(la_cache_purges(remote->shared.cache), apr_time_now());
    const char *word = apr_psprintf(pool, "%016" APR_UINT64_T_HEX_FMT "%s", era, seen->bound);
    la_slice_t arguments[3] = {seen->era, seen->epoch, la_slice_of(word)};

    if (!era) {
        return "there are no random numbers";
    }
    return run_script(remote, script, arguments, 3, pool, answer) == LA_REDIS_OK
               ? NULL
               : answer->text.data;
}

/* ---- agreeing with Redis ---- */

/* Logs nothing on a machine that has not heard of any purge: it loses nothing. */
static void log_new_era(const la_remote_t *remote, int heard, const char *error)
{
    const char *address = remote->options->redis.address;

    if (heard && !error) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0054) "second-level cache %s lost data or missed a purge: all cached "
                              "identities are dropped, on all machines",
               address);
    }
    if (heard && error &&
        la_counters_first(remote->shared.stats, remote->shared.stats_index,
                          LA_REMOTE_TOLD_FORGOTTEN)) {
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0057) "second-level cache %s forgot purges and cannot be told to drop what "
                              "it has: %s; going on without it, and this is not logged again",
               address, error);
    }
}

/* Takes over a position that is not earlier than the known one. Drops everything first: if this
 * process dies in between, the next one does it again. */
static void adopt(const la_remote_t *remote, la_purge_position_t position)
{
    la_purge_log_t *log = la_cache_purges(remote->shared.cache);

    if (la_purge_compare(position, la_purge_known(log)) > 0) {
        drop_all(remote->shared.cache);
        la_purge_advance(log, position);
    }
}

/* Replaces an era that is lost, or that lost purges. Returns the words of Redis then, or NULL. */
static const la_redis_answer_t *renew(la_remote_t *remote, const state_t *seen, apr_pool_t *pool,
                                      la_redis_answer_t *answer)
{
    la_purge_log_t *log = la_cache_purges(remote->shared.cache);
    int heard = la_purge_known(log).era != 0;
    la_purge_position_t last = {0, 0};
    const char *error;

    drop_all(remote->shared.cache);
    if (read_era(seen, &last.era)) {
        la_purge_advance(log, last); /* the new era must be later than this one too */
    }
    error = begin_era(remote, seen, pool, answer);
    atomic_store(&remote->refused_at, error ? apr_time_now() : 0);
    log_new_era(remote, heard, error);
    return error ? NULL : answer;
}

la_purge_position_t la_remote_known(const la_remote_t *remote)
{
    return la_purge_known(la_cache_purges(remote->shared.cache));
}

/* Returns 1 if Redis refused a new era less than a second ago. */
static int was_refused(const la_remote_t *remote)
{
    apr_time_t at = atomic_load(&remote->refused_at);
    apr_time_t now = apr_time_now();

    return at != 0 && now >= at && now - at < TICK_US;
}

int la_remote_settle(la_remote_t *remote, la_purge_position_t least, const la_redis_answer_t *words,
                     const char *server, int insist, apr_pool_t *pool,
                     la_purge_position_t *position)
{
    state_t state = read_state(remote, words, server, pool);
    la_redis_answer_t answer;

    if (la_purge_was_told_elsewhere(la_cache_purges(remote->shared.cache),
                                    number_of_server(pool, server), apr_time_now())) {
        least = la_remote_known(remote); /* a new era, so that all machines hear of that purge */
    }
    if (!read_position(&state, position) || la_purge_compare(*position, least) < 0) {
        if (la_purge_compare(la_remote_known(remote), least) > 0) {
            return 0; /* another thread has learned of a later position meanwhile */
        }
        if ((!insist && was_refused(remote)) || !renew(remote, &state, pool, &answer)) {
            return 0;
        }
        state = read_state(remote, answer.items, answer.server, pool);
        if (!read_position(&state, position) || la_purge_compare(*position, least) < 0) {
            return 0;
        }
    }
    adopt(remote, *position);
    return 1;
}

int la_remote_is_bound(const la_remote_t *remote)
{
    return la_purge_is_bound(la_cache_purges(remote->shared.cache), remote->place);
}

apr_uint64_t la_remote_place(const la_remote_options_t *options, apr_pool_t *pool)
{
    apr_uint64_t place = LA_PURGE_ALONE;

    if (options) {
        const la_redis_options_t *redis = &options->redis;
        const char *digits = short_digest(
            pool, apr_psprintf(pool, "%s %d %s", redis->address, redis->db, redis->prefix));

        memcpy(&place, digits, sizeof(place)); /* text: none of the numbers that mean something */
    }
    return place;
}

void la_remote_bind(const la_cache_t *cache, la_remote_t *remote, apr_pool_t *pool)
{
    apr_uint64_t place = la_remote_place(remote ? remote->options : NULL, pool);

    if (remote) {
        remote->place = place;
    }
    if (la_purge_bind(la_cache_purges(cache), place, apr_time_now())) {
        drop_all(cache);
    }
}

/* ---- purges ---- */

/* Increments `epoch`. Returns NULL and the words of Redis then, or why it could not. */
static const char *count_purge(la_remote_t *remote, apr_pool_t *pool, la_redis_answer_t *answer)
{
    static const char count[] = "local v = redis.call('MGET', KEYS[1], KEYS[2]) "
                                "if v[1] and v[2] then redis.call('INCR', KEYS[2]) end "
                                "return redis.call('MGET', KEYS[1], KEYS[2])";
    static const char look[] = "return redis.call('MGET', KEYS[1], KEYS[2])";
    la_redis_e result = run_script(remote, count, NULL, 0, pool, answer);

    if (result == LA_REDIS_ERROR) { /* it is no number: the caller begins a new era */
        result = run_script(remote, look, NULL, 0, pool, answer);
    }
    return result == LA_REDIS_OK ? NULL : answer->text.data;
}

/* Tells Redis. All machines hear of the purge once Redis is at `next` or later. */
static const char *tell_redis(la_remote_t *remote, const la_purge_t *purge,
                              la_purge_position_t next, apr_pool_t *pool)
{
    la_redis_answer_t answer;
    la_purge_position_t position;
    state_t state;
    const char *error = la_remote_is_bound(remote) ? count_purge(remote, pool, &answer)
                                                   : "the configuration has changed";

    if (error) {
        return error;
    }
    state = read_state(remote, answer.items, answer.server, pool);
    if (read_position(&state, &position) && la_purge_compare(position, next) == 0) {
        /* It is the server of the purge before, to which the era is bound. No other machine's purge
         * came in between: only what this one names is dropped, again, with what came from Redis
         * meanwhile. */
        la_cache_purge(remote->shared.cache, purge);
        la_purge_advance(la_cache_purges(remote->shared.cache), position);
    } else if (!la_remote_settle(remote, next, answer.items, answer.server, 1, pool, &position)) {
        return "it does not begin a new era";
    }
    la_purge_note_told(la_cache_purges(remote->shared.cache),
                       number_of_server(pool, answer.server));
    return NULL;
}

const char *la_remote_purge(la_remote_t *remote, const la_purge_t *purge, apr_pool_t *pool)
{
    la_purge_position_t next;
    const char *error;
    int tries = 0;

    do { /* once more if another thread agreed with Redis on a new era meanwhile */
        next = la_remote_known(remote);
        next.number++;
        error = tell_redis(remote, purge, next, pool);
    } while (error && ++tries < 3 && la_purge_compare(la_remote_known(remote), next) > 0);
    if (error) {
        /* All that Redis has is too old here from now on, and everywhere once it can be told. */
        la_purge_raise(la_cache_purges(remote->shared.cache), apr_time_now());
    }
    return error;
}

void la_remote_tick(la_remote_t *remote, apr_time_t now, apr_pool_t *scratch)
{
    la_slice_t words[] = {LA_SLICE("MGET"), la_remote_word(remote, scratch, "era", ""),
                          la_remote_word(remote, scratch, "epoch", "")};
    la_purge_position_t known = la_remote_known(remote);
    la_redis_answer_t answer;
    la_redis_e result;

    if (!la_remote_is_bound(remote) ||
        !la_purge_turn(la_cache_purges(remote->shared.cache), now, TICK_US)) {
        return;
    }
    result =
        la_remote_command(remote, 3, words, LA_REMOTE_READS | LA_REMOTE_ANYWAY, scratch, &answer);
    atomic_store(&remote->lost, result != LA_REDIS_OK || answer.kind != LA_REDIS_LIST ||
                                    answer.count != 2 ||
                                    !la_remote_settle(remote, known, answer.items, answer.server, 1,
                                                      scratch, &known));
}

void la_remote_watch(la_remote_t *remote, apr_pool_t *scratch)
{
    la_redis_watch(remote->redis, !atomic_load(&remote->lost), scratch);
}
