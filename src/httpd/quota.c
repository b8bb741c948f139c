/* Quotas of requests. What a request was charged is kept with the first request of its chain, and
 * given back or settled when that one is logged; if it never is, its pool gives the permits back.
 * In request threads. */
#include "httpd/quota.h"

#include "base/clock.h"
#include "httpd/config/quotas.h"
#include "httpd/quota_memory.h"
#include "httpd/quota_store.h"
#include "httpd/request.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "httpd/usage_filter.h"
#include "quota/fields.h"
#include "io/server.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <arpa/inet.h>

APLOG_USE_MODULE(llama_auth);

/* From this wait on a client is told not to try again by itself. */
#define SHOULD_RETRY_S 60

#define NOTE_QUOTA "llama_auth.quota"

static ap_filter_rec_t *filter_handle;

/* What a chain of requests was charged. */
struct la_charges_t {
    apr_array_header_t *admissions; /* of la_admission_t *, those that were admitted */
    apr_array_header_t *quotas;     /* of const la_quota_t *, those that have charged */
    const char *const *fields;
    apr_pool_t *pool; /* of the first request */
};

/* ---- what a request is charged to ---- */

/* Whether the quota holds for the request. An expression that fails holds. */
static int holds(request_rec *r, const la_quota_t *quota)
{
    const char *error = NULL;
    int result;

    if (!quota->when_compiled) {
        return 1;
    }
    result = ap_expr_exec(r, quota->when_compiled, &error);
    if (result < 0 || error) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      LA_LOGNO(0270) "quota %s: its When \"%s\" fails, so the quota holds: %s",
                      quota->name, quota->when, error ? error : "no reason given");
        return 1;
    }
    return result;
}

static int has_charged(const struct la_charges_t *charges, const la_quota_t *quota)
{
    for (int i = 0; i < charges->quotas->nelts; i++) {
        if (APR_ARRAY_IDX(charges->quotas, i, const la_quota_t *) == quota) {
            return 1;
        }
    }
    return 0;
}

static apr_array_header_t *find_quotas(request_rec *r, const la_quota_use_t *use,
                                       const struct la_charges_t *charges)
{
    apr_array_header_t *found = apr_array_make(r->pool, use->count, sizeof(const la_quota_t *));

    for (int i = 0; i < use->count; i++) {
        if (!has_charged(charges, use->quotas[i]) && holds(r, use->quotas[i])) {
            APR_ARRAY_PUSH(found, const la_quota_t *) = use->quotas[i];
        }
    }
    return found;
}

/* The client's address as text; of IPv6 the network, since whoever has one address has its /64. */
static const char *address_of(request_rec *r)
{
#if APR_HAVE_IPV6
    const apr_sockaddr_t *address = r->useragent_addr;
    struct in6_addr network;
    char text[INET6_ADDRSTRLEN];

    if (address->family == APR_INET6) {
        memcpy(&network, address->ipaddr_ptr, sizeof(network));
        if (!IN6_IS_ADDR_V4MAPPED(&network)) {
            memset(&network.s6_addr[8], 0, 8);
            inet_ntop(AF_INET6, &network, text, sizeof(text));
            return apr_pstrcat(r->pool, text, "/64", NULL);
        }
    }
#endif
    return r->useragent_ip;
}

static la_quota_caller_t caller_of(request_rec *r)
{
    const la_request_t *state = la_request_get(r);
    const la_caller_t *caller = state ? state->caller : NULL;
    la_quota_caller_t asking = {.address = la_slice_of(address_of(r))};

    if (caller) {
        asking.identity = caller->identity;
        asking.principal = la_slice_of(caller->principal);
        asking.client_id = la_slice_of(caller->client_id);
        asking.provider = la_slice_of(caller->provider->name);
    }
    return asking;
}

static apr_status_t leave_all(void *data)
{
    const struct la_charges_t *charges = data;
    const la_quota_memory_t *memory = la_quota_memory_get();

    for (int i = 0; memory && i < charges->admissions->nelts; i++) {
        la_admission_leave(APR_ARRAY_IDX(charges->admissions, i, la_admission_t *), memory);
    }
    return APR_SUCCESS;
}

