/* LlamaAuthModelSource, LlamaAuthModelRefusal and LlamaAuthBodyLimit: their lines and setters.
 * cmd->info is the offset of the field in the section's configuration. */
#pragma once

#include <httpd.h>
#include <http_config.h>

typedef enum la_model_source_e {
    LA_MODEL_IN_BODY,
    LA_MODEL_IN_PATH,
    LA_MODEL_IN_QUERY
} la_model_source_e;

typedef struct la_model_source_t {
    la_model_source_e kind;
    const char *name; /* of a member of the body, or a parameter of the query */
    const ap_regex_t *regex;
} la_model_source_t;

/* The sources of one section, in order. Constant. */
typedef struct la_model_sources_t {
    int count;
    int in_body; /* how many of them are LA_MODEL_IN_BODY */
    la_model_source_t sources[];
} la_model_sources_t;

/* Where the model is if no line says so: body:model. */
extern const la_model_sources_t la_model_sources_default;

#define LA_BODY_LIMIT_BYTES ((apr_size_t)8 * 1024 * 1024)

/* The field is a const la_model_sources_t *. */
const char *la_body_set_sources(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);

/* The field is an int: the status. */
const char *la_body_set_refusal(cmd_parms *cmd, void *dconf, const char *arg);

/* The field is an apr_size_t. */
const char *la_body_set_limit(cmd_parms *cmd, void *dconf, const char *arg);
