/* The limit of concurrent calls of each provider, for all processes together. The layout is drawn
 * in gate_layout.h; breaker.c has the breaker. Called from the worker threads of all child
 * processes; the parent formats, resets and copies.
 *
 *   mark of a place   22 bits deadline, in tenths of a second of la_clock_us(), which wrap after
 *                     five days | 10 bits: a number that differs between permits taken in turn
 *
 * A permit is one word that names its holder and its deadline. One compare-and-swap takes it and
 * one gives it back, so there is nothing to repair. A dead process's permit is free as soon as the
 * kernel knows that it is dead, a stopped one's at the deadline of its call. If that process goes
 * on later, the place names another holder or another deadline, and its leave changes nothing. */
#include "shm/gate_layout.h"

#include "base/clock.h"
#include "shm/futex.h"

#include <string.h>

#define GATE_LAYOUT 0x33474c4cu /* "LLG3" */

#define GATE_MAX_GATES   4096u
#define GATE_MAX_PERMITS 65536u

/* Waiters look for permits of dead processes this often. */
#define GATE_SLICE_US 50000

/* Deadlines are in ticks of TICK_US, at most TICKS_MOST ahead, which is a day. */
#define TICK_US        100000
#define TICK_BITS      22
#define TICK_MASK      ((1u << TICK_BITS) - 1)
#define TICKS_MOST     864000u
#define MARK_TURN      (0xffffffffu >> TICK_BITS)
#define QUEUE_SLACK_US APR_USEC_PER_SEC

/* Memory order: a sleeper counts itself before the kernel compares `wake`, a waker steps `wake`
 * before it reads the count: both are sequentially consistent, so one of them sees the other. */

/* ---- geometry -------------------------------------------------------------------- */

apr_size_t la_gates_bytes(uint32_t gates, uint32_t permits)
{
    if (gates == 0 || gates > GATE_MAX_GATES || permits == 0 || permits > GATE_MAX_PERMITS) {
        return 0;
    }
    return sizeof(la_gate_header_t) + gates * la_gate_stride(permits);
}

static int is_usable(const void *bytes, uint32_t gates, uint32_t permits)
{
    return la_gates_bytes(gates, permits) != 0 && (uintptr_t)bytes % LA_GATE_ALIGN == 0;
}

apr_status_t la_gates_format(void *bytes, uint32_t gates, uint32_t permits)
{
    la_gate_header_t *header = bytes;

    if (!is_usable(bytes, gates, permits)) {
        return APR_EINVAL;
    }
    memset(bytes, 0, la_gates_bytes(gates, permits));
    atomic_store(&header->gates, gates);
    atomic_store(&header->permits, permits);
    atomic_store(&header->layout, GATE_LAYOUT);
    return APR_SUCCESS;
}

apr_status_t la_gates_attach(void *bytes, uint32_t gates, uint32_t permits, la_holder_t *life,
                             apr_pool_t *pool, la_gates_t **made)
{
    const la_gate_header_t *header = bytes;

    *made = NULL;
    if (!is_usable(bytes, gates, permits)) {
        return APR_EINVAL;
    }
    if (atomic_load(&header->layout) != GATE_LAYOUT || atomic_load(&header->gates) != gates ||
        atomic_load(&header->permits) != permits) {
        return APR_EGENERAL;
    }
    *made = apr_palloc(pool, sizeof(**made));
    (*made)->bytes = bytes;
    (*made)->permits = permits;
    (*made)->life = life;
    return APR_SUCCESS;
}

static la_place_t *queue_of(const la_gates_t *gates, la_gate_t *gate)
{
    return gate->places + gates->permits;
}

static uint32_t at_most(uint32_t wanted, uint32_t most)
{
    return wanted < most ? wanted : most;
}

/* ---- the limit ------------------------------------------------------------------- */

static uint32_t tick_of(apr_time_t now)
{
    return (uint32_t)(now / TICK_US) & TICK_MASK;
}

/* The mark of a place whose deadline is `us` from now. */
static uint32_t make_mark(la_gate_t *gate, apr_interval_time_t us)
{
    uint32_t turn = atomic_fetch_add_explicit(&gate->turn, 1, memory_order_relaxed);
    apr_interval_time_t ticks = us / TICK_US + 1; /* the current tick does not count */

    if (us <= 0 || ticks > TICKS_MOST) {
        ticks = TICKS_MOST;
    }
    return ((tick_of(la_clock_us()) + (uint32_t)ticks) & TICK_MASK) << (32 - TICK_BITS) |
           (turn & MARK_TURN);
}

/* Whether a mark's deadline is over, or further ahead than any can be. */
static int is_overdue(uint32_t mark, uint32_t tick)
{
    return (((mark >> (32 - TICK_BITS)) - tick) & TICK_MASK) > TICKS_MOST;
}

