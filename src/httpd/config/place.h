/* Where a rule may stand in the configuration. */
#ifndef LA_PLACE_H
#define LA_PLACE_H

#include <httpd.h>
#include <http_config.h>

/* Whether RequireScope or RequireAttribute, which hold for the whole section, would mean something
 * else where the line stands: inside <RequireAny> and its like, in a provider alias, or in a
 * <Limit> of a method that httpd does not take for the one that was meant.
 *
 * Returns NULL, or what is wrong.
 */
const char *la_place_of_rule(cmd_parms *cmd);

/* The same for Require llama-scope and llama-attribute, which mean in <RequireAny> and its like
 * what they say. */
const char *la_place_of_require(cmd_parms *cmd);

/* What is wrong with the methods of a section, if it is a <Limit> or <LimitExcept>; else NULL. */
const char *la_place_of_limit(apr_pool_t *pool, const ap_directive_t *limit);

/* FILE:LINE of a line for the log, or NULL. */
const char *la_place_of_line(cmd_parms *cmd);

#endif
