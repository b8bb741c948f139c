/* Concurrency limit and breaker, per provider, shared by all processes.
 *
 * Owns the layout below. What counts as an outage, and what is answered when the gate refuses, is the
 * caller's word. Called from the worker threads of all child processes; the parent formats and resets.
 *
 *   header    layout, gates, permits                            64 bytes
 *   gates     for each:
 *     state     breaker, counters, wake word                    64 bytes
 *     permits   a place (life.h) for each call in flight         8 bytes each
 *     queue     a place for each request that waits              8 bytes each
 *               rounded up to 64 bytes
 *
 *   breaker   2 bits phase | 14 bits epoch | 48 bits: failures when closed, else milliseconds since
 *             it opened or since the probe left. The epoch steps with each change of phase, so a
 *             report changes nothing but the very phase it belongs to.
 *
 *   CLOSED --FAILURES outages in a row--> OPEN --open_us passed, one request--> PROBING
 *   PROBING --success--> CLOSED    --outage--> OPEN    --call_us passed, one request--> PROBING
 *
 *   mark      of a place: 22 bits deadline, in tenths of a second of la_clock_us(), which wrap after
 *             five days | 10 bits: which of the permits that one process takes in turn
 *
 * A permit is one word that names its holder and its deadline. One compare-and-swap takes it and one
 * gives it back, so there is nothing to repair. A dead process's permit is free as soon as the kernel
 * knows that it is dead, a stopped one's at the deadline of its call. If that process goes on later, the
 * place names another holder or another deadline, and its leave changes nothing. A probe whose process
 * dies is lost after call_us.
 */
#include "core/gate.h"

#include "core/futex.h"

#include <string.h>

#define GATE_LAYOUT 0x31474c4cu /* "LLG1" */

#define GATE_MAX_GATES   4096u
#define GATE_MAX_PERMITS 65536u

/* Waiters look for what the dead have left this often. */
#define GATE_SLICE_US 50000

/* A place's deadline: in ticks of TICK_US, and at most TICKS_MOST ahead, which is a day. */
#define TICK_US        100000
#define TICK_BITS      22
#define TICK_MASK      ((1u << TICK_BITS) - 1)
#define TICKS_MOST     864000u
#define MARK_TURN      (0xffffffffu >> TICK_BITS)
#define QUEUE_SLACK_US APR_USEC_PER_SEC

#define BREAKER_PAYLOAD 0xffffffffffffu

/* Opened at the end of time, which is not yet: the next request is the probe. */
#define BREAKER_NEVER BREAKER_PAYLOAD

typedef _Atomic uint64_t word_t;

typedef struct gate_t {
    word_t breaker;
    word_t openings;
    word_t refusals;
    word_t exhaustions;
    _Atomic uint32_t wake; /* changes when a permit is given back */
    _Atomic uint32_t turn; /* distinguishes the permits that one process takes in turn */
    uint64_t unused[3];
    la_place_t places[]; /* permits, then queue */
} gate_t;

typedef struct header_t {
    word_t layout;
    word_t gates;
    word_t permits;
    uint64_t unused[5];
} header_t;

_Static_assert(sizeof(gate_t) == 64 && sizeof(header_t) == 64, "a line each");

/* Nothing in it was read from the shared bytes. */
struct la_gates_t {
    unsigned char *bytes;
    apr_uint32_t count;
    apr_uint32_t permits;
    la_life_t *life;
};

/* ---- geometry -------------------------------------------------------------------- */

static apr_size_t gate_bytes(apr_uint32_t permits)
{
    return (sizeof(gate_t) + 2 * (apr_size_t)permits * sizeof(la_place_t) + 63) & ~(apr_size_t)63;
}

apr_size_t la_gates_bytes(apr_uint32_t gates, apr_uint32_t permits)
{
    if (gates == 0 || gates > GATE_MAX_GATES || permits == 0 || permits > GATE_MAX_PERMITS) {
        return 0;
    }
    return sizeof(header_t) + gates * gate_bytes(permits);
}

