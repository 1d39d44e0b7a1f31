/* Roles that are exec'd: fork and exec of the daemon's own binary. Each is the supervisor's child.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/config/config.h"

struct spawn {
	const char *name; /* of --role */
	int config_fd;    /* borrowed, all of them; -1: none */
	int public_fd, orders_fd, reports_fd, extra_fd;
	int log_fd;
	int nice;        /* added to the priority; 0: as the supervisor */
	bool may_become; /* it may make its children other users (capabilities.h) */
};
/* 0, the child's pid and our end of its socket (close-on-exec, non-blocking), or -errno. */
int spawn_role(const struct spawn *how, pid_t *ret_pid, int *ret_sock);

/* Sealed copy of the configuration. Descriptor or -errno. */
int spawn_seal_config(const struct config *c);

/* Has the binary look at the state that it would be handed (both borrowed): its exit status says
 * yes or no, and what it writes, to be read from *ret_said, why. 0 or -errno. */
int spawn_check(int binary, const char *config_file, int state_fd, pid_t *ret_pid, int *ret_said);
/* Executes it in place of this one, with all descriptors that are not close-on-exec. Returns only
 * where it could not: -errno. */
int spawn_replace(int binary, const char *config_file, int state_fd);
