/* gate.c: the breaker, under a clock of the test's own. */
#include "gates.h"

typedef enum op_e { END, ALLOW, OUTAGE, SUCCESS, NO_CALL, RESET, RETRY, OFF, ON } op_e;

/* One step at a time in seconds. ALLOW expects `want` (la_gate_e) and keeps the pass in `slot`; a
 * report uses that pass and expects `want` (la_gate_change_e). */
typedef struct step_t {
    op_e op;
    int slot;
    int at_s;
    int want;
    int retry_s; /* ALLOW refused: seconds left */
} step_t;

typedef struct breaker_case_t {
    const char *name;
    step_t steps[24];
    la_gate_phase_e phase; /* at the end */
    uint32_t failures;
} breaker_case_t;

/* A call that is allowed and fails, or succeeds. */
#define FAILS(at)                                                                                  \
    {ALLOW, 0, at, LA_GATE_CALL, 0},                                                               \
    {                                                                                              \
        OUTAGE, 0, at, LA_GATE_SAME, 0                                                             \
    }
#define OPENS(at)                                                                                  \
    {ALLOW, 0, at, LA_GATE_CALL, 0},                                                               \
    {                                                                                              \
        OUTAGE, 0, at, LA_GATE_OPENED, 0                                                           \
    }
#define WORKS(at)                                                                                  \
    {ALLOW, 0, at, LA_GATE_CALL, 0},                                                               \
    {                                                                                              \
        SUCCESS, 0, at, LA_GATE_SAME, 0                                                            \
    }
#define REFUSED(at, for)                                                                           \
    {ALLOW, 9, at, LA_GATE_REFUSED, for                                                            \
    }
#define PROBES(slot, at)                                                                           \
    {                                                                                              \
        ALLOW, slot, at, LA_GATE_PROBE, 0                                                          \
    }

