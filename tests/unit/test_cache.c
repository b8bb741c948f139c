/* cache.c as one process sees it: what makes two keys differ, how long a verdict holds by which
 * clock, and what a new verdict does to an old one. Floods, garbage and other processes stand in
 * test_cache_shared.c.
 */
#include "caches.h"

#include <openssl/hmac.h>

/* ---- keys ------------------------------------------------------------------------------ */

#define FIELDS_MAX 4

typedef struct key_case_t {
    const char *name;
    const char *fingerprint;
    const char *digest;
    apr_size_t count;
    la_slice_t fields[FIELDS_MAX];
} key_case_t;

#define FIELD(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define ABSENT                                                                                     \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
#define ONE   "\1\0\0\0\0\0\0\0" /* as the length in front of one byte */
#define EIGHT "\10\0\0\0\0\0\0\0"
#define NONE  "\377\377\377\377\377\377\377\377" /* as what stands for an absent field */

/* Each is unlike every other. */
static key_case_t key_cases[] = {
    {"key: no fields", "p", "t", 0, {ABSENT}},
    {"key: another provider", "q", "t", 0, {ABSENT}},
    {"key: another token", "p", "u", 0, {ABSENT}},
    {"key: provider and token exchanged", "t", "p", 0, {ABSENT}},
    {"key: absent field", "p", "t", 1, {ABSENT}},
    {"key: empty field", "p", "t", 1, {FIELD("")}},
    {"key: field that looks absent", "p", "t", 1, {FIELD(NONE)}},
    {"key: field of one NUL", "p", "t", 1, {FIELD("\0")}},
    {"key: field of two NULs", "p", "t", 1, {FIELD("\0\0")}},
    {"key: one field", "p", "t", 1, {FIELD("a")}},
    {"key: the same field twice", "p", "t", 2, {FIELD("a"), FIELD("a")}},
    {"key: two fields in one", "p", "t", 1, {FIELD("aa")}},
    {"key: prefix written into one field", "p", "t", 1, {FIELD("a" ONE "a")}},
    {"key: prefix written into two", "p", "t", 2, {FIELD("a" ONE), FIELD("a")}},
    {"key: prefix at the start of the second", "p", "t", 2, {FIELD("a"), FIELD(ONE "a")}},
    {"key: field of a prefix", "p", "t", 1, {FIELD(ONE)}},
    {"key: field of two prefixes", "p", "t", 1, {FIELD(EIGHT ONE)}},
    {"key: boundary at 1", "p", "t", 2, {FIELD("/"), FIELD("v1/models")}},
    {"key: boundary at 3", "p", "t", 2, {FIELD("/v1"), FIELD("/models")}},
    {"key: boundary at the end", "p", "t", 2, {FIELD("/v1/models"), FIELD("")}},
    {"key: second absent", "p", "t", 2, {FIELD("/v1/models"), ABSENT}},
    {"key: first empty", "p", "t", 2, {FIELD(""), FIELD("/v1/models")}},
    {"key: first absent", "p", "t", 2, {ABSENT, FIELD("/v1/models")}},
    {"key: exchanged", "p", "t", 2, {FIELD("/models"), FIELD("/v1")}},
    {"key: absent and empty", "p", "t", 2, {ABSENT, FIELD("")}},
    {"key: empty and absent", "p", "t", 2, {FIELD(""), ABSENT}},
    {"key: both absent", "p", "t", 2, {ABSENT, ABSENT}},
    {"key: both empty", "p", "t", 2, {FIELD(""), FIELD("")}},
};

static void padded(unsigned char out[32], const char *text)
{
    memset(out, '.', 32);
    memcpy(out, text, strlen(text));
}

static la_cache_key_t key_with(const la_cache_t *with, const key_case_t *c)
{
    unsigned char fingerprint[LA_DIGEST_BYTES];
    unsigned char digest[LA_DIGEST_BYTES];
    la_slice_t parts[2 + ROWS(c->fields)] = {{(const char *)fingerprint, sizeof(fingerprint)},
                                             {(const char *)digest, sizeof(digest)}};
    la_cache_key_t key;

    padded(fingerprint, c->fingerprint);
    padded(digest, c->digest);
    memcpy(parts + 2, c->fields, sizeof(c->fields));
    assert_int_equal(la_cache_key(with, parts, 2 + c->count, &key), APR_SUCCESS);
    return key;
}

