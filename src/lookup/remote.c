/* Reads and writes the second-level cache's entries. An entry holds the position among the purges
 * of all machines (remote_purges.c) at which its provider was asked; each answer of Redis comes
 * with the position now. An entry is used only if both are this machine's position too. So nothing
 * that was purged anywhere is accepted here, even if mod_watchdog's thread is late. */
#include "lookup/remote.h"
#include "lookup/remote_link.h"

#include "io/server.h"

#include <string.h>

#include <apr_strings.h>

#include <openssl/crypto.h>

/* The longest time that Redis accepts. */
#define LONGEST_MS APR_INT64_C(31536000000)

/* The start of an entry. A machine of the other byte order reads another layout and ignores it, and
 * so does an older version of the module, whose identities do not tell what a token is bound to. */
#define LAYOUT 0x4c413033u
typedef struct entry_t {
    apr_uint32_t layout;
    apr_uint32_t reserved;
    la_purge_position_t position; /* when the provider was asked */
    apr_int64_t fresh_until;
    apr_int64_t stale_until;
} entry_t;
_Static_assert(sizeof(entry_t) == 40, "an identity behind it is aligned");

const char *la_remote_name(la_remote_e event)
{
    static const char *const names[] = {[LA_REMOTE_HIT] = "hit",
                                        [LA_REMOTE_MISS] = "miss",
                                        [LA_REMOTE_PURGED] = "purged",
                                        [LA_REMOTE_UNREADABLE] = "unreadable",
                                        [LA_REMOTE_UNAVAILABLE] = "unavailable",
                                        [LA_REMOTE_SKIPPED] = "skipped",
                                        [LA_REMOTE_STORED] = "stored",
                                        [LA_REMOTE_STORE_FAILED] = "store_failed"};

    return names[event];
}

static void tell_unreadable(const la_remote_t *remote, la_unseal_e result)
{
    if (la_counters_first(remote->shared.stats, remote->shared.stats_index,
                          LA_REMOTE_TOLD_UNREADABLE)) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0056) "second-level cache %s holds entries that cannot be read (%s); they "
                              "are passed over, and this is not logged again",
               remote->options->redis.address,
               result == LA_UNSEAL_FORMAT ? "of another format"
                                          : "altered, or sealed with another secret");
    }
}

/* Checks that the unsealed bytes are an entry that has not expired and is of the position. */
static la_remote_e check_entry(la_purge_position_t position, la_slice_t plain, apr_time_t now,
                               la_remote_found_t *found)
{
    const la_identity_t *identity = (const void *)(plain.data + sizeof(entry_t));
    entry_t entry;

    if (plain.len <= sizeof(entry) || plain.len - sizeof(entry) > LA_TABLE_VALUE_MAX_BYTES) {
        return LA_REMOTE_UNREADABLE;
    }
    memcpy(&entry, plain.data, sizeof(entry));
    if (entry.layout != LAYOUT || !la_identity_check(identity, plain.len - sizeof(entry))) {
        return LA_REMOTE_UNREADABLE;
    }
    if (entry.fresh_until <= now) {
        return LA_REMOTE_MISS;
    }
    if (la_purge_compare(entry.position, position) != 0) {
        return LA_REMOTE_PURGED;
    }
    *found = (la_remote_found_t){identity, entry.fresh_until, entry.stale_until};
    return LA_REMOTE_HIT;
}

/* Unseals and checks what was found under one name. */
static la_remote_e open_entry(la_remote_t *remote, const la_seal_keys_t *keys, la_slice_t place,
                              const la_redis_answer_t *answer, la_purge_position_t position,
                              apr_time_t now, apr_pool_t *pool, la_remote_found_t *found)
{
    la_unseal_e result;
    la_remote_e event;
    la_slice_t plain;

    if (answer->kind != LA_REDIS_TEXT) {
        return LA_REMOTE_MISS;
    }
    result = la_unseal(keys, place, answer->text, pool, &plain);
    event =
        result == LA_UNSEAL_OK ? check_entry(position, plain, now, found) : LA_REMOTE_UNREADABLE;
    if (event == LA_REMOTE_UNREADABLE) {
        tell_unreadable(remote, result == LA_UNSEAL_OK ? LA_UNSEAL_FORMAT : result);
    }
    return event;
}

/* A question: one name for each secret. */
typedef struct question_t {
    la_seal_keys_t keys[LA_REMOTE_SECRETS];
    la_slice_t words[3 + LA_REMOTE_SECRETS]; /* MGET, the names, era and epoch */
    apr_size_t words_count;
} question_t;

static int make_question(la_remote_t *remote, const la_slice_t *parts, apr_size_t parts_count,
                         apr_pool_t *pool, la_remote_asked_t *asked, question_t *question)
{
    char name[LA_SEAL_NAME_LEN + 1];

    question->words[0] = LA_SLICE("MGET");
    question->words_count = 1;
    for (int i = 0; i < remote->options->secret_count; i++) {
        la_remote_keys(remote, i, &question->keys[i]);
        if (la_seal_name(&question->keys[i], parts, parts_count, name) != APR_SUCCESS) {
            return 0;
        }
        if (i == 0) {
            memcpy(asked->name, name, sizeof(name));
        }
        question->words[question->words_count++] = la_remote_word(remote, pool, "e:", name);
    }
    question->words[question->words_count++] = la_remote_word(remote, pool, "era", "");
    question->words[question->words_count++] = la_remote_word(remote, pool, "epoch", "");
    return 1;
}

