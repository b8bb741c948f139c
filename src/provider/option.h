/* Options of a <LlamaAuthProvider> section: rows of a table, each with a parser that fills one
 * field. httpd/config/config.c hands the lines in; nothing here knows httpd.
 */
#ifndef LA_OPTION_H
#define LA_OPTION_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

typedef struct la_option_t la_option_t;

/* Fills the field that `option` names inside `base`.
 *
 * base:  the struct that option->offset counts from.
 * count, words: the arguments, count within option->min_words and max_words; copied where they are
 * kept. Returns NULL, or what is wrong with the arguments; the caller puts the option's name in
 * front. A secret's value never stands in that text.
 */
typedef const char *la_option_parse_fn(apr_pool_t *pool, const la_option_t *option, void *base,
                                       int count, const char *const *words);

struct la_option_t {
    const char *name; /* as it is written in the configuration; compared in any case */
    la_option_parse_fn *parse;
    apr_size_t offset;
    int min_words;
    int max_words;    /* -1: any number */
    int repeatable;   /* may stand on several lines */
    const char *help; /* arguments in the manual's notation: "URL", "on|off"; mod_info does not show
                         a SECRET */
};

/* Where an array of options ends. */
#define LA_OPTION_END                                                                              \
    {                                                                                              \
        NULL, NULL, 0, 0, 0, 0, NULL                                                               \
    }

/* Parsers. The field behind each: */
la_option_parse_fn la_option_text; /* const char * */
la_option_parse_fn la_option_word; /* const char *, not empty */
la_option_parse_fn
    la_option_words; /* apr_array_header_t * of const char *, none empty; lines accumulate */
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
la_option_parse_fn la_option_claim; /* apr_array_header_t * of la_claim_map_t; lines accumulate */

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

/* When calls to a provider stop for a while. */
typedef struct la_breaker_t {
    apr_uint32_t failures;       /* consecutive outages; 0: never */
    apr_interval_time_t open_us; /* how long */
} la_breaker_t;

/* Largest MaxConcurrent. */
#define LA_PERMITS_MAX 10000

/* The row with that name in any case, or NULL. */
const la_option_t *la_option_find(const la_option_t *table, const char *name);

/* The name nearest to a misspelled one (edit distance) among those in the array (const char *);
 * NULL when none is near enough to be meant. */
const char *la_option_nearest(const apr_array_header_t *names, const char *name);

#endif
