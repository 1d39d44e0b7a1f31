/*
 * The oldest client: a JSON header without a length, the two bytes "ok", the content
 * (doc/PROTOCOL.md, "Oldest clients").
 */
#pragma once

#include "daemon/session/session.h"

/* Serves the one request of such a client. 0, or a conn_* failure; then the connection ends. */
int bare_serve(struct session *s);
