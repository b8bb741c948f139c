/* What setters share: where a rule may stand, the field that a row names, and errors. */
#ifndef LA_PLACE_H
#define LA_PLACE_H

#include <httpd.h>
#include <http_config.h>

/* Checks where a rule that holds for a whole section stands: not in <RequireAny> and its like, not
 * in a provider alias, and not in a <Limit> of methods that no client sends.
 * Returns NULL, or what is wrong. */
const char *la_place_of_rule(cmd_parms *cmd);

/* The same for Require llama-scope and llama-attribute, which may stand in <RequireAny>. */
const char *la_place_of_require(cmd_parms *cmd);

/* What is wrong with the methods of a section, if it is a <Limit> or <LimitExcept>; else NULL. */
const char *la_place_of_limit(apr_pool_t *pool, const ap_directive_t *limit);

/* An error with the directive's name in front; NULL stays NULL. */
const char *la_place_error(cmd_parms *cmd, const char *error);

/* The field of the section's configuration whose offset is cmd->info. */
static inline void *la_place_field(const cmd_parms *cmd, void *dconf)
{
    return (char *)dconf + (apr_size_t)cmd->info;
}

/* FILE:LINE of a line for the log, or NULL. */
const char *la_place_of_line(cmd_parms *cmd);

#endif