static breaker_case_t breaker_cases[] = {
    {"breaker: works", {WORKS(1), WORKS(2)}, LA_GATE_PHASE_CLOSED, 0},
    {"breaker: two outages", {FAILS(1), FAILS(2)}, LA_GATE_PHASE_CLOSED, 2},
    {"breaker: outages in a row only",
     {FAILS(1), FAILS(2), WORKS(3), FAILS(4), FAILS(5)},
     LA_GATE_PHASE_CLOSED,
     2},
    {"breaker: opens", {FAILS(1), FAILS(2), OPENS(3), REFUSED(3, 10)}, LA_GATE_PHASE_OPEN, 0},
    {"breaker: refuses for its time",
     {FAILS(1), FAILS(2), OPENS(3), REFUSED(4, 9), REFUSED(12, 1)},
     LA_GATE_PHASE_OPEN,
     0},
    {"breaker: one probe only",
     {FAILS(1), FAILS(2), OPENS(3), PROBES(1, 13), REFUSED(13, 20), REFUSED(32, 1)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: probe succeeds",
     {FAILS(1), FAILS(2), OPENS(3), PROBES(1, 14), {SUCCESS, 1, 15, LA_GATE_CLOSED, 0}, FAILS(15)},
     LA_GATE_PHASE_CLOSED,
     1},
    {"breaker: probe fails",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 14),
      {OUTAGE, 1, 16, LA_GATE_SAME, 0},
      REFUSED(16, 10),
      PROBES(1, 26)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: probe is lost",
     {FAILS(1), FAILS(2), OPENS(3), PROBES(1, 14), PROBES(2, 34), REFUSED(35, 19)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: lost probe reports late",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 14),
      PROBES(2, 34),
      {SUCCESS, 1, 34, LA_GATE_SAME, 0},
      {OUTAGE, 1, 34, LA_GATE_SAME, 0},
      REFUSED(34, 20),
      {SUCCESS, 2, 35, LA_GATE_CLOSED, 0},
      {OUTAGE, 2, 35, LA_GATE_SAME, 0}},
     LA_GATE_PHASE_CLOSED,
     0},
    {"breaker: probe without a call",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 14),
      {NO_CALL, 1, 14, LA_GATE_SAME, 0},
      PROBES(2, 14)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: no call is no outage",
     {FAILS(1), FAILS(2), {ALLOW, 0, 3, LA_GATE_CALL, 0}, {NO_CALL, 0, 3, LA_GATE_SAME, 0}},
     LA_GATE_PHASE_CLOSED,
     2},
    {"breaker: calls allowed before it opened do not count",
     {{ALLOW, 1, 0, LA_GATE_CALL, 0},
      {ALLOW, 2, 0, LA_GATE_CALL, 0},
      FAILS(1),
      FAILS(2),
      OPENS(3),
      {SUCCESS, 1, 4, LA_GATE_SAME, 0},
      {OUTAGE, 2, 9, LA_GATE_SAME, 0},
      REFUSED(9, 4)},
     LA_GATE_PHASE_OPEN,
     0},
    {"breaker: nor after it closed",
     {{ALLOW, 1, 0, LA_GATE_CALL, 0},
      FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(2, 13),
      {SUCCESS, 2, 13, LA_GATE_CLOSED, 0},
      {OUTAGE, 1, 14, LA_GATE_SAME, 0}},
     LA_GATE_PHASE_CLOSED,
     0},
    {"breaker: refused reports nothing",
     {FAILS(1), FAILS(2), OPENS(3), REFUSED(4, 9), {SUCCESS, 9, 4, LA_GATE_SAME, 0}},
     LA_GATE_PHASE_OPEN,
     0},
    {"breaker: clock put back while open",
     {FAILS(5000), FAILS(5000), OPENS(5000), PROBES(1, 1000), REFUSED(1001, 19)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: clock put back while probing",
     {FAILS(5000), FAILS(5000), OPENS(5000), PROBES(1, 5010), PROBES(2, 1000)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: clock put forward",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 2000000000),
      {SUCCESS, 1, 2000000001, LA_GATE_CLOSED, 0}},
     LA_GATE_PHASE_CLOSED,
     0},
    {"breaker: time before all time",
     {FAILS(-5), FAILS(-5), OPENS(-5), REFUSED(-4, 10), PROBES(1, 10)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: reset",
     {FAILS(1), FAILS(2), OPENS(3), {RESET, 0, 0, 0, 0}, FAILS(4)},
     LA_GATE_PHASE_CLOSED,
     1},
    {"breaker: reset under a probe",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 13),
      {RESET, 0, 0, 0, 0},
      {OUTAGE, 1, 14, LA_GATE_SAME, 0}},
     LA_GATE_PHASE_CLOSED,
     0},
    {"breaker: retry while open",
     {FAILS(1), FAILS(2), OPENS(3), {RETRY, 0, 0, 0, 0}, PROBES(1, 4), REFUSED(4, 20)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: retry under a probe",
     {FAILS(1),
      FAILS(2),
      OPENS(3),
      PROBES(1, 13),
      {RETRY, 0, 0, 0, 0},
      {OUTAGE, 1, 14, LA_GATE_SAME, 0},
      PROBES(2, 14)},
     LA_GATE_PHASE_PROBING,
     0},
    {"breaker: retry while closed", {FAILS(1), {RETRY, 0, 0, 0, 0}}, LA_GATE_PHASE_CLOSED, 1},
    {"breaker: off",
     {{OFF, 0, 0, 0, 0}, FAILS(1), FAILS(2), FAILS(3), FAILS(4), WORKS(5)},
     LA_GATE_PHASE_CLOSED,
     0},
    {"breaker: turned off while open",
     {FAILS(1), FAILS(2), OPENS(3), {OFF, 0, 0, 0, 0}, FAILS(4), {ON, 0, 0, 0, 0}, REFUSED(5, 8)},
     LA_GATE_PHASE_OPEN,
     0},
};

static la_gate_result_e result_of(op_e op)
{
    return op == OUTAGE ? LA_GATE_OUTAGE : op == SUCCESS ? LA_GATE_SUCCESS : LA_GATE_NO_CALL;
}

