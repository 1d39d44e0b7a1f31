/*
 * The supervisor: policy, and what outlives a connection. One sd-event loop; it parses nothing that
 * came from the network. Its files: start.c (from nothing to the loop), listeners.c, admission.c,
 * houses.c, sessions.c, boards (daemon/common), tick.c, reload.c, journal.c, control*.c, main loop
 * in supervisor.c. Event handlers always return 0: a negative answer would switch their source off.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>
#include <systemd/sd-event.h>

#include "daemon/common/board.h"
#include "daemon/common/packet.h"
#include "daemon/config/config.h"
#include "daemon/supervisor/bans.h"
#include "daemon/supervisor/histogram.h"
#include "daemon/supervisor/ids.h"
#include "daemon/supervisor/penalties.h"
#include "lib/users.h"

struct admission; /* admission.c */
struct control;   /* control.c */
struct journal;   /* journal.c */
struct listeners; /* listeners.c */
struct reexec;    /* reexec.c: the same */
struct reload;    /* reload.c: one under way, or NULL */
struct house;     /* houses.c */
struct user_rate;
struct users_snapshot; /* users.c */

enum house_kind { HOUSE_GATE, HOUSE_SESSION, HOUSE_KINDS };

/* Counters since the start. Bytes are content bytes of uploads (in) and downloads (out). */
struct totals {
	uint64_t sessions, refused;
	uint64_t uploads, downloads, failed, requests;
	uint64_t bytes_in, bytes_out;
};

struct supervisor {
	sd_event *event;
	struct config *config; /* the snapshot in force */
	uint64_t generation;
	uint64_t started_usec;
	int64_t started_real_ns;
	int64_t reloaded_real_ns;
	bool serving; /* the first roles are up */
	bool draining;
	uint64_t drain_deadline_usec;

	bool started_as_root; /* and went over to run_as: that uid is then nobody special on the
				 control socket */

	char program[PATH_MAX]; /* what was executed; "": /proc does not tell */

	int runtime_dir;
	int pid_fd; /* of the locked pid file */
	struct boards boards;
	struct listeners *listeners;
	struct users_snapshot *users;
	uint64_t users_loads;         /* how often it was replaced */
	struct user_rate *user_rates; /* user_rates.c */
	size_t n_user_rates;
	struct bans bans;
	struct penalties penalties;
	struct admission *admission;
	struct house *houses[HOUSE_KINDS]; /* of the current generation */
	struct ids ids;                    /* numbers of sessions and transfers */
	struct session **slots;            /* boards.slots of them; NULL: free */
	uint32_t sessions;                 /* slots in use */
	struct control *control;
	struct journal *journal;
	struct reload *reload;
	struct reexec *reexec;

	struct totals retired; /* of sessions that are gone; see supervisor_totals() */
	uint64_t bytes_in_rate, bytes_out_rate; /* bytes a second, over about 2 s */
	struct histogram durations_ms, sizes;
};

/* ---- supervisor.c ---- */
/* Runs the daemon with the parsed configuration (taken over); a byte is written to ready_fd (taken
 * over, -1: none) when it serves. carried (taken over): what the binary before it has handed on,
 * NULL: there was none. Returns the exit status. */
struct carried;
int supervisor_run(struct config *config, int ready_fd, struct carried *carried);
/* retired + what the living have reported. */
void supervisor_totals(const struct supervisor *sup, struct totals *ret);
/* Lets transfers finish for grace_usec, then ends what is left, then the loop. Again: a shorter
 * grace wins. */
void supervisor_shutdown(struct supervisor *sup, uint64_t grace_usec, const char *why);

