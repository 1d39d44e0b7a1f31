/* Content of a resumable upload, wherever in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/session/intake.h"
#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "lib/err.h"
#include "lib/own.h"

struct part_args {
	struct message_str upload, digest;
	uint64_t offset, filesize;
};

enum { FIELD_UPLOAD, FIELD_OFFSET, FIELD_FILESIZE, FIELD_DIGEST };

static const struct message_field fields[] = {
	[FIELD_UPLOAD] = { "upload", MESSAGE_STR, offsetof(struct part_args, upload),
			   PARTIAL_ID_LEN, true },
	[FIELD_OFFSET] = { "offset", MESSAGE_UINT, offsetof(struct part_args, offset), INT64_MAX,
			   true },
	[FIELD_FILESIZE] = { "filesize", MESSAGE_NULLABLE, offsetof(struct part_args, filesize),
			     INT64_MAX, false },
	[FIELD_DIGEST] = { "digest", MESSAGE_STR, offsetof(struct part_args, digest),
			   DIGEST_TEXT_MAX, false },
};

struct part {
	struct session *s;
	const struct request *rq;
	const struct place *place;
	struct part_args args;
	struct partial p;
	struct staging staging;
	struct transfer t;
	struct intake intake;
	int target_dir;
	char message[REQUEST_WHY_MAX];
	json_t *extra;
};

/* ---- the request */

static int
read_request(struct part *c)
{
	const struct message_str *digest = &c->args.digest;
	struct transfer *t = &c->t;
	uint64_t has, size;
	int r;

	r = request_decode(c->rq, fields, ARRAY_SIZE(fields), &c->args, &has, c->message);
	if (r < 0)
		return r;
	t->digest.algorithm = DIGEST_XXH3;
	if (digest->data != NULL)
		r = digest_parse(digest->data, digest->len, &t->digest, &t->has_digest);
	if (r < 0)
		return r;
	t->unhashed = digest->data == NULL; /* its blocks are hashed */
	size = json_is_integer(json_object_get(c->rq->object, "filesize")) ? c->args.filesize
									   : UINT64_MAX;
	if (!c->rq->more && c->rq->has_body && size != UINT64_MAX && size != c->rq->body)
		return -FTD_E_size_mismatch;
	t->expected = size != UINT64_MAX || c->rq->more ? size : c->rq->body;
	t->base = c->args.offset;
	return 0;
}

/* Whether the record will have a place for it. */
static int
check_ranges(struct part *c, uint64_t end)
{
	int r = partial_load(&c->p);

	if (r < 0)
		return r;
	if (c->p.state.phase == RECORD_DONE)
		return -FTD_E_upload_unknown;
	r = record_add(&c->p.state.ranges, c->t.base, end);
	if (r == -ENOBUFS) {
		(void)snprintf(c->message, sizeof(c->message),
			       "more than 1000 pieces: send what is missing between them");
		return -FTD_E_bad_request;
	}
	return r;
}

static int
check_bounds(struct part *c, uint64_t *ret_end)
{
	uint64_t size = c->p.head.size, limit = c->s->config->file_size;
	struct transfer *t = &c->t;

	t->max = size < limit ? size : limit;
	*ret_end = INT64_MAX;
	if (t->expected != UINT64_MAX) {
		if (t->base > INT64_MAX - t->expected || t->base + t->expected > size)
			return -FTD_E_size_mismatch;
		*ret_end = t->base + t->expected;
		if (*ret_end > limit)
			return -FTD_E_file_too_large;
	} else if (t->base > t->max) {
		return -FTD_E_size_mismatch;
	}
	return 0;
}

static int
say_busy(struct part *c, const char *why)
{
	(void)snprintf(c->message, sizeof(c->message), "%s", why);
	c->extra = json_pack("{s:i}", "retry_after_ms", RESUME_RETRY_MS);
	return -FTD_E_busy;
}

