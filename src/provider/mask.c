/* Hides secrets in lines of the configuration. Runs while it is read. */
#include "provider/mask.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>
#include <apr_tables.h>

#define MASK "***"

static int begins(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether the word in that place is a SECRET in the option's help, as in "NAME SECRET". */
static int is_secret(const char *help, int place)
{
    while (place-- > 0 && help) {
        help = strchr(help, ' ');
        help = help ? help + 1 : NULL;
    }
    return help && strcmp(help, "SECRET") == 0;
}

/* A URL without the user and password before its host and without its query. */
static const char *mask_url(apr_pool_t *pool, const char *url)
{
    const char *authority = strstr(url, "://") + 3;
    apr_size_t host_len = strcspn(authority, "/?");
    const char *at = memchr(authority, '@', host_len);
    const char *shown = at ? at : authority;

    return apr_pstrcat(pool, apr_pstrmemdup(pool, url, (apr_size_t)(authority - url)),
                       at ? MASK : "", apr_pstrmemdup(pool, shown, strcspn(shown, "?")),
                       strchr(shown, '?') ? "?" MASK : "", NULL);
}

static const char *mask_word(apr_pool_t *pool, const char *help, int place, const char *word)
{
    if (is_secret(help, place)) { /* file: and env: only say where it is */
        return strncmp(word, "file:", 5) == 0 || strncmp(word, "env:", 4) == 0 ? word : MASK;
    }
    if (begins(word, "http://") || begins(word, "https://")) {
        return mask_url(pool, word);
    }
    return word;
}

/* Hides the password of a URL's user:password@. */
static const char *mask_userinfo(apr_pool_t *pool, const char *word)
{
    const char *authority = strstr(word, "://");
    const char *at = authority ? strrchr(authority, '@') : NULL;
    const char *colon = at ? memchr(authority + 3, ':', (apr_size_t)(at - authority - 3)) : NULL;

    if (!colon) {
        return word;
    }
    return apr_pstrcat(pool, apr_pstrmemdup(pool, word, (apr_size_t)(colon + 1 - word)), MASK, at,
                       NULL);
}

const char *la_mask_option(apr_pool_t *pool, const char *help, int count, const char *const *words)
{
    apr_array_header_t *line = apr_array_make(pool, count + 1, sizeof(const char *));
    int changed = 0;

    for (int i = 0; i < count; i++) {
        const char *shown =
            help ? mask_word(pool, help, i, words[i]) : mask_userinfo(pool, words[i]);
        int quoted = !*shown || strpbrk(shown, " \t"); /* as httpd would need it */

        APR_ARRAY_PUSH(line, const char *) =
            quoted ? apr_pstrcat(pool, "\"", shown, "\"", NULL) : shown;
        changed |= strcmp(words[i], shown) != 0;
    }
    return changed ? apr_array_pstrcat(pool, line, ' ') : NULL;
}

const char *la_mask_redis(apr_pool_t *pool, int count, const char *const *words)
{
    return la_mask_option(pool, NULL, count, words);
}