static int is_usable(const void *bytes, apr_uint32_t gates, apr_uint32_t permits)
{
    return la_gates_bytes(gates, permits) != 0 && (uintptr_t)bytes % LA_GATE_ALIGN == 0;
}

apr_status_t la_gates_format(void *bytes, apr_uint32_t gates, apr_uint32_t permits)
{
    header_t *header = bytes;

    if (!is_usable(bytes, gates, permits)) {
        return APR_EINVAL;
    }
    memset(bytes, 0, la_gates_bytes(gates, permits));
    atomic_store(&header->gates, gates);
    atomic_store(&header->permits, permits);
    atomic_store(&header->layout, GATE_LAYOUT);
    return APR_SUCCESS;
}

static int is_formatted(const header_t *header, apr_uint32_t gates, apr_uint32_t permits)
{
    return atomic_load(&header->layout) == GATE_LAYOUT && atomic_load(&header->gates) == gates &&
           atomic_load(&header->permits) == permits;
}

apr_status_t la_gates_attach(void *bytes, apr_uint32_t gates, apr_uint32_t permits, la_life_t *life,
                             apr_pool_t *pool, la_gates_t **made)
{
    *made = NULL;
    if (!is_usable(bytes, gates, permits)) {
        return APR_EINVAL;
    }
    if (!is_formatted(bytes, gates, permits)) {
        return APR_EGENERAL;
    }
    *made = apr_palloc(pool, sizeof(**made));
    (*made)->bytes = bytes;
    (*made)->count = gates;
    (*made)->permits = permits;
    (*made)->life = life;
    return APR_SUCCESS;
}

/* The gate of that index, or NULL. */
static gate_t *gate_at(const la_gates_t *gates, apr_uint32_t index)
{
    if (index >= gates->count) {
        return NULL;
    }
    return (gate_t *)(void *)(gates->bytes + sizeof(header_t) + index * gate_bytes(gates->permits));
}

static la_place_t *queue_of(const la_gates_t *gates, gate_t *gate)
{
    return gate->places + gates->permits;
}

static apr_uint32_t at_most(apr_uint32_t wanted, apr_uint32_t most)
{
    return wanted < most ? wanted : most;
}

static void count_one(word_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- the limit ------------------------------------------------------------------- */

static uint32_t tick_of(apr_time_t now)
{
    return (uint32_t)(now / TICK_US) & TICK_MASK;
}

/* The mark of a place that is held for `us` from now on. */
static uint32_t make_mark(gate_t *gate, apr_interval_time_t us)
{
    uint32_t turn = atomic_fetch_add_explicit(&gate->turn, 1, memory_order_relaxed);
    apr_interval_time_t ticks = us / TICK_US + 1; /* the tick that has begun does not count */

    if (us <= 0 || ticks > TICKS_MOST) {
        ticks = TICKS_MOST;
    }
    return ((tick_of(la_clock_us()) + (uint32_t)ticks) & TICK_MASK) << (32 - TICK_BITS) |
           (turn & MARK_TURN);
}

/* Whether a mark's deadline is over. One that is further ahead than any can be is garbage. */
static int is_overdue(uint32_t mark, uint32_t tick)
{
    return (((mark >> (32 - TICK_BITS)) - tick) & TICK_MASK) > TICKS_MOST;
}

/* Takes a place whose holder lives, but is past its deadline. */
static int take_overdue(la_gates_t *gates, la_place_t *places, uint32_t count,
                        la_gate_permit_t *permit)
{
    uint64_t mine = ((uint64_t)la_life_self(gates->life) << 32) | permit->mark;
    uint32_t tick = tick_of(la_clock_us());

    for (uint32_t at = 0; at < count && mine >> 32 != 0; at++) {
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);

        if (seen != 0 && is_overdue((uint32_t)seen, tick) &&
            atomic_compare_exchange_strong(&places[at], &seen, mine)) {
            permit->index = at;
            return 1;
        }
    }
    return 0;
}

