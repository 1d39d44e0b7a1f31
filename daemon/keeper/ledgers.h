/* All ledgers of a share (daemon/common/ledger.h). Damaged ones are logged. */
#pragma once

#include "daemon/common/ledger.h"

/* Calls visit for each, locked. Stops at a negative answer and returns it, or -errno. A share
 * without ledgers has none (0). */
int ledgers_each(int root, int (*visit)(void *userdata, struct ledger *l), void *userdata);

/* Brings all that the dead have reserved to its end; then no record is about the staging file,
 * which may go. 0; -EAGAIN: one is still owned; -EBUSY, -errno. */
int ledgers_release(int root, const struct staged_id *id);

/* The same for no file in particular. *ret_unsure: some ledger is to be counted. */
int ledgers_reclaim(int root, bool *ret_unsure);

/* ledger_lock(), and what was damaged is logged. */
int ledgers_lock(struct ledger *l);