static void append(unsigned char *to, unsigned int *len, const void *data, uint64_t count)
{
    uint64_t prefix = data ? count : UINT64_MAX;

    memcpy(to + *len, &prefix, sizeof(prefix));
    *len += (unsigned int)sizeof(prefix);
    memcpy(to + *len, data ? data : "", count);
    *len += (unsigned int)count;
}

/* The same by other means: libcrypto's one call over the text as the header describes it. */
static la_cache_key_t key_by_hand(const key_case_t *c)
{
    unsigned char text[512];
    unsigned char part[32];
    unsigned int len = 0;
    la_cache_key_t key;

    padded(part, c->fingerprint);
    append(text, &len, part, sizeof(part));
    padded(part, c->digest);
    append(text, &len, part, sizeof(part));
    for (apr_size_t i = 0; i < c->count; i++) {
        append(text, &len, c->fields[i].data, c->fields[i].len);
    }
    assert_non_null(HMAC(EVP_sha256(), secret, sizeof(secret), text, len, key.bytes, &len));
    assert_int_equal(len, sizeof(key.bytes));
    return key;
}

static void test_key(void **state)
{
    const key_case_t *row = *state;
    la_cache_key_t key = key_with(cache, row);
    la_cache_key_t by_hand = key_by_hand(row);
    la_cache_key_t again = key_with(cache, row);

    assert_memory_equal(&key, &again, sizeof(key));
    assert_memory_equal(&key, &by_hand, sizeof(key));
    for (size_t i = 0; i < ROWS(key_cases); i++) {
        if (&key_cases[i] != row) {
            la_cache_key_t other = key_with(cache, &key_cases[i]);

            assert_memory_not_equal(&key, &other, sizeof(key));
        }
    }
}

/* Another boot's cache, with the same bytes: nothing is met again. */
static void test_key_of_another_secret(void **state)
{
    unsigned char other_secret[LA_CACHE_SECRET_BYTES];
    la_cache_t *other;
    la_cache_key_t key;

    (void)state;
    memcpy(other_secret, secret, sizeof(secret));
    other_secret[LA_CACHE_SECRET_BYTES - 1] ^= 1;
    assert_int_equal(la_cache_attach(bytes, size, other_secret, test_holder(), pool, &other),
                     APR_SUCCESS);
    key = key_with(other, &key_cases[0]);
    for (size_t i = 0; i < ROWS(key_cases); i++) {
        la_cache_key_t ours = key_with(cache, &key_cases[i]);

        assert_memory_not_equal(&key, &ours, sizeof(key));
    }
}

static void *make_keys(void *failed)
{
    for (int round = 0; round < 200; round++) {
        const key_case_t *c = &key_cases[round % (int)ROWS(key_cases)];
        la_cache_key_t key = key_with(cache, c);
        la_cache_key_t by_hand = key_by_hand(c);

        if (memcmp(&key, &by_hand, sizeof(key)) != 0) {
            atomic_fetch_add((event_t *)failed, 1);
        }
    }
    return NULL;
}

static void test_keys_in_threads(void **state)
{
    event_t failed = 0;

    (void)state;
    run_threads(8, make_keys, &failed);
    assert_int_equal(failed, 0);
}

/* ---- how long an acceptance holds -------------------------------------------------------- */

typedef struct time_case_t {
    const char *name;
    la_cache_times_t times; /* `end` counts from now; 0 stays none */
    apr_interval_time_t after;
    la_cache_e expected;
} time_case_t;

#define FOR_EVER APR_INT64_MAX

