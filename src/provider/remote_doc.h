/* A document of the outside world that all processes share: a key set, an issuer's metadata. It is
 * fetched before it is needed, kept in shared memory, fetched again before it is due, and kept when
 * that fails.
 *
 * Who fetches: whoever comes first, in any process, of the background tick and of requests; the
 * provider's gate lets one fetch at a time. The tick comes about once a second; where there is none
 * (mod_watchdog is not loaded), or it is stuck, a request fetches a little later, and the others go
 * on with what there is. A fetch that failed is tried again after one second, then two, up to ten.
 *
 * The memory may hold anything: what is read is checked against its own digest, and a writer that
 * died leaves the version before.
 */
#ifndef LA_REMOTE_DOC_H
#define LA_REMOTE_DOC_H

#include "base/slice.h"
#include "provider/provider.h"

/* Largest document. */
#define LA_REMOTE_DOC_MAX_BYTES ((apr_size_t)256 * 1024)

/* How soon after one early fetch another may follow. */
#define LA_REMOTE_DOC_COOL_DOWN_US (10 * APR_USEC_PER_SEC)

/* One document, as this process sees it. */
typedef struct la_remote_doc_t la_remote_doc_t;

/* What a fetch is about; constant for the life of the process. */
typedef struct la_remote_doc_source_t {
    /* Fetches and checks the document. Called by one thread at a time of all processes, and takes
     * at most the provider's Timeout in all.
     *
     * bytes: what is to be kept, in `pool`, up to LA_REMOTE_DOC_MAX_BYTES.
     * Returns NULL, or why there is none, for the log, in `pool` or a literal.
     */
    const char *(*fetch)(const la_provider_t *provider, apr_pool_t *pool, la_slice_t *bytes);
    apr_interval_time_t
        refresh_us;   /* a document is used for so long; fetched again after nine tenths of it */
    const char *what; /* for the log: "the key set" */
    /* Whether a fetched text says the same as the one there is, which then stays, with its version;
     * both passed fetch(). NULL: when the bytes are the same. */
    int (*same)(const la_provider_t *provider, la_slice_t old, la_slice_t fetched,
                apr_pool_t *pool);
    int holds_worker; /* a request that fetches or waits takes a place of workers.c; 0: its look-up
                         did */
} la_remote_doc_source_t;

/* Bytes of shared memory that a document takes: for a type's shared_bytes. */
apr_size_t la_remote_doc_bytes(void);

/* Makes this process's view. A NULL provider->segment gives a document of this process alone (in
 * tests).
 *
 * source: must outlive the process.
 */
apr_status_t la_remote_doc_attach(const la_provider_t *provider,
                                  const la_remote_doc_source_t *source, apr_pool_t *pchild,
                                  la_remote_doc_t **document);

/* The version in force: a digest of its bytes, so the same on all machines; 0 while there is none.
 * One atomic load. */
apr_uint64_t la_remote_doc_version(const la_remote_doc_t *document);

/* Copies the document. Returns 1 with its version, or 0 when there is none that is whole. */
int la_remote_doc_read(const la_remote_doc_t *document, apr_pool_t *pool, la_slice_t *bytes,
                       apr_uint64_t *version);

/* The result of asking for a newer document. */
typedef enum la_remote_doc_e {
    LA_REMOTE_DOC_FAILED,  /* zero: it was tried, now or a moment ago, and there is none that is
                              newer */
    LA_REMOTE_DOC_CURRENT, /* fetched since the question arose, or not due: what it lacks does not
                              exist */
    LA_REMOTE_DOC_RECENT,  /* fetched before the question arose, and it is too early for another
                              fetch: nobody knows what it lacks */
    LA_REMOTE_DOC_BUSY     /* somebody else fetches, and the time to wait for them was over */
} la_remote_doc_e;

/* The background's tick: fetches if that is due and nobody else does. Does not wait. */
void la_remote_doc_tick(la_remote_doc_t *document, apr_pool_t *scratch);

/* A request's turn, before it uses the document. With one in force: fetches if the tick is late,
 * and does not wait for others. With none: fetches or waits for who does, at most the provider's
 * ConnectTimeout, and fails at once within the pause after a failure.
 */
la_remote_doc_e la_remote_doc_ensure(la_remote_doc_t *document, apr_pool_t *scratch);

/* A request found that the version it used lacks something. Unless a newer one is in force by now,
 * fetches early, or waits for who does; at most once in LA_REMOTE_DOC_COOL_DOWN_US for all
 * processes together.
 *
 * what: a digest of its name, so that nobody can choose it.
 * Returns current when a fetch has succeeded that began after somebody, of all processes, first
 * looked for it, as far as that is remembered: then what the version in force from now on lacks
 * does not exist. Else recent, or failed if the last fetch failed.
 */
la_remote_doc_e la_remote_doc_renew(la_remote_doc_t *document, apr_uint64_t used, apr_uint64_t what,
                                    apr_pool_t *scratch);

/* Seconds until the document may be fetched early again, at least 1. */
int la_remote_doc_retry_s(const la_remote_doc_t *document);

#endif
