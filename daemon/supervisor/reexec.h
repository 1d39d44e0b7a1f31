/*
 * Another binary in place of this one: the same process, whose children stay its own, and no
 * session notices. First the new binary reads what it would be handed, and may refuse; then gates
 * that have admitted nobody, houses, helpers and verifiers end; then it is executed, with the
 * descriptors and what carried.h says. No logging by what is called before the loop.
 */
#pragma once

#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/supervisor.h"

struct control_request;

/* Begins it. asker is answered by the new binary, unless reexec_forget() was called before. 0;
 * -EBUSY where the daemon is starting, reloading, or going down; -errno. */
int reexec_begin(struct supervisor *sup, struct control_request *asker);
/* It is under way. */
bool reexec_runs(const struct supervisor *sup);
/* The same, and it has no houses any more. */
bool reexec_settles(const struct supervisor *sup);
/* Why the last one came to nothing (static). */
const char *reexec_failure(void);
/* The asker is gone. */
void reexec_forget(struct supervisor *sup);
void reexec_stop(struct supervisor *sup);

/* ---- in the new binary */

/* Reads what the descriptor has (taken over). 0, or the exit status, after it has told why. */
int reexec_take(int fd, struct carried **ret);
