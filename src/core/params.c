/* Named values in query strings and Cookie fields. Both are lists: parts between separators, each a name, a `=` and a value.
 * Texts in, texts out; any thread.
 */
#include "core/params.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

int la_params_is_name(const char *text)
{
    const char *p;

    for (p = text; apr_isalnum(*p) || (*p && strchr("!#$%&'*+-.^_`|~", *p)); p++) {}
    return p > text && !*p;
}

/* A part of a list, as it is written. */
typedef struct part_t {
    la_slice_t name;
    la_slice_t value; /* data NULL where there is no `=` */
} part_t;

/* Cuts the next part off `*rest`. Returns 0 at the end. `whole` is what stands between the separators. */
static int next_part(const char **rest, char separator, la_slice_t *whole, part_t *part)
{
    const char *start = *rest;
    const char *end;
    const char *equals;

    if (!start) {
        return 0;
    }
    end = strchr(start, separator);
    *rest = end ? end + 1 : NULL;
    *whole = (la_slice_t){start, end ? (apr_size_t)(end - start) : strlen(start)};
    equals = whole->len ? memchr(start, '=', whole->len) : NULL;
    *part = (part_t){.name = *whole};
    if (equals) {
        part->name.len = (apr_size_t)(equals - start);
        part->value = (la_slice_t){equals + 1, whole->len - part->name.len - 1};
    }
    return 1;
}

/* ---- query strings ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* `+` is a space, %XX a byte; a `%` that begins no escape stands for itself. */
static la_slice_t decode(apr_pool_t *pool, la_slice_t text)
{
    char *out = apr_palloc(pool, text.len + 1);
    apr_size_t len = 0;
    apr_size_t i;

    for (i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%' && text.len - i > 2 && hex(text.data[i + 1]) >= 0 &&
                   hex(text.data[i + 2]) >= 0) {
            c = (char)(unsigned char)(hex(text.data[i + 1]) * 16 + hex(text.data[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return (la_slice_t){out, len};
}

static int same(la_slice_t text, const char *name)
{
    return text.len == strlen(name) && memcmp(text.data, name, text.len) == 0;
}

static int query_has_name(apr_pool_t *pool, const part_t *part, const char *name)
{
    return same(decode(pool, part->name), name);
}

int la_params_query(apr_pool_t *pool, const char *query, const char *name, la_slice_t *value)
{
    la_slice_t whole;
    part_t part;
    int count = 0;

    *value = (la_slice_t){"", 0};
    while (next_part(&query, '&', &whole, &part)) {
        if (part.value.len > 0 && query_has_name(pool, &part, name) && count++ == 0) {
            *value = decode(pool, part.value);
        }
    }
    return count;
}

/* Appends a part that stays to what was kept before. */
static const char *keep(apr_pool_t *pool, const char *kept, const char *separator, la_slice_t part)
{
    const char *text = apr_pstrmemdup(pool, part.data, part.len);

    return kept ? apr_pstrcat(pool, kept, separator, text, NULL) : text;
}

const char *la_params_query_without(apr_pool_t *pool, const char *query, const char *name)
{
    const char *rest = query;
    const char *kept = NULL;
    la_slice_t whole;
    part_t part;
    int removed = 0;

    while (next_part(&rest, '&', &whole, &part)) {
        if (query_has_name(pool, &part, name)) {
            removed = 1;
        } else {
            kept = keep(pool, kept, "&", whole);
        }
    }
    return removed ? kept : query;
}

/* ---- cookies ---- */

static la_slice_t trim(la_slice_t text)
{
    while (text.len > 0 && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static la_slice_t unquote(la_slice_t text)
{
    if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"') {
        return (la_slice_t){text.data + 1, text.len - 2};
    }
    return text;
}

int la_params_cookie(const char *field, const char *name, la_slice_t *value)
{
    la_slice_t whole;
    part_t part;
    int count = 0;

    *value = (la_slice_t){"", 0};
    while (next_part(&field, ';', &whole, &part)) {
        la_slice_t text = unquote(trim(part.value));

        if (text.len > 0 && same(trim(part.name), name) && count++ == 0) {
            *value = text;
        }
    }
    return count;
}

const char *la_params_cookie_without(apr_pool_t *pool, const char *field, const char *name)
{
    const char *rest = field;
    const char *kept = NULL;
    la_slice_t whole;
    part_t part;
    int removed = 0;

    while (next_part(&rest, ';', &whole, &part)) {
        if (same(trim(part.name), name)) {
            removed = 1;
        } else {
            kept = keep(pool, kept, "; ", trim(whole));
        }
    }
    return removed ? kept : field;
}
