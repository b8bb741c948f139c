/* Quotas, callers and counters for the tests of src/quota. */
#ifndef LA_TEST_QUOTAS_H
#define LA_TEST_QUOTAS_H

#include "support.h"

#include "base/hash.h"
#include "quota/admission.h"

#include <sys/mman.h>

#define PLACES  64
#define SECONDS APR_USEC_PER_SEC

static apr_pool_t *pool;
static la_quota_memory_t memory;
static la_holder_t life;
static void *bytes;

static const la_meter_now_t begin = {APR_TIME_C(1000000000), APR_TIME_C(1780000000000000)};

static int set_up_memory(void **state)
{
    static int fd = -1;

    (void)state;
    pool = new_pool();
    if (fd < 0) {
        assert_int_equal(la_holder_open(&fd), APR_SUCCESS);
    }
    la_holder_init(&life, fd);
    bytes =
        mmap(NULL, LA_METERS_BYTES_MIN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(bytes != MAP_FAILED);
    assert_int_equal(la_meters_format(bytes, LA_METERS_BYTES_MIN), APR_SUCCESS);
    assert_int_equal(la_meters_attach(bytes, LA_METERS_BYTES_MIN, &life, pool, &memory.meters),
                     APR_SUCCESS);
    memory.permits =
        (la_permits_t){apr_pcalloc(pool, PLACES * sizeof(la_place_t)),
                       apr_pcalloc(pool, PLACES * sizeof(la_permit_label_t)), PLACES, &life};
    memory.refusals = apr_pcalloc(pool, sizeof(*memory.refusals));
    memory.points[0] = la_hash_point((const unsigned char *)"01234567");
    memory.points[1] = la_hash_point((const unsigned char *)"76543210");
    return 0;
}

static int tear_down_memory(void **state)
{
    (void)state;
    munmap(bytes, LA_METERS_BYTES_MIN);
    apr_pool_destroy(pool);
    return 0;
}

static inline void add_in_memory(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up_memory;
    tests[test_count - 1].teardown_func = tear_down_memory;
}

/* The words of a text, ended by NULL. */
static inline const char *const *words_of(const char *text, int *count)
{
    const char **words = apr_pcalloc(pool, 64 * sizeof(*words));
    char *state;
    char *copy = apr_pstrdup(pool, text);

    *count = 0;
    for (char *word = apr_strtok(copy, " ", &state); word; word = apr_strtok(NULL, " ", &state)) {
        words[(*count)++] = word;
    }
    return words;
}

/* Quotas q, r, s: sections are separated by `|`, their lines by `;`. */
static inline apr_array_header_t *quotas_of(const char *text)
{
    apr_array_header_t *quotas = apr_array_make(pool, 2, sizeof(const la_quota_t *));
    char *section_state;
    char *copy = apr_pstrdup(pool, text);

    for (char *section = apr_strtok(copy, "|", &section_state); section;
         section = apr_strtok(NULL, "|", &section_state)) {
        const char name[2] = {(char)('q' + quotas->nelts), '\0'};
        la_quota_t *quota = la_quota_make(pool, name);
        char *line_state;

        for (char *line = apr_strtok(section, ";", &line_state); line;
             line = apr_strtok(NULL, ";", &line_state)) {
            int count;
            const char *const *words = words_of(line, &count);

            assert_null(la_quota_option(pool, quota, words[0], count - 1, words + 1));
        }
        assert_null(la_quota_check(pool, quota));
        la_quota_name_limits(pool, quota, quota->name);
        la_quota_seed(quota, memory.points);
        APR_ARRAY_PUSH(quotas, const la_quota_t *) = quota;
    }
    return quotas;
}

/* A caller with attributes as in "teams=a teams=b"; NULL: nobody. */
static inline la_quota_caller_t caller_with(const char *attributes)
{
    la_quota_caller_t caller = {NULL, LA_SLICE("alice"), LA_SLICE("c1"), LA_SLICE("keys"),
                                LA_SLICE("192.0.2.1")};
    la_identity_builder_t *builder;
    const char *const *words;
    int count;

    if (!attributes) {
        return (la_quota_caller_t){.address = caller.address};
    }
    builder = la_identity_builder_make(pool);
    words = words_of(attributes, &count);
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');

        la_identity_add(builder, (la_slice_t){words[i], (apr_size_t)(equals - words[i])},
                        la_slice_of(equals + 1));
    }
    assert_null(la_identity_build(builder, pool, &caller.identity));
    return caller;
}

static inline la_admission_t *admission_of(const char *quotas, const char *attributes)
{
    la_quota_caller_t caller = caller_with(attributes);

    return la_admission_make(pool, &memory, quotas_of(quotas), &caller, 0);
}

#endif
