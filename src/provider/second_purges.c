/* Purges on all machines: telling the others, hearing of theirs, and carrying them out here. In request threads and in
 * mod_watchdog's. */
#include "provider/second_link.h"

#include "provider/host.h"

#include <apr_strings.h>

#include <openssl/crypto.h>

#define TICK_US   APR_USEC_PER_SEC
#define PURGE_TTL "604800" /* seconds */

/* More than these at once are one purge of all. */
#define PURGE_FEW 8

/* What the record of a purge says; all when it is missing or cannot be read, so that none is lost. */
static la_purge_t read_purge(la_second_t *second, const la_redis_answer_t *record, apr_pool_t *pool)
{
    la_slice_t place = la_second_word(second, pool, "purge", "");
    la_purge_t purge = {LA_PURGE_ALL, {"", 0}};
    la_seal_keys_t keys;
    la_slice_t text;
    int i;

    for (i = 0; i < second->options->secret_count && record->kind == LA_REDIS_TEXT; i++) {
        if (la_second_keys(second, i, pool, &keys) &&
            la_unseal(&keys, place, record->text, pool, &text) == LA_UNSEAL_OK) {
            if (!la_purge_parse(text, &purge)) {
                purge = (la_purge_t){LA_PURGE_ALL, {"", 0}};
            }
            break;
        }
    }
    OPENSSL_cleanse(&keys, sizeof(keys));
    return purge;
}

/* Fetches the records first to last, at most LA_PURGE_LOG_LENGTH, with one command. */
static int fetch_purges(la_second_t *second, apr_uint64_t first, apr_uint64_t last,
                        apr_pool_t *pool, la_redis_answer_t *answer)
{
    la_slice_t words[1 + LA_PURGE_LOG_LENGTH] = {LA_SLICE("MGET")};
    apr_size_t words_count = 1;
    apr_uint64_t number;

    for (number = first; number <= last; number++) {
        words[words_count++] = la_second_word(
            second, pool, "purge:", apr_psprintf(pool, "%" APR_UINT64_T_FMT, number));
    }
    return la_second_command(second, words_count, words, 1, pool, answer) == LA_REDIS_OK &&
           answer->kind == LA_REDIS_LIST && answer->count == words_count - 1;
}

static void carry_out(la_second_t *second, apr_uint64_t first, const la_redis_answer_t *records,
                      int one_by_one, apr_pool_t *pool)
{
    const la_cache_t *cache = second->shared.cache;
    apr_size_t i;

    for (i = 0; i < records->count; i++) {
        la_purge_t purge = read_purge(second, &records->items[i], pool);

        if (one_by_one) {
            la_cache_purge_numbered(cache, &purge, first + i);
        } else {
            la_cache_purge_remember(cache, &purge, first + i);
        }
    }
}

/* Writes the record of a purge. Returns why not, or NULL and its number. */
static const char *record_purge(la_second_t *second, la_slice_t purge, apr_pool_t *pool,
                                apr_uint64_t *number)
{
    static const char script[] = "local n = redis.call('INCR', KEYS[1]) "
                                 "redis.call('SET', KEYS[2] .. n, ARGV[1], 'EX', ARGV[2]) return n";
    la_redis_answer_t answer;
    la_seal_keys_t keys;
    la_slice_t sealed;

    if (!la_second_keys(second, 0, pool, &keys) ||
        la_seal(&keys, la_second_word(second, pool, "purge", ""), purge, pool, &sealed) !=
            APR_SUCCESS) {
        return "libcrypto failed";
    }
    la_slice_t words[] = {LA_SLICE("EVAL"),
                          {script, sizeof(script) - 1},
                          LA_SLICE("2"),
                          la_second_word(second, pool, "epoch", ""),
                          la_second_word(second, pool, "purge:", ""),
                          sealed,
                          LA_SLICE(PURGE_TTL)};

    /* Past the breaker: somebody waits for it who should know whether it was done. */
    if (la_redis_command(second->redis, sizeof(words) / sizeof(words[0]), words, pool, &answer) !=
        LA_REDIS_OK) {
        la_second_note_error(second, answer.text.data);
        return answer.text.data;
    }
    if (answer.kind != LA_REDIS_INTEGER || answer.integer <= 0) {
        return "its answer is of an unknown kind";
    }
    *number = (apr_uint64_t)answer.integer;
    return NULL;
}

