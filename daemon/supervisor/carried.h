/*
 * What a supervisor hands to the binary that takes its place (reexec.h), beside the boards: JSON,
 * in which descriptors are numbers. It is read as if a stranger had written it: a newer binary must
 * not fall over what an older one says. Pure, no logging. fuzz/fuzz_carried.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/config/config.h"
#include "daemon/supervisor/bans.h"
#include "daemon/supervisor/histogram.h"
#include "daemon/supervisor/penalties.h"
#include "daemon/supervisor/supervisor.h"

enum {
	CARRIED_VERSION = 1,
	CARRIED_BYTES_MAX = 8 << 20,
	CARRIED_RATES_MAX = 16384,
	CARRIED_FD_MAX = 1 << 20,
};

/* Descriptors are borrowed; -1: none. */
struct carried_sockets {
	int64_t control, udp, pid_file, log_ours, log_roles;
	int64_t asker; /* the connection to be answered */
	uint64_t asker_uid, asker_pid, asker_role;
	bool handed; /* the listening sockets are systemd's */
};

struct carried_session {
	uint64_t number;
	int64_t privilege;
};

struct carried_rate {
	char user[USER_NAME_MAX + 1];
	uint64_t limit;
};

struct carried {
	struct carried_sockets sockets;
	int listen[CONFIG_LISTENERS_MAX];
	size_t n_listen;
	uint64_t generation, started_usec, next_id;
	int64_t started_real_ns;
	bool started_as_root;
	struct totals totals;
	struct histogram durations_ms, sizes;
	struct carried_session *sessions; /* children, each with its descriptor */
	size_t n_sessions;
	struct carried_rate *rates; /* of `ftctl limit --user` */
	size_t n_rates;
	struct bans bans;
	struct penalties penalties;
};

/* The caller frees *ret. 0, -E2BIG or -ENOMEM. */
int carried_write(const struct carried *c, char **ret, size_t *ret_len);
/* 0, -ENOMEM; -EBADMSG with *ret_why (static) in words. */
int carried_read(const char *text, size_t len, struct carried **ret, const char **ret_why);
struct carried *carried_free(struct carried *c);
/* The descriptor of the session; -1: it is not among them. */
int carried_privilege(const struct carried *c, uint64_t number);
