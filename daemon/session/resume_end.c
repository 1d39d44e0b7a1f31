/* The last request of a resumable upload: all of it is verified and gets its name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session/content.h"
#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/own.h"

struct end_args {
	struct message_str upload, digest;
	uint64_t filesize;
	bool holes;
};

enum { FIELD_UPLOAD, FIELD_FILESIZE, FIELD_DIGEST, FIELD_HOLES };

static const struct message_field fields[] = {
	[FIELD_UPLOAD] = { "upload", MESSAGE_STR, offsetof(struct end_args, upload), PARTIAL_ID_LEN,
			   true },
	[FIELD_FILESIZE] = { "filesize", MESSAGE_UINT, offsetof(struct end_args, filesize),
			     INT64_MAX, false },
	[FIELD_DIGEST] = { "digest", MESSAGE_STR, offsetof(struct end_args, digest),
			   DIGEST_TEXT_MAX, false },
	[FIELD_HOLES] = { "holes", MESSAGE_BOOL, offsetof(struct end_args, holes), 0, false },
};

struct end {
	struct session *s;
	const struct request *rq;
	struct end_args args;
	struct partial p;
	struct upload u;
	uint64_t size;
	struct stop stop;
	struct digest *block;
	bool has_size;
};

/* ---- complete? */

static int
check_size(struct end *e)
{
	uint64_t size = e->p.head.size;
	struct record_ranges *r = &e->p.state.ranges;
	uint64_t last = r->n > 0 ? r->list[r->n - 1].end : 0;

	e->size = e->has_size ? e->args.filesize : size;
	if (e->size == UINT64_MAX) {
		(void)snprintf(e->u.message, sizeof(e->u.message),
			       "filesize is needed: it was not known before");
		return -FTD_E_bad_request;
	}
	if ((size != UINT64_MAX && e->size != size) || last > e->size ||
	    (!e->args.holes && !record_holds(r, 0, e->size))) {
		e->u.extra = resume_ranges(&e->p);
		return -FTD_E_size_mismatch;
	}
	if (e->size > e->s->config->file_size)
		return -FTD_E_file_too_large;
	return 0;
}

/* What was never held may have been written all the same. */
static int
clear_gaps(struct end *e)
{
	struct record_ranges *r = &e->p.state.ranges;
	uint64_t at = 0, next;
	int fd = e->u.publish.staging.fd, error = 0;

	for (unsigned i = 0; i <= r->n && error == 0; i++) {
		next = i < r->n ? r->list[i].first : e->size;
		error = transfer_make_hole(fd, at, next);
		if (i < r->n)
			at = r->list[i].end;
	}
	return error;
}

/* The content as long as it is to be: what came and was void may have made it longer, and what is
 * held may have been cut off. */
static int
fit_content(struct end *e)
{
	int fd = e->u.publish.staging.fd, r = resume_check_held(&e->p, fd);

	if (r == 1) {
		e->u.extra = resume_ranges(&e->p);
		return -FTD_E_size_mismatch;
	}
	if (r == 0 && e->args.holes)
		r = clear_gaps(e);
	if (r == 0 && ftruncate(fd, (off_t)e->size) < 0)
		r = -errno;
	return r;
}

/* ---- verified? */

/* Reads from first to end into d. 0; a refusal; conn_*: */
static int
read_into(struct end *e, struct digest *d, uint64_t first, uint64_t end)
{
	size_t n;
	int r;

	for (; first < end; first += n) {
		report_heartbeat(e->s);
		if (stop_ordered(e->s, &e->stop))
			return e->stop.error;
		r = resume_check_claim(&e->p);
		if (r < 0)
			return r;
		n = end - first < SESSION_CHUNK ? (size_t)(end - first) : SESSION_CHUNK;
		r = content_read(e->u.publish.staging.fd, e->s->chunk, n, first);
		if (r < 0)
			return r;
		digest_update(d, e->s->chunk, n);
	}
	return 0;
}

/* Of the blocks whose digest is known nothing is read. */
static int
digest_of_blocks(struct end *e, struct digest_value *ret)
{
	struct digest_value v;
	uint64_t first, end;
	int r = 0;

	for (uint64_t i = 0; i * DIGEST_BLOCK < e->size && r == 0; i++) {
		first = i * DIGEST_BLOCK;
		end = e->size - first < DIGEST_BLOCK ? e->size : first + DIGEST_BLOCK;
		if (!e->args.holes && partial_sum(&e->p, i, v.bytes)) {
			digest_update(e->s->digest, v.bytes, RECORD_SUM);
			continue;
		}
		(void)digest_reset(e->block, DIGEST_XXH3);
		r = read_into(e, e->block, first, end);
		digest_final(e->block, &v);
		digest_update(e->s->digest, v.bytes, RECORD_SUM);
	}
	digest_final(e->s->digest, ret);
	ret->algorithm = DIGEST_BLOCKS;
	return r;
}