static time_case_t time_cases[] = {
    {"accepted: at once", {10 * S, 0, 0}, 0, LA_CACHE_HIT},
    {"accepted: before the end of its time", {10 * S, 0, 0}, 10 * S - 1, LA_CACHE_HIT},
    {"accepted: at the end of its time", {10 * S, 0, 0}, 10 * S, LA_CACHE_MISS},
    {"accepted: a microsecond", {1, 0, 0}, 0, LA_CACHE_HIT},
    {"accepted: for no time", {0, 0, 0}, 0, LA_CACHE_MISS},
    {"accepted: for no time, but stale", {0, HOUR, 0}, 0, LA_CACHE_MISS},
    {"accepted: for less than no time", {-S, HOUR, 0}, 0, LA_CACHE_MISS},
    {"stale: not before its time is over", {10 * S, 5 * S, 0}, 10 * S - 1, LA_CACHE_HIT},
    {"stale: from then on", {10 * S, 5 * S, 0}, 10 * S, LA_CACHE_STALE},
    {"stale: before that is over", {10 * S, 5 * S, 0}, 15 * S - 1, LA_CACHE_STALE},
    {"stale: over", {10 * S, 5 * S, 0}, 15 * S, LA_CACHE_MISS},
    {"end: before it", {10 * S, HOUR, 3 * S}, 3 * S - 1, LA_CACHE_HIT},
    {"end: at it, stale or not", {10 * S, HOUR, 3 * S}, 3 * S, LA_CACHE_MISS},
    {"end: bounds stale use too, before", {10 * S, HOUR, 12 * S}, 12 * S - 1, LA_CACHE_STALE},
    {"end: bounds stale use too, at", {10 * S, HOUR, 12 * S}, 12 * S, LA_CACHE_MISS},
    {"end: with the time's own", {10 * S, HOUR, 10 * S}, 10 * S, LA_CACHE_MISS},
    {"end: past", {10 * S, HOUR, -1}, 0, LA_CACHE_MISS},
    {"end: long past", {10 * S, HOUR, -10 * YEAR}, 0, LA_CACHE_MISS},
    {"end: far off", {10 * S, 0, FOR_EVER - NOW_US}, 10 * S, LA_CACHE_MISS},
    {"no overflow: all times", {FOR_EVER, FOR_EVER, 0}, 100 * YEAR, LA_CACHE_HIT},
    {"no overflow: stale", {S, FOR_EVER, 0}, 100 * YEAR, LA_CACHE_STALE},
    {"no overflow: end", {FOR_EVER, FOR_EVER, 10 * S}, 10 * S, LA_CACHE_MISS},
    {"clock: an hour ahead", {300 * S, 0, 0}, HOUR, LA_CACHE_MISS},
    {"clock: ten years ahead", {300 * S, 24 * HOUR, 0}, 10 * YEAR, LA_CACHE_MISS},
    {"clock: an hour ahead, within the time", {24 * HOUR, 0, 0}, HOUR, LA_CACHE_HIT},
    {"clock: four seconds back", {300 * S, 0, 0}, -4 * S, LA_CACHE_HIT},
    {"clock: an hour back", {300 * S, 24 * HOUR, 0}, -HOUR, LA_CACHE_MISS},
    {"clock: ten years back", {300 * S, 24 * HOUR, 0}, -10 * YEAR, LA_CACHE_MISS},
    {"clock: to the beginning", {300 * S, 24 * HOUR, 0}, -NOW_US, LA_CACHE_MISS},
};

static void test_time(void **state)
{
    const time_case_t *row = *state;
    la_cache_times_t times = row->times;
    la_cache_key_t key = key_of(1);
    int kept;

    times.end = times.end ? NOW_US + times.end : 0;
    kept = la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, NOW_US);
    assert_int_equal(kept, times.ttl_us > 0 && (!times.end || times.end > NOW_US));
    assert_int_equal(get(1, NOW_US + row->after), row->expected);
    assert_int_equal(get(2, NOW_US + row->after), LA_CACHE_MISS);
}

typedef struct rejection_case_t {
    const char *name;
    apr_interval_time_t ttl_us;
    apr_interval_time_t after;
    la_cache_e expected;
} rejection_case_t;

static rejection_case_t rejection_cases[] = {
    {"rejected: at once", 10 * S, 0, LA_CACHE_NEGATIVE},
    {"rejected: before the end of its time", 10 * S, 10 * S - 1, LA_CACHE_NEGATIVE},
    {"rejected: at the end of its time", 10 * S, 10 * S, LA_CACHE_MISS},
    {"rejected: for no time", 0, 0, LA_CACHE_MISS},
    {"rejected: no overflow", FOR_EVER, 100 * YEAR, LA_CACHE_NEGATIVE},
    {"rejected: clock an hour ahead", 10 * S, HOUR, LA_CACHE_MISS},
    {"rejected: clock ten years ahead", 10 * S, 10 * YEAR, LA_CACHE_MISS},
    {"rejected: clock an hour back", 10 * S, -HOUR, LA_CACHE_MISS},
    {"rejected: clock ten years back", 10 * S, -10 * YEAR, LA_CACHE_MISS},
};

static void test_rejection(void **state)
{
    const rejection_case_t *row = *state;

    reject_for(1, row->ttl_us, NOW_US);
    assert_int_equal(get(1, NOW_US + row->after), row->expected);
    assert_int_equal(get(2, NOW_US + row->after), LA_CACHE_MISS);
}

