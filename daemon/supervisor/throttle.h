/*
 * How fast sessions may move content: the least of limits.session_rate, what `ftctl limit` said and
 * the session's share of limits.total_rate (division.c), written into its orders. See also
 * supervisor.h.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* A new session: its first share. */
void throttle_begin(struct session *s);
/* Writes the rate into the orders. */
void throttle_order(const struct session *s);
/* Four times a second: the shares of limits.total_rate. */
void throttle_tick(struct supervisor *sup);
