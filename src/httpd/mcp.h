/* RequireMcp and LlamaAuthMcpScope: the operation that an MCP message asks for. */
#pragma once

#include <httpd.h>

#define LA_NOTE_MCP "llama_auth.mcp"

/* Checks the operation. For the last fixup, when all rules that do without the body hold.
 * Returns OK, or the status of a denial that is recorded. Notes the operation, and the request's id
 * for an error document. */
int la_mcp_check(request_rec *r);
