/* The elliptic curves (RFC 7518 section 6.2.1, RFC 8037 section 2). Any thread. */
#pragma once

#include "jose/jwa.h"

#include <openssl/evp.h>

typedef struct la_curve_t {
    const char *name;       /* JOSE's */
    const char *openssl;    /* of the group, or of the type of key */
    la_jwa_set_t algorithm; /* the one that it is for */
    apr_size_t bytes;       /* of a coordinate, or of an encoded point */
} la_curve_t;

/* The curve that JOSE calls so, that is for the algorithm, that the key is on; else NULL. Constant.
 * algorithm: one alone. The last one may leave errors in OpenSSL's queue. */
const la_curve_t *la_curve_named(la_slice_t name);
const la_curve_t *la_curve_for(la_jwa_set_t algorithm);
const la_curve_t *la_curve_of(const EVP_PKEY *key);
