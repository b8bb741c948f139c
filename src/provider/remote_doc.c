/* A document that all processes share. Owns when it is fetched and by whom; its source knows what
 * it is and how to fetch it.
 *
 * In the provider's segment:
 *
 *   current    the version that is used: the first 8 bytes of its SHA-256, except for two bits,
 *              which say the slot that holds it; 0: there is no document
 *   turn       the slot that was written last
 *   due        when the next fetch is due                      \
 *   early      when an early fetch may follow                   > la_clock_us()
 *   fetched    when the last good fetch began; 0: none did     /
 *   wanted     what the document lacks, and when somebody first looked for it: 20 bits of a digest,
 *              44 bits of microseconds
 *   outage     what the log was told of failures
 *   failures   fetches that failed in a row
 *   slots[4]   length, bytes
 *
 * Who holds the gate's one permit writes the next slot, then `current`: one store, so a writer that
 * is killed at any instruction leaves the version before. A writer that was stopped past its
 * deadline and goes on writes a slot that nobody uses, unless others published four times
 * meanwhile. A reader copies and digests what it copied: bytes that do not give the version are not
 * used. Nothing here is trusted further than that: a time too far ahead counts as now.
 *
 * Memory order: the store of `current` in publish() releases the slot's bytes to the load in
 * la_remote_doc_read(), which acquires them. A reader that writers overtake while it copies finds
 * another digest. la_remote_doc_version() is relaxed, because a version is compared and never
 * followed. The times and counts do not depend on each other. */
#include "provider/remote_doc.h"

#include "base/clock.h"
#include "base/digest.h"
#include "io/server.h"
#include "provider/workers.h"
#include "shm/gate.h"
#include "shm/outage.h"

#include <apr_strings.h>

#include <stdatomic.h>
#include <string.h>

/* How much later than the background a request fetches. */
#define REQUEST_GRACE_US (2 * APR_USEC_PER_SEC)

/* The pause after the first failure; each further one doubles it, up to the longest. */
#define PAUSE_FIRST_US   APR_USEC_PER_SEC
#define PAUSE_LONGEST_US (10 * APR_USEC_PER_SEC)

/* How many missing things are remembered, and the part of a word that is their time. */
#define WANTED_SLOTS 64
#define WANTED_TIME  (((apr_uint64_t)1 << 44) - 1)

/* How long a fetch may take beyond the provider's Timeout: for all except the network. */
#define FETCH_SLACK_US APR_TIME_C(500000)

/* Copies that a reader makes before it gives up a document that writers keep changing. */
#define READ_ATTEMPTS 3

#define SLOTS 4u

/* The bits of `current` that say the slot; versions do not have them. */
#define SLOT_BITS ((apr_uint64_t)SLOTS - 1)

typedef struct slot_t {
    apr_uint32_t len;
    char bytes[LA_REMOTE_DOC_MAX_BYTES];
} slot_t;

typedef struct segment_t {
    _Atomic apr_uint64_t current; /* version | its slot; 0: none */
    _Atomic apr_int64_t due_us;
    _Atomic apr_int64_t early_us;
    _Atomic apr_int64_t fetched_us;
    _Atomic apr_uint64_t wanted[WANTED_SLOTS];
    la_outage_t outage;
    _Atomic apr_uint32_t failures;
    _Atomic apr_uint32_t turn;
    slot_t slots[SLOTS];
} segment_t;

_Static_assert(sizeof(_Atomic apr_uint64_t) == 8, "a version is one word in shared memory");

struct la_remote_doc_t {
    const la_provider_t *provider;
    const la_remote_doc_source_t *source;
    segment_t *segment;
};

apr_size_t la_remote_doc_bytes(void)
{
    return sizeof(segment_t);
}

la_remote_doc_t *la_remote_doc_attach(const la_provider_t *provider,
                                      const la_remote_doc_source_t *source, apr_pool_t *pchild)
{
    la_remote_doc_t *made = apr_palloc(pchild, sizeof(*made));

    *made = (la_remote_doc_t){provider, source, provider->segment};
    return made;
}

/* ---- the bytes ---- */

apr_uint64_t la_remote_doc_version_of(la_slice_t text)
{
    unsigned char digest[LA_DIGEST_BYTES];
    apr_uint64_t version;

    if (la_digest_sha256(text, digest) != APR_SUCCESS) {
        return 0;
    }
    memcpy(&version, digest, sizeof(version));
    version &= ~SLOT_BITS;
    return version ? version : SLOTS;
}