static void do_step(const step_t *step, la_gate_pass_t passes[10])
{
    apr_time_t now = step->at_s * APR_USEC_PER_SEC;
    la_gate_pass_t *pass = &passes[step->slot];

    switch (step->op) {
    case END:
        break;
    case ALLOW:
        assert_int_equal(la_gate_allow(gates, GATE, &terms, now, pass), step->want);
        assert_int_equal(pass->kind, step->want);
        assert_int_equal(pass->retry_us, step->retry_s * APR_USEC_PER_SEC);
        assert_int_equal(read_gate(now).retry_us > 0,
                         step->want != LA_GATE_CALL && terms.failures != 0);
        break;
    case OUTAGE:
    case SUCCESS:
    case NO_CALL:
        assert_int_equal(la_gate_report(gates, GATE, &terms, pass, result_of(step->op), now),
                         step->want);
        break;
    case RESET:
        la_gate_reset(gates, GATE);
        break;
    case RETRY:
        la_gate_retry(gates, GATE);
        break;
    case OFF:
        terms.failures = 0;
        break;
    case ON:
        terms.failures = 3;
        break;
    }
    assert_null(find_fault());
}

static void test_breaker(void **state)
{
    const breaker_case_t *row = *state;
    la_gate_pass_t passes[10];

    for (size_t i = 0; i < ROWS(row->steps) && row->steps[i].op != END; i++)
        do_step(&row->steps[i], passes);
    assert_int_equal(read_gate(0).phase, row->phase);
    assert_int_equal(read_gate(0).failures, row->failures);
}

static void test_counters(void **state)
{
    la_gate_pass_t pass;

    (void)state;
    for (int i = 0; i < 5; i++) {
        la_gate_allow(gates, GATE, &terms, 1, &pass);
        la_gate_report(gates, GATE, &terms, &pass, LA_GATE_OUTAGE, 1);
    }
    assert_int_equal(read_gate(1).openings, 1);
    assert_int_equal(read_gate(1).refusals, 2);
    assert_int_equal(read_gate(1).exhaustions, 0);
}

static void *ask_once(void *now)
{
    la_gate_pass_t pass;

    if (la_gate_allow(gates, GATE, &terms, *(apr_time_t *)now, &pass) == LA_GATE_PROBE)
        atomic_fetch_add(&world->entered, 1);
    return NULL;
}

static int ask_in_child(void *now)
{
    run_threads(8, ask_once, now);
    return 0;
}

/* Many ask at the moment it may be probed. */
static void test_one_probe(void **state)
{
    apr_time_t now = 100 * APR_USEC_PER_SEC;

    (void)state;
    for (uint32_t round = 1; round <= 10; round++) {
        la_gate_pass_t pass;
        pid_t child;

        la_gate_reset(gates, GATE);
        for (int i = 0; i < 3; i++) {
            la_gate_allow(gates, GATE, &terms, 1, &pass);
            la_gate_report(gates, GATE, &terms, &pass, LA_GATE_OUTAGE, 1);
        }
        child = spawn(ask_in_child, &now);
        run_threads(8, ask_once, &now);
        assert_int_equal(reap(child), 0);
        assert_int_equal(atomic_load(&world->entered), round);
    }
}

static void *fail_once(void *unused)
{
    la_gate_pass_t pass;

    la_gate_allow(gates, GATE, &terms, 1, &pass);
    if (la_gate_report(gates, GATE, &terms, &pass, LA_GATE_OUTAGE, 1) == LA_GATE_OPENED)
        atomic_fetch_add(&world->entered, 1);
    return unused;
}

static void test_one_is_told(void **state)
{
    (void)state;
    run_threads(16, fail_once, NULL);
    assert_int_equal(atomic_load(&world->entered), 1);
    assert_int_equal(read_gate(1).phase, LA_GATE_PHASE_OPEN);
}

int main(void)
{
    if (!open_life())
        return 1;
    for (size_t i = 0; i < ROWS(breaker_cases); i++)
        add_in(breaker_cases[i].name, test_breaker, &breaker_cases[i]);
    add_in("breaker: counters", test_counters, NULL);
    add_in("breaker: one probe among many", test_one_probe, NULL);
    add_in("breaker: one is told that it opened", test_one_is_told, NULL);
    return run_added("gate_breaker");
}