/* ---- sessions.c: one record a slot ---- */
struct session {
	struct supervisor *sup;
	uint32_t slot;
	uint64_t number; /* 412 of "s412" */
	pid_t pid;       /* 0 until born */
	int pidfd;
	bool adopted; /* a former supervisor started it: it is no child of ours, and ends after what
			 it serves (adoption.c) */
	uint64_t generation;
	union addr peer;
	uint32_t tls;                 /* 0: plain text, 12, 13 */
	char user[USER_NAME_MAX + 1]; /* "": nobody has logged in */
	int64_t started_real_ns;
	uint64_t started_usec;
	enum board_quit quit;     /* ordered */
	uint64_t quit_usec;       /* when */
	struct board_report seen; /* last accepted copy: counters monotonic and capped */
	bool torn;                /* the last read was */
	uint64_t transfer_ordinal, transfer_id; /* the id ("t9031") of the ordinal last seen */
	uint64_t rate;       /* bytes a second of the transfer under way, over about 2 s */
	uint64_t rate_limit; /* of `ftctl limit`, bytes a second; NUM_UNLIMITED: none */
	uint64_t share;      /* of limits.total_rate; NUM_UNLIMITED: all of it */
	uint64_t user_share; /* of the limit of its user; the same */
	uint64_t moved;      /* content bytes when the shares were given */
	uint64_t pause;      /* as in the orders */
	uint64_t resumed_usec;
	uint64_t
	    stalled_usec; /* since the offset last moved while a transfer is under way; 0: moving */
	struct session_private *priv;
};
/* NULL: free. */
struct session *sessions_at(const struct supervisor *sup, uint32_t slot);
struct session *sessions_find(const struct supervisor *sup, uint64_t number);
struct session *sessions_find_transfer(const struct supervisor *sup, uint64_t transfer_id);
/* Who it is, for people: the user, or "anonymous". */
static inline const char *
sessions_user(const struct session *s)
{
	return s->user[0] != '\0' ? s->user : "anonymous";
}
/* Reads the report now and brings seen, rate, stalled and ids up to date. */
void sessions_refresh(struct session *s);
/* Orders the session to end and pokes it; a session that does not end within 5 s (kicked) is
 * killed. reason is for the client; retry_after_ms 0: not welcome. */
void
sessions_quit(struct session *s, enum board_quit why, const char *reason, uint64_t retry_after_ms);

/* ---- orders.c: what sessions are told; sessions_quit() as well ---- */
/* bytes a second; NUM_UNLIMITED: none but those of the configuration. */
void sessions_limit(struct session *s, uint64_t rate);
/* The transfer of that ordinal stands still; UINT64_MAX: all, and no idle time runs; 0: goes on. */
void sessions_pause(struct session *s, uint64_t ordinal);
bool sessions_paused(const struct session *s);
/* The transfer of that ordinal ends. */
void sessions_cancel(struct session *s, uint64_t ordinal);

/* ---- throttle.c ---- */
/* Bytes a second by limits.session_rate and `ftctl limit`; NUM_UNLIMITED: none. */
uint64_t throttle_ceiling(const struct session *s);
/* The same with its shares of limits.total_rate and of its user's: what it may move now. */
uint64_t throttle_rate(const struct session *s);

/* ---- user_rates.c ---- */
/* Bytes a second of all sessions of the user together; NUM_UNLIMITED: no limit. */
uint64_t user_rates_limit(const struct supervisor *sup, const char *user);
/* Limits the user by name, at once; NUM_UNLIMITED: no more. 0 or -ENOMEM. */
int user_rates_set(struct supervisor *sup, const char *user, uint64_t rate);

/* ---- reload.c ---- */
/* Reads config_file again and checks it. dry_run: only that; *ret_diff tells what would change.
 * 0: with dry_run done, else begun: supervisor.reload is not NULL until it is decided, and
 * reload_last() then tells the outcome. -EINVAL: *problems. -EBUSY: another one is under
 * way, or the daemon is starting or going down. */
int reload_begin(struct supervisor *sup, bool dry_run, struct config_problems *problems,
		 json_t **ret_diff);
/* Outcome of the last one that was begun: NULL: it is in force; else why not (borrowed). */
const char *reload_last(const struct supervisor *sup);

/* ---- admission.c ---- */
struct admission_view {
	uint32_t gates;   /* logging in */
	uint32_t waiting; /* connections held as descriptors */
	uint32_t pumps;   /* of TLS connections */
};
void admission_view(const struct supervisor *sup, struct admission_view *ret);

/* ---- listeners.c ---- */
/* "0.0.0.0:8001"; index from 0; NULL past the end. buf: ADDR_TEXT_MAX. */
const char *listeners_text(const struct supervisor *sup, unsigned i, char *buf);
/* Does one wait for descriptors or memory? */
bool listeners_paused(const struct supervisor *sup);

/* ---- control.c (sockets and frames) with control_*.c (commands) ---- */
/* Takes over the listening socket. 0 or -errno. */
int control_start(struct supervisor *sup, int listen_fd);
void control_stop(struct supervisor *sup);
/* Something changed that a command may wait for (a session ended, a reload was decided, the state).
 * Also called four times a second. */
void control_changed(struct supervisor *sup);
/* control.group / operator_group of a new configuration. */
void control_reconfigure(struct supervisor *sup);
