/* From nothing to a process that may run the loop: directories, sockets, rights given up. Start-up
 * code: it may name paths, which come from the configuration and the environment only. */
#pragma once

#include "daemon/config/config.h"
#include "daemon/supervisor/supervisor.h"

/* What was opened before rights were dropped; every descriptor is the caller's, -1: none. */
struct start_sockets {
	int control;
	int udp;
	struct listeners *listeners;
};

/* Checks the kernel, raises limits, makes the runtime directory (and holds its pid file locked),
 * opens or takes over the sockets, becomes run_as, opens the state directory. Tells on stderr what
 * is wrong. carried (NULL: none): what was opened already, by another binary. 0, or the exit status
 * to end with. */
struct carried;
int start_prepare(struct supervisor *sup, const struct carried *carried, struct start_sockets *ret);
