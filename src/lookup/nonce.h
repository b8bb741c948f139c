/* Nonces for DPoP proofs (RFC 9449 sections 8 and 9). A nonce is the time and a MAC of it, so
 * nobody keeps it: it is good in all processes of this server, across graceful restarts, and where
 * LlamaAuthCacheSecret is configured on all machines that have the secret.
 *
 *   16 hex digits of the time in microseconds since 1970 | 32 of HMAC-SHA256, cut
 */
#pragma once

#include "lookup/lookup.h"

#define LA_NONCE_LEN 48

/* How long a nonce is good, and when a client should be given the next one. */
#define LA_NONCE_LIFE_US (APR_TIME_C(300) * APR_USEC_PER_SEC)
#define LA_NONCE_SOON_US (APR_TIME_C(150) * APR_USEC_PER_SEC)

/* How far the clock of the machine that made it may be ahead. */
#define LA_NONCE_AHEAD_US (APR_TIME_C(10) * APR_USEC_PER_SEC)

typedef enum la_nonce_e {
    LA_NONCE_BAD,
    LA_NONCE_ENDS_SOON, /* good; send a new one with the answer */
    LA_NONCE_GOOD
} la_nonce_e;

/* Makes a nonce. text: closed with NUL; empty when there is no key, or libcrypto fails. now:
 * apr_time_now(). Any thread. */
void la_nonce_make(const la_shared_t *shared, apr_time_t now, char text[LA_NONCE_LEN + 1]);

/* Checks a nonce that a client sent, of any length and with any bytes. Any thread. */
la_nonce_e la_nonce_check(const la_shared_t *shared, la_slice_t nonce, apr_time_t now);
