#include "io/secret.h"

#include "io/reload.h"
#include "io/server.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#define WHITE_SPACE " \t\n\v\f\r"

struct la_secret_t {
    const char *value;   /* NULL: it is in a file */
    la_reload_t *reload; /* its versions are texts */
};

/* A header field with a control character in it would be cut, or become two. */
static const char *check_value(la_slice_t value)
{
    for (apr_size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c < 0x20 || c == 0x7f) {
            return "holds a control character";
        }
    }
    return value.len > 0 ? NULL : "is empty";
}

static int is_blank(char c)
{
    return memchr(WHITE_SPACE, c, sizeof(WHITE_SPACE) - 1) != NULL;
}

const char *la_secret_trim(la_slice_t *text)
{
    while (text->len > 0 && is_blank(text->data[text->len - 1])) {
        text->len--;
    }
    while (text->len > 0 && is_blank(text->data[0])) {
        text->data++;
        text->len--;
    }
    return check_value(*text);
}

static const char *parse_file(void *context, la_slice_t text, apr_pool_t *pool, apr_pool_t *scratch,
                              const void **value)
{
    const char *error = la_secret_trim(&text);

    (void)context;
    (void)scratch;
    *value = apr_pstrmemdup(pool, text.data, text.len);
    return error;
}

static const char *read_file(apr_pool_t *pool, const char *name, la_secret_t *secret)
{
    const char *path = *name ? la_host()->path(pool, name) : NULL;

    if (!path) {
        return "file: names no path";
    }
    secret->reload = la_reload_make(pool, path, LA_SECRET_LIMIT_BYTES, parse_file, NULL);
    return la_reload_read(secret->reload, pool);
}

static const char *take_text(apr_pool_t *pool, const char *text, la_secret_t *secret)
{
    secret->value = apr_pstrdup(pool, text);
    return check_value(la_slice_of(text));
}

static const char *read_environment(apr_pool_t *pool, const char *name, la_secret_t *secret)
{
    const char *text = *name ? getenv(name) : NULL;
    const char *error;

    if (!text) {
        return apr_psprintf(pool, "the environment has no variable %s", name);
    }
    error = take_text(pool, text, secret);
    return error ? apr_psprintf(pool, "the variable %s %s", name, error) : NULL;
}

const char *la_secret_make(apr_pool_t *pool, const char *spec, la_secret_t **secret)
{
    la_secret_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error;

    if (strncmp(spec, "file:", 5) == 0) {
        error = read_file(pool, spec + 5, made);
    } else if (strncmp(spec, "env:", 4) == 0) {
        error = read_environment(pool, spec + 4, made);
    } else {
        error = take_text(pool, spec, made);
        error = error ? apr_psprintf(pool, "the value %s", error) : NULL;
    }
    *secret = error ? NULL : made;
    return error;
}

const char *la_secret_get(la_secret_t *secret, apr_time_t now, apr_pool_t *pool)
{
    const char *value;
    unsigned held;

    if (secret->value) {
        return secret->value;
    }
    la_reload_look(secret->reload, now);
    value = apr_pstrdup(pool, la_reload_hold(secret->reload, &held));
    la_reload_release(secret->reload, held);
    return value;
}
