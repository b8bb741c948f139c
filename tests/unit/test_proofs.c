/* proofs.c: what is remembered here and in a Redis that answers what the test says; what is sent,
 * what counts as no answer, what the log is told. With real ones: tests/http/test_replay.py. */
#include "support.h"

#include "lives.h"
#include "redis_fakes.h"
#include "lookup/proofs.h"
#include "lookup/remote_link.h"

#include <sys/mman.h>

#define SECONDS(n) ((apr_time_t)(n)*APR_USEC_PER_SEC)
#define BEGIN      SECONDS(1780000000)
#define NOW        (BEGIN + SECONDS(600))

static apr_pool_t *pool;

/* ---- what the fake Redis was sent ---- */

/* The words of the last SET. */
static const char *last_sent(void)
{
    const char *sent;

    pthread_mutex_lock(&fake.lock);
    sent = apr_pstrdup(pool, fake.sent);
    pthread_mutex_unlock(&fake.lock);
    return sent;
}

static int count_calls(void)
{
    int calls;

    pthread_mutex_lock(&fake.lock);
    calls = fake.calls;
    pthread_mutex_unlock(&fake.lock);
    return calls;
}

/* ---- machines ---- */

static void *new_bytes(apr_size_t size)
{
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(bytes != MAP_FAILED);
    return bytes;
}

static const char *socket_path;

/* As long as a test may take; short where no answer comes. */
static apr_interval_time_t timeout_us;

/* A machine with that memory of its own; secrets: names of files. NULL: without Redis. */
static la_shared_t *new_machine(const char *secrets)
{
    static const uint64_t points[2] = {UINT64_C(0x123456789abcdef), UINT64_C(0xfedcba987654321)};
    la_shared_t *machine = apr_pcalloc(pool, sizeof(*machine));
    la_remote_options_t *options = apr_pcalloc(pool, sizeof(*options));
    la_remote_shared_t shared = {.gate = 0, .stats_index = 0};
    void *bytes = new_bytes(LA_REPLAY_BYTES_MIN);
    char *rest = apr_pstrdup(pool, secrets ? secrets : "");

    assert_int_equal(la_replay_format(bytes, LA_REPLAY_BYTES_MIN, BEGIN), APR_SUCCESS);
    assert_int_equal(
        la_replay_attach(bytes, LA_REPLAY_BYTES_MIN, points, test_holder(), pool, &machine->proofs),
        APR_SUCCESS);
    if (!secrets) {
        return machine;
    }
    bytes = new_bytes(la_gates_bytes(1, 1));
    assert_int_equal(la_gates_format(bytes, 1, 1), APR_SUCCESS);
    assert_int_equal(la_gates_attach(bytes, 1, 1, test_holder(), pool, &shared.gates), APR_SUCCESS);
    shared.stats = la_counters_attach(new_bytes(la_counters_bytes(1)), 1, pool);
    options->redis = (la_redis_options_t){.path = socket_path,
                                          .address = "unix:redis",
                                          .prefix = "test:",
                                          .timeout_us = timeout_us,
                                          .connect_timeout_us = SECONDS(20)};
    for (char *name = apr_strtok(rest, " ", &rest); name; name = apr_strtok(NULL, " ", &rest)) {
        assert_null(la_remote_secret(pool, name, options));
    }
    assert_int_equal(la_remote_make(pool, options, &shared, 2, &machine->remote), APR_SUCCESS);
    return machine;
}

/* A proof of that caller. */
static la_replay_e remember_of(const la_shared_t *machine, const char *caller, uint64_t number)
{
    unsigned char digest[LA_DIGEST_BYTES] = "a digest of some key and jti";
    la_replay_item_t item = {
        digest, {LA_SLICE("corp"), la_slice_of(caller)}, NOW, NOW + SECONDS(301)};

    memcpy(digest, &number, sizeof(number));
    return la_proofs_remember(machine, &item, NOW, pool);
}

/* Each is another caller's. */
static la_replay_e remember(const la_shared_t *machine, uint64_t number)
{
    return remember_of(machine, apr_psprintf(pool, "%" APR_UINT64_T_FMT, number), number);
}

