/* The command line of llama-auth-keys. */
#pragma once

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* One bit each: an option says which it belongs to. */
typedef enum la_key_verb_e {
    LA_KEYS_ADD = 1,
    LA_KEYS_LIST = 2,
    LA_KEYS_ROTATE = 4,
    LA_KEYS_REVOKE = 8,
    LA_KEYS_DISABLE = 16,
    LA_KEYS_ENABLE = 32,
    LA_KEYS_CHECK = 64,
    LA_KEYS_VERIFY = 128,
    LA_KEYS_HELP = 256
} la_key_verb_e;

typedef struct la_key_attribute_t {
    const char *category;
    apr_array_header_t *values; /* of const char * */
} la_key_attribute_t;

typedef struct la_key_options_t {
    la_key_verb_e verb;
    const char *file;
    const char *id;        /* NULL where the verb takes none */
    const char *principal; /* the id by default */
    const char *note;      /* or NULL */
    const char *prefix;
    const char *group;              /* or NULL */
    const char *sha256;             /* 64 hex digits, or NULL */
    apr_array_header_t *attributes; /* of la_key_attribute_t */
    apr_array_header_t *from;       /* of const char *: networks */
    apr_time_t expires;             /* 0: never */
    apr_time_t not_before;          /* 0: always */
    apr_interval_time_t overlap_us;
    apr_interval_time_t expiring_us; /* -1: all keys are listed */
    int json;
} la_key_options_t;

extern const char la_key_help[];

/* Reads the words behind the program's name. All texts are UTF-8 without control characters. now:
 * whole seconds; what durations count from. Returns NULL, or what is wrong, in `pool`; it does not
 * repeat what may be a key. */
const char *la_key_options_parse(apr_pool_t *pool, int count, const char *const *words,
                                 apr_time_t now, la_key_options_t *options);
