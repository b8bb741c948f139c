/* remote_doc.c: a process that is killed at any instruction while it publishes loses no document.
 * It is stepped through, and after each change of the segment a reader finds the document before or
 * the one after.
 */
#include "provider/remote_doc.c"

#include "procs.h"

#include <sys/ptrace.h>

typedef struct step_case_t {
    const char *name;
    const char *before; /* NULL: none */
    const char *after;
} step_case_t;

static step_case_t step_cases[] = {
    {"published: the first", NULL, "{\"keys\":[]}"},
    {"published: another", "{\"keys\":[]}", "{\"keys\":[{}]}"},
    {"published: a shorter one", "{\"keys\":[{},{},{}]}", "{}"},
    {"published: the same again", "{\"keys\":[]}", "{\"keys\":[]}"},
};

/* Of the segment, all that these short documents change. */
typedef struct image_t {
    char head[offsetof(segment_t, slots)];
    char slots[SLOTS][64];
} image_t;

static segment_t *segment;

static la_slice_t slice(const char *text)
{
    return la_slice_of(text);
}

static image_t take_image(void)
{
    image_t image;

    memcpy(image.head, segment, sizeof(image.head));
    for (unsigned i = 0; i < SLOTS; i++) {
        memcpy(image.slots[i], &segment->slots[i], sizeof(image.slots[i]));
    }
    return image;
}

static void publish_here(const char *text)
{
    apr_uint64_t version;

    assert_null(publish(segment, atomic_load(&segment->current), slice(text), &version));
    assert_true(version != 0);
}

static pid_t start_traced(const step_case_t *row)
{
    apr_uint64_t current = atomic_load(&segment->current);
    apr_uint64_t version;
    pid_t child = fork();

    if (child != 0) {
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    la_remote_doc_version_of(slice("what libcrypto does at first is done before"));
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(77);
    }
    raise(SIGSTOP);
    _exit(publish(segment, current, slice(row->after), &version) ? 1 : 0);
}

/* Returns 1 when the document after is found. */
static int look(const step_case_t *row, int was_new)
{
    la_remote_doc_t document = {.segment = segment};
    apr_pool_t *pool;
    apr_uint64_t version;
    la_slice_t bytes;
    int found;
    int is_new;

    apr_pool_create(&pool, NULL);
    found = la_remote_doc_read(&document, pool, &bytes, &version);
    assert_int_equal(found, row->before || was_new || version != 0);
    is_new =
        found && bytes.len == strlen(row->after) && memcmp(bytes.data, row->after, bytes.len) == 0;
    if (found && !is_new) {
        assert_int_equal(was_new, 0);
        assert_int_equal(bytes.len, strlen(row->before));
        assert_memory_equal(bytes.data, row->before, bytes.len);
    }
    apr_pool_destroy(pool);
    return is_new;
}

static void test_every_change(void **state)
{
    const step_case_t *row = *state;
    image_t before;
    unsigned changes = 0;
    int is_new = 0;
    int status;
    pid_t child;

    segment = shared_alloc(sizeof(*segment));
    if (row->before) {
        publish_here(row->before);
    }
    before = take_image();
    child = start_traced(row);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no ptrace here\n");
        skip();
    }
    while (WIFSTOPPED(status)) {
        image_t now = take_image();

        if (memcmp(&before, &now, sizeof(now)) != 0) {
            changes++;
            is_new = look(row, is_new && (!row->before || strcmp(row->before, row->after) != 0));
            before = now;
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(look(row, 0), 1);
    assert_true(changes >= 3);
    shared_free(segment, sizeof(*segment));
}

/* Steps the child until it has changed the segment `changes` times. Returns 0 when it came to its
 * end before. */
static int step_to(pid_t child, unsigned changes)
{
    image_t before = take_image();
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    while (WIFSTOPPED(status) && changes > 0) {
        image_t now;

        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        now = take_image();
        changes -= memcmp(&before, &now, sizeof(now)) != 0;
        before = now;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no ptrace here\n");
        skip();
    }
    return WIFSTOPPED(status);
}

/* Stopped at any change, while others publish: what it has does not come back, and the document of
 * the others stays. After four the writer may spoil their slot, which is given up then. */
static void test_outlived(void **state)
{
    static const step_case_t row = {"", "{\"keys\":[]}", "{\"keys\":[{}]}"};
    static const char newest[] = "{\"keys\":[{},{}]}";
    int others = *(const int *)*state;
    la_remote_doc_t document;
    apr_uint64_t version;
    unsigned changes = 0;
    la_slice_t bytes;
    apr_pool_t *pool;
    int runs;

    apr_pool_create(&pool, NULL);
    do {
        pid_t child;

        segment = shared_alloc(sizeof(*segment));
        document = (la_remote_doc_t){.segment = segment};
        publish_here(row.before);
        child = start_traced(&row);
        runs = step_to(child, changes++);
        for (int i = 1; i < others; i++) {
            publish_here(row.before);
        }
        publish_here(newest);
        if (runs) {
            assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
            assert_int_equal(reap(child), 0);
        }
        if (la_remote_doc_read(&document, pool, &bytes, &version)) {
            assert_int_equal(bytes.len, strlen(newest));
            assert_memory_equal(bytes.data, newest, bytes.len);
        } else {
            assert_true(others >= (int)SLOTS);
        }
        shared_free(segment, sizeof(*segment));
    } while (runs);
    assert_true(changes > 3);
    apr_pool_destroy(pool);
}

int main(void)
{
    static const int others[] = {1, 2, SLOTS};

    for (size_t i = 0; i < ROWS(step_cases); i++) {
        add(step_cases[i].name, test_every_change, &step_cases[i]);
    }
    add("stopped: another publishes meanwhile", test_outlived, (void *)(uintptr_t)&others[0]);
    add("stopped: two others publish meanwhile", test_outlived, (void *)(uintptr_t)&others[1]);
    add("stopped: four others publish meanwhile", test_outlived, (void *)(uintptr_t)&others[2]);
    return run_added("document_crash");
}
