/*
 * What a user has of a share with a quota: .ftd/quota/<user> beneath its root, with the bytes of
 * the published files and a record for each that is on its way. All of it is read and changed under
 * a lock on the header. A reservation is owned by a lock on its own record, so the one of a process
 * that was killed is told from others and taken back by whoever comes next, on any machine; what it
 * had published is told by its staging file. What is no ledger is set aside, and nothing may be
 * reserved until the keeper has counted. For sessions and the keeper; no logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/common/ledger_file.h"
#include "lib/users.h"

/* Extended attribute of files that count: whose they are. */
#define LEDGER_OWNER "user.ftd.owner"
/* The name of clients without a login. Its lock also stands for files that are nobody's. */
#define LEDGER_NOBODY "-"
/* A file beside the ledgers: somebody asks the keeper to count. */
#define LEDGER_ASKED "~count"

struct ledger {
	int root;         /* of the share; borrowed */
	uint64_t session; /* whose records are its own: the first half of its staging names */
	char user[USER_NAME_MAX + 1];
	int fd;
	bool set_aside;            /* set: the file was none of ours; for the log */
	struct ledger_image image; /* while locked */
};

/* Whether it can be the name of a ledger. */
bool ledger_name_is_valid(const char *user, size_t len);
/* Opens nothing yet. user is valid. */
void ledger_init(struct ledger *l, int root, const char *user, uint64_t session);
void ledger_done(struct ledger *l);

/* Locks and reads it; made where there is none. 0; -EBUSY: others have it for too long; -errno. */
int ledger_lock(struct ledger *l);
void ledger_unlock(struct ledger *l);

/* ---- all that follows: under the lock. 0 or -errno unless said. */

/* Takes back what dead processes had reserved. */
int ledger_reclaim(struct ledger *l);

/* What of limit is left. -FTD_E_busy where that is unknown. */
int ledger_left(const struct ledger *l, uint64_t limit, uint64_t *ret);

/* Reserves want bytes for the staging file, or what is left of limit, but least at the least.
 * -FTD_E_quota_exceeded; -FTD_E_busy (see above). The record is the one that *ret has then. */
int ledger_reserve(struct ledger *l, uint64_t limit, uint64_t least, uint64_t want,
		   const struct staged_id *id, bool elsewhere, struct ledger_record *ret);
/* The same for more bytes of a reservation: *r is the record as it is, and as it is then. */
int ledger_extend(struct ledger *l, uint64_t limit, uint64_t least, uint64_t want,
		  struct ledger_record *r);

/* Adds a record that lives as long as the lock. */
int ledger_note(struct ledger *l, const struct ledger_record *r);
/* Changes the record of r's staging file. -ESTALE: there is none. */
int ledger_change(struct ledger *l, const struct ledger_record *r);
/* The record of a staging file. -ESTALE: there is none. */
int ledger_find(const struct ledger *l, const struct staged_id *id, struct ledger_record *ret);
/* Whether a record is about the staging file. */
bool ledger_names(const struct ledger *l, const struct staged_id *id);
/* Brings the record to its end: its bytes and its credit go to used (settle), or not (drop).
 * -ESTALE: there is none. */
int ledger_settle(struct ledger *l, const struct staged_id *id);
int ledger_drop(struct ledger *l, const struct staged_id *id);

/* Writes image.header as it is now. */
int ledger_update(struct ledger *l);

/* ---- for ledger_records.c */

off_t ledger_place(size_t index);
/* Locks (F_WRLCK) or unlocks the entry at the place, without waiting. 0, -EAGAIN, -errno. */
int ledger_lock_entry(int fd, short type, off_t place);
/* Writes a record. */
int ledger_put(struct ledger *l, size_t index, const struct ledger_record *r);

/* ---- */

/* Asks the keeper to count the share soon; without a lock. */
int ledger_ask_count(int root);
