/*
 * A gate: one process per connection until login. It reads what a stranger sends first, without any
 * file and any new socket, and asks the supervisor for a session. It looks at frames with MSG_PEEK
 * and takes only those that it answers, so that nothing is left over for the session to miss. Over
 * TLS it stays when the session is there, as its pump (pump.h).
 */
#pragma once

#include <openssl/ssl.h>

#include "daemon/common/board.h"
#include "daemon/common/packet.h"
#include "daemon/config/config.h"

/* What the house prepared; mapped read-only. */
struct gate_world {
	const struct config *config;
	const struct board_public *public;
	SSL_CTX *tls;
};

/* Serves one connection until it is the session's or gone; returns the exit status. The
 * descriptors, in the order of BIRTH_*, are the process's until it ends. */
int gate_run(const struct gate_world *world, const struct packet_birth *birth, const int *fds);
