/* A signer of assertions (spec section 15): one struct for each <LlamaAuthSigner> section. It says
 * which keys sign, who is told, and what of the caller.
 *
 * While the configuration is read: la_signer_make(), la_signer_option() for each line,
 * la_signer_check() at the section's end. Then it is constant, except for the versions of its key
 * files. In each child: la_signer_child_init(). In any thread: the rest.
 */
#pragma once

#include "base/slice.h"
#include "io/reload.h"
#include "jose/signing.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* Most keys of a signer. */
#define LA_SIGNER_KEYS_MAX 8

/* One Key. */
typedef struct la_signer_key_t {
    const char *path;
    la_reload_t *versions; /* of const la_signing_key_t */
} la_signer_key_t;

/* One Claim line. */
typedef struct la_signer_claim_t {
    la_slice_t category;
    const char *name;
    int is_one; /* the only value as a text, in place of a list */
} la_signer_claim_t;

typedef struct la_signer_t {
    const char *name;
    const char *issuer;
    const char *audience;
    apr_interval_time_t lifetime_us;
    apr_array_header_t *keys;   /* of la_signer_key_t; the first signs */
    apr_array_header_t *claims; /* of la_signer_claim_t; none: each category under its own name */
    int sends_one;              /* one of the claims is_one */
    la_slice_t beginning;       /* of each assertion's claims, as JSON: issuer and audience */
    uint32_t index;             /* tells this process's signers apart */
    unsigned given;             /* options that stand once and were read */
} la_signer_t;

/* What is wrong with a signer's name, or NULL: [A-Za-z0-9_.-]+. */
const char *la_signer_check_name(apr_pool_t *pool, const char *name);

/* A signer with the defaults. index: another one for each signer of the configuration. */
la_signer_t *la_signer_make(apr_pool_t *pool, const char *name, uint32_t index);

/* Reads one line of the section, and the files that it names.
 *
 * option: its first word. words: the others, copied where they are kept.
 * Returns NULL, or what is wrong, with the option's name and an example.
 */
const char *la_signer_option(apr_pool_t *pool, la_signer_t *signer, const char *option, int count,
                             const char *const *words);

/* Checks the section when it ends. Returns NULL, or what is wrong. */
const char *la_signer_check(apr_pool_t *pool, la_signer_t *signer);

/* Finds out which key files this process, which runs as httpd's User, cannot read: they are
 * followed once it can. */
void la_signer_child_init(const la_signer_t *signer, apr_pool_t *pool);

/* Whether a claim is set by us alone, in any case: Go's encoding/json matches names without it, and
 * the last of two members counts. */
int la_signer_reserves(la_slice_t claim);

/* Takes hold of the current version of the key that signs; la_signer_release() has to follow.
 *
 * now: the wall clock. held: for la_signer_release().
 */
const la_signing_key_t *la_signer_hold(const la_signer_t *signer, apr_time_t now, unsigned *held);
void la_signer_release(const la_signer_t *signer, unsigned held);

/* What may be told of a key. */
typedef struct la_signer_report_t {
    const char *kid;
    const char *algorithm;
    apr_time_t read_at; /* when its file was read */
} la_signer_report_t;

/* What this process has of a signer's keys, in their order: array of la_signer_report_t in `pool`.
 * now: the wall clock. */
apr_array_header_t *la_signer_report(apr_pool_t *pool, const la_signer_t *signer, apr_time_t now);

/* The public keys of signers as a JWK set (RFC 7517 section 5), each once, in `pool`. What any
 * process of this machine has signed by is among them, as long as a file has it.
 *
 * signers: of const la_signer_t *. now: the wall clock.
 */
la_slice_t la_signer_jwks(apr_pool_t *pool, const apr_array_header_t *signers, apr_time_t now);
