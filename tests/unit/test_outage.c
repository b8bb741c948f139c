/* outage.c: when a line is due. */
#include "support.h"

#include "shm/outage.h"

#define S APR_USEC_PER_SEC

/* One step: what happens, after how many seconds, and whether a line is due. */
typedef struct step_t {
    char what; /* 'o' outage, 'u' an unusable answer, 'g' good; 0: the end */
    int after_s;
    const char *text;
    int status;
    int due;
} step_t;

typedef struct outage_case_t {
    const char *name;
    step_t steps[20];
} outage_case_t;

static outage_case_t cases[] = {
    {"once, and again after a minute",
     {{'o', 0, "a", 0, 1},
      {'o', 0, "a", 0, 0},
      {'o', 59, "a", 0, 0},
      {'o', 1, "a", 0, 1},
      {'o', 59, "a", 0, 0}}},
    {"its end once",
     {{'g', 0, "", 0, 0}, {'o', 0, "a", 0, 1}, {'g', 0, "", 0, 1}, {'g', 0, "", 0, 0}}},
    {"after its end at once",
     {{'o', 0, "a", 0, 1},
      {'g', 0, "", 0, 1},
      {'o', 0, "a", 0, 1},
      {'g', 0, "", 0, 1},
      {'o', 0, "a", 0, 1}}},
    {"another reason at once",
     {{'o', 0, "a", 0, 1},
      {'o', 1, "b", 0, 1},
      {'o', 1, "a", 0, 0},
      {'o', 1, "b", 0, 0},
      {'o', 57, "a", 0, 1},
      {'o', 0, "b", 0, 0}}},
    {"another status at once",
     {{'o', 0, "it answered 500", 500, 1}, {'o', 0, "it answered 503", 503, 1}}},
    {"numbers make no other reason",
     {{'o', 0, "timed out after 2001 ms", 0, 1}, {'o', 0, "timed out after 30012 ms", 0, 0}}},
    {"more reasons than places: the oldest is forgotten",
     {{'o', 0, "a", 0, 1},
      {'o', 1, "b", 0, 1},
      {'o', 1, "c", 0, 1},
      {'o', 1, "d", 0, 1},
      {'o', 1, "e", 0, 1},
      {'o', 1, "f", 0, 1},
      {'o', 1, "g", 0, 1},
      {'o', 1, "h", 0, 1},
      {'o', 0, "b", 0, 0},
      {'o', 0, "a", 0, 1},
      {'o', 0, "c", 0, 0}}},
    {"an unusable answer is no outage",
     {{'u', 0, "a", 200, 1}, {'g', 0, "", 0, 0}, {'u', 0, "a", 200, 0}, {'u', 60, "a", 200, 1}}},
    {"an unusable answer and an outage",
     {{'u', 0, "a", 0, 1}, {'o', 0, "a", 0, 1}, {'u', 0, "a", 0, 0}, {'g', 0, "", 0, 1}}},
    {"the clock goes back", {{'o', 100, "a", 0, 1}, {'o', -50, "a", 0, 1}, {'o', 10, "a", 0, 0}}},
};

static void test_outage(void **state)
{
    const outage_case_t *row = *state;
    la_outage_t outage = {0};
    apr_time_t now = 0;

    for (int i = 0; row->steps[i].what; i++) {
        const step_t *step = &row->steps[i];
        la_outage_reason_t reason = {
            .text = step->text, .status = step->status, .of_caller = step->what == 'u'};
        int due;

        now += step->after_s * S;
        due = step->what == 'g' ? la_outage_end(&outage) : la_outage_begin(&outage, &reason, now);
        if (due != step->due) {
            fail_msg("step %d: %d", i, due);
        }
    }
}

/* Whatever the memory holds, a line is due now or in a minute. */
static void test_garbage(void **state)
{
    la_outage_t outage;
    la_outage_reason_t reason = {.text = "a"};

    (void)state;
    memset(&outage, 0xa5, sizeof(outage));
    assert_int_equal(
        la_outage_begin(&outage, &reason, 0) || la_outage_begin(&outage, &reason, 60 * S), 1);
    assert_int_equal(la_outage_end(&outage), 1);
    assert_int_equal(la_outage_end(&outage), 0);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_outage, &cases[i]);
    }
    add("garbage", test_garbage, NULL);
    return finish("outage");
}
