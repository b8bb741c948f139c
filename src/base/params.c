/* Named values in query strings and Cookie fields. Both are lists: parts between separators, each a
 * name, a `=` and a value. Texts in, texts out; any thread.
 */
#include "base/params.h"

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

/* Cuts the next part off `*rest`. Returns 0 at the end. `whole` is what stands between the
 * separators. */
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

/* Cuts the next byte off a text, decoded: `+` is a space, %XX a byte; a `%` that begins no escape
 * stands for itself. */
static char next_byte(la_slice_t *text)
{
    const char *p = text->data;
    apr_size_t used = 1;
    char c = *p;

    if (c == '+') {
        c = ' ';
    } else if (c == '%' && text->len > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
        c = (char)(unsigned char)(hex(p[1]) * 16 + hex(p[2]));
        used = 3;
    }
    text->data += used;
    text->len -= used;
    return c;
}

static la_slice_t decode(apr_pool_t *pool, la_slice_t text)
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

int la_params_query(apr_pool_t *pool, const char *query, const char *name, la_slice_t *value)
{
    la_slice_t whole;
    part_t part;
    int count = 0;

    *value = (la_slice_t){"", 0};
    while (next_part(&query, '&', &whole, &part)) {
        if (part.value.len > 0 && query_has_name(&part, name) && count++ == 0) {
            *value = decode(pool, part.value);
        }
    }
    return count;
}

static int is_one_of(const part_t *part, const apr_array_header_t *names)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        if (query_has_name(part, APR_ARRAY_IDX(names, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static int query_names_one(const char *query, const apr_array_header_t *names)
{
    la_slice_t whole;
    part_t part;

    while (next_part(&query, '&', &whole, &part)) {
        if (is_one_of(&part, names)) {
            return 1;
        }
    }
    return 0;
}

/* What is put together of the parts that stay. */
typedef struct rest_t {
    char *data;
    apr_size_t len;
    int parts;
} rest_t;

static void keep(rest_t *rest, const char *separator, la_slice_t part)
{
    for (; rest->parts > 0 && *separator; separator++) {
        rest->data[rest->len++] = *separator;
    }
    memcpy(rest->data + rest->len, part.data, part.len);
    rest->len += part.len;
    rest->parts++;
}

static const char *end_of(rest_t *rest)
{
    rest->data[rest->len] = '\0';
    return rest->parts > 0 ? rest->data : NULL;
}

const char *la_params_query_without(apr_pool_t *pool, const char *query,
                                    const apr_array_header_t *names)
{
    const char *left = query;
    rest_t rest = {NULL, 0, 0};
    la_slice_t whole;
    part_t part;

    if (!query_names_one(query, names)) {
        return query;
    }
    rest.data = apr_palloc(pool, strlen(query) + 1);
    while (next_part(&left, '&', &whole, &part)) {
        if (!is_one_of(&part, names)) {
            keep(&rest, "&", whole);
        }
    }
    return end_of(&rest);
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

        if (text.len > 0 && la_slice_is(trim(part.name), name) && count++ == 0) {
            *value = text;
        }
    }
    return count;
}

static int cookie_is_named(const char *field, const char *name)
{
    la_slice_t whole;
    part_t part;

    while (next_part(&field, ';', &whole, &part)) {
        if (la_slice_is(trim(part.name), name)) {
            return 1;
        }
    }
    return 0;
}

const char *la_params_cookie_without(apr_pool_t *pool, const char *field, const char *name)
{
    const char *left = field;
    rest_t rest = {NULL, 0, 0};
    la_slice_t whole;
    part_t part;

    if (!cookie_is_named(field, name)) {
        return field;
    }
    rest.data =
        apr_palloc(pool, 2 * strlen(field) + 1); /* a blank is put where there may be none */
    while (next_part(&left, ';', &whole, &part)) {
        if (!la_slice_is(trim(part.name), name)) {
            keep(&rest, "; ", trim(whole));
        }
    }
    return end_of(&rest);
}
