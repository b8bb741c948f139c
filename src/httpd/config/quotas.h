/* The quotas of the configuration: <LlamaAuthQuota> sections, and LlamaAuthQuotaUse lines. What an
 * option means is in src/quota. Filled while httpd reads its files, constant afterwards. */
#pragma once

#include "httpd/config/collected.h"

#include <httpd.h>
#include <http_config.h>

/* The quotas of one LlamaAuthQuotaUse line, in order; none where it says `none`. */
typedef struct la_quota_use_t {
    int count;
    const la_quota_t *const *quotas;
} la_quota_use_t;

/* Names the limits of all quotas; once the configuration is read, when the servers have names. */
void la_quotas_label(apr_pool_t *pconf);

/* The quotas of that name, on any virtual host, or with that label; and those that count by the
 * same. Of const la_quota_t *, in `pool`. */
const apr_array_header_t *la_quotas_named(apr_pool_t *pool, la_slice_t name);
const apr_array_header_t *la_quotas_by(apr_pool_t *pool, la_quota_by_e by);

/* Reads a <LlamaAuthQuota NAME> section; a directive's setter. */
const char *la_quotas_section(cmd_parms *cmd, void *dconf, const char *arg);

/* LlamaAuthQuotaSize where there is none, and its arguments. Returns NULL, or what is wrong. */
#define LA_QUOTAS_BYTES ((apr_size_t)8 * 1024 * 1024)
const char *la_quotas_size(apr_pool_t *pool, const char *arg, apr_size_t *bytes);

/* Reads a LlamaAuthQuotaUse line. Returns NULL, or what is wrong. */
const char *la_quotas_use(cmd_parms *cmd, int argc, char *const argv[], const la_quota_use_t **use);
