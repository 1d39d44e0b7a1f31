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
/* The session is about to be freed: who holds its place in limits.sessions_per_address now? */
void pumps_session_gone(struct session *s);

/* Four times a second: those that do not end are killed. */
void pumps_tick(struct supervisor *sup);
void pumps_kill(struct supervisor *sup);
