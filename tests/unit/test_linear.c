/* What strangers can make us spend: each list that a request brings is sent at two lengths, the
 * second four times the first, and neither the steps nor the memory that it takes may grow more
 * than the length does.
 *
 * The files that read such lists are built once more for this program, so that their steps are
 * counted: counted.h.
 */
#include "support.h"

#include "access/pattern_rules.h"
#include "base/fields.h"
#include "base/form.h"
#include "base/params.h"
#include "base/uri.h"
#include "lookup/purge.h"
#include "shm/purge_log.h"
#include "access/token.h"

#include "heap.h"

#define BYTES  8190 /* LimitRequestLine and LimitRequestFieldSize as httpd has them */
#define TIMES  4
#define GROWTH 4.4 /* more than TIMES: the end of a text may be unlike its middle */

unsigned long steps;

/* What the compiler calls at each basic block. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

typedef void run_fn(apr_pool_t *pool, const char *text);

static apr_array_header_t *names(apr_pool_t *pool)
{
    apr_array_header_t *made = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(made, const char *) = "token";
    APR_ARRAY_PUSH(made, const char *) = "t";
    return made;
}

static int is_t(const void *context, la_slice_t name)
{
    (void)context;
    return name.len == 1 && name.data[0] == 't';
}

static void find_in_query(apr_pool_t *pool, const char *text)
{
    la_slice_t value;

    la_params_query(pool, text, "t", &value);
}

static void remove_from_query(apr_pool_t *pool, const char *text)
{
    la_params_query_without(pool, text, names(pool));
}

static void find_cookie(apr_pool_t *pool, const char *text)
{
    la_slice_t value;

    (void)pool;
    la_params_cookie(text, "t", &value);
}

static void remove_cookie(apr_pool_t *pool, const char *text)
{
    la_params_cookie_without(pool, text, "t");
}

static void clean_connection(apr_pool_t *pool, const char *text)
{
    la_fields_connection_without(pool, text, is_t, NULL);
}

static void read_authorization(apr_pool_t *pool, const char *text)
{
    la_slice_t token;
    la_scheme_e scheme;

    la_token_from_authorization(apr_pstrcat(pool, "Bearer ", text, NULL), 1, &token, &scheme);
}

static void read_token(apr_pool_t *pool, const char *text)
{
    (void)pool;
    la_token_check(slice_of_text(text));
}

static void read_path(apr_pool_t *pool, const char *text)
{
    la_uri_path(pool, la_slice_of(apr_pstrcat(pool, "/", text, NULL)));
}

static void read_uri(apr_pool_t *pool, const char *text)
{
    la_uri_t uri;

    la_uri_parse(pool, la_slice_of(apr_pstrcat(pool, "https://", text, NULL)), &uri);
}

/* What `custom` is told of a query string. */
static void write_params(apr_pool_t *pool, const char *text)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_form_write(&writer, text, pool);
}

static void read_purge(apr_pool_t *pool, const char *text)
{
    la_slice_t value;
    la_purge_t purge;

    la_params_query(pool, text, "purge", &value);
    la_purge_parse(value, &purge);
}

/* A pattern whose part nearly matches everywhere: half of the text, and then another letter. */
static void match_pattern(apr_pool_t *pool, const char *text)
{
    const char *pattern = apr_psprintf(pool, "*%.*sb*", (int)(strlen(text) / 2), text);

    assert_false(la_pattern_matches(la_slice_of(pattern), la_slice_of(text)));
}

/* One field for each byte: those that are `t` are removed. */
static void remove_fields(apr_pool_t *pool, const char *text)
{
    apr_table_t *fields = apr_table_make(pool, 8);

    for (; *text; text++)
        apr_table_addn(fields, *text == 't' ? "t" : "a", "value");
    la_fields_remove(fields, 0, is_t, NULL, pool);
}

typedef struct row_t {
    const char *name;
    run_fn *run;
    const char *unit; /* repeated up to the length */
} row_t;