static int
digest_of_all(struct end *e, enum digest_algorithm a, struct digest_value *ret)
{
	int r;

	if (session_chunk(e->s) == NULL)
		return -ENOMEM;
	r = content_digest(e->s, a == DIGEST_BLOCKS ? DIGEST_XXH3 : a);
	if (r < 0)
		return r;
	if (a == DIGEST_BLOCKS)
		return digest_of_blocks(e, ret);
	r = read_into(e, e->s->digest, 0, e->size);
	digest_final(e->s->digest, ret);
	return r;
}

static int
verify(struct end *e)
{
	struct digest_value expected = { .algorithm = DIGEST_BLOCKS }, said, is;
	bool has_value = e->p.head.has_digest, said_value = false;
	int r = 0;

	if (has_value)
		expected = e->p.head.digest;
	if (e->args.digest.data != NULL)
		r = digest_parse(e->args.digest.data, e->args.digest.len, &said, &said_value);
	if (r < 0)
		return r;
	/* what was announced holds, unless another value is said now */
	if (said_value || (e->args.digest.data != NULL && !has_value)) {
		expected = said;
		has_value = said_value;
	}
	report_state(e->s, BOARD_VERIFYING);
	(void)beat_begin(e->s, e->rq, "verifying");
	r = digest_of_all(e, expected.algorithm, &is);
	beat_end(e->s);
	if (r < 0)
		return r;
	if (has_value && !digest_equal(&expected, &is))
		return -FTD_E_digest_mismatch;
	e->u.transfer.digest = is;
	e->u.transfer.size = e->size;
	return 0;
}

/* ---- the request */

static int
carry_out(struct end *e)
{
	struct upload *u = &e->u;
	int r;

	resume_from_head(&e->p.head, u);
	u->begun = true;
	report_transfer_begin(e->s, "upload-end", true, u->place->name, e->size);
	report_resumable(e->s, &e->p.id, e->size);
	r = prepare_target(e->s, u);
	if (r == 0)
		r = resume_content(e->s, u->place, &e->p, u->publish.target_dir,
				   &u->publish.staging);
	if (r == 0)
		r = quota_resume(e->s, &u->publish.staging, e->size);
	if (r == 0)
		r = quota_extend(e->s, &u->publish.staging, e->size);
	if (r == 0)
		r = fit_content(e);
	if (r == 0)
		r = verify(e);
	if (r < 0) {
		report_transfer_end(e->s, err_code(r), NULL);
		return r;
	}
	return resume_publish(e->s, u, &e->p);
}

static bool
is_published(struct end *e)
{
	enum record_phase phase = e->p.state.phase;
	int root = e->s->shares[e->u.place->share].root;

	return phase == RECORD_DONE ||
	       (phase == RECORD_PUBLISHING && partial_has_content(&e->p, root) == 0);
}

/* With nobody writing: what the record says holds until we change it. */
static int
end_it(struct end *e)
{
	int r = partial_lock(&e->p);

	if (r < 0)
		return r == -ENOENT ? -FTD_E_upload_unknown : r;
	r = resume_check_claim(&e->p);
	if (r == 0)
		r = partial_load(&e->p);
	if (r == 0 && is_published(e))
		return resume_published(e->s, &e->u, &e->p);
	partial_unlock(&e->p); /* who asks, or takes over, does not wait for the digest */
	if (r == 0)
		r = check_size(e);
	if (r == 0)
		r = digest_new(DIGEST_XXH3, &e->block);
	return r < 0 ? r : carry_out(e);
}

static int
serve(struct end *e)
{
	int r = resume_open(e->s, e->u.place, &e->args.upload, &e->p);

	if (r == 0)
		r = resume_check_claim(&e->p);
	if (r == 0)
		r = resume_alone(&e->p, 0, &e->u.extra);
	if (r == 0)
		r = end_it(e);
	staging_leave(&e->u.publish.staging); /* what was not published stays open */
	if (r == 0)
		return reply_ok(e->s, e->rq, take_ptr(e->u.extra));
	e->u.extra = resume_explain(e->s, e->u.place, r, take_ptr(e->u.extra));
	return reply_error(e->s, e->rq, shares_conceal(e->u.place, r),
			   e->u.message[0] != '\0' ? e->u.message : NULL, take_ptr(e->u.extra));
}

int
op_upload_end(struct session *s, const struct request *rq)
{
	struct end *e = calloc(1, sizeof(*e));
	uint64_t has;
	int r;

	if (e == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	e->s = s;
	e->rq = rq;
	e->p.record = -1;
	e->u = (struct upload){ .rq = rq, .place = rq->source };
	publish_init(&e->u.publish);
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &e->args, &has);
	e->has_size = (has & 1U << FIELD_FILESIZE) != 0;
	if (r > 0)
		r = serve(e);
	partial_done(&e->p);
	upload_done(s, &e->u);
	(void)digest_free(e->block);
	free(e);
	return r;
}