/* The clock goes back and forth; what was accepted meanwhile lives by the clock that it met. */
static void test_nothing_is_immortal(void **state)
{
    (void)state;
    for (apr_interval_time_t jump = HOUR; jump <= 10 * YEAR; jump *= 10) {
        accept_for(1, 300 * S, NOW_US);
        assert_int_equal(get(1, NOW_US - jump), LA_CACHE_MISS);
        accept_for(1, 300 * S, NOW_US - jump);
        assert_int_equal(get(1, NOW_US - jump + 299 * S), LA_CACHE_HIT);
        assert_int_equal(get(1, NOW_US - jump + 300 * S), LA_CACHE_MISS);
        assert_int_equal(get(1, NOW_US), LA_CACHE_MISS);
        accept_for(1, 300 * S, NOW_US + jump);
        assert_int_equal(get(1, NOW_US), LA_CACHE_MISS);
        assert_int_equal(get(1, NOW_US + jump + 300 * S), LA_CACHE_MISS);
    }
}

/* ---- one verdict after another ------------------------------------------------------------ */

typedef enum step_e { END, ACCEPT, ACCEPT_OVER, ACCEPT_LARGE, REJECT, REJECT_BRIEF } step_e;

typedef struct sequence_t {
    const char *name;
    step_e steps[4];
    apr_interval_time_t after;
    la_cache_e expected;
} sequence_t;

static sequence_t sequences[] = {
    {"then: nothing", {END}, 0, LA_CACHE_MISS},
    {"then: accepted twice", {ACCEPT, ACCEPT}, 0, LA_CACHE_HIT},
    {"then: rejected twice", {REJECT, REJECT}, 0, LA_CACHE_NEGATIVE},
    {"then: accepted, rejected", {ACCEPT, REJECT}, 0, LA_CACHE_NEGATIVE},
    {"then: accepted, rejected, the rejection over", {ACCEPT, REJECT}, 20 * S, LA_CACHE_MISS},
    {"then: accepted, rejected not to be kept", {ACCEPT, REJECT_BRIEF}, 0, LA_CACHE_MISS},
    {"then: rejected, accepted", {REJECT, ACCEPT}, 0, LA_CACHE_HIT},
    {"then: rejected, accepted, the acceptance over", {REJECT, ACCEPT}, 60 * S, LA_CACHE_STALE},
    {"then: rejected, accepted, not to be kept", {REJECT, ACCEPT_OVER}, 0, LA_CACHE_MISS},
    {"then: accepted, accepted, not to be kept", {ACCEPT, ACCEPT_OVER}, 0, LA_CACHE_MISS},
    {"then: accepted, grown too large", {ACCEPT, ACCEPT_LARGE}, 0, LA_CACHE_MISS},
    {"then: rejected, accepted, too large", {REJECT, ACCEPT_LARGE}, 0, LA_CACHE_MISS},
    {"then: accepted, stale, rejected", {ACCEPT, REJECT}, 61 * S, LA_CACHE_MISS},
    {"then: back and forth", {REJECT, ACCEPT, REJECT, ACCEPT}, 0, LA_CACHE_HIT},
    {"then: forth and back", {ACCEPT, REJECT, ACCEPT, REJECT}, 0, LA_CACHE_NEGATIVE},
};

static void take_step(step_e step)
{
    la_cache_times_t times = {60 * S, HOUR, 0};
    la_cache_key_t key = key_of(1);

    switch (step) {
    case END:
        break;
    case ACCEPT:
        assert_int_equal(
            la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, NOW_US), 1);
        break;
    case ACCEPT_OVER:
        times.end = NOW_US;
        assert_int_equal(
            la_cache_accept(cache, &key, asked(cache), caller(pool, "alice"), &times, NOW_US), 0);
        break;
    case ACCEPT_LARGE:
        assert_int_equal(
            la_cache_accept(cache, &key, asked(cache), caller_of(100000), &times, NOW_US), 0);
        break;
    case REJECT:
        reject_for(1, 20 * S, NOW_US);
        break;
    case REJECT_BRIEF:
        reject_for(1, 0, NOW_US);
        break;
    }
}

static void test_sequence(void **state)
{
    const sequence_t *row = *state;

    for (size_t i = 0; i < ROWS(row->steps); i++) {
        take_step(row->steps[i]);
    }
    assert_int_equal(get(1, NOW_US + row->after), row->expected);
}

