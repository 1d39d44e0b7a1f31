/*
 * How fast sessions may move content: the least of limits.session_rate, what `ftctl limit` said,
 * and the session's shares of limits.total_rate and of its user's limit (division.h, user_rates.h),
 * written into its orders. See also supervisor.h.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* A new session: its first shares. */
void throttle_begin(struct session *s);
/* Writes the rate into the orders. */
void throttle_order(const struct session *s);
/* Content bytes since the shares were given. */
uint64_t throttle_used(const struct session *s);
/* Four times a second: the shares. */
void throttle_tick(struct supervisor *sup);