static int take_place(la_gates_t *gates, la_place_t *places, uint32_t count,
                      la_gate_permit_t *permit)
{
    return la_place_take(gates->life, places, count, permit->mark, &permit->index) ||
           take_overdue(gates, places, count, permit);
}

static int take_permit(la_gates_t *gates, gate_t *gate, const la_gate_terms_t *terms,
                       la_gate_permit_t *permit)
{
    permit->mark = make_mark(gate, terms->call_us);
    return take_place(gates, gate->places, at_most(terms->limit, gates->permits), permit);
}

static int wait_queued(la_gates_t *gates, gate_t *gate, const la_gate_terms_t *terms,
                       la_gate_permit_t *permit)
{
    apr_time_t now = la_clock_us();
    apr_time_t ends = now + terms->wait_us;

    while (now < ends) {
        uint32_t wake = atomic_load(&gate->wake);

        if (take_permit(gates, gate, terms, permit)) {
            return 1;
        }
        la_futex_wait(&gate->wake, wake, ends - now < GATE_SLICE_US ? ends - now : GATE_SLICE_US);
        now = la_clock_us();
    }
    return take_permit(gates, gate, terms, permit);
}

static int wait_for_permit(la_gates_t *gates, gate_t *gate, const la_gate_terms_t *terms,
                           la_gate_permit_t *permit)
{
    la_gate_permit_t seat = {.mark = make_mark(gate, terms->wait_us + QUEUE_SLACK_US)};
    int entered;

    if (terms->wait_us <= 0 || !take_place(gates, queue_of(gates, gate),
                                           at_most(terms->max_waiting, gates->permits), &seat)) {
        return 0;
    }
    entered = wait_queued(gates, gate, terms, permit);
    la_place_leave(gates->life, &queue_of(gates, gate)[seat.index], seat.mark);
    return entered;
}

int la_gate_enter(la_gates_t *gates, apr_uint32_t index, const la_gate_terms_t *terms,
                  la_gate_permit_t *permit)
{
    gate_t *gate = gate_at(gates, index);

    memset(permit, 0, sizeof(*permit));
    if (gate == NULL) {
        return 0;
    }
    if (take_permit(gates, gate, terms, permit) || wait_for_permit(gates, gate, terms, permit)) {
        return 1;
    }
    count_one(&gate->exhaustions);
    return 0;
}

int la_gate_holds(la_gates_t *gates, apr_uint32_t index, const la_gate_permit_t *permit)
{
    gate_t *gate = gate_at(gates, index);
    uint64_t mine = ((uint64_t)la_life_self(gates->life) << 32) | permit->mark;

    return gate != NULL && permit->index < gates->permits && mine >> 32 != 0 &&
           atomic_load(&gate->places[permit->index]) == mine;
}

void la_gate_leave(la_gates_t *gates, apr_uint32_t index, const la_gate_permit_t *permit)
{
    gate_t *gate = gate_at(gates, index);

    if (gate != NULL && permit->index < gates->permits &&
        la_place_leave(gates->life, &gate->places[permit->index], permit->mark)) {
        atomic_fetch_add(&gate->wake, 1);
        la_futex_wake(&gate->wake, 1);
    }
}

/* ---- the breaker ------------------------------------------------------------------- */

static la_gate_phase_e phase_of(uint64_t breaker)
{
    /* The fourth value is garbage; the others have their names. */
    return breaker >> 62 <= LA_GATE_PHASE_PROBING ? (la_gate_phase_e)(breaker >> 62)
                                                  : LA_GATE_PHASE_CLOSED;
}

static uint64_t payload_of(uint64_t breaker)
{
    return breaker & BREAKER_PAYLOAD;
}

