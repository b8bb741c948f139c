/* What a LlamaAuthCors line says. */
#pragma once

#include <apr_pools.h>
#include <apr_tables.h>

/* Constant once parsed. */
typedef struct la_cors_t {
    int off;
    int any;                     /* `*` */
    apr_array_header_t *origins; /* of const char *, in la_origin_normalize()'s form */
} la_cors_t;

/* Parses ORIGIN..., `*` or `off`. Returns NULL, or what is wrong with the line. */
const char *la_cors_parse(apr_pool_t *pool, int count, char *const words[], const la_cors_t **line);
