/* Options of a <LlamaAuthProvider> section: rows of a table, each with the parser of a field. */
#pragma once

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

typedef struct la_option_t la_option_t;

/* One line of the section. */
typedef struct la_option_line_t {
    apr_pool_t *pool; /* of what is kept */
    const la_option_t *option;
    void *base; /* the struct that option->offset counts from */
    int count;  /* of words, within option->min_words and max_words */
    const char *const *words;
} la_option_line_t;

/* The field that the line's option fills. */
#define LA_OPTION_FIELD(type, line)                                                                \
    ((type *)(void *)((char *)(line)->base + (line)->option->offset))

/* Fills the field. Returns NULL, or what is wrong with the words, never with a secret; the caller
 * puts the option's name in front. */
typedef const char *la_option_parse_fn(const la_option_line_t *line);

struct la_option_t {
    const char *name; /* as it is written in the configuration; compared in any case */
    la_option_parse_fn *parse;
    apr_size_t offset;
    int min_words;
    int max_words;    /* -1: any number */
    int repeatable;   /* may stand on several lines */
    const char *help; /* the arguments: "URL", "on|off"; mod_info does not show a SECRET */
};

/* Where an array of options ends. */
#define LA_OPTION_END                                                                              \
    {                                                                                              \
        NULL, NULL, 0, 0, 0, 0, NULL                                                               \
    }

/* Parsers, and the field that each fills. */
la_option_parse_fn la_option_word; /* const char *, not empty */
la_option_parse_fn
    la_option_words; /* apr_array_header_t * of const char *, none empty; lines add */
la_option_parse_fn la_option_on_off; /* int */
la_option_parse_fn la_option_choice; /* int or an enum: the place of the word in `help`, "a|b|c" */
la_option_parse_fn la_option_duration;          /* apr_interval_time_t, 0 allowed */
la_option_parse_fn la_option_positive_duration; /* apr_interval_time_t, above 0 */
la_option_parse_fn la_option_size;              /* apr_size_t, bytes; K, M, G; above 0 */
la_option_parse_fn la_option_path;              /* const char *, absolute */
la_option_parse_fn la_option_readable_file; /* const char *, absolute; the file must be readable */
la_option_parse_fn la_option_certificates;  /* as la_option_readable_file; PEM, at least one */
la_option_parse_fn la_option_url;           /* la_url_t; http or https */
la_option_parse_fn la_option_base_url;      /* la_url_t; no query, no slash at its end */
la_option_parse_fn la_option_proxy;         /* const char *, an http URL */
la_option_parse_fn la_option_secret;        /* la_secret_t *, of secret.h */
la_option_parse_fn la_option_regex;         /* const void *, for la_host()->regex_match */
la_option_parse_fn la_option_vary;          /* la_vary_t */
la_option_parse_fn la_option_breaker;       /* la_breaker_t */
la_option_parse_fn la_option_permits;       /* apr_uint32_t, 1 to LA_PERMITS_MAX */
la_option_parse_fn la_option_claim;         /* apr_array_header_t * of la_claim_map_t; lines add */

/* An endpoint as it is configured. */
typedef struct la_url_t {
    const char *url;
    const char *authority; /* host[:port], as clients may see it */
} la_url_t;

/* What a verdict depends on besides the token. */
typedef struct la_vary_t {
    int path;
    int params;
    int client_ip;
    apr_array_header_t *headers; /* of const char *; NULL when there are none */
} la_vary_t;

/* Most headers that CacheVary may name. */
#define LA_VARY_HEADERS_MAX 16

/* When calls to a provider pause. */
typedef struct la_breaker_t {
    apr_uint32_t failures;       /* consecutive outages; 0: never */
    apr_interval_time_t open_us; /* how long */
} la_breaker_t;

/* Largest MaxConcurrent. */
#define LA_PERMITS_MAX 10000

/* The row with that name in any case, or NULL. */
const la_option_t *la_option_find(const la_option_t *table, const char *name);

/* The name (const char *) with the least edit distance; NULL if none is near enough. */
const char *la_option_nearest(const apr_array_header_t *names, const char *name);
