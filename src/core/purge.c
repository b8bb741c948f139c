/* The log of purges: a ring in which a number's slot is its remainder.
 *
 *   generation | known | turn | ... 64 bytes
 *   slot 0: number, kind, tag | slot 1 | ... LA_PURGE_LOG_LENGTH slots
 *
 * Processes that learn of the same purge at the same time write the same words, so slots need no lock; a reader that
 * meets a slot with another number than it wants says that the entry was purged, which is always right to say.
 */
#include "core/purge.h"

#include "core/token.h"

#include <stdatomic.h>
#include <string.h>

#define TAG_WORDS (LA_TABLE_PURGE_TAG_BYTES / 8)

typedef _Atomic apr_uint64_t word_t;
_Static_assert(sizeof(word_t) == 8, "a word is a word in shared memory");

typedef struct slot_t {
    word_t number;
    word_t kind;
    word_t tag[TAG_WORDS];
} slot_t;

struct la_purge_log_t {
    _Alignas(64) word_t generation;
    word_t known;
    word_t turn;
    _Alignas(64) slot_t slots[LA_PURGE_LOG_LENGTH];
};

static int strip(la_slice_t *text, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    if (text->len <= len || memcmp(text->data, prefix, len) != 0) {
        return 0;
    }
    text->data += len;
    text->len -= len;
    return 1;
}

static int is_client_id(la_slice_t text)
{
    apr_size_t i;

    for (i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return 0;
        }
    }
    return text.len == LA_CLIENT_ID_LEN;
}

int la_purge_parse(la_slice_t text, la_purge_t *purge)
{
    if (text.len == 3 && memcmp(text.data, "all", 3) == 0) {
        *purge = (la_purge_t){LA_PURGE_ALL, {"", 0}};
        return 1;
    }
    if (strip(&text, "principal:")) {
        *purge = (la_purge_t){LA_PURGE_PRINCIPAL, text};
        return 1;
    }
    if (strip(&text, "client_id:") && is_client_id(text)) {
        *purge = (la_purge_t){LA_PURGE_CLIENT_ID, text};
        return 1;
    }
    return 0;
}

apr_size_t la_purge_log_bytes(void)
{
    return sizeof(la_purge_log_t);
}

apr_uint64_t la_purge_generation(const la_purge_log_t *log)
{
    return atomic_load(&log->generation);
}

void la_purge_begin(la_purge_log_t *log)
{
    atomic_fetch_add(&log->generation, 1);
}

apr_uint64_t la_purge_known(const la_purge_log_t *log)
{
    return atomic_load(&log->known);
}

void la_purge_note(la_purge_log_t *log, apr_uint64_t number, la_purge_e kind,
                   const unsigned char tag[LA_TABLE_PURGE_TAG_BYTES])
{
    slot_t *slot = &log->slots[number % LA_PURGE_LOG_LENGTH];
    apr_uint64_t words[TAG_WORDS];
    int i;

    memcpy(words, tag, sizeof(words));
    atomic_store(&slot->number, 0); /* no number of a purge: who reads now finds nothing */
    atomic_store(&slot->kind, (apr_uint64_t)kind);
    for (i = 0; i < TAG_WORDS; i++) {
        atomic_store(&slot->tag[i], words[i]);
    }
    atomic_store(&slot->number, number);
}

void la_purge_set_known(la_purge_log_t *log, apr_uint64_t number, int reset)
{
    apr_uint64_t known = atomic_load(&log->known);

    while ((reset || number > known) &&
           !atomic_compare_exchange_weak(&log->known, &known, number)) {}
}

/* Whether the purge of that number concerns one of the tags, for all that is known. */
static int concerns(const slot_t *slot, apr_uint64_t number, const unsigned char *client,
                    const unsigned char *principal)
{
    apr_uint64_t words[TAG_WORDS];
    apr_uint64_t before = atomic_load(&slot->number);
    apr_uint64_t kind = atomic_load(&slot->kind);
    int i;

    for (i = 0; i < TAG_WORDS; i++) {
        words[i] = atomic_load(&slot->tag[i]);
    }
    if (before != number || atomic_load(&slot->number) != number) {
        return 1;
    }
    if (kind == LA_PURGE_CLIENT_ID) {
        return memcmp(words, client, sizeof(words)) == 0;
    }
    return kind != LA_PURGE_PRINCIPAL || memcmp(words, principal, sizeof(words)) == 0;
}

int la_purge_covers(const la_purge_log_t *log, apr_uint64_t since,
                    const unsigned char client[LA_TABLE_PURGE_TAG_BYTES],
                    const unsigned char principal[LA_TABLE_PURGE_TAG_BYTES])
{
    apr_uint64_t known = la_purge_known(log);
    apr_uint64_t number;

    if (since > known || known - since > LA_PURGE_LOG_LENGTH) {
        return 1;
    }
    for (number = since + 1; number <= known; number++) {
        if (concerns(&log->slots[number % LA_PURGE_LOG_LENGTH], number, client, principal)) {
            return 1;
        }
    }
    return 0;
}

int la_purge_turn(la_purge_log_t *log, apr_time_t now, apr_interval_time_t interval)
{
    apr_uint64_t last = atomic_load(&log->turn);
    apr_uint64_t time = (apr_uint64_t)now;

    if (time >= last && time - last < (apr_uint64_t)interval) {
        return 0;
    }
    return atomic_compare_exchange_strong(&log->turn, &last, time);
}