static uint64_t epoch_of(uint64_t breaker)
{
    return (breaker >> 48) & 0x3fff;
}

static uint64_t make_breaker(la_gate_phase_e phase, uint64_t epoch, uint64_t payload)
{
    return ((uint64_t)phase << 62) | ((epoch & 0x3fff) << 48) | (payload & BREAKER_PAYLOAD);
}

/* The phase that follows, in the next epoch. */
static uint64_t next_breaker(uint64_t breaker, la_gate_phase_e phase, uint64_t payload)
{
    return make_breaker(phase, epoch_of(breaker) + 1, payload);
}

static uint64_t ms_of(apr_time_t now)
{
    return now < 0 ? 0 : (uint64_t)(now / 1000) & BREAKER_PAYLOAD;
}

/* How long the breaker refuses from now on. A time to come means that the clock was put back, or garbage:
 * how long it was open already is unknown, so that is enough. */
static apr_interval_time_t refuses_us(uint64_t breaker, const la_gate_terms_t *terms,
                                      apr_time_t now)
{
    apr_interval_time_t term =
        phase_of(breaker) == LA_GATE_PHASE_OPEN ? terms->open_us : terms->call_us;
    apr_time_t since = (apr_time_t)payload_of(breaker);
    apr_time_t passed = ((apr_time_t)ms_of(now) - since) * 1000;

    if (phase_of(breaker) == LA_GATE_PHASE_CLOSED || passed < 0 || passed >= term) {
        return 0;
    }
    return term - passed;
}

la_gate_e la_gate_allow(la_gates_t *gates, apr_uint32_t index, const la_gate_terms_t *terms,
                        apr_time_t now, la_gate_pass_t *pass)
{
    gate_t *gate = gate_at(gates, index);

    memset(pass, 0, sizeof(*pass));
    if (gate == NULL) {
        pass->retry_us = APR_USEC_PER_SEC;
        return LA_GATE_REFUSED;
    }
    pass->word = atomic_load(&gate->breaker);
    pass->kind = LA_GATE_CALL;
    /* Ends: a swap fails only because another one's succeeded, and then a probe is under way. */
    while (terms->failures != 0 && phase_of(pass->word) != LA_GATE_PHASE_CLOSED) {
        uint64_t probing = next_breaker(pass->word, LA_GATE_PHASE_PROBING, ms_of(now));

        pass->kind = LA_GATE_REFUSED;
        pass->retry_us = refuses_us(pass->word, terms, now);
        if (pass->retry_us > 0) {
            count_one(&gate->refusals);
            break;
        }
        pass->kind = LA_GATE_CALL;
        if (atomic_compare_exchange_strong(&gate->breaker, &pass->word, probing)) {
            pass->word = probing;
            pass->kind = LA_GATE_PROBE;
            break;
        }
    }
    return pass->kind;
}

int la_gate_is_closed(const la_gates_t *gates, apr_uint32_t index, const la_gate_terms_t *terms)
{
    const gate_t *gate = gate_at(gates, index);

    return gate != NULL &&
           (terms->failures == 0 || phase_of(atomic_load(&gate->breaker)) == LA_GATE_PHASE_CLOSED);
}

static la_gate_change_e report_probe(gate_t *gate, uint64_t probing, la_gate_result_e result,
                                     apr_time_t now)
{
    la_gate_change_e change = LA_GATE_SAME;
    uint64_t next = 0;

    switch (result) {
    case LA_GATE_SUCCESS:
        next = next_breaker(probing, LA_GATE_PHASE_CLOSED, 0);
        change = LA_GATE_CLOSED;
        break;
    case LA_GATE_OUTAGE:
        next = next_breaker(probing, LA_GATE_PHASE_OPEN, ms_of(now));
        break;
    case LA_GATE_NO_CALL:
        next = next_breaker(probing, LA_GATE_PHASE_OPEN, BREAKER_NEVER);
        break;
    }
    return atomic_compare_exchange_strong(&gate->breaker, &probing, next) ? change : LA_GATE_SAME;
}

