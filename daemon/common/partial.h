/*
 * Resumable uploads where they lie: .ftd/uploads of the share, so that the next session, the next
 * daemon or another machine can go on. "<id>" is the content (or, as for other staging files, it is
 * ".ftd-<id>" in the target directory and "<id>.at" tells which), "<id>.rec" the record (record.h).
 * Locks are on the record, of open files: one byte for who changes it, one that all who write under
 * the present claim share, and the bytes of the content that somebody is writing. No logging.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "daemon/common/record.h"
#include "daemon/common/staged.h"

#define PARTIAL_RECORD ".rec"
/* "u", the id, the claim: all that a client says of an upload. */
enum { PARTIAL_ID_LEN = 49, PARTIAL_ID_MAX = 50 };
enum { PARTIAL_SUMS_MAX = 1 << 20 }; /* blocks whose digest is kept: of the first 8 TiB */

struct partial {
	int dir; /* .ftd/uploads; borrowed */
	struct staged_id id;
	uint64_t claim; /* under which this end writes */
	int record;     /* owned; -1 */
	struct record_head head;
	struct record_state state; /* as it was loaded or stored last */
	unsigned slot;             /* which has it */
};

/* ---- partial.c */

/* Returns buf (PARTIAL_ID_MAX). */
char *partial_format_id(const struct staged_id *id, uint64_t claim, char *buf);
/* 0 or -EINVAL. */
int partial_parse_id(const char *text, size_t len, struct staged_id *ret, uint64_t *ret_claim);

void partial_init(struct partial *p, int dir, const struct staged_id *id);
void partial_done(struct partial *p); /* releases its locks, too */

/* Opens the record and reads its head. -ENOENT; -EBADMSG: no record that we wrote; -EPERM: it is
 * another uid's; -errno. */
int partial_open(struct partial *p);
/* Of the record, also of one that another uid keeps closed. 0 or -errno. */
int partial_stat(const struct partial *p, struct stat *ret);
/* Opens or makes the record, and locks it. 1: there is one, and head and state say what it is; 0:
 * there was none, or none that can be read, and partial_start() is to follow; -EBUSY; -errno. */
int partial_enter(struct partial *p);
/* Under the lock: writes p->head and p->claim, holding nothing. 0 or -errno. */
int partial_start(struct partial *p);

/* Under the lock: reads the checkpoint that counts; and writes p->state as the next one, durably,
 * after what it says is durable itself. 0 or -errno. */
int partial_load(struct partial *p);
int partial_store(struct partial *p);

/* The directory that the content lies in, and its name there. Descriptor or -errno; root is the
 * share's. */
int partial_open_place(const struct partial *p, int root, char *ret_name);
/* Whether the content is there. 1, 0, -errno. */
int partial_has_content(const struct partial *p, int root);
/* Unlinks content, note and record. 0 or -errno. */
int partial_remove(const struct partial *p, int root);

/* ---- partial_lock.c */

/* Who changes the record. -EBUSY: others have it for too long; -ENOENT: it is gone; -errno. */
int partial_lock(struct partial *p);
void partial_unlock(struct partial *p);

/* Under the lock: a new claim; older ones are void. 0 or -errno. It begins with the time, so that
 * the id of an upload that is not there any more tells whether it can have expired. */
int partial_claim(struct partial *p);
/* Whether so much time has passed since the claim, and not more than a year besides: what is older
 * is no claim that anybody goes on with. */
bool partial_is_older(uint64_t claim, uint64_t usec);
/* Reads the claim that holds now. 0 or -errno. */
int partial_read_claim(const struct partial *p, uint64_t *ret);
/* Whether somebody writes under the claim that holds, here or on another machine. */
bool partial_is_written(const struct partial *p);
/* Whether somebody has it alone: verifies it, publishes it, takes it over. */
bool partial_is_closed(const struct partial *p);
/* Shares the right to write with all under the claim. 0; -EAGAIN: somebody waits for all to end;
 * -errno. Then look whose the claim is. */
int partial_join(struct partial *p);
/* Waits until nobody else writes, and keeps it so. 0; -EBUSY: not within usec; -errno. */
int partial_await_writers(struct partial *p, uint64_t usec);
/* Makes first to end of the content nobody else's to write. 0, -EAGAIN, -errno. */
int partial_take_range(struct partial *p, uint64_t first, uint64_t end);

/* ---- partial_sums.c */

/* Digests of blocks: those of what is on disk. So they are written when the content is
 * durable, and forgotten, durably, before it is written again. */

/* 1: known; 0. */
int partial_sum(const struct partial *p, uint64_t block, uint8_t ret[RECORD_SUM]);
void partial_set_sum(const struct partial *p, uint64_t block, const uint8_t sum[RECORD_SUM]);
int partial_forget_sums(const struct partial *p, uint64_t first, uint64_t end);

/* ---- partial_expire.c */

/* The next one in the directory .ftd/uploads: 1; 0: there are no more; -errno. */
int partial_next(DIR *dir, struct staged_id *ret);

/* Takes it away from whoever writes, as a new claim does, and removes it. p is open. 0; -ENOENT: it
 * is gone, or published; -EBUSY: a writer does not let go within usec, or its record is held; it
 * has a new claim then; -errno. */
int partial_discard(struct partial *p, int root, uint64_t usec);

/* Called for one that goes, to void what was reserved for it. 0; negative: it stays. */
typedef int (*partial_release)(int root, const struct staged_id *id);
/* Removes what has not been written to for keep_usec at now_ns (since 1970), and receipts that are
 * older than ten minutes. Adds to *removed. 0 or -errno. */
int partial_expire(int root, int64_t now_ns, uint64_t keep_usec, partial_release release,
		   size_t *removed);
