/*
 * Pumps: gates of TLS connections whose session is there. A pump belongs to its session. When the
 * session has ended, the pump delivers what is left for the client and counts as a session until it
 * has; the session of a pump that ended sees the end of its stream, as that of a client's.
 */
#pragma once

#include "daemon/supervisor/connections.h"

/* The gate's connection was admitted as the session s. */
void pumps_enter(struct connection *c, struct session *s);
/* The connection is about to be freed. */
void pumps_leave(struct connection *c);
/* The session is about to be freed. Its pump, if it has one that has not ended, holds its place in
 * limits.sessions_per_address now, and its slot: true. */
bool pumps_session_gone(struct session *s);
/* The pump that the orders of the slot name, of a former supervisor: the session's, or, where s is
 * NULL, left behind in the slot. Whether there is one. */
bool pumps_adopt(struct supervisor *sup, const struct board_orders *orders, struct session *s);

/* Four times a second: those that do not end are killed. */
void pumps_tick(struct supervisor *sup);
void pumps_kill(struct supervisor *sup);
/* Waits for those that are no children of ours, until the time of clock_usec(). */
void pumps_wait(struct supervisor *sup, uint64_t until_usec);
