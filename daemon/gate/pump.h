/*
 * What a gate becomes when its client is admitted over TLS: it moves content between the connection
 * and the stream to the session, and understands none of it. Reads only where it can write, so that
 * a slow reader at either end holds the other one up; ends each direction when its source does.
 */
#pragma once

#include <stdint.h>

#include "daemon/gate/line.h"

/* Until both directions have ended, or the session is gone and the client takes no byte of what was
 * left for stall_usec. From now on the privilege socket is not looked at. What the gate has read
 * and not answered goes first. */
void pump_run(struct line *l, int stream, uint64_t stall_usec);
