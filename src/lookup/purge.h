/* What an administrator wants forgotten. */
#pragma once

#include "base/slice.h"

typedef enum la_purge_e { LA_PURGE_ALL, LA_PURGE_PRINCIPAL, LA_PURGE_CLIENT_ID } la_purge_e;

/* One purge. The name is borrowed: a principal, or a client id's hex digits in lower case; empty
 * for all. */
typedef struct la_purge_t {
    la_purge_e kind;
    la_slice_t name;
} la_purge_t;

/* Reads `all`, `principal:NAME` or `client_id:ID`. Returns 1, or 0 if the text is none of these. */
int la_purge_parse(la_slice_t text, la_purge_t *purge);
