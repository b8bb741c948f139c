/* Keeps for each scope the set of those that imply it. */
#include "access/scope.h"

#include "base/hash.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>

static const char *word_fault(apr_pool_t *pool, const char *word)
{
    const char *at = word;

    while (*at > 0x20 && *at < 0x7f && *at != '"' && *at != '\\') {
        at++;
    }
    if (at == word || *at != '\0') {
        return apr_pstrcat(pool, "'", word,
                           "' is no scope: 1 or more of the characters that RFC 6749 section "
                           "3.3 allows (visible ASCII but \" and \\)",
                           NULL);
    }
    if (strchr(word, ',') != NULL) {
        return apr_pstrcat(pool, "'", word,
                           "' is one scope with a comma in its name: write blanks between scopes, "
                           "as in: models.read models.write",
                           NULL);
    }
    return NULL;
}

const char *la_scope_fault(apr_pool_t *pool, int count, const char *const *words)
{
    const char *fault = NULL;

    for (int i = 0; i < count && !fault; i++) {
        fault = word_fault(pool, words[i]);
    }
    return fault;
}

/* One scope implies the other, as a line says. */
typedef struct pair_t {
    const char *from;
    const char *to;
} pair_t;

struct la_implied_scopes_t {
    apr_hash_t *implied;       /* scope -> apr_hash_t of the scopes that imply it */
    apr_array_header_t *pairs; /* of pair_t: those that the lines say */
};

static apr_hash_t *make_set(apr_pool_t *pool, la_implied_scopes_t *implied, const char *scope)
{
    apr_hash_t *set = apr_hash_get(implied->implied, scope, APR_HASH_KEY_STRING);

    if (!set) {
        set = apr_hash_make_custom(pool, la_hash_keyed);
        apr_hash_set(implied->implied, scope, APR_HASH_KEY_STRING, set);
    }
    return set;
}

static void add_member(apr_hash_t *set, const char *scope, const char *owner)
{
    if (strcmp(scope, owner) != 0 && !apr_hash_get(set, scope, APR_HASH_KEY_STRING)) {
        apr_hash_set(set, scope, APR_HASH_KEY_STRING, scope);
    }
}

/* Adds to the set of `target` the scope `from` and all that imply `from`. */
static void add_sources(apr_pool_t *pool, la_implied_scopes_t *implied, const char *from,
                        const char *target)
{
    apr_hash_t *sources = apr_hash_get(implied->implied, from, APR_HASH_KEY_STRING);
    apr_hash_t *set = make_set(pool, implied, target);
    apr_hash_index_t *at = sources ? apr_hash_first(pool, sources) : NULL;

    add_member(set, from, target);
    for (; at; at = apr_hash_next(at)) {
        add_member(set, apr_hash_this_key(at), target);
    }
}

static int is_implied(const la_implied_scopes_t *implied, const pair_t *pair)
{
    apr_hash_t *set = apr_hash_get(implied->implied, pair->to, APR_HASH_KEY_STRING);

    return set && apr_hash_get(set, pair->from, APR_HASH_KEY_STRING);
}

/* Says that one scope implies another, and so all that the other implies. */
static void add_pair(apr_pool_t *pool, la_implied_scopes_t *implied, const pair_t *pair)
{
    apr_hash_index_t *at;

    APR_ARRAY_PUSH(implied->pairs, pair_t) = *pair;
    if (is_implied(implied, pair)) {
        return;
    }
    add_sources(pool, implied, pair->from, pair->to);
    for (at = apr_hash_first(pool, implied->implied); at; at = apr_hash_next(at)) {
        if (apr_hash_get(apr_hash_this_val(at), pair->to, APR_HASH_KEY_STRING)) {
            add_sources(pool, implied, pair->from, apr_hash_this_key(at));
        }
    }
}

static la_implied_scopes_t *make_empty(apr_pool_t *pool)
{
    la_implied_scopes_t *implied = apr_palloc(pool, sizeof(*implied));

    implied->implied = apr_hash_make_custom(pool, la_hash_keyed);
    implied->pairs = apr_array_make(pool, 8, sizeof(pair_t));
    return implied;
}

const char *la_implied_scopes_add(apr_pool_t *pool, la_implied_scopes_t **implied, int count,
                                  const char *const *words)
{
    const char *fault;
    const char *scope;

    if (count < 2) {
        return "takes a scope and the scopes that it implies";
    }
    fault = la_scope_fault(pool, count, words);
    if (fault) {
        return fault;
    }
    *implied = *implied ? *implied : make_empty(pool);
    scope = apr_pstrdup(pool, words[0]);
    for (int i = 1; i < count; i++) {
        add_pair(pool, *implied, &(pair_t){scope, apr_pstrdup(pool, words[i])});
    }
    return NULL;
}

la_implied_scopes_t *la_implied_scopes_merge(apr_pool_t *pool, la_implied_scopes_t *main_server,
                                             la_implied_scopes_t *host)
{
    const apr_array_header_t *pairs;
    la_implied_scopes_t *merged;

    if (!main_server || !host) {
        return host ? host : main_server;
    }
    pairs = apr_array_append(pool, main_server->pairs, host->pairs);
    merged = make_empty(pool);
    for (int i = 0; i < pairs->nelts; i++) {
        add_pair(pool, merged, &APR_ARRAY_IDX(pairs, i, pair_t));
    }
    return merged;
}

int la_implied_scopes_has(const la_implied_scopes_t *implied, const la_identity_t *identity,
                          la_slice_t scope)
{
    apr_hash_t *set =
        implied ? apr_hash_get(implied->implied, scope.data, (apr_ssize_t)scope.len) : NULL;
    apr_size_t index;
    apr_size_t count;

    if (!set || !identity) {
        return 0;
    }
    index = la_identity_find(identity, LA_SLICE(LA_CATEGORY_SCOPES));
    count = la_identity_value_count(identity, index);
    for (apr_size_t i = 0; i < count; i++) {
        la_slice_t value = la_identity_value(identity, index, i);

        if (apr_hash_get(set, value.data, (apr_ssize_t)value.len)) {
            return 1;
        }
    }
    return 0;
}