static int set_up(void **state)
{
    (void)state;
    forget_log();
    timeout_us = SECONDS(20);
    pthread_mutex_lock(&fake.lock);
    fake.answer = "set";
    fake.calls = 0;
    fake.name_count = 0;
    fake.on_set = NULL;
    pthread_mutex_unlock(&fake.lock);
    return 0;
}

/* ---- here ---- */

static void test_no_memory(void **state)
{
    la_shared_t machine = {.proofs = NULL};

    (void)state;
    assert_int_equal(remember(&machine, 1), LA_REPLAY_REFUSED);
}

static void test_alone(void **state)
{
    const la_shared_t *machine = new_machine(NULL);

    (void)state;
    assert_int_equal(remember(machine, 1), LA_REPLAY_NEW);
    assert_int_equal(remember(machine, 1), LA_REPLAY_SEEN);
    assert_int_equal(remember(machine, 2), LA_REPLAY_NEW);
    assert_int_equal(log_lines, 0);
}

static void test_full(void **state)
{
    const la_shared_t *machine = new_machine(NULL);
    uint64_t i = 0;

    (void)state;
    while (remember(machine, i) != LA_REPLAY_FULL) {
        i++;
    }
    assert_int_equal(remember(machine, i), LA_REPLAY_FULL);
    assert_int_equal(log_level, LA_LOG_ERROR);
    assert_non_null(strstr(logged, "LA0410: "));
}

/* A caller who sends too many is told of once, with his name as it can be shown. */
static void test_over(void **state)
{
    const la_shared_t *machine = new_machine(NULL);
    la_replay_state_t counted;
    uint64_t i = 0;

    (void)state;
    while (remember_of(machine, "eve\n\"", i) == LA_REPLAY_NEW) {
        i++;
    }
    assert_in_range(i, 200, 300);
    for (uint64_t more = 0; more < 9; more++) {
        assert_int_equal(remember_of(machine, "eve\n\"", i + more), LA_REPLAY_OVER);
    }
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_WARNING);
    assert_non_null(strstr(logged, "LA0420: the caller \"eve\\n\\\"\" has sent so many "));
    assert_int_equal(remember_of(machine, "alice", i + 20), LA_REPLAY_NEW);
    la_replay_read(machine->proofs, NOW, &counted);
    assert_int_equal(counted.results[LA_REPLAY_OVER], 10);
    assert_int_equal(counted.results[LA_REPLAY_NEW], i + 1);
    assert_int_equal(counted.results[LA_REPLAY_REFUSED] + counted.results[LA_REPLAY_FULL], 0);
}

static void test_late(void **state)
{
    const la_shared_t *machine = new_machine(NULL);
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    apr_time_t now = BEGIN - SECONDS(60);
    la_replay_item_t item = {.digest = digest, .issued = now, .until = now + SECONDS(300)};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(la_proofs_remember(machine, &item, now, pool), LA_REPLAY_OLD);
    }
    assert_int_equal(log_lines, 1);
    assert_int_equal(log_level, LA_LOG_ERROR);
    assert_non_null(strstr(logged, "LA0412: "));
    assert_non_null(strstr(logged, " until 2026-05-28T20:26:40Z,"));
}

/* ---- in Redis ---- */

static void test_what_is_sent(void **state)
{
    const la_shared_t *machine = new_machine("new");
    unsigned long long value[2];
    unsigned long ms = 0;
    char name[65];

    (void)state;
    assert_int_equal(remember(machine, 1), LA_REPLAY_NEW);
    assert_int_equal(
        sscanf(last_sent(), "SET test:p:%64[0-9a-f] %llu NX PX %lu", name, &value[0], &ms), 3);
    assert_int_equal(strlen(name), 64);
    assert_in_range(ms, 301000, 700000);
    assert_null(strstr(last_sent(), "6120646967657374")); /* "a digest" */

    /* What this machine has seen is not asked. */
    assert_int_equal(remember(machine, 1), LA_REPLAY_SEEN);
    assert_int_equal(count_calls(), 1);
    assert_int_equal(log_lines, 0);
    assert_int_equal(remember(machine, 2), LA_REPLAY_NEW);
    assert_int_equal(sscanf(last_sent(), "SET %*s %llu", &value[1]), 1);
    assert_true(value[0] != value[1]);
}

/* The connection ends when Redis has carried out SET and before it has answered: it is sent again.
 */