/* Should both be there, by writers that crossed: a rejection is above an acceptance past its time.
 */
static void test_rejection_above_stale(void **state)
{
    la_table_meta_t meta = {
        .stored_us = NOW_US, .expires_us = NOW_US - S, .stale_until_us = NOW_US + HOUR};
    const la_identity_t *alice = caller(pool, "alice");
    la_cache_key_t key = key_of(1);

    (void)state;
    reject_for(1, 10 * S, NOW_US);
    la_table_put(la_cache_accepted(cache), key.bytes, &meta,
                 (la_slice_t){(const char *)alice, la_identity_size(alice)}, NULL);
    assert_int_equal(get(1, NOW_US), LA_CACHE_NEGATIVE);
    assert_int_equal(get(1, NOW_US + 10 * S), LA_CACHE_STALE);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

typedef struct size_case_t {
    const char *name;
    apr_size_t len;
    int kept;
} size_case_t;

static size_case_t size_cases[] = {
    {"size: small", 300, 1},
    {"size: 1 KB", 1024, 1},
    {"size: 16 KB", 16384, 1},
    {"size: the largest", LA_TABLE_VALUE_MAX_BYTES, 1},
    {"size: one byte more", LA_TABLE_VALUE_MAX_BYTES + 1, 0},
    {"size: 1 MB", 1 << 20, 0},
};

static void test_size(void **state)
{
    const size_case_t *row = *state;
    const la_identity_t *identity = caller_of(row->len);
    la_cache_times_t times = {.ttl_us = 60 * S};
    la_cache_key_t key = key_of(1);
    la_cache_found_t found;
    la_table_stats_t stats;

    assert_int_equal(la_identity_size(identity), row->len);
    assert_int_equal(la_cache_accept(cache, &key, asked(cache), identity, &times, NOW_US),
                     row->kept);
    la_table_stats(la_cache_accepted(cache), &stats);
    assert_int_equal(stats.too_large, !row->kept);
    assert_int_equal(find(1, NOW_US, &found), row->kept ? LA_CACHE_HIT : LA_CACHE_MISS);
    if (row->kept) {
        assert_true(same_caller(found.identity, identity));
    }
}

static void test_long_message(void **state)
{
    char *message = apr_pcalloc(pool, LA_TABLE_VALUE_MAX_BYTES + 1);
    la_cache_key_t key = key_of(1);
    la_cache_found_t found;

    (void)state;
    memset(message, 'm', LA_TABLE_VALUE_MAX_BYTES);
    la_cache_reject(cache, &key, asked(cache), message + 1, 10 * S, NOW_US);
    assert_int_equal(find(1, NOW_US, &found), LA_CACHE_NEGATIVE);
    assert_string_equal(found.message, message + 1);
    la_cache_reject(cache, &key, asked(cache), message, 10 * S, NOW_US);
    assert_int_equal(find(1, NOW_US, &found), LA_CACHE_MISS);
    la_cache_reject(cache, &key, asked(cache), "", 10 * S, NOW_US);
    assert_int_equal(find(1, NOW_US, &found), LA_CACHE_NEGATIVE);
    assert_string_equal(found.message, "");
}

/* What was found stays what it was, whatever becomes of the entry. */
static void test_found_is_a_copy(void **state)
{
    la_cache_found_t found;

    (void)state;
    accept_for(1, 60 * S, NOW_US);
    assert_int_equal(find(1, NOW_US, &found), LA_CACHE_HIT);
    memset(bytes, 0xff, size);
    assert_true(same_caller(found.identity, caller(pool, "alice")));
}

int main(void)
{
    ADD_ROWS(key_cases, test_key);
    add_on("key: another secret", test_key_of_another_secret, NULL, make_cache);
    add_on("key: made in many threads", test_keys_in_threads, NULL, make_cache);
    ADD_ROWS(time_cases, test_time);
    ADD_ROWS(rejection_cases, test_rejection);
    add_on("clock: back and forth", test_nothing_is_immortal, NULL, make_cache);
    ADD_ROWS(sequences, test_sequence);
    add_on("then: a rejection beside a stale acceptance", test_rejection_above_stale, NULL,
           make_cache);
    ADD_ROWS(size_cases, test_size);
    add_on("size: of messages", test_long_message, NULL, make_cache);
    add_on("found: a copy", test_found_is_a_copy, NULL, make_cache);
    return run_added("cache");
}
