/*
 * A gate: one process per connection until login. It reads what a stranger sends first, without any
 * file and any new socket, and asks the supervisor for a session. It looks at frames with MSG_PEEK
 * and takes only those that it answers, so that nothing is left over for the session to miss.
 */
#pragma once

#include "daemon/common/board.h"
#include "daemon/common/packet.h"
#include "daemon/config/config.h"

/* What the house prepared; mapped read-only. */
struct gate_world {
	const struct config *config;
	const struct board_public *public;
};

/* Serves one connection until it is the session's or gone; returns the exit status. The privilege
 * socket goes to the supervisor. Both descriptors are the process's until it ends. */
int gate_run(const struct gate_world *world, const struct packet_birth *birth, int connection,
	     int privilege);