/* Sends the question. Sets asked->usable if Redis and this machine are at the same position.
 * Returns 1 when it brought news of purges. */
static int send_question(la_remote_t *remote, const question_t *question, apr_pool_t *pool,
                         la_redis_answer_t *answer, la_remote_asked_t *asked)
{
    la_purge_position_t known = la_remote_known(remote);

    asked->answered = la_remote_is_bound(remote) &&
                      la_remote_command(remote, question->words_count, question->words,
                                        LA_REMOTE_READS, pool, answer) == LA_REDIS_OK &&
                      answer->kind == LA_REDIS_LIST && answer->count == question->words_count - 1;
    asked->usable = asked->answered &&
                    la_remote_settle(remote, known, answer->items + answer->count - 2,
                                     answer->server, 0, pool, &asked->position) &&
                    la_purge_compare(asked->position, la_remote_known(remote)) == 0;
    return la_purge_compare(known, la_remote_known(remote)) != 0;
}

/* Asks, and once more after news of purges: these drop what is cached here, and an answer asked for
 * before would not be kept. */
static void ask_until_no_news(la_remote_t *remote, const question_t *question, apr_pool_t *pool,
                              la_cache_asked_t *since, la_redis_answer_t *answer,
                              la_remote_asked_t *asked)
{
    apr_time_t ends_us = since->ends_us;
    int news = 1;

    for (int tries = 0; tries < 2 && news; tries++) {
        *since = la_cache_asked(remote->shared.cache, since->digest);
        since->ends_us = ends_us;
        news = send_question(remote, question, pool, answer, asked);
    }
}

int la_remote_get(la_remote_t *remote, const la_slice_t *parts, apr_size_t count, apr_pool_t *pool,
                  la_cache_asked_t *since, la_remote_asked_t *asked, la_remote_found_t *found)
{
    la_remote_e event = LA_REMOTE_MISS;
    la_redis_answer_t answer = {0};
    question_t question = {.words_count = 0};

    *asked = (la_remote_asked_t){.usable = 0};
    *found = (la_remote_found_t){0};
    if (make_question(remote, parts, count, pool, asked, &question)) {
        ask_until_no_news(remote, &question, pool, since, &answer, asked);
    }
    for (int i = 0; asked->usable && answer.items && i < remote->options->secret_count &&
                    event != LA_REMOTE_HIT;
         i++) {
        event = open_entry(remote, &question.keys[i], question.words[1 + i], &answer.items[i],
                           asked->position, apr_time_now(), pool, found);
    }
    OPENSSL_cleanse(question.keys, sizeof(question.keys));
    if (asked->answered) {
        la_remote_count(remote, event);
    }
    return event == LA_REMOTE_HIT;
}

/* Makes the entry's bytes. Returns the milliseconds that it lives, 0 or less for none. */
static apr_int64_t make_entry(const la_remote_asked_t *asked, const la_identity_t *identity,
                              const la_cache_times_t *times, apr_time_t now, apr_pool_t *pool,
                              la_slice_t *plain)
{
    apr_size_t size = la_identity_size(identity);
    char *bytes = apr_palloc(pool, sizeof(entry_t) + size);
    entry_t entry = {.layout = LAYOUT, .position = asked->position};
    apr_int64_t ms;

    entry.fresh_until = la_cache_until(now, times->ttl_us, times->end);
    entry.stale_until = la_cache_until(entry.fresh_until, times->stale_us, times->end);
    memcpy(bytes, &entry, sizeof(entry));
    memcpy(bytes + sizeof(entry), identity, size);
    *plain = (la_slice_t){bytes, sizeof(entry) + size};
    ms = (entry.fresh_until - now) / 1000;
    return ms < LONGEST_MS ? ms : LONGEST_MS;
}

/* Returns 1 when Redis took it. */
static int store(la_remote_t *remote, const la_remote_asked_t *asked, la_slice_t plain,
                 apr_int64_t ms, apr_pool_t *pool)
{
    la_slice_t words[5] = {LA_SLICE("SET"),
                           la_remote_word(remote, pool, "e:", asked->name),
                           {0},
                           LA_SLICE("PX"),
                           la_slice_of(apr_psprintf(pool, "%" APR_INT64_T_FMT, ms))};
    la_redis_answer_t answer;
    la_seal_keys_t keys;
    int stored;

    la_remote_keys(remote, 0, &keys);
    stored = la_seal(&keys, words[1], plain, pool, &words[2]) == APR_SUCCESS &&
             la_remote_command(remote, 5, words, LA_REMOTE_WRITES, pool, &answer) == LA_REDIS_OK;
    OPENSSL_cleanse(&keys, sizeof(keys));
    return stored;
}

void la_remote_put(la_remote_t *remote, const la_remote_asked_t *asked,
                   const la_identity_t *identity, const la_cache_times_t *times, apr_time_t now,
                   apr_pool_t *pool)
{
    la_slice_t plain;
    apr_int64_t ms;
    int stored;

    if (!asked->answered || la_identity_size(identity) > LA_TABLE_VALUE_MAX_BYTES) {
        return;
    }
    ms = make_entry(asked, identity, times, now, pool, &plain);
    if (ms > 0) {
        stored = asked->usable && store(remote, asked, plain, ms, pool);
        la_remote_count(remote, stored ? LA_REMOTE_STORED : LA_REMOTE_STORE_FAILED);
    }
}