static struct la_charges_t *charges_of(request_rec *r)
{
    request_rec *first = la_request_first(r);
    la_request_t *state = la_request_make(first);

    if (!state->charges) {
        state->charges = apr_pcalloc(first->pool, sizeof(*state->charges));
        state->charges->pool = first->pool;
        state->charges->admissions = apr_array_make(first->pool, 1, sizeof(la_admission_t *));
        state->charges->quotas = apr_array_make(first->pool, 2, sizeof(const la_quota_t *));
        apr_pool_cleanup_register(first->pool, state->charges, leave_all, apr_pool_cleanup_null);
    }
    return state->charges;
}

/* ---- refusals ---- */

static void log_strange(request_rec *r, const la_admission_t *admission)
{
    for (int i = 0; i < admission->strange->nelts; i++) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      LA_LOGNO(0271) "quota %s, so N of the line holds",
                      APR_ARRAY_IDX(admission->strange, i, const char *));
    }
}

static int refuse(request_rec *r, const la_admission_t *admission)
{
    const la_quota_item_t *item = admission->refused;
    apr_int64_t seconds;
    const char *message = la_admission_message(admission, r->pool, &seconds);
    la_denial_t denial = la_denial_make(
        item->limit->kind == LA_LIMIT_TOKENS ? LA_DENIAL_TOKENS : LA_DENIAL_REQUESTS, message);

    denial.retry_after_s = seconds < INT_MAX ? (int)seconds : INT_MAX;
    if (seconds > SHOULD_RETRY_S) {
        apr_table_setn(r->err_headers_out, "x-should-retry", "false");
    }
    apr_table_setn(r->notes, NOTE_QUOTA, item->limit->name);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0272) "%s: %s", item->limit->name,
                  message);
    return la_respond_deny(r, denial);
}

static int fail(request_rec *r)
{
    la_denial_t denial = la_denial_make(LA_DENIAL_QUOTA, NULL);

    denial.retry_after_s = la_quota_store_retry_s();
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0273) "the request cannot be counted, so it is refused");
    return la_respond_deny(r, denial);
}

/* ---- admission ---- */

/* The fields tell of all that the chain is charged to, also of what refuses it. */
static void note_fields(struct la_charges_t *charges, const la_admission_t *last)
{
    la_admission_t all = {0};
    int count = last->count;

    for (int i = 0; i < charges->admissions->nelts; i++) {
        count += APR_ARRAY_IDX(charges->admissions, i, la_admission_t *)->count;
    }
    all.items = apr_palloc(charges->pool, sizeof(*all.items) * (apr_size_t)count);
    for (int i = 0; i <= charges->admissions->nelts; i++) {
        const la_admission_t *one = i < charges->admissions->nelts
                                        ? APR_ARRAY_IDX(charges->admissions, i, la_admission_t *)
                                        : last;

        memcpy(all.items + all.count, one->items, sizeof(*all.items) * (apr_size_t)one->count);
        all.count += one->count;
    }
    charges->fields = la_admission_fields(&all, charges->pool);
}

static void log_full(request_rec *r, const la_quota_memory_t *memory, const la_meter_now_t *now)
{
    uint64_t evictions;

    if (la_meters_tell(memory->meters, now, &evictions)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      LA_LOGNO(0310) "LlamaAuthQuotaSize: the memory of quotas is full, "
                                     "%" APR_UINT64_T_FMT " counters were forgotten before their "
                                     "time since it was made",
                      evictions);
    }
}