/* Takes a place that is past its deadline, although its holder lives. */
static int take_overdue(la_gates_t *gates, la_place_t *places, uint32_t count,
                        la_gate_permit_t *permit)
{
    uint64_t mine = la_place_of(gates->life, permit->mark);
    uint32_t tick = tick_of(la_clock_us());

    for (uint32_t at = 0; at < count && mine != 0; at++) {
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

static int take_permit(la_gates_t *gates, la_gate_t *gate, const la_gate_terms_t *terms,
                       la_gate_permit_t *permit)
{
    permit->mark = make_mark(gate, terms->call_us);
    return take_place(gates, gate->places, at_most(terms->limit, gates->permits), permit);
}

static int wait_queued(la_gates_t *gates, la_gate_t *gate, const la_gate_terms_t *terms,
                       la_gate_permit_t *permit)
{
    apr_time_t now = la_clock_us();
    apr_time_t ends = now + terms->wait_us;

    while (now < ends) {
        uint32_t wake = atomic_load(&gate->wake);

        if (take_permit(gates, gate, terms, permit)) {
            return 1;
        }
        atomic_fetch_add(&gate->sleepers, 1);
        la_futex_wait(&gate->wake, wake, ends - now < GATE_SLICE_US ? ends - now : GATE_SLICE_US);
        atomic_fetch_sub(&gate->sleepers, 1);
        now = la_clock_us();
    }
    return take_permit(gates, gate, terms, permit);
}

static int wait_for_permit(la_gates_t *gates, la_gate_t *gate, const la_gate_terms_t *terms,
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

int la_gate_enter(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                  la_gate_permit_t *permit)
{
    la_gate_t *gate = la_gate_at(gates, index);

    memset(permit, 0, sizeof(*permit));
    if (take_permit(gates, gate, terms, permit) || wait_for_permit(gates, gate, terms, permit)) {
        return 1;
    }
    la_gate_count(&gate->exhaustions);
    return 0;
}

int la_gate_holds(la_gates_t *gates, uint32_t index, const la_gate_permit_t *permit)
{
    la_gate_t *gate = la_gate_at(gates, index);
    uint64_t mine = la_place_of(gates->life, permit->mark);

    return mine != 0 && atomic_load(&gate->places[permit->index]) == mine;
}

void la_gate_leave(la_gates_t *gates, uint32_t index, const la_gate_permit_t *permit)
{
    la_gate_t *gate = la_gate_at(gates, index);

    if (la_place_leave(gates->life, &gate->places[permit->index], permit->mark)) {
        atomic_fetch_add(&gate->wake, 1);
        if (atomic_load(&gate->sleepers) != 0) {
            la_futex_wake(&gate->wake, 1);
        }
    }
}

/* ---- over restarts ------------------------------------------------------------------- */

void la_gate_reset(la_gates_t *gates, uint32_t index)
{
    la_gate_t *gate = la_gate_at(gates, index);

    la_gate_close(gate);
    atomic_store(&gate->openings, 0);
    atomic_store(&gate->refusals, 0);
    atomic_store(&gate->exhaustions, 0);
    for (uint32_t at = 0; at < 2 * gates->permits; at++) {
        atomic_store(&gate->places[at], 0);
    }
}

void la_gate_copy(la_gates_t *to, uint32_t to_index, const la_gates_t *from, uint32_t from_index)
{
    la_gate_t *copy = la_gate_at(to, to_index);
    la_gate_t *gate = la_gate_at(from, from_index);

    atomic_store(&copy->breaker, atomic_load(&gate->breaker));
    atomic_store(&copy->openings, atomic_load(&gate->openings));
    atomic_store(&copy->refusals, atomic_load(&gate->refusals));
    atomic_store(&copy->exhaustions, atomic_load(&gate->exhaustions));
    for (uint32_t at = 0; at < from->permits && at < to->permits; at++) {
        atomic_store(&copy->places[at], atomic_load(&gate->places[at]));
    }
}

/* ---- watching -------------------------------------------------------------------- */

/* Places held by living processes within their deadlines. */
static uint32_t count_held(la_gates_t *gates, la_place_t *places)
{
    uint32_t tick = tick_of(la_clock_us());
    uint32_t held = 0;

    la_place_sweep(gates->life, places, gates->permits);
    for (uint32_t at = 0; at < gates->permits; at++) {
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);

        held += seen != 0 && !is_overdue((uint32_t)seen, tick);
    }
    return held;
}

void la_gate_read(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms, apr_time_t now,
                  la_gate_state_t *state)
{
    la_gate_t *gate = la_gate_at(gates, index);

    la_gate_read_breaker(gate, terms, now, state);
    state->in_flight = count_held(gates, gate->places);
    state->waiting = count_held(gates, queue_of(gates, gate));
    state->openings = atomic_load(&gate->openings);
    state->refusals = atomic_load(&gate->refusals);
    state->exhaustions = atomic_load(&gate->exhaustions);
}
