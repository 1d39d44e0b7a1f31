/*
 * Resumable uploads (doc/PROTOCOL.md, "Resume"): begin, parts, end and the rest, over the files of
 * daemon/common/partial.h. The dispatcher has found the upload's target by its record, and judged
 * it, before a handler runs.
 */
#pragma once

#include "daemon/common/partial.h"
#include "daemon/session/upload.h"
#include "lib/clock.h"

/* Within that a new claim has the upload, and older ones have let go. */
#define RESUME_TAKEOVER_USEC (2 * USEC_PER_SEC)
enum { RESUME_RETRY_MS = 500 };

/* For the dispatcher: the name of the target of the upload that the key "upload" names, if it is
 * the subject's; ret has PATH_BYTES_MAX + 1 bytes. 1; 0: the request has no such key;
 * -FTD_E_upload_unknown, -FTD_E_upload_expired. */
int resume_name(struct session *s, const struct request *rq, char *ret);

/* The number of an upload's id, with the share in its last byte: there it is looked for first, so
 * that a share that hangs holds up no upload of another. */
uint64_t resume_mark(uint64_t number, const struct config_share *share);

/* Opens the upload of this id (as a client says it) in the share of the place. p->claim is the
 * id's. 0, or a refusal; to be freed with partial_done() in any case. */
int resume_open(struct session *s, const struct place *place, const struct message_str *id,
		struct partial *p);
/* -FTD_E_taken_over unless the claim of p still holds. */
int resume_check_claim(const struct partial *p);

/* {"ranges": …}, or NULL without memory. */
json_t *resume_ranges(const struct partial *p);
/* How long it waits for its client: seconds. */
json_int_t resume_expires(const struct session *s);

/* What an upload is to become: from the request that begins it to the record, and back. */
void resume_to_head(const struct session *s, const struct upload *u, struct record_head *ret);
void resume_from_head(const struct record_head *h, struct upload *u);

/* ---- resume_begin.c */

/* Claims what the upload may go on with, or makes it anew: then publish.staging is open and will be
 * lost by staging_leave() only, the record is locked and nobody else writes. p is zero but for its
 * record, -1, and to be freed with partial_done() in any case. 0; 1: the target has this content
 * already and extra is the receipt; or a refusal. */
int resume_begin(struct session *s, struct upload *u, struct partial *p);

/* ---- resume_base.c */

/* Copies the file rq->target into the content, which is held then. The record is locked, but for
 * the time that it takes. 0 or a refusal. */
int resume_base(struct session *s, struct upload *u, struct partial *p);

/* ---- resume_keep.c */

/* Takes an upload that is kept where it is cut, and publishes it. 0: extra is what to answer; 1:
 * refused, see transfer.error; or conn_*. */
int resume_keep(struct session *s, struct upload *u);

/* ---- resume_publish.c */

/* Publishes the open content, which is complete and verified, of transfer.size and .digest; nobody
 * else writes, and p->state is what the record says. extra is the receipt then. Ends the transfer
 * in the report. 0 or a refusal. */
int resume_publish(struct session *s, struct upload *u, struct partial *p);
/* The same of one that is published, or had its name when somebody was killed: under the lock. */
int resume_published(struct session *s, struct upload *u, struct partial *p);

/* ---- resume.c */

/* Removes content and record, under its lock, and gives back what was reserved. 0 or -errno. */
int resume_remove(struct session *s, unsigned share, struct partial *p);

/* Opens the content. 0 or a refusal. target_dir as of staging_place(). */
int resume_content(struct session *s, const struct place *place, const struct partial *p,
		   int target_dir, struct staging *ret);

/* What the record says is held counts as far as the content reaches: takes the rest out of
 * p->state. 1: there was some; 0; -errno. */
int resume_check_held(struct partial *p, int content);

/* What is told besides of the refusal r, where nothing is yet: how much of a quota there is, or
 * when to try again. extra is taken. */
json_t *resume_explain(struct session *s, const struct place *place, int r, json_t *extra);

/* Whether ours is the only one that writes: -FTD_E_busy, with retry_after_ms in *ret_extra. */
int resume_alone(struct partial *p, uint64_t usec, json_t **ret_extra);
