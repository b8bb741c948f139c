/* Tokens bound to a key (RFC 7800): whether the request shows what its token's `cnf` asks for, a
 * DPoP proof (RFC 9449) or a TLS client certificate (RFC 8705). */
#pragma once

#include "httpd/request.h"

/* Whether the scheme DPoP is one of ours: a provider in use has a Binding other than `ignore`, and
 * no forward proxy is asked. */
int la_binding_takes_dpop(const request_rec *r, const la_use_t *use);

/* Checks a provider's acceptance as its Binding says, and makes a rejection of it if it does not
 * hold; other results stay as they are. To be called for each result, cached ones too, since each
 * request brings its own proof. That is read and verified once for a client's request and all that
 * comes of it, and remembered once, after everything else. A new nonce is put among the answer's
 * fields if the client's ends soon.
 * call: that the provider was asked. scheme: that the token came by. */
void la_binding_check(request_rec *r, const la_provider_t *provider, const la_call_t *call,
                      la_scheme_e scheme, la_result_t *result);

/* Adds the challenge for DPoP to a 401, where one is due (RFC 9449 sections 7.1 and 7.2): the proof
 * was bad, the token came with a proof, or a provider in use demands that tokens are bound. With it
 * goes a nonce, if a provider in use demands one.
 * scheme: of the credential, LA_SCHEME_OTHER if there was none. */
void la_binding_challenge(request_rec *r, const la_use_t *use, la_scheme_e scheme,
                          la_proof_fault_e fault, la_denial_t *denial);
