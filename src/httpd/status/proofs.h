/* The memory of DPoP proofs as the status page shows it. */
#pragma once

#include "base/json.h"
#include "shm/replay.h"

#include <httpd.h>

/* What became of proofs that held in all other ways. */
enum {
    LA_STATUS_PROOFS_NEW,
    LA_STATUS_PROOFS_REPLAYED,
    LA_STATUS_PROOFS_OLD,
    LA_STATUS_PROOFS_FULL,
    LA_STATUS_PROOFS_OVER,
    LA_STATUS_PROOFS_REFUSED,
    LA_STATUS_PROOFS_RESULTS
};

typedef struct la_status_proofs_t {
    uint64_t results[LA_STATUS_PROOFS_RESULTS];
    la_replay_state_t memory;
} la_status_proofs_t;

/* Reads it, in `pool`; NULL where no provider could ask for proofs. */
const la_status_proofs_t *la_status_proofs_read(const la_replay_t *memory, apr_time_t now,
                                                apr_pool_t *pool);

/* Parts of the JSON, `null` for NULL, and of the metrics, nothing for NULL. */
void la_status_proofs_json(la_json_writer_t *w, const la_status_proofs_t *proofs);
void la_status_proofs_prometheus(request_rec *r, const la_status_proofs_t *proofs);