static la_gate_change_e report_call(gate_t *gate, const la_gate_terms_t *terms, uint64_t allowed,
                                    la_gate_result_e result, apr_time_t now)
{
    uint64_t seen = atomic_load(&gate->breaker);

    while (result != LA_GATE_NO_CALL && phase_of(seen) == LA_GATE_PHASE_CLOSED &&
           epoch_of(seen) == epoch_of(allowed)) {
        uint64_t failures = result == LA_GATE_SUCCESS ? 0 : payload_of(seen) + 1;
        int opens = failures >= terms->failures;
        uint64_t next = opens ? next_breaker(seen, LA_GATE_PHASE_OPEN, ms_of(now))
                              : make_breaker(LA_GATE_PHASE_CLOSED, epoch_of(seen), failures);

        if (next == seen) {
            break; /* as always when all is well: nothing is written */
        }
        if (atomic_compare_exchange_strong(&gate->breaker, &seen, next)) {
            if (opens) {
                count_one(&gate->openings);
            }
            return opens ? LA_GATE_OPENED : LA_GATE_SAME;
        }
    }
    return LA_GATE_SAME;
}

la_gate_change_e la_gate_report(la_gates_t *gates, apr_uint32_t index, const la_gate_terms_t *terms,
                                const la_gate_pass_t *pass, la_gate_result_e result, apr_time_t now)
{
    gate_t *gate = gate_at(gates, index);

    if (gate == NULL || terms->failures == 0) {
        return LA_GATE_SAME;
    }
    switch (pass->kind) {
    case LA_GATE_REFUSED:
        return LA_GATE_SAME;
    case LA_GATE_CALL:
        return report_call(gate, terms, pass->word, result, now);
    case LA_GATE_PROBE:
        return report_probe(gate, pass->word, result, now);
    }
    return LA_GATE_SAME;
}

void la_gate_reset(la_gates_t *gates, apr_uint32_t index)
{
    gate_t *gate = gate_at(gates, index);

    if (gate != NULL) {
        uint64_t seen = atomic_load(&gate->breaker);

        while (!atomic_compare_exchange_strong(&gate->breaker, &seen,
                                               next_breaker(seen, LA_GATE_PHASE_CLOSED, 0))) {}
    }
}

/* ---- watching -------------------------------------------------------------------- */

/* How many places are held by the living within their deadlines. */
static apr_uint32_t count_held(la_gates_t *gates, la_place_t *places)
{
    uint32_t tick = tick_of(la_clock_us());
    apr_uint32_t held = 0;

    la_place_sweep(gates->life, places, gates->permits);
    for (apr_uint32_t at = 0; at < gates->permits; at++) {
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);

        held += seen != 0 && !is_overdue((uint32_t)seen, tick);
    }
    return held;
}

void la_gate_read(la_gates_t *gates, apr_uint32_t index, const la_gate_terms_t *terms,
                  apr_time_t now, la_gate_state_t *state)
{
    gate_t *gate = gate_at(gates, index);
    uint64_t breaker;

    memset(state, 0, sizeof(*state));
    if (gate == NULL) {
        return;
    }
    breaker = terms->failures == 0 ? 0 : atomic_load(&gate->breaker);
    state->phase = phase_of(breaker);
    state->failures = state->phase == LA_GATE_PHASE_CLOSED ? (apr_uint32_t)payload_of(breaker) : 0;
    state->retry_us = refuses_us(breaker, terms, now);
    state->in_flight = count_held(gates, gate->places);
    state->waiting = count_held(gates, queue_of(gates, gate));
    state->openings = atomic_load(&gate->openings);
    state->refusals = atomic_load(&gate->refusals);
    state->exhaustions = atomic_load(&gate->exhaustions);
}
