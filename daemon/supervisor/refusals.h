/* Saying no before there is a process: one plain error frame, then close, the sending side first.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

enum { REFUSALS_LINGER_MAX = 256 /* connections that wait a second for their client to read */ };

/* Takes the descriptor over. limit and current UINT64_MAX: not said; retry_after_ms 0: not said. */
void refusals_say(int fd, const struct packet_verdict *v);

/* Four times a second: closes those that have waited. */
void refusals_tick(void);