static row_t rows[] = {
    {"query, find: &", find_in_query, "&"},
    {"query, find: no value", find_in_query, "t&"},
    {"query, find: repeated", find_in_query, "t=x&"},
    {"query, find: escaped", find_in_query, "%74=%78&"},
    {"query, find: one long name", find_in_query, "%74"},
    {"query, remove: &", remove_from_query, "&"},
    {"query, remove: others", remove_from_query, "a&"},
    {"query, remove: repeated", remove_from_query, "t&"},
    {"query, remove: every other one", remove_from_query, "a&%74=x&"},
    {"cookie, find: ;", find_cookie, ";"},
    {"cookie, find: repeated", find_cookie, "t=x;"},
    {"cookie, find: blanks", find_cookie, "   ;"},
    {"cookie, remove: others", remove_cookie, "a;"},
    {"cookie, remove: every other one", remove_cookie, "a;t;"},
    {"cookie, remove: empty ones", remove_cookie, ";;;t;"},
    {"Connection: commas", clean_connection, ","},
    {"Connection: others", clean_connection, "a,"},
    {"Connection: repeated", clean_connection, "t,"},
    {"Connection: every other one", clean_connection, "a;t "},
    {"Connection: quotes", clean_connection, "a\"t,\"t "},
    {"Connection: quotes that do not end", clean_connection, "t,\"\"\""},
    {"Authorization: joined by commas", read_authorization, "a,Bearer t,"},
    {"Authorization: blanks", read_authorization, " "},
    {"Authorization: a token", read_authorization, "t"},
    {"header: a token", read_token, "t"},
    {"header: joined by commas", read_token, "t, t"},
    {"path: segments", read_path, "a/"},
    {"path: empty segments", read_path, "/"},
    {"path: dots", read_path, "./"},
    {"path: dots that go up", read_path, "../"},
    {"path: down and up", read_path, "a/%2e./"},
    {"path: escapes", read_path, "%41%c3"},
    {"path: bytes beyond ASCII", read_path, "\xc3\xa9"},
    {"URI: a long host", read_uri, "a."},
    {"URI: colons", read_uri, ":"},
    {"URI: digits", read_uri, "a:1"},
    {"URI: brackets", read_uri, "[["},
    {"params: one name", write_params, "t=x&"},
    {"params: without a value", write_params, "t&"},
    {"params: escapes", write_params, "%00=%ff&"},
    {"params: many names", write_params, NULL},
    {"purge: repeated", read_purge, "purge=all&"},
    {"purge: a long principal", read_purge, "purge=principal:"},
    {"pattern: one letter", match_pattern, "a"},
    {"pattern: stars", match_pattern, "a*"},
    {"fields: removed", remove_fields, "t"},
    {"fields: every other one", remove_fields, "at"},
    {"fields: others", remove_fields, "a"},
};

/* The unit again and again; without one, parameters that all have names of their own. */
static char *text_of(apr_pool_t *pool, const row_t *row, apr_size_t bytes)
{
    char *text = apr_palloc(pool, bytes + 1);
    apr_size_t i;

    for (i = 0; i < bytes; i++) {
        text[i] = row->unit ? row->unit[i % strlen(row->unit)] : 'a';
    }
    text[bytes] = '\0';
    for (i = 0; !row->unit && i + 8 <= bytes; i += 8) {
        char part[9];

        apr_snprintf(part, sizeof(part), "%05d=x&", (int)i);
        memcpy(text + i, part, 8);
    }
    return text;
}

/* ---- measuring ---- */

typedef struct cost_t {
    double steps;
    double bytes;
} cost_t;

/* Bytes from malloc() and from mmap(), of which an APR makes its pools. */
static double bytes_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    double pages = 0;
    double allocated = (double)heap_bytes();
    char line[128];

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    pages = strtod(line, NULL);
    return pages * (double)sysconf(_SC_PAGESIZE) + allocated;
}

static cost_t measure(const row_t *row, apr_size_t bytes)
{
    apr_pool_t *around = new_pool();
    const char *text = text_of(around, row, bytes);
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    double before;
    cost_t cost;

    before = bytes_in_use();
    assert_int_equal(apr_allocator_create(&allocator), APR_SUCCESS);
    assert_int_equal(apr_pool_create_ex(&pool, NULL, NULL, allocator), APR_SUCCESS);
    apr_allocator_owner_set(allocator, pool);
    steps = 0;
    row->run(pool, text);
    cost.steps = (double)steps;
    cost.bytes = bytes_in_use() - before;
    apr_pool_destroy(pool);
    apr_pool_destroy(around);
    return cost;
}

static void test_row(void **state)
{
    const row_t *row = *state;
    const double grain = 65536; /* of an allocator */
    cost_t few = measure(row, BYTES);
    cost_t many = measure(row, BYTES * TIMES);

    assert_true(few.steps > 0);
    if (many.steps > GROWTH * few.steps) {
        fail_msg("%.0f steps, then %.0f", few.steps, many.steps);
    }
    if (many.bytes > GROWTH * few.bytes + grain) {
        fail_msg("%.0f bytes, then %.0f", few.bytes, many.bytes);
    }
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(rows); i++)
        add(rows[i].name, test_row, &rows[i]);
    return finish("linear");
}
