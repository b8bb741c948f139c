/* `Require llama-scope`, `Require llama-attribute`, and llama_attribute() in expressions. */
#ifndef LA_REQUIRE_H
#define LA_REQUIRE_H

#include <apr_pools.h>

/* Registers all of them; once, with the hooks. */
void la_require_register(apr_pool_t *pool);

#endif
