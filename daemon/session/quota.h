/*
 * What a session's files count against the quota of a share (daemon/common/ledger.h): reserved when
 * an upload begins, settled when it is published, given back when it is not. The name of a file
 * that counts changes only under the lock of its owner's ledger, and that of any other file under
 * LEDGER_NOBODY's, so whoever has them knows what a rename replaces. In a share without a quota all
 * of this does nothing but what the names say. Logs what it cannot keep account of.
 */
#pragma once

#include "daemon/session/claim.h"
#include "daemon/session/session.h"

/* Who is told to wait for a count comes back then. */
enum { QUOTA_RETRY_MS = 2000 };

/* Whether files count in the share. */
bool quota_applies(const struct session *s, unsigned share);

/* Permissions that let the keeper count: their owner can always read. */
mode_t quota_mode(const struct session *s, unsigned share, mode_t mode);

/* Reserves for a file of size bytes; UINT64_MAX: unknown, and quota_extend() follows it. The file
 * is the user's from now on. 0, -FTD_E_quota_exceeded, -FTD_E_busy, -errno. */
int quota_reserve(struct session *s, struct staging *st, uint64_t size);
/* Makes sure of a reservation of size bytes. The same. */
int quota_extend(struct session *s, struct staging *st, uint64_t size);
/* Finds the reservation of a resumable upload, or makes it anew. The same. */
int quota_resume(struct session *s, struct staging *st, uint64_t size);
/* Gives it back, before the staging file goes. */
void quota_release(struct session *s, struct staging *st);

/* {"limit", "current"} of who was refused. NULL where that is not known. */
json_t *quota_refusal(struct session *s, unsigned share);

/* The user's bytes of published files, and what else is reserved. 0 or negative. */
int quota_usage(struct session *s, unsigned share, uint64_t *ret_used, uint64_t *ret_reserved);

/* As claim_name(), of a staging file of size bytes. */
int quota_publish(struct session *s, struct staging *st, uint64_t size, enum claim how, int dir,
		  char *leaf);
/* As unlinkat(2) of what is no directory. 0 or -errno. */
int quota_unlink(struct session *s, unsigned share, int dir, const char *leaf);
/* As claim_name(), of a published file or a directory. */
int quota_rename(struct session *s, unsigned share, enum claim how, int from_dir, const char *from,
		 int dir, char *leaf);

/* ---- for quota_names.c */

/* Of the session's user; borrowed. NULL without memory. */
struct ledger *quota_ledger(struct session *s, unsigned share);
/* ledger_lock(), and what is wrong is logged. */
int quota_lock(struct session *s, unsigned share, struct ledger *l);

/* Of the session. */
void quota_done(struct session *s);