typedef struct again_case_t {
    const char *name;
    const char *again; /* answers to the second SET, and to GET */
    const char *value; /* in place of the one that was sent */
    la_replay_e result;
} again_case_t;

static again_case_t again_cases[] = {
    {"sent again, set by us", "set", NULL, LA_REPLAY_NEW},
    {"sent again, set by another", "set", "12345", LA_REPLAY_SEEN},
    {"sent again, set by an older version", "set", "1", LA_REPLAY_SEEN},
    {"sent again, and no answer to what it is", "$-1\r\n", NULL, LA_REPLAY_SEEN},
    {"sent again, and hangs up again", "close", NULL, LA_REPLAY_NEW},
};

static void test_again(void **state)
{
    const again_case_t *row = *state;
    const la_shared_t *machine = new_machine("new");
    la_replay_state_t counted;

    assert_int_equal(remember(machine, 1), LA_REPLAY_NEW); /* which leaves an idle connection */
    pthread_mutex_lock(&fake.lock);
    fake.answer = "lose";
    fake.again = row->again;
    pthread_mutex_unlock(&fake.lock);
    if (row->value) {
        const la_shared_t *other = new_machine("new");

        pthread_mutex_lock(&fake.lock);
        fake.answer = "set";
        pthread_mutex_unlock(&fake.lock);
        assert_int_equal(remember(other, 2), LA_REPLAY_NEW);
        pthread_mutex_lock(&fake.lock);
        apr_cpystrn(fake.values[fake.name_count - 1], row->value, sizeof(fake.values[0]));
        fake.answer = "lose";
        pthread_mutex_unlock(&fake.lock);
    }
    assert_int_equal(remember(machine, 2), row->result);
    assert_int_equal(count_calls(), row->value ? 4 : 3);
    assert_int_equal(remember(machine, 2), LA_REPLAY_SEEN);
    la_replay_read(machine->proofs, NOW, &counted);
    assert_int_equal(counted.results[LA_REPLAY_NEW], 1 + (row->result == LA_REPLAY_NEW));
    assert_int_equal(counted.alone, strcmp(row->again, "close") == 0);
}

typedef struct answer_case_t {
    const char *name;
    const char *answer;
    la_replay_e result;
    int is_alone;
} answer_case_t;

static answer_case_t answer_cases[] = {
    {"OK", "+OK\r\n", LA_REPLAY_NEW, 0},
    {"nothing: it was there", "$-1\r\n", LA_REPLAY_SEEN, 0},
    {"nothing, as an array", "*-1\r\n", LA_REPLAY_SEEN, 0},
    {"OK as a text of two bytes", "$2\r\nOK\r\n", LA_REPLAY_NEW, 0},
    {"another status", "+QUEUED\r\n", LA_REPLAY_NEW, 1},
    {"an empty text", "$0\r\n\r\n", LA_REPLAY_NEW, 1},
    {"1", ":1\r\n", LA_REPLAY_NEW, 1},
    {"0", ":0\r\n", LA_REPLAY_NEW, 1},
    {"a list", "*1\r\n+OK\r\n", LA_REPLAY_NEW, 1},
    {"no memory", "-OOM command not allowed when used memory > 'maxmemory'.\r\n", LA_REPLAY_NEW, 1},
    {"a replica", "-READONLY You can't write against a read only replica.\r\n", LA_REPLAY_NEW, 1},
    {"garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", LA_REPLAY_NEW, 1},
    {"half an answer", "+O", LA_REPLAY_NEW, 1},
    {"no answer", "hang", LA_REPLAY_NEW, 1},
    {"it hangs up", "close", LA_REPLAY_NEW, 1},
};

/* What was counted when Redis was asked last. */
static la_replay_t *asking;
static la_replay_state_t asked;

static void read_counts(void)
{
    la_replay_read(asking, NOW, &asked);
}