apr_uint64_t la_remote_doc_version(const la_remote_doc_t *document)
{
    return atomic_load_explicit(&document->segment->current, memory_order_relaxed) & ~SLOT_BITS;
}

static int copy_slot(const slot_t *slot, apr_pool_t *pool, la_slice_t *bytes)
{
    apr_uint32_t len = slot->len;

    if (len > sizeof(slot->bytes)) {
        return 0;
    }
    *bytes = (la_slice_t){apr_pstrmemdup(pool, slot->bytes, len), len};
    return 1;
}

/* Drops a version whose bytes are not there, so that it is fetched again. */
static void drop_version(segment_t *segment, apr_uint64_t current)
{
    if (atomic_compare_exchange_strong(&segment->current, &current, 0)) {
        atomic_store(&segment->due_us, 0);
    }
}

int la_remote_doc_read(const la_remote_doc_t *document, apr_pool_t *pool, la_slice_t *bytes,
                       apr_uint64_t *version)
{
    segment_t *segment = document->segment;
    apr_uint64_t current = 0;

    for (int i = 0; i < READ_ATTEMPTS; i++) {
        current = atomic_load_explicit(&segment->current, memory_order_acquire);
        *version = current & ~SLOT_BITS;
        if (*version == 0) {
            return 0;
        }
        if (copy_slot(&segment->slots[current & SLOT_BITS], pool, bytes) &&
            la_remote_doc_version_of(*bytes) == *version) {
            return 1;
        }
    }
    drop_version(segment, current);
    *version = 0;
    return 0;
}

/* Returns the next slot, but not the one that is used. */
static apr_uint64_t next_slot(segment_t *segment)
{
    apr_uint64_t used = atomic_load(&segment->current);
    apr_uint64_t slot;

    do {
        slot = (atomic_fetch_add(&segment->turn, 1) + 1) & SLOT_BITS;
    } while (used != 0 && slot == (used & SLOT_BITS));
    return slot;
}

/* Makes the bytes the current version. A writer that is stopped here loses its permit, and others
 * publish meanwhile: what it brings when it goes on never replaces what is newer. If it spoils the
 * slot that they use, readers notice, and the document is fetched again. before: `current` when the
 * fetch began. version: 0 when others have published since. */
static const char *publish(segment_t *segment, apr_uint64_t before, la_slice_t bytes,
                           apr_uint64_t *version)
{
    apr_uint64_t next = next_slot(segment);

    if (bytes.len > LA_REMOTE_DOC_MAX_BYTES) {
        return "it is larger than 256 KB";
    }
    *version = la_remote_doc_version_of(bytes);
    if (*version == 0) {
        return "libcrypto failed to digest it";
    }
    segment->slots[next].len = (apr_uint32_t)bytes.len;
    memcpy(segment->slots[next].bytes, bytes.data, bytes.len);
    while (!atomic_compare_exchange_strong_explicit(&segment->current, &before, *version | next,
                                                    memory_order_release, memory_order_relaxed)) {
        if (before != 0) { /* and was not just dropped */
            *version = 0;
            return NULL;
        }
    }
    return NULL;
}

/* ---- time ---- */

/* Whether a time has come. most: how far ahead it can be if nobody tampered with it. */
static int has_come(const _Atomic apr_int64_t *at, apr_time_t now, apr_interval_time_t most)
{
    apr_int64_t time = atomic_load(at);

    return time <= now || time > now + most;
}

static int is_due(const la_remote_doc_t *document, apr_time_t now)
{
    apr_interval_time_t refresh = document->source->refresh_us;

    return has_come(&document->segment->due_us, now,
                    refresh > PAUSE_LONGEST_US ? refresh : PAUSE_LONGEST_US);
}

static apr_interval_time_t pause_after(apr_uint32_t failures)
{
    apr_interval_time_t pause = PAUSE_FIRST_US;

    while (failures-- > 1 && pause < PAUSE_LONGEST_US) {
        pause *= 2;
    }
    return pause < PAUSE_LONGEST_US ? pause : PAUSE_LONGEST_US;
}

/* ---- fetching ---- */

/* Who wants a newer document than the one they used, and how long they wait for it. */
typedef struct want_t {
    int early;      /* something is missing in it; else it is due */
    int in_request; /* else in the background */
    apr_uint64_t used;
    apr_interval_time_t wait_us;
} want_t;

typedef struct permits_t {
    la_gate_permit_t fetch;
    la_gate_permit_t place; /* of workers.c */
    int has_place;
} permits_t;

