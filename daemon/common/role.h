/* What every exec'd role and every cloned role does in the same way. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config/config.h"

/* Exit classes; a reaped role says with them why it ended. Never 0 for anything but a good end. */
enum {
	ROLE_EXIT_OK = 0,
	ROLE_EXIT_SETUP = 70,
	ROLE_EXIT_PROTOCOL = 71, /* the supervisor broke it */
	ROLE_EXIT_BROKEN = 72,
	ROLE_EXIT_CLIENT = 73, /* the client did: no frame, no request, no handshake */
	ROLE_EXIT_LATE = 74,   /* gates: the login deadline has passed */
	ROLE_EXIT_LEFT = 75,   /* sessions: a staging file could not be removed */
};

/* The beginning of every exec'd role: its name, signals as role_reset_signals() leaves them, no
 * core dump and no look into its memory by others of the same user, and a log socket that is for
 * words only. 0 or -errno: then it must not go on. */
int role_begin(const char *name);

/* At most so many bytes of memory of its own (RLIMIT_DATA) for this process and its clones, each:
 * what goes wrong in one of them takes nothing from the others. Not with sanitizers. 0 or -errno.
 */
int role_limit_memory(size_t bytes);

/* Signal mask empty, default dispositions, SIGPIPE ignored. */
void role_reset_signals(void);

/* Sets the process title (argv[0] area is not touched: prctl only) to "ftd: <name>". */
void role_set_name(const char *name);

/* Closes every descriptor above keep_below that is not in keep (n of them). */
void role_close_others(int keep_below, const int *keep, size_t n);

/* Maps the sealed configuration from ROLE_FD_CONFIG read-only and closes the descriptor.
 * -EINVAL where its layout is another. */
int role_map_config(int fd, const struct config **ret);

/* clone(CLONE_PARENT): the child is the supervisor's own. As fork(2): 0 in the child. */
pid_t role_clone(void);

/* A house's loop: announces HOUSE_READY, then takes packet_birth with n_fds descriptors (in the
 * order of BIRTH_*) and clones; child is called in the new process with the descriptors, which it
 * owns, and must not return. Returns when the supervisor closes. */
struct packet_birth;
int house_loop(void (*child)(const struct packet_birth *birth, const int *fds), size_t n_fds);

/* Entry points of the roles, called by main() for `ftd --role NAME`. They return the exit status.
 */
int gatehouse_main(void);
int sessionhouse_main(void);
int keeper_main(void);
int beacon_main(void);
int verifier_main(void);
int surveyor_main(void);
