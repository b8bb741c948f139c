/* permits.c: the limit, holders that are killed, and many that ask at once. */
#include "support.h"

#include "shm/permits.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define BYTES     8192
#define PROCESSES 4

static void *bytes;
static la_holder_t life;

#define PLACES 64

static void test_permits(void **state)
{
    la_permits_t permits = {.places = bytes, .count = PLACES, .life = &life};
    uint32_t index[4];
    uint32_t other;
    pid_t child;

    (void)state;
    memset(bytes, 0, BYTES);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(la_permits_take(&permits, 9, 4, &index[i]), LA_PERMITS_TAKEN);
    }
    assert_int_equal(la_permits_take(&permits, 9, 4, &other), LA_PERMITS_REFUSED);
    assert_int_equal(la_permits_take(&permits, 5, 4, &other), LA_PERMITS_TAKEN);
    la_permits_leave(&permits, 9, index[0]);
    la_permits_leave(&permits, 9, index[0]);
    assert_int_equal(la_permits_count(&permits, 9), 3);
    child = fork();
    if (child == 0) {
        raise(la_permits_take(&permits, 9, 4, &other) == LA_PERMITS_TAKEN ? SIGKILL : SIGABRT);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(la_permits_take(&permits, 9, 4, &other), LA_PERMITS_TAKEN);
    assert_int_equal(la_permits_take(&permits, 9, 4, &other), LA_PERMITS_REFUSED);
}

static void test_permits_full(void **state)
{
    la_permits_t permits = {.places = bytes, .count = PLACES, .life = &life};
    uint32_t index;

    (void)state;
    memset(bytes, 0, BYTES);
    for (uint32_t i = 0; i < PLACES; i++) {
        assert_int_equal(la_permits_take(&permits, i + 1, 1, &index), LA_PERMITS_TAKEN);
    }
    assert_int_equal(la_permits_take(&permits, 1000, 1, &index), LA_PERMITS_FULL);
}

/* The status page sees whose permits are taken; one without a label yet is not shown. */
static void test_labels(void **state)
{
    static la_permit_label_t labels[PLACES];
    la_permits_t permits = {bytes, labels, PLACES, &life};
    la_permit_entry_t written = {.mark = 9, .kind = 7, .limit = 4, .name = "alice"};
    la_permit_entry_t read;
    uint32_t index;

    (void)state;
    memset(bytes, 0, BYTES);
    assert_int_equal(la_permits_take(&permits, 9, 4, &index), LA_PERMITS_TAKEN);
    assert_int_equal(la_permits_read(&permits, index, &read), 0);
    la_permits_label(&permits, index, &written);
    assert_int_equal(la_permits_read(&permits, index, &read), 1);
    assert_int_equal(read.kind, 7);
    assert_int_equal(read.limit, 4);
    assert_string_equal(read.name, "alice");
    la_permits_leave(&permits, 9, index);
    assert_int_equal(la_permits_read(&permits, index, &read), 0);
    memset(bytes, 0xff, BYTES);
    memset(labels, 0xff, sizeof(labels));
    for (index = 0; index < PLACES; index++) {
        la_permits_read(&permits, index, &read);
        assert_true(strlen(read.name) <= LA_PERMIT_NAME_BYTES);
    }
}

/* Never more than the limit hold a permit at once, whoever asks meanwhile. */
static void test_permits_exact(void **state)
{
    la_permits_t permits = {.places = bytes, .count = PLACES, .life = &life};
    _Atomic int *inside = (void *)((char *)bytes + 4096);

    (void)state;
    memset(bytes, 0, BYTES);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            for (int j = 0; j < 20000; j++) {
                uint32_t index;

                if (la_permits_take(&permits, 3, 2, &index) == LA_PERMITS_TAKEN) {
                    int seen = atomic_fetch_add(inside, 1);

                    atomic_fetch_sub(inside, 1);
                    la_permits_leave(&permits, 3, index);
                    if (seen >= 2) {
                        _exit(1);
                    }
                }
            }
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    int fd;

    start();
    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    add("the limit, and a killed holder", test_permits, NULL);
    add("no place", test_permits_full, NULL);
    add("labels", test_labels, NULL);
    add("never more than the limit", test_permits_exact, NULL);
    return finish("permits");
}
