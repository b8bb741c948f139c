/* What the options of a <LlamaAuthProvider> say together, beyond what each says alone. */
#ifndef LA_SECTION_H
#define LA_SECTION_H

#include "provider/provider.h"

/* Checks the options that all types share against each other, once a section is read: a private key
 * without a certificate or of another one, a certificate without a key, an Audience that means any;
 * warns of times that contradict each other.
 *
 * Returns NULL, or what is wrong, in `pool`; it begins with the name of the option to change.
 */
const char *la_section_check(const la_provider_t *provider, apr_pool_t *pool);

#endif