static int charge(request_rec *r, struct la_charges_t *charges, const apr_array_header_t *quotas)
{
    const la_quota_memory_t *memory = la_quota_memory_get();
    la_meter_now_t now = {la_clock_us(), apr_time_now()};
    la_quota_caller_t caller = caller_of(r);
    la_admission_t *admission;
    la_admission_e result;

    if (!memory) {
        return la_respond_deny(r, la_denial_make(LA_DENIAL_MISCONFIGURED, NULL));
    }
    admission =
        la_admission_make(charges->pool, memory, quotas, &caller, la_request_make(r)->reserve);
    log_strange(r, admission);
    result = la_admission_ask(admission, memory, la_quota_store_get(), &now, r->pool);
    note_fields(charges, admission);
    log_full(r, memory, &now);
    switch (result) {
    case LA_ADMISSION_FAILED:
        return fail(r);
    case LA_ADMISSION_REFUSED:
        return refuse(r, admission);
    case LA_ADMISSION_ADMITTED:
        break;
    }
    APR_ARRAY_PUSH(charges->admissions, la_admission_t *) = admission;
    apr_array_cat(charges->quotas, quotas);
    return OK;
}

static int counts_tokens(const apr_array_header_t *quotas)
{
    for (int i = 0; i < quotas->nelts; i++) {
        if (la_quota_counts_tokens(APR_ARRAY_IDX(quotas, i, const la_quota_t *))) {
            return 1;
        }
    }
    return 0;
}

int la_quota_admit(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    struct la_charges_t *charges;
    apr_array_header_t *quotas;
    int status;

    if ((!conf->quotas && conf->usage != LA_ON) || r->main || la_section_is_preflight(r)) {
        return OK;
    }
    if (conf->usage == LA_ON) {
        la_usage_filter_want(r);
    }
    if (!conf->quotas || conf->quotas->count == 0) {
        return OK;
    }
    charges = charges_of(r);
    quotas = find_quotas(r, conf->quotas, charges);
    if (quotas->nelts == 0) {
        return OK;
    }
    status = charge(r, charges, quotas);
    if (status == OK && counts_tokens(quotas)) {
        la_usage_filter_want(r);
    }
    return status;
}

/* ---- the answer ---- */

static const char *const our_fields[] = {"RateLimit-Policy",
                                         "RateLimit",
                                         "x-ratelimit-limit-requests",
                                         "x-ratelimit-remaining-requests",
                                         "x-ratelimit-reset-requests",
                                         "x-ratelimit-limit-tokens",
                                         "x-ratelimit-remaining-tokens",
                                         "x-ratelimit-reset-tokens"};

static void remove_fields(apr_table_t *table)
{
    if (!apr_is_empty_table(table)) {
        for (unsigned i = 0; i < sizeof(our_fields) / sizeof(our_fields[0]); i++) {
            apr_table_unset(table, our_fields[i]);
        }
    }
}

/* Sets our fields in place of a backend's. The filter is behind mod_cache: what is left to one
 * caller is nobody else's business. */
static apr_status_t fields_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    const char *const *field = f->ctx;
    request_rec *r = f->r;

    remove_fields(r->headers_out);
    remove_fields(r->err_headers_out);
    for (; *field; field += 2) {
        apr_table_addn(r->headers_out, field[0], field[1]);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void la_quota_insert_filter(request_rec *r)
{
    const la_request_t *first = la_request_get(la_request_first(r));

    if (!r->main && first && first->charges && first->charges->fields) {
        ap_add_output_filter_handle(filter_handle, (void *)(uintptr_t)first->charges->fields, r,
                                    r->connection);
    }
}

int la_quota_settle(request_rec *r)
{
    const la_request_t *first = la_request_get(la_request_first(r));
    const la_quota_memory_t *memory = la_quota_memory_get();
    la_usage_t usage;

    if (!first || (!first->charges && !first->usage)) {
        return DECLINED;
    }
    usage = la_usage_filter_end(r);
    if (!first->charges || !memory) {
        return DECLINED;
    }
    for (int i = 0; i < first->charges->admissions->nelts; i++) {
        la_admission_settle(APR_ARRAY_IDX(first->charges->admissions, i, la_admission_t *), memory,
                            la_quota_store_get(), &usage, r->pool);
    }
    leave_all(first->charges);
    return DECLINED;
}

void la_quota_register(void)
{
    filter_handle = ap_register_output_filter("LLAMA_AUTH_QUOTA", fields_filter, NULL,
                                              AP_FTYPE_CONTENT_SET + 2);
    la_usage_filter_register();
}
