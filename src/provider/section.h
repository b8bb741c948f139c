/* Checks the options of a <LlamaAuthProvider> against each other. */
#pragma once

#include "provider/provider.h"

/* Checks a section once it is read: a private key needs its certificate and a certificate its key,
 * an Audience names one. Warns of times that contradict each other. Returns NULL, or what is wrong,
 * in `pool`, beginning with the option to change. */
const char *la_section_check(const la_provider_t *provider, apr_pool_t *pool);