static void test_answers(void **state)
{
    const answer_case_t *row = *state;
    const la_shared_t *machine;
    la_replay_state_t counted;

    if (strcmp(row->answer, "hang") == 0 || strcmp(row->answer, "+O") == 0) {
        timeout_us = SECONDS(1) / 20;
    }
    machine = new_machine("new");
    pthread_mutex_lock(&fake.lock);
    fake.answer = row->answer;
    fake.on_set = read_counts;
    asking = machine->proofs;
    pthread_mutex_unlock(&fake.lock);
    assert_int_equal(remember(machine, 1), row->result);
    assert_int_equal(remember(machine, 1), LA_REPLAY_SEEN);
    assert_int_equal(remember(machine, 2), row->result);
    la_replay_read(machine->proofs, NOW, &counted);
    for (la_replay_e result = LA_REPLAY_REFUSED; result <= LA_REPLAY_NEW; result++) {
        assert_true(counted.results[result] >= asked.results[result]); /* a count never falls */
    }
    assert_int_equal(counted.alone, row->is_alone ? 2 : 0);
    assert_int_equal(counted.results[LA_REPLAY_NEW], row->result == LA_REPLAY_NEW ? 2 : 0);
    assert_int_equal(counted.results[LA_REPLAY_SEEN], row->result == LA_REPLAY_NEW ? 1 : 3);
    assert_int_equal(log_lines, row->is_alone);
    if (row->is_alone) {
        assert_int_equal(log_level, LA_LOG_WARNING);
        assert_non_null(strstr(logged, "LA0413: second-level cache unix:redis "));
    }
}

/* With each proof this machine waits no longer for a Redis that does not answer. */
static void test_breaker(void **state)
{
    const la_shared_t *machine;

    (void)state;
    timeout_us = SECONDS(1) / 20;
    machine = new_machine("new");
    pthread_mutex_lock(&fake.lock);
    fake.answer = "hang";
    pthread_mutex_unlock(&fake.lock);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(remember(machine, i), LA_REPLAY_NEW);
    }
    assert_in_range(count_calls(), 1, 6);
}

/* ---- two machines ---- */

typedef struct machines_case_t {
    const char *name;
    const char *first;
    const char *second;
    la_replay_e result; /* on the second */
} machines_case_t;

static machines_case_t machines_cases[] = {
    {"one secret", "new", "new", LA_REPLAY_SEEN},
    {"different secrets", "new", "old", LA_REPLAY_NEW},
    {"a rotation has begun on the first", "new old", "old", LA_REPLAY_SEEN},
    {"and on the second", "old", "new old", LA_REPLAY_SEEN},
    {"on both", "new old", "new old", LA_REPLAY_SEEN},
    {"it has ended on the first", "new", "new old", LA_REPLAY_SEEN},
    {"and on the second alone", "new old", "new", LA_REPLAY_SEEN},
    {"the other way round", "old new", "new", LA_REPLAY_SEEN},
};

static void test_machines(void **state)
{
    const machines_case_t *row = *state;
    const la_shared_t *first = new_machine(row->first);
    const la_shared_t *second = new_machine(row->second);

    assert_int_equal(remember(first, 1), LA_REPLAY_NEW);
    assert_int_equal(remember(second, 1), row->result);
    assert_int_equal(remember(second, 1), LA_REPLAY_SEEN);
    assert_int_equal(remember(second, 2), LA_REPLAY_NEW);
    assert_int_equal(remember(first, 2), row->result);
    assert_int_equal(log_lines, 0);
}

static void add_here(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up;
}

int main(void)
{
    start();
    apr_pool_create(&pool, NULL);
    write_text(pool, "old", "the older secret, of thirty-two characters and more");
    write_text(pool, "new", "the newer secret, of thirty-two characters and more");
    socket_path = start_fake(pool);
    add_here("no memory", test_no_memory, NULL);
    add_here("without Redis", test_alone, NULL);
    add_here("full", test_full, NULL);
    add_here("a caller sends too many", test_over, NULL);
    add_here("the clock is before the beginning", test_late, NULL);
    add_here("what is sent", test_what_is_sent, NULL);
    for (size_t i = 0; i < ROWS(answer_cases); i++) {
        add_here(answer_cases[i].name, test_answers, &answer_cases[i]);
    }
    for (size_t i = 0; i < ROWS(again_cases); i++) {
        add_here(again_cases[i].name, test_again, &again_cases[i]);
    }
    add_here("the breaker", test_breaker, NULL);
    for (size_t i = 0; i < ROWS(machines_cases); i++) {
        add_here(machines_cases[i].name, test_machines, &machines_cases[i]);
    }
    return finish("proofs");
}