/* The right to write there. */
static int
take_place(struct part *c, uint64_t end)
{
	int joined = partial_join(&c->p);
	int r = resume_check_claim(&c->p);

	if (r < 0)
		return r;
	if (joined == -EAGAIN)
		return say_busy(c, "all of it is being read");
	if (joined < 0)
		return joined;
	r = partial_take_range(&c->p, c->t.base, end);
	return r == -EAGAIN ? say_busy(c, "another part that overlaps this one is on its way") : r;
}

static int
open_content(struct part *c)
{
	const char *leaf;
	int r;

	c->target_dir = shares_open_parent(c->s, c->place, &leaf);
	if (c->target_dir < 0)
		return c->target_dir;
	r = resume_content(c->s, c->place, &c->p, c->target_dir, &c->staging);
	if (r == 0 && c->p.head.size == UINT64_MAX)
		r = quota_resume(c->s, &c->staging, UINT64_MAX);
	c->t.fd = c->staging.fd;
	c->t.staging = &c->staging;
	c->t.share = c->place->share;
	c->t.write_behind = true;
	return r;
}

static int
prepare(struct part *c)
{
	uint64_t end;
	int r;

	r = resume_open(c->s, c->place, &c->args.upload, &c->p);
	if (r == 0)
		r = check_bounds(c, &end);
	if (r == 0)
		r = take_place(c, end);
	if (r == 0)
		r = check_ranges(c, c->t.expected != UINT64_MAX ? end : c->t.base);
	if (r == 0)
		r = open_content(c);
	if (r == 0)
		r = partial_forget_sums(&c->p, c->t.base, end);
	if (r == 0)
		r = intake_begin(&c->intake, &c->p, &c->t, c->t.has_digest);
	return r;
}

/* ---- receiving */

static int
give_up(struct part *c, int r)
{
	const char *message = c->message[0] != '\0' ? c->message : c->t.message;
	int end;

	partial_done(&c->p); /* who takes it over does not wait for what is thrown away */
	if (c->s->report->transfer != 0)
		report_transfer_end(c->s, err_code(r), message);
	if (c->t.close) {
		json_decref(c->extra);
		c->extra = json_pack("{s:b}", "close", 1);
	}
	c->extra = resume_explain(c->s, c->place, r, take_ptr(c->extra));
	end = refuse(c->s, c->rq, &c->t.rest, r, message, take_ptr(c->extra));
	return end == 0 && c->t.close ? 1 : end;
}

static int
receive(struct part *c)
{
	int r, e;

	report_transfer_begin(c->s, "upload-part", true, c->place->name, c->t.expected);
	report_resumable(c->s, &c->p.id, c->p.head.size);
	r = transfer_receive(c->s, c->rq, &c->t);
	if (r == 1 && (c->t.voided || c->t.error == -FTD_E_digest_mismatch))
		e = intake_void(&c->intake);
	else
		e = intake_save(&c->intake); /* what arrived counts, however it ended */
	if (r < 0)
		report_transfer_end(c->s, r == -ETIMEDOUT ? "timeout" : "cancelled",
				    r == -ENODATA ? "the client is gone" : NULL);
	if (r != 0)
		return r < 0 ? r : give_up(c, c->t.error);
	if (e < 0)
		return give_up(c, e);
	(void)report_transfer_park(c->s); /* the whole has a record, when it ends */
	partial_done(&c->p);              /* who is told that it is there finds it free */
	return reply_ok(c->s, c->rq, resume_ranges(&c->p));
}

int
op_upload_part(struct session *s, const struct request *rq)
{
	struct part *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->s = s;
	c->rq = rq;
	c->place = rq->source;
	c->target_dir = c->p.record = -1;
	c->staging.fd = c->staging.marker_fd = -1;
	r = upload_rest(rq, &c->t.rest);
	c->t.close = r < 0;
	if (r == 0)
		r = read_request(c);
	if (r == 0)
		r = prepare(c);
	r = r < 0 ? give_up(c, shares_conceal(c->place, r)) : receive(c);
	staging_leave(&c->staging);
	close_fd(&c->target_dir);
	partial_done(&c->p);
	intake_done(&c->intake);
	free(c);
	return r;
}
