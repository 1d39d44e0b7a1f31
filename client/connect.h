/* From an address to a connection on which requests can be made. */
#pragma once

#include "client/session.h"

/* Connects anew to the server of the session, secured as is due, says hello and logs in. 0, or
 * negative with f; then nothing is open. */
int connect_server(struct session *s, struct failure *f);

/* Opens a TCP connection to u. 0, or negative with f. */
int connect_tcp(struct wire *w, const struct url *u, uint64_t timeout_usec, struct failure *f);
