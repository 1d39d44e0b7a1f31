/*
 * The boards: files in the runtime directory, one 4 KiB page a slot, page 0 is the header.
 * Who may write is the wall: orders (supervisor), reports (the session of the slot), public page
 * (supervisor). A role maps its own pages and closes the descriptors; its filter refuses new shared
 * mappings. Readers of reports treat every byte as hostile.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

enum {
	BOARD_PAGE = 4096,
	BOARD_VERSION = 5, /* of all that lies on the pages: a supervisor takes over no other */
	BOARD_TEXT_MAX = 256,
	BOARD_PATH_MAX = 1024,
	BOARD_CODE_MAX = 32,
	BOARD_REASON_MAX = 128,
};

struct board_header {
	char magic[8]; /* "FTDBOARD" */
	uint32_t version;
	uint32_t slots;
	uint32_t orders_size, report_size; /* bytes of a page that are in use */
	char boot_id[40];
};

/* A torn read is told by an odd or changed number; see board_read(). */
typedef atomic_uint_fast32_t board_seq;

enum board_quit {
	BOARD_STAY,
	BOARD_QUIT_IDLE,
	BOARD_QUIT_KICKED,
	BOARD_QUIT_DRAINING,
	BOARD_QUIT_RELOAD
};

/* A role's process: a pid, and when (CLOCK_BOOTTIME) it must have been started to be the one that
 * is meant. Another one cannot have it: until born_usec nobody had waited for its end. */
struct board_process {
	int32_t pid; /* 0 until the house has answered */
	uint32_t pad;
	uint64_t asked_usec, born_usec; /* 0: there is none */
};

/* Written by the supervisor only. */
struct board_orders {
	board_seq seq;
	uint32_t slot;
	uint32_t tls;
	uint64_t session;             /* 412 of "s412"; 0: the slot is free */
	struct board_process process; /* none: it has ended, and its pump has not */
	struct board_process pump;    /* of a TLS connection */
	union addr peer;
	int64_t started_real_ns;
	uint64_t started_usec;
	uint64_t generation;
	char user[64]; /* "" while anonymous */

	/* for the supervisor that comes after this one */
	uint64_t transfer,
	    transfer_id;     /* the ordinal that was last seen, and 9031 of its "t9031" */
	uint64_t rate_limit; /* of `ftctl limit` */
	uint64_t records;    /* of transfers that the log has taken */

	_Atomic uint32_t quit;   /* enum board_quit */
	_Atomic uint64_t cancel; /* ordinal of the transfer that is to end, 0: none */
	_Atomic uint64_t pause;  /* ordinal of the transfer that stands still; UINT64_MAX: any */
	_Atomic uint64_t rate;   /* content bytes a second, both ways; UINT64_MAX: unlimited */
	_Atomic uint64_t watched_usec;                /* when the supervisor last looked */
	_Atomic uint64_t idle_timeout, stall_timeout; /* microseconds; live */
	_Atomic uint32_t log_level;
	_Atomic uint64_t retry_after_ms; /* of quit; 0: do not come back */
	char reason[BOARD_TEXT_MAX];     /* of quit, for the client */
};

enum board_state {
	BOARD_IDLE,
	BOARD_RECEIVING,
	BOARD_SENDING,
	BOARD_VERIFYING,
	BOARD_SYNCING,
	BOARD_WORKING, /* a request that is no transfer */
	BOARD_PAUSED,  /* a transfer that the orders let stand still */
	BOARD_STATES,
};

/* How a transfer has ended. */
struct board_result {
	uint64_t transfer; /* its ordinal */
	uint64_t bytes, usec, parts;
	char opt[24];
	char result[BOARD_CODE_MAX];
	char reason[BOARD_REASON_MAX];
	uint32_t path_len;
	char path[BOARD_PATH_MAX]; /* as below */
};

/* Written by the session only. Counters only grow. */
struct board_report {
	board_seq seq;
	_Atomic uint64_t heartbeat_usec; /* moves while it runs, whatever it does */
	uint32_t state;                  /* enum board_state */
	uint32_t ended;                  /* it ended in order: 1 + its exit status */
	uint64_t since_usec;             /* when state began (idle since, …) */

