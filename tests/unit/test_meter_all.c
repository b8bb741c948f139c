/* meter_all.c, and what meters know of another store. */
#include "meters.h"

static void test_visit(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(5);
    la_meter_entry_t entry = {0};
    la_meters_state_t seen;
    la_meter_now_t over = later(SECONDS(61));

    (void)state;
    charge_times(&key, &terms, begin, 9);
    la_meters_visit(meters, &begin, collect, &entry, &seen);
    assert_int_equal(seen.used, 1);
    assert_string_equal(entry.name, "alice");
    assert_int_equal(entry.used, 5);
    assert_int_equal(entry.limit, 5);
    assert_int_equal(entry.refusals, 4);
    assert_int_equal(entry.kind, 7);
    assert_int_equal(entry.reset_us, SECONDS(60));
    entry = (la_meter_entry_t){0};
    la_meters_visit(meters, &over, collect, &entry, &seen);
    assert_int_equal(seen.used, 0);
    assert_string_equal(entry.name, "");
}

typedef struct forget_case_t {
    const char *name;
    uint64_t key; /* 0: none is named */
    uint64_t kind;
    int first;  /* of 10 tries with key 1, of kind 7 */
    int second; /* with key 2 */
    int count;  /* that were forgotten */
} forget_case_t;

static forget_case_t forget_cases[] = {
    {"forget: all", 0, 0, 5, 5, 2},           {"forget: a kind", 0, 7, 5, 5, 2},
    {"forget: another kind", 0, 8, 0, 0, 0},  {"forget: one", 1, 0, 5, 0, 1},
    {"forget: one of a kind", 1, 7, 5, 0, 1}, {"forget: one of another kind", 1, 8, 0, 0, 0},
};

static void test_forget(void **state)
{
    const forget_case_t *row = *state;
    la_meter_key_t keys[2] = {key_of(1), key_of(2)};
    la_meter_key_t named = key_of(row->key);
    la_meter_terms_t terms = window_terms(5);

    charge_times(&keys[0], &terms, begin, 10);
    charge_times(&keys[1], &terms, begin, 10);
    assert_int_equal(la_meters_forget(meters, row->key ? &named : NULL, row->kind), row->count);
    assert_int_equal(charge_times(&keys[0], &terms, begin, 10), row->first);
    assert_int_equal(charge_times(&keys[1], &terms, begin, 10), row->second);
}

static void test_copy(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(5);
    void *larger = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    la_meters_t *to;

    (void)state;
    charge_times(&key, &terms, begin, 3);
    assert_int_equal(la_meters_attach(larger, 2 * BYTES, &life, pool, &to), APR_EGENERAL);
    assert_int_equal(la_meters_format(larger, 2 * BYTES), APR_SUCCESS);
    assert_int_equal(la_meters_attach(larger, 2 * BYTES, &life, pool, &to), APR_SUCCESS);
    la_meters_copy(to, meters, &begin);
    meters = to;
    assert_int_equal(charge_times(&key, &terms, begin, 10), 2);
    munmap(larger, 2 * BYTES);
}

static void test_set(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(5);
    la_meter_terms_t rate = rate_terms(60, 5);
    la_meter_key_t other = key_of(2);

    (void)state;
    la_meter_set(meters, &key, &terms, &begin,
                 &(la_meter_reading_t){.used = 4, .full_us = SECONDS(10)});
    assert_int_equal(charge_times(&key, &terms, begin, 10), 1);
    la_meter_set(meters, &key, &terms, &begin, /* a late answer */
                 &(la_meter_reading_t){.used = 1, .full_us = SECONDS(10) + 900000});
    assert_int_equal(charge_times(&key, &terms, begin, 10), 0);
    assert_int_equal(charge_times(&key, &terms, later(SECONDS(10)), 10), 5);
    la_meter_set(meters, &other, &rate, &begin,
                 &(la_meter_reading_t){.used = UINT64_C(3000000000), .full_us = SECONDS(3)});
    la_meter_set(meters, &other, &rate, &begin, &(la_meter_reading_t){.used = 0, .full_us = 0});
    assert_int_equal(charge_times(&other, &rate, begin, 10), 2);
    la_meter_set(meters, &key, &terms, &begin, /* another window */
                 &(la_meter_reading_t){.used = 2, .full_us = SECONDS(40)});
    assert_int_equal(charge_times(&key, &terms, begin, 10), 3);
}

/* What is charged while another store is away is told once, in the window in which it was. */
static void test_alone(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(9);
    la_meter_now_t over = later(SECONDS(60));
    la_meter_receipt_t receipt;
    la_meter_reading_t reading;

    (void)state;
    charge_times(&key, &terms, begin, 1);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &begin), 0);
    terms.is_alone = 1;
    charge_times(&key, &terms, begin, 2);
    la_meter_charge(meters, &key, &terms, &begin, &receipt, &reading);
    la_meter_settle(meters, &receipt, 4);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &begin), 6);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &begin), 0);
    la_meter_return_alone(meters, &key, &terms, 6);
    charge_times(&key, &terms, begin, 1);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &begin), 7);
    la_meter_return_alone(meters, &key, &terms, 7);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &over), 0);
    charge_times(&key, &terms, over, 2);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &over), 2);
    la_meter_return_alone(meters, &key, &terms, 2);
    la_meters_forget(meters, &key, 0);
    charge_times(&key, &terms, over, 1);
    assert_int_equal(la_meter_take_alone(meters, &key, &terms, &over), 1);
}

int main(void)
{
    start();
    ADD_ROWS(forget_cases, test_forget);
    add_in("visit", test_visit, NULL);
    add_in("copy to a larger memory", test_copy, NULL);
    add_in("set by another store", test_set, NULL);
    add_in("charged alone", test_alone, NULL);
    return finish("meter_all");
}