apr_uint64_t la_second_known(const la_second_t *second)
{
    return la_purge_known(la_cache_purges(second->shared.cache));
}

/* Redis knows of fewer purges than it did: it lost its memory, or was restored from an older one. Nobody can say whether an
 * entry that it has was purged, so all of them are, by a purge that the others hear of too. Until it takes that, nothing that
 * it has is believed. */
static void begin_anew(la_second_t *second, apr_pool_t *pool)
{
    static const la_purge_t all = {LA_PURGE_ALL, {"", 0}};
    const la_cache_t *cache = second->shared.cache;
    const char *address = second->options->redis.address;
    apr_uint64_t number = 0;
    const char *error;

    la_cache_purge(cache, &all);
    error = record_purge(second, LA_SLICE("all"), pool, &number);
    if (!error) {
        la_cache_purge_remember(cache, &all, number);
        la_purge_set_known(la_cache_purges(cache), number, 1);
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0054) "second-level cache %s began anew: all cached identities are dropped",
               address);
    } else if (la_stats_first(second->shared.stats, second->shared.stats_index,
                              LA_SECOND_TOLD_FORGOTTEN)) {
        la_log(LA_LOG_ERROR,
               LA_LOGNO(0057) "second-level cache %s forgot purges and cannot be told to drop what "
                              "it has: %s; going on without it, and this is not logged again",
               address, error);
    }
}

int la_second_catch_up(la_second_t *second, apr_uint64_t least, apr_uint64_t number,
                       apr_pool_t *pool)
{
    static const la_purge_t all = {LA_PURGE_ALL, {"", 0}};
    apr_uint64_t known = la_second_known(second);
    apr_uint64_t first = number > LA_PURGE_LOG_LENGTH ? number - LA_PURGE_LOG_LENGTH + 1 : 1;
    la_redis_answer_t records = {0};
    int few = known > 0 && number - known <= PURGE_FEW;

    if (number < least) {
        if (la_purge_turn(la_cache_purges(second->shared.cache), apr_time_now(), TICK_US)) {
            begin_anew(second, pool);
        }
        return 0;
    }
    if (number <= known) {
        return 1;
    }
    first = few ? known + 1 : first;
    if (!fetch_purges(second, first, number, pool, &records)) {
        return 0;
    }
    if (!few) {
        la_cache_purge(second->shared.cache, &all);
    }
    carry_out(second, first, &records, few, pool);
    la_purge_set_known(la_cache_purges(second->shared.cache), number, 0);
    return 1;
}

int la_second_number(const la_redis_answer_t *answer, apr_uint64_t *number)
{
    char *end;
    apr_int64_t value;

    *number = 0;
    if (answer->kind == LA_REDIS_NIL) {
        return 1;
    }
    value = answer->kind == LA_REDIS_TEXT ? apr_strtoi64(answer->text.data, &end, 10) : -1;
    if (value < 0 || answer->text.len == 0 || *end) {
        return 0;
    }
    *number = (apr_uint64_t)value;
    return 1;
}

const char *la_second_purge(la_second_t *second, la_slice_t purge, apr_pool_t *pool)
{
    apr_uint64_t known = la_second_known(second);
    apr_uint64_t number = 0;
    const char *error = record_purge(second, purge, pool, &number);

    if (!error && number <= known) {
        begin_anew(second, pool);
    } else if (!error) {
        /* Known at once: a Redis that dies now and forgets it must not be believed later. */
        la_second_catch_up(second, known, number, pool);
    }
    return error;
}

void la_second_tick(la_second_t *second, apr_time_t now, apr_pool_t *scratch)
{
    la_slice_t words[] = {LA_SLICE("GET"), la_second_word(second, scratch, "epoch", "")};
    la_redis_answer_t answer;
    apr_uint64_t known = la_second_known(second);
    apr_uint64_t number;

    if (!la_purge_turn(la_cache_purges(second->shared.cache), now, TICK_US)) {
        return;
    }
    if (la_second_command(second, 2, words, 1, scratch, &answer) != LA_REDIS_OK) {
        la_redis_resolve(second->redis, scratch);
    } else if (la_second_number(&answer, &number) && number < known) {
        begin_anew(second, scratch);
    } else if (la_second_number(&answer, &number)) {
        la_second_catch_up(second, known, number, scratch);
    }
}