	/* The transfer under way: its ordinal in this session, from 1; 0: none. The supervisor
	 * gives each one that it sees or logs an id ("t9031") of its own. */
	uint64_t transfer;
	uint64_t transfer_started_usec;
	int64_t transfer_started_real_ns;
	uint64_t size; /* UINT64_MAX: unknown */
	uint64_t offset;
	uint64_t progress_usec; /* when offset last moved */
	uint32_t upload;        /* 1: to the server */
	uint32_t path_len;
	char path[BOARD_PATH_MAX]; /* cut from the front where longer; any bytes */
	char opt[24];
	uint64_t resumable[2]; /* which upload of partial.h it is part of; zeros: of none */

	/* totals of the session; bytes are content bytes of uploads and downloads */
	uint64_t bytes_in, bytes_out;
	uint64_t uploads, downloads, failed, requests;

	/* records of transfers for the log, and the last of them: for a supervisor that did not get
	 * it */
	uint64_t records;
	struct board_result last;
};

/* Written by the supervisor four times a second, read by beacon and gates. */
enum board_daemon_state { BOARD_READY, BOARD_DRAINING, BOARD_FULL };
struct board_public {
	board_seq seq;
	uint32_t state; /* enum board_daemon_state */
	char version[32];
	uint64_t started_usec;
	uint64_t sessions, sessions_max, sessions_per_address;
	uint64_t transfers;
	uint64_t bytes_in_rate, bytes_out_rate;
	uint64_t large_uploads; /* over 1 MiB, under way: sessions then sync file by file */
	uint32_t n_listen;
	union addr listen[16];
};

_Static_assert(sizeof(struct board_orders) <= BOARD_PAGE, "orders do not fit a page");
_Static_assert(sizeof(struct board_report) <= BOARD_PAGE, "reports do not fit a page");
_Static_assert(sizeof(struct board_public) <= BOARD_PAGE, "the public page is one page");

/* --- for the supervisor */

struct boards {
	uint32_t slots;
	int orders_fd, reports_fd, public_fd; /* read-write */
	int orders_ro_fd, public_ro_fd;       /* what roles get */
	struct board_orders *orders;          /* page 1 + i is slot i */
	struct board_report *reports;
	struct board_public *public;
};

/* Makes the three files anew in the directory (0600) and maps them. 0 or -errno. */
int boards_create(struct boards *b, int runtime_dir, uint32_t slots);
/* Maps those that a former supervisor left there, with all that is on them. -ENOENT: there are
 * none; -ESTALE: they are of another boot, version or size, or not ours; -errno. */
int boards_reopen(struct boards *b, int runtime_dir, uint32_t slots);
void boards_done(struct boards *b);
struct board_orders *board_orders_at(const struct boards *b, uint32_t slot);
/* The first slot not before `from` whose orders were ever written; b->slots: there is none. The
 * others are not looked at, since a look at a page of a tmpfs makes the page. */
uint32_t boards_next_written(const struct boards *b, uint32_t from);
struct board_report *board_report_at(const struct boards *b, uint32_t slot);

/* A consistent copy of a report, strings bounded: 0; -EAGAIN after 100 torn tries (*ret is then the
 * last try, bounded all the same). */
int board_read_report(const struct board_report *r, struct board_report *ret);

/* The orders of a used slot, as a former supervisor left them: 0; -ENOENT: it is free; -EBADMSG: no
 * supervisor wrote that. */
int board_read_orders(const struct boards *b, uint32_t slot, struct board_orders *ret);

/* --- for roles */

/* Maps page 1 + slot of the descriptor. NULL and errno on failure. */
void *board_map_slot(int fd, uint32_t slot, bool writable);
const struct board_public *board_map_public(int fd);

/* --- for writers of any page */
void board_write_begin(board_seq *seq);
void board_write_end(board_seq *seq);
int board_read_public(const struct board_public *p, struct board_public *ret);
