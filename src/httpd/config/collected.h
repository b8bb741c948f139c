/* What is collected from all sections while the configuration is read; constant afterwards. */
#pragma once

#include "provider/provider.h"
#include "quota/quota.h"
#include "signer/signer.h"

#include <httpd.h>

/* One <LlamaAuthProvider>, <LlamaAuthQuota> or <LlamaAuthSigner> section. */
typedef struct la_entry_t {
    union {
        la_provider_t *provider;
        la_quota_t *quota;
        la_signer_t *signer;
    };
    const char *name;
    const server_rec *server;
    const char *filename;
    int line;
    const char *label; /* the name, and the virtual host where it is one's */
} la_entry_t, la_provider_entry_t, la_quota_entry_t;

typedef struct la_collected_t {
    apr_array_header_t *providers;     /* registry.c: of la_entry_t */
    apr_array_header_t *quotas;        /* quotas.c: of la_entry_t */
    apr_array_header_t *signers;       /* signers.c: of la_entry_t */
    apr_array_header_t *forwarded;     /* forward_rules.c: header names, of const char * */
    uint64_t forwarded_lengths;        /* a bit for each of their lengths modulo 64 */
    apr_array_header_t *token_headers; /* token_sources.c: of const char * */
    apr_array_header_t *token_queries; /* of const char * */
    apr_array_header_t *handlers;      /* handler.c: SetHandler lines, of const ap_expr_info_t * */
} la_collected_t;

extern la_collected_t la_collected;

/* Empties all of it; before each reading of the configuration, whose pool it is. */
void la_collected_reset(apr_pool_t *pconf);