static void note_failure(const la_remote_doc_t *document, const char *error)
{
    segment_t *segment = document->segment;
    la_outage_reason_t reason = {.text = error};
    apr_time_t now = la_clock_us();
    apr_uint32_t failures = atomic_load(&segment->failures);

    failures = failures < APR_UINT32_MAX ? failures + 1 : failures;
    atomic_store(&segment->failures, failures);
    atomic_store(&segment->due_us, now + pause_after(failures));
    if (la_outage_begin(&segment->outage, &reason, now)) {
        la_log(LA_LOG_ERROR, LA_LOGNO(0060) "provider %s: cannot fetch %s: %s%s",
               document->provider->name, document->source->what, error,
               la_remote_doc_version(document) ? "; the one fetched before is still used" : "");
    }
}

static void note_success(const la_remote_doc_t *document, apr_uint64_t before, apr_uint64_t version)
{
    segment_t *segment = document->segment;
    int again = la_outage_end(&segment->outage);

    atomic_store(&segment->failures, 0);
    atomic_store(&segment->due_us, la_clock_us() + document->source->refresh_us / 10 * 9);
    if (again || version != before) {
        la_log(again ? LA_LOG_NOTICE : LA_LOG_INFO, LA_LOGNO(0061) "provider %s: fetched %s%s, %s",
               document->provider->name, document->source->what, again ? " again" : "",
               version != before ? "it is new" : "it is the same");
    }
}

/* Whether the fetch took longer than it may, because its process was stopped, and another process
 * may fetch now. */
static int is_superseded(const la_remote_doc_t *document, const permits_t *permits)
{
    const la_provider_t *provider = document->provider;

    return provider->child->gates &&
           !la_gate_holds(provider->child->gates, (apr_uint32_t)provider->document_gate,
                          &permits->fetch);
}

/* Publishes what was fetched, unless it says the same as the present document. */
static const char *publish_changed(const la_remote_doc_t *document, apr_uint64_t before,
                                   la_slice_t bytes, apr_uint64_t *version, apr_pool_t *pool)
{
    const la_remote_doc_source_t *source = document->source;
    la_slice_t old;

    if (source->same && la_remote_doc_read(document, pool, &old, version) &&
        source->same(document->provider, old, bytes, pool)) {
        return NULL;
    }
    return publish(document->segment, before, bytes, version);
}

static la_remote_doc_e fetch(const la_remote_doc_t *document, const permits_t *permits,
                             apr_pool_t *pool)
{
    apr_uint64_t before = atomic_load(&document->segment->current);
    apr_uint64_t version = 0;
    apr_time_t begun = la_clock_us();
    la_slice_t bytes = {"", 0};
    const char *error = document->source->fetch(document->provider, pool, &bytes);

    if (is_superseded(document, permits)) {
        return LA_REMOTE_DOC_FAILED; /* the other process may have published a newer one */
    }
    if (!error) {
        error = publish_changed(document, before, bytes, &version, pool);
    }
    if (error) {
        note_failure(document, error);
    }
    if (error || version == 0) {
        return LA_REMOTE_DOC_FAILED;
    }
    /* After the version: who sees this time sees what was fetched. */
    atomic_store(&document->segment->fetched_us, begun);
    note_success(document, before & ~SLOT_BITS, version);
    return LA_REMOTE_DOC_CURRENT;
}

/* Whether there is an answer without a fetch. */
static int is_answered(const la_remote_doc_t *document, const want_t *want, la_remote_doc_e *answer)
{
    segment_t *segment = document->segment;
    apr_uint64_t version = la_remote_doc_version(document);
    apr_time_t now = la_clock_us();

    if (version != want->used && version != 0) {
        *answer = LA_REMOTE_DOC_CURRENT;
        return 1;
    }
    if (want->early ? has_come(&segment->early_us, now, LA_REMOTE_DOC_COOL_DOWN_US)
                    : is_due(document, now)) {
        return 0;
    }
    *answer = atomic_load(&segment->failures) ? LA_REMOTE_DOC_FAILED : LA_REMOTE_DOC_CURRENT;
    return 1;
}

/* Takes the permit to fetch, which may be waited for. A request of a provider that needs no place
 * among the workers for a look-up (lookup.c) takes one here. Returns 0 when there is none. */
