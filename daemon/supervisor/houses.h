/*
 * Starting roles: fork and exec of the daemon's own binary for houses, keeper and beacon; packets
 * to the houses, which clone gates and sessions. Every role is the supervisor's own child.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/common/packet.h"
#include "daemon/supervisor/supervisor.h"

/* A role that was exec'd. ends_with: what its ROLE_FD_HOUSE socket is at our end. */
struct role_start {
	const char *name; /* of --role */
	int config_fd;    /* borrowed, all of them; -1: none */
	int public_fd, orders_fd, reports_fd, extra_fd;
	int log_fd;
	int nice; /* added to the priority; 0: as the supervisor */
};
/* 0, the child's pid and our end of its socket (close-on-exec, non-blocking), or -errno. */
int role_start(const struct role_start *how, pid_t *ret_pid, int *ret_sock);

/* Sealed copy of the configuration. Descriptor or -errno. */
int houses_seal_config(const struct config *c);

/* Starts both houses from the configuration. They become current when both are ready:
 * decided() is called once from the loop, with 0 or a negative error; the caller then keeps
 * (houses_adopt) or drops (houses_drop) them. */
struct house_pair;
int houses_start(struct supervisor *sup, const struct config *c,
		 void (*decided)(struct supervisor *sup, struct house_pair *pair, int error),
		 struct house_pair **ret);
/* Makes the pair current; the former houses end when they have nothing left to do. */
void houses_adopt(struct supervisor *sup, struct house_pair *pair);
void houses_drop(struct house_pair *pair);
/* Ends the current houses. */
void houses_stop(struct supervisor *sup);

/* Asks the current house for a gate or session; the descriptors are borrowed. The answer comes to
 * admission_born() or sessions_born(); *ret_house is the serial that *_house_gone() names if it
 * never does. 0, -EAGAIN (the house is behind), -ENOTCONN. */
int houses_birth(struct supervisor *sup, enum house_kind kind, const struct packet_birth *birth,
		 int connection, int privilege, uint64_t *ret_house);

/* Takes what the houses have said already: a role's own words may be read before its birth is. */
void houses_listen(struct supervisor *sup);

/* A role of the house crashed: replace it, at most once in 5 s. */
void houses_crashed(struct supervisor *sup, enum house_kind kind);
