/* Networks of IP addresses in CIDR notation (RFC 4632, RFC 4291). */
#pragma once

#include "base/slice.h"

/* A network; an address is one of a single address. */
typedef struct la_cidr_t {
    unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d; the bits behind the prefix are 0 */
    int bits;                  /* of the prefix: 0 to 128 */
    int is_v4;
} la_cidr_t;

/* Reads 10.0.0.0/8, 2001:db8::/32, or an address alone. ::ffff:10.0.0.0/104 is IPv4's 10.0.0.0/8.
 * Bits behind the prefix are ignored. Returns 1, else 0. */
int la_cidr_parse(la_slice_t text, la_cidr_t *cidr);

/* Whether `inner` lies within `outer`. ::/0 holds no IPv4. */
int la_cidr_holds(const la_cidr_t *outer, const la_cidr_t *inner);
