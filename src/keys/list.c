#include "keys/list.h"

#include "base/json.h"
#include "base/json_scan.h"
#include "base/timestamp.h"

#include <apr_strings.h>

#define COLUMNS 6

static const char *const titles[COLUMNS] = {"ID",      "PRINCIPAL", "STATE",
                                            "EXPIRES", "CREATED",   "NOTE"};

/* What `list --json` shows, beside `state`: everything except the digest. */
static const char *const shown[] = {"id",      "principal", "attributes", "not_before", "expires",
                                    "created", "disabled",  "from",       "note"};

/* A stranger's text without characters that a terminal obeys. */
static const char *printable(apr_pool_t *pool, const char *text)
{
    char *copy = apr_pstrdup(pool, text);
    unsigned char *c = (unsigned char *)copy;

    for (; *c; c++) {
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)) {
            c += *c == 0xC2;
            *c = *c < 0x80 ? '?' : 0xBF; /* U+00BF is an inverted question mark */
        }
    }
    return copy;
}

/* Characters, as far as a terminal shows each in one column. */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

static const char *state_of(const la_key_run_t *run, const la_api_key_t *key)
{
    if (key->disabled) {
        return "disabled";
    }
    if (key->expires != 0 && run->now >= key->expires) {
        return "expired";
    }
    return run->now < key->not_before ? "early" : "valid";
}

static const char *text_of(const la_key_run_t *run, const la_key_loaded_t *loaded,
                           const la_api_key_t *key, const char *name)
{
    const char *raw = la_key_member(run, loaded, key, name);
    const la_json_t *value;
    la_slice_t text;

    if (!raw || la_json_parse(run->pool, la_slice_of(raw), &value) ||
        !la_json_string(value, &text)) {
        return "";
    }
    return printable(run->pool, apr_pstrmemdup(run->pool, text.data, text.len));
}

static const char *time_of(const la_key_run_t *run, apr_time_t at, const char *none)
{
    return at == 0 ? none : la_timestamp_text(run->pool, at);
}

static void fill_row(const la_key_run_t *run, const la_key_loaded_t *loaded,
                     const la_api_key_t *key, const char **row)
{
    row[0] = printable(run->pool, key->label);
    row[1] = printable(run->pool, la_identity_principal(key->identity).data);
    row[2] = state_of(run, key);
    row[3] = time_of(run, key->expires, "never");
    row[4] = time_of(run, key->created, "");
    row[5] = text_of(run, loaded, key, "note");
}

static void print_row(FILE *out, const char *const *row, const int *widths)
{
    int last = COLUMNS - 1;

    while (last > 0 && !*row[last]) {
        last--;
    }
    for (int i = 0; i <= last; i++) {
        fprintf(out, "%s%*s", row[i], i < last ? widths[i] - width_of(row[i]) + 2 : 0, "");
    }
    fputc('\n', out);
}

static void print_table(const la_key_run_t *run, const la_key_loaded_t *loaded,
                        const apr_array_header_t *keys)
{
    const char **rows =
        apr_pcalloc(run->pool, sizeof(*rows) * COLUMNS * ((apr_size_t)keys->nelts + 1));
    int widths[COLUMNS] = {0};

    memcpy(rows, titles, sizeof(titles));
    for (int i = 0; i < keys->nelts; i++) {
        fill_row(run, loaded, APR_ARRAY_IDX(keys, i, const la_api_key_t *),
                 rows + (apr_size_t)(i + 1) * COLUMNS);
    }
    for (int i = 0; i < (keys->nelts + 1) * COLUMNS; i++) {
        int width = width_of(rows[i]);

        widths[i % COLUMNS] = width > widths[i % COLUMNS] ? width : widths[i % COLUMNS];
    }
    for (int i = 0; i <= keys->nelts; i++) {
        print_row(run->out, rows + (apr_size_t)i * COLUMNS, widths);
    }
}

static void print_json_key(const la_key_run_t *run, const la_key_loaded_t *loaded,
                           const la_api_key_t *key)
{
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const char *raw = la_key_member(run, loaded, key, shown[i]);

        if (raw) {
            fprintf(run->out, "\"%s\": %s, ", shown[i], raw);
        }
    }
    fprintf(run->out, "\"state\": \"%s\"}", state_of(run, key));
}

static void print_json(const la_key_run_t *run, const la_key_loaded_t *loaded,
                       const apr_array_header_t *keys)
{
    fputs("{\"keys\": [", run->out);
    for (int i = 0; i < keys->nelts; i++) {
        fputs(i > 0 ? ",\n  {" : "\n  {", run->out);
        print_json_key(run, loaded, APR_ARRAY_IDX(keys, i, const la_api_key_t *));
    }
    fputs(keys->nelts > 0 ? "\n]}\n" : "]}\n", run->out);
}

static la_key_exit_e finish(const la_key_run_t *run)
{
    return fflush(run->out) == 0 && !ferror(run->out)
               ? LA_KEYS_DONE
               : la_key_fail(run, "standard output cannot be written");
}

la_key_exit_e la_key_list(const la_key_run_t *run)
{
    apr_interval_time_t within = run->options->expiring_us;
    apr_array_header_t *keys;
    la_key_loaded_t loaded;

    if (!la_key_load(run, 0, &loaded)) {
        return LA_KEYS_FAILED;
    }
    keys = apr_array_make(run->pool, loaded.all->nelts, sizeof(const la_api_key_t *));
    for (int i = 0; i < loaded.all->nelts; i++) {
        const la_api_key_t *key = APR_ARRAY_IDX(loaded.all, i, const la_api_key_t *);

        if (within < 0 || la_static_keys_ends_soon(key, run->now, within)) {
            APR_ARRAY_PUSH(keys, const la_api_key_t *) = key;
        }
    }
    if (run->options->json) {
        print_json(run, &loaded, keys);
    } else {
        print_table(run, &loaded, keys);
    }
    return finish(run);
}

la_key_exit_e la_key_print_valid(const la_key_run_t *run, const la_key_loaded_t *loaded,
                                 const la_api_key_t *key)
{
    const char *from = la_key_member(run, loaded, key, "from");

    fprintf(run->out, "%s: valid, principal %s, expires %s%s%s\n", printable(run->pool, key->label),
            printable(run->pool, la_identity_principal(key->identity).data),
            time_of(run, key->expires, "never"), from ? ", only from " : "", from ? from : "");
    return finish(run);
}
