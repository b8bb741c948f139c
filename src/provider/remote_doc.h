/* A document from outside that all processes share: a key set, an issuer's metadata. It is fetched
 * before it is needed, kept in shared memory, fetched again before it is due, and kept when that
 * fails.
 *
 * Each process has a background thread that calls la_remote_doc_tick() about once a second.
 * Requests fetch if there is no document yet, or if the background is late (mod_watchdog is not
 * loaded). The provider's gate lets one fetch at a time, of all processes. A fetch that failed is
 * tried again after one second, then two, up to ten. */
#pragma once

#include "base/slice.h"
#include "provider/provider.h"

/* Largest document. */
#define LA_REMOTE_DOC_MAX_BYTES ((apr_size_t)256 * 1024)

/* How soon after one early fetch another may follow. */
#define LA_REMOTE_DOC_COOL_DOWN_US (10 * APR_USEC_PER_SEC)

/* One document, as this process sees it. */
typedef struct la_remote_doc_t la_remote_doc_t;

/* How a document is fetched; constant. */
typedef struct la_remote_doc_source_t {
    /* Fetches and checks the document. Called by one thread at a time of all processes, and takes
     * at most the provider's Timeout. bytes: what to keep, in `pool`. Returns NULL, or what went
     * wrong, for the log, in `pool`. */
    const char *(*fetch)(const la_provider_t *provider, apr_pool_t *pool, la_slice_t *bytes);
    apr_interval_time_t refresh_us; /* fetched again after nine tenths of it */
    const char *what;               /* for the log: "the key set" */
    /* Whether a fetched text says the same as the present one, which then stays, with its version.
     * NULL: when the bytes are the same. */
    int (*same)(const la_provider_t *provider, la_slice_t old, la_slice_t fetched,
                apr_pool_t *pool);
} la_remote_doc_source_t;

/* Bytes of shared memory that a document takes: for a type's shared_bytes. */
apr_size_t la_remote_doc_bytes(void);

/* Makes this process's view of the document in provider->segment. source: outlives the process. */
la_remote_doc_t *la_remote_doc_attach(const la_provider_t *provider,
                                      const la_remote_doc_source_t *source, apr_pool_t *pchild);

/* The version of a text: a part of its digest, the same on all machines; 0 if libcrypto fails. */
apr_uint64_t la_remote_doc_version_of(la_slice_t text);

/* The current version; 0 while there is no document. One atomic load. */
apr_uint64_t la_remote_doc_version(const la_remote_doc_t *document);

/* Copies the document. Returns 1 with its version, or 0 when there is none. */
int la_remote_doc_read(const la_remote_doc_t *document, apr_pool_t *pool, la_slice_t *bytes,
                       apr_uint64_t *version);

/* The result of asking for a newer document. */
typedef enum la_remote_doc_e {
    LA_REMOTE_DOC_FAILED,  /* zero: the last fetch failed, now or a moment ago */
    LA_REMOTE_DOC_CURRENT, /* fetched since the question arose, or not due: what it lacks does not
                              exist */
    LA_REMOTE_DOC_RECENT,  /* fetched before the question arose, and another fetch may not follow
                              yet: nobody knows about what it lacks */
    LA_REMOTE_DOC_BUSY     /* somebody else fetches and takes longer than this request may wait */
} la_remote_doc_e;

/* The background's turn: fetches if that is due and nobody else does. Does not wait for others. */
void la_remote_doc_tick(la_remote_doc_t *document, apr_pool_t *scratch);

/* A request's turn, before it uses the document. If there is one, fetches only when the background
 * is late, and does not wait for others. If there is none, fetches or waits for who does, at most
 * the provider's ConnectTimeout; fails at once in the pause after a failure. */
la_remote_doc_e la_remote_doc_ensure(la_remote_doc_t *document, apr_pool_t *scratch);

/* A request found that the version it used lacks something. If that version is still the current
 * one, fetches early, or waits for who does; at most once in LA_REMOTE_DOC_COOL_DOWN_US for all
 * processes together.
 *
 * what: a digest of the name of what is missing, so that nobody can choose it.
 * Returns CURRENT if a fetch has succeeded that began after somebody, of all processes, first
 * looked for it, as far as that is remembered: what the current version lacks does not exist then.
 */
la_remote_doc_e la_remote_doc_renew(la_remote_doc_t *document, apr_uint64_t used, apr_uint64_t what,
                                    apr_pool_t *scratch);

/* Seconds until the document may be fetched early again, at least 1. */
int la_remote_doc_retry_s(const la_remote_doc_t *document);
