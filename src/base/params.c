/* Named values in query strings and Cookie fields. Both are lists of parts, each a name, a `=` and
 * a value. Texts in, texts out; any thread. */
#include "base/params.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include <openssl/crypto.h>

/* What separates parts when they are joined; its first character separates them when they are read.
 */
#define QUERY  "&"
#define COOKIE "; "

/* A part of a list, as it is written. */
typedef struct part_t {
    la_slice_t whole;
    la_slice_t name;
    la_slice_t value; /* data NULL where there is no `=` */
} part_t;

/* Whether a part is meant by `names`. */
typedef int test_fn(const part_t *part, const void *names);

int la_params_is_name(const char *text)
{
    const char *p;

    for (p = text; apr_isalnum(*p) || (*p && strchr("!#$%&'*+-.^_`|~", *p)); p++) {}
    return p > text && !*p;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static la_slice_t trim(la_slice_t text)
{
    for (; text.len > 0 && is_blank(*text.data); text.len--) {
        text.data++;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Cuts the next part off `*rest`, without the blanks that cookies may have around each piece.
 * Returns 0 at the end. */
static int next_part(const char **rest, const char *separator, part_t *part)
{
    const char *start = *rest;
    const char *end;
    const char *equals;

    if (!start) {
        return 0;
    }
    end = strchr(start, separator[0]);
    *rest = end ? end + 1 : NULL;
    *part = (part_t){.whole = {start, end ? (apr_size_t)(end - start) : strlen(start)}};
    part->name = part->whole;
    equals = part->whole.len ? memchr(start, '=', part->whole.len) : NULL;
    if (equals) {
        part->name.len = (apr_size_t)(equals - start);
        part->value = (la_slice_t){equals + 1, part->whole.len - part->name.len - 1};
    }
    if (separator[0] == COOKIE[0]) {
        *part = (part_t){trim(part->whole), trim(part->name), trim(part->value)};
    }
    return 1;
}

/* The list without the parts that the test names; NULL when none is left, `list` when all are. */
static const char *list_without(apr_pool_t *pool, const char *list, const char *separator,
                                test_fn *test, const void *names)
{
    const char *rest = list;
    int found = 0;
    char *kept;
    char *end;
    part_t part;

    while (!found && next_part(&rest, separator, &part)) {
        found = test(&part, names);
    }
    if (!found) {
        return list;
    }
    kept = apr_palloc(pool, 2 * strlen(list) + 1); /* a blank may come to each separator */
    end = kept;
    for (rest = list, found = 0; next_part(&rest, separator, &part);) {
        if (!test(&part, names)) {
            for (const char *s = separator; found && *s; s++) {
                *end++ = *s;
            }
            memcpy(end, part.whole.data, part.whole.len);
            end += part.whole.len;
            found = 1;
        }
    }
    *end = '\0';
    return found ? kept : NULL;
}

/* ---- query strings ---- */

/* Cuts the next byte off a text, decoded. */
static char next_byte(la_slice_t *text)
{
    const unsigned char *p = (const unsigned char *)text->data;
    apr_size_t used = 1;
    char c = *text->data;

    if (c == '+') {
        c = ' ';
    } else if (c == '%' && text->len > 2 && OPENSSL_hexchar2int(p[1]) >= 0 &&
               OPENSSL_hexchar2int(p[2]) >= 0) {
        c = (char)(OPENSSL_hexchar2int(p[1]) << 4 | OPENSSL_hexchar2int(p[2]));
        used = 3;
    }
    text->data += used;
    text->len -= used;
    return c;
}

la_slice_t la_params_decode(apr_pool_t *pool, la_slice_t text)
{
    char *out = apr_palloc(pool, text.len + 1);
    apr_size_t len = 0;

    while (text.len > 0) {
        out[len++] = next_byte(&text);
    }
    out[len] = '\0';
    return (la_slice_t){out, len};
}

/* Whether a parameter's name is that one once it is decoded. */
static int query_has_name(const part_t *part, const char *name)
{
    la_slice_t rest = part->name;

    for (; rest.len > 0 && *name; name++) {
        if (next_byte(&rest) != *name) {
            return 0;
        }
    }
    return rest.len == 0 && !*name;
}

int la_params_next(const char **rest, la_slice_t *name, la_slice_t *value)
{
    part_t part;

    if (!next_part(rest, QUERY, &part)) {
        return 0;
    }
    *name = part.name;
    *value = part.value;
    return 1;
}

int la_params_query(apr_pool_t *pool, const char *query, const char *name, la_slice_t *value)
{
    part_t part;
    int count = 0;

    *value = (la_slice_t){"", 0};
    while (next_part(&query, QUERY, &part)) {
        if (part.value.len > 0 && query_has_name(&part, name) && count++ == 0) {
            *value = la_params_decode(pool, part.value);
        }
    }
    return count;
}

static int query_has_one_of(const part_t *part, const void *names)
{
    const apr_array_header_t *list = names;

    for (int i = 0; i < list->nelts; i++) {
        if (query_has_name(part, APR_ARRAY_IDX(list, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

const char *la_params_query_without(apr_pool_t *pool, const char *query,
                                    const apr_array_header_t *names)
{
    return names ? list_without(pool, query, QUERY, query_has_one_of, names) : query;
}

/* ---- cookies ---- */

static la_slice_t unquote(la_slice_t text)
{
    if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"') {
        return (la_slice_t){text.data + 1, text.len - 2};
    }
    return text;
}

static int cookie_has_name(const part_t *part, const void *name)
{
    return la_slice_is(part->name, name);
}

int la_params_cookie(const char *field, const char *name, la_slice_t *value)
{
    part_t part;
    int count = 0;

    *value = (la_slice_t){"", 0};
    while (next_part(&field, COOKIE, &part)) {
        la_slice_t text = unquote(part.value);

        if (text.len > 0 && cookie_has_name(&part, name) && count++ == 0) {
            *value = text;
        }
    }
    return count;
}

const char *la_params_cookie_without(apr_pool_t *pool, const char *field, const char *name)
{
    return list_without(pool, field, COOKIE, cookie_has_name, name);
}