static int enter(const la_remote_doc_t *document, const want_t *want, permits_t *permits)
{
    const la_provider_t *provider = document->provider;
    la_gate_terms_t terms = {.limit = 1,
                             .max_waiting = APR_UINT32_MAX, /* workers.c limits it */
                             .wait_us = want->wait_us,
                             .call_us = provider->common.http.timeout_us + FETCH_SLACK_US};

    permits->has_place =
        want->in_request && provider->child->workers && provider->type->judges_alone;
    if (!provider->child->gates) {
        return 1; /* in tests */
    }
    if (permits->has_place && !la_workers_enter(provider->child->workers,
                                                terms.wait_us + terms.call_us, &permits->place)) {
        return 0;
    }
    if (la_gate_enter(provider->child->gates, (apr_uint32_t)provider->document_gate, &terms,
                      &permits->fetch)) {
        return 1;
    }
    if (permits->has_place) {
        la_workers_leave(provider->child->workers, &permits->place);
    }
    return 0;
}

static void leave(const la_remote_doc_t *document, const permits_t *permits)
{
    const la_provider_t *provider = document->provider;

    if (provider->child->gates) {
        la_gate_leave(provider->child->gates, (apr_uint32_t)provider->document_gate,
                      &permits->fetch);
    }
    if (permits->has_place) {
        la_workers_leave(provider->child->workers, &permits->place);
    }
}

static la_remote_doc_e try_fetch(const la_remote_doc_t *document, const want_t *want,
                                 apr_pool_t *scratch)
{
    apr_time_t begun;
    permits_t permits;
    la_remote_doc_e answer;

    if (is_answered(document, want, &answer)) {
        return answer;
    }
    if (!enter(document, want, &permits)) {
        return LA_REMOTE_DOC_BUSY;
    }
    begun = la_clock_us();
    if (!is_answered(document, want, &answer)) { /* by who had the permit before */
        answer = fetch(document, &permits, scratch);
        if (want->early && !is_superseded(document, &permits)) {
            /* Not before: who comes while it is under way has to wait for it. */
            atomic_store(&document->segment->early_us, begun + LA_REMOTE_DOC_COOL_DOWN_US);
        }
    }
    leave(document, &permits);
    return answer;
}

void la_remote_doc_tick(la_remote_doc_t *document, apr_pool_t *scratch)
{
    want_t want = {.used = la_remote_doc_version(document)};

    try_fetch(document, &want, scratch);
}

la_remote_doc_e la_remote_doc_ensure(la_remote_doc_t *document, apr_pool_t *scratch)
{
    want_t want = {.in_request = 1, .used = la_remote_doc_version(document)};

    if (want.used == 0) {
        want.wait_us = document->provider->common.http.connect_timeout_us;
        return try_fetch(document, &want, scratch);
    }
    if (is_due(document, la_clock_us() - REQUEST_GRACE_US)) {
        try_fetch(document, &want, scratch);
    }
    return LA_REMOTE_DOC_CURRENT;
}

/* When somebody first looked for a missing thing: now, unless that is remembered. A time that has
 * not come is garbage, or older than half of what a word can tell. */
static apr_time_t first_wanted(segment_t *segment, apr_uint64_t what, apr_time_t now)
{
    _Atomic apr_uint64_t *place = &segment->wanted[what % WANTED_SLOTS];
    apr_uint64_t word = atomic_load(place);
    apr_uint64_t age = ((apr_uint64_t)now - word) & WANTED_TIME;

    if (word != 0 && (word & ~WANTED_TIME) == (what & ~WANTED_TIME) && age <= WANTED_TIME / 2) {
        return now - (apr_time_t)age;
    }
    atomic_store(place, (what & ~WANTED_TIME) | ((apr_uint64_t)now & WANTED_TIME));
    return now;
}

la_remote_doc_e la_remote_doc_renew(la_remote_doc_t *document, apr_uint64_t used, apr_uint64_t what,
                                    apr_pool_t *scratch)
{
    segment_t *segment = document->segment;
    apr_time_t wanted = first_wanted(segment, what, la_clock_us());
    want_t want = {.early = 1,
                   .in_request = 1,
                   .used = used,
                   .wait_us = document->provider->common.http.connect_timeout_us};
    la_remote_doc_e answer = try_fetch(document, &want, scratch);

    /* A fetch that began before may have missed what the issuer published meanwhile. */
    return answer == LA_REMOTE_DOC_CURRENT && atomic_load(&segment->fetched_us) < wanted
               ? LA_REMOTE_DOC_RECENT
               : answer;
}

int la_remote_doc_retry_s(const la_remote_doc_t *document)
{
    apr_interval_time_t left = atomic_load(&document->segment->early_us) - la_clock_us();

    left = left > LA_REMOTE_DOC_COOL_DOWN_US ? LA_REMOTE_DOC_COOL_DOWN_US : left;
    return left <= APR_USEC_PER_SEC ? 1 : (int)((left + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
}
