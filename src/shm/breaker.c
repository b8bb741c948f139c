/* The breaker: whether any call is made after outages. Owns the first word of a gate
 * (gate_layout.h); the caller decides what an outage is. Called from the worker threads of all
 * child processes.
 *
 *   breaker   2 bits phase | 14 bits epoch | 48 bits: failures when closed, else the millisecond in
 *             which it opened or the probe left. The epoch grows with each change of phase, so a
 *             report can only change the phase that its call belongs to.
 *
 *   CLOSED --FAILURES outages in a row--> OPEN --open_us passed, one request--> PROBING
 *   PROBING --success--> CLOSED    --outage--> OPEN    --call_us passed, one request--> PROBING
 *
 * A probe whose process dies is lost after call_us. */
#include "shm/gate_layout.h"

#define BREAKER_PAYLOAD 0xffffffffffffu

/* A time that has not come: the next request is the probe. */
#define BREAKER_NEVER BREAKER_PAYLOAD

static la_gate_phase_e phase_of(uint64_t breaker)
{
    uint64_t phase = breaker >> 62;

    return phase <= LA_GATE_PHASE_PROBING ? (la_gate_phase_e)phase : LA_GATE_PHASE_CLOSED;
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

/* How long the breaker still refuses; not at all when it opened in the future, because the clock
 * was put back or the word is garbage. */
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

la_gate_e la_gate_allow(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                        apr_time_t now, la_gate_pass_t *pass)
{
    la_gate_t *gate = la_gate_at(gates, index);

    *pass = (la_gate_pass_t){.kind = LA_GATE_CALL, .word = atomic_load(&gate->breaker)};
    /* Ends: a swap fails only if another succeeded, and then a probe is under way. */
    while (terms->failures != 0 && phase_of(pass->word) != LA_GATE_PHASE_CLOSED) {
        uint64_t probing = next_breaker(pass->word, LA_GATE_PHASE_PROBING, ms_of(now));

        pass->kind = LA_GATE_REFUSED;
        pass->retry_us = refuses_us(pass->word, terms, now);
        if (pass->retry_us > 0) {
            la_gate_count(&gate->refusals);
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

int la_gate_is_closed(const la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms)
{
    return terms->failures == 0 ||
           phase_of(atomic_load(&la_gate_at(gates, index)->breaker)) == LA_GATE_PHASE_CLOSED;
}

static la_gate_change_e report_probe(la_gate_t *gate, uint64_t probing, la_gate_result_e result,
                                     apr_time_t now)
{
    int closes = result == LA_GATE_SUCCESS;
    uint64_t opened = result == LA_GATE_OUTAGE ? ms_of(now) : BREAKER_NEVER;
    uint64_t next = closes ? next_breaker(probing, LA_GATE_PHASE_CLOSED, 0)
                           : next_breaker(probing, LA_GATE_PHASE_OPEN, opened);

    return atomic_compare_exchange_strong(&gate->breaker, &probing, next) && closes ? LA_GATE_CLOSED
                                                                                    : LA_GATE_SAME;
}

static la_gate_change_e report_call(la_gate_t *gate, const la_gate_terms_t *terms, uint64_t allowed,
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
            break; /* the usual case writes nothing */
        }
        if (atomic_compare_exchange_strong(&gate->breaker, &seen, next)) {
            if (opens) {
                la_gate_count(&gate->openings);
            }
            return opens ? LA_GATE_OPENED : LA_GATE_SAME;
        }
    }
    return LA_GATE_SAME;
}

la_gate_change_e la_gate_report(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                                const la_gate_pass_t *pass, la_gate_result_e result, apr_time_t now)
{
    la_gate_t *gate = la_gate_at(gates, index);

    if (terms->failures == 0 || pass->kind == LA_GATE_REFUSED) {
        return LA_GATE_SAME;
    }
    return pass->kind == LA_GATE_PROBE ? report_probe(gate, pass->word, result, now)
                                       : report_call(gate, terms, pass->word, result, now);
}

void la_gate_close(la_gate_t *gate)
{
    uint64_t seen = atomic_load(&gate->breaker);

    while (!atomic_compare_exchange_strong(&gate->breaker, &seen,
                                           next_breaker(seen, LA_GATE_PHASE_CLOSED, 0))) {}
}

void la_gate_retry(la_gates_t *gates, uint32_t index)
{
    la_gate_t *gate = la_gate_at(gates, index);
    uint64_t seen = atomic_load(&gate->breaker);

    while (phase_of(seen) != LA_GATE_PHASE_CLOSED &&
           !atomic_compare_exchange_strong(&gate->breaker, &seen,
                                           next_breaker(seen, LA_GATE_PHASE_OPEN, BREAKER_NEVER))) {
    }
}

void la_gate_read_breaker(const la_gate_t *gate, const la_gate_terms_t *terms, apr_time_t now,
                          la_gate_state_t *state)
{
    uint64_t breaker = terms->failures == 0 ? 0 : atomic_load(&gate->breaker);

    state->phase = phase_of(breaker);
    state->failures = state->phase == LA_GATE_PHASE_CLOSED ? (uint32_t)payload_of(breaker) : 0;
    state->retry_us = refuses_us(breaker, terms, now);
}
