/* Content of a resumable upload, wherever in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { CHECKPOINT_BYTES = 64 << 20, SUMS_MAX = CHECKPOINT_BYTES / DIGEST_BLOCK + 1 };
#define CHECKPOINT_USEC (5 * USEC_PER_SEC)

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
	struct transfer_watch watch;
	struct transfer t;
	int target_dir;
	uint64_t saved;    /* up to there it is in the record */
	uint64_t due_usec; /* of the next checkpoint */
	/* digests of blocks that came whole: the one under way, and those to be saved */
	struct digest *block;
	uint64_t block_at; /* where the content of block ends; UINT64_MAX: it does not count */
	unsigned n_sums;
	struct {
		uint64_t block;
		uint8_t sum[RECORD_SUM];
	} sums[SUMS_MAX];
	char message[REQUEST_WHY_MAX];
	json_t *extra;
};

/* ---- checkpoints */

/* What has come counts from now on, whatever happens. */
static int
checkpoint(struct part *c)
{
	uint64_t end = c->t.base + c->t.size;
	int r = 0;

	c->due_usec = clock_usec() + CHECKPOINT_USEC;
	if (end == c->saved)
		return 0;
	if (fdatasync(c->t.fd) < 0)
		return -errno;
	for (unsigned i = 0; i < c->n_sums; i++)
		partial_set_sum(&c->p, c->sums[i].block, c->sums[i].sum);
	c->n_sums = 0;
	r = partial_lock(&c->p);
	if (r < 0)
		return r == -ENOENT ? -FTD_E_upload_unknown : r;
	r = partial_load(&c->p);
	if (r == 0)
		r = record_add(&c->p.state.ranges, c->saved, end);
	if (r == 0)
		r = partial_store(&c->p);
	partial_unlock(&c->p);
	if (r == 0)
		c->saved = end;
	return r == -ENOBUFS ? -FTD_E_bad_request : r;
}

/* What came is not what the client meant, and what was there before is no more. */
static int
take_back(struct part *c)
{
	int r = partial_lock(&c->p);

	if (r < 0)
		return r;
	r = partial_load(&c->p);
	if (r == 0)
		r = record_drop(&c->p.state.ranges, c->t.base, c->t.base + c->t.size);
	if (r == -ENOBUFS) { /* rather too much than too little */
		c->p.state.ranges.n = 0;
		r = 0;
	}
	if (r == 0)
		r = partial_store(&c->p);
	partial_unlock(&c->p);
	return r;
}

/* ---- while it comes */

static int
look(void *userdata)
{
	struct part *c = userdata;

	return resume_check_claim(&c->p);
}

static void
end_block(struct part *c)
{
	struct digest_value v;

	digest_final(c->block, &v);
	if (c->n_sums < SUMS_MAX) {
		c->sums[c->n_sums].block = (c->block_at - 1) / DIGEST_BLOCK;
		memcpy(c->sums[c->n_sums].sum, v.bytes, RECORD_SUM);
		c->n_sums++;
	}
	(void)digest_reset(c->block, DIGEST_XXH3);
}

static void
follow_blocks(struct part *c, uint64_t at, const uint8_t *data, uint64_t n)
{
	while (n > 0) {
		uint64_t step = DIGEST_BLOCK - at % DIGEST_BLOCK;

		step = step < n ? step : n;
		if (at % DIGEST_BLOCK == 0) {
			(void)digest_reset(c->block, DIGEST_XXH3);
			c->block_at = at;
		}
		if (data == NULL || c->block_at != at) {
			c->block_at = UINT64_MAX;
		} else {
			digest_update(c->block, data, (size_t)step);
			c->block_at += step;
			if (c->block_at % DIGEST_BLOCK == 0 || c->block_at == c->p.head.size)
				end_block(c);
		}
		data = data != NULL ? data + step : NULL;
		at += step;
		n -= step;
	}
}

/* Of a part that is to be verified nothing counts before it is. */
static int
stored(void *userdata, uint64_t at, const uint8_t *data, uint64_t n)
{
	struct part *c = userdata;

	follow_blocks(c, at, data, n);
	if (c->t.has_digest)
		return 0;
	if (at + n - c->saved < CHECKPOINT_BYTES && clock_usec() < c->due_usec)
		return 0;
	return checkpoint(c);
}

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
	if (c->p.state.done)
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

/* The right to write there. */
static int
take_place(struct part *c, uint64_t end)
{
	int r = partial_join(&c->p);

	if (r == -EAGAIN)
		return -FTD_E_taken_over;
	if (r == 0)
		r = resume_check_claim(&c->p);
	if (r == 0)
		r = partial_take_range(&c->p, c->t.base, end);
	if (r == -EAGAIN) {
		(void)snprintf(c->message, sizeof(c->message),
			       "another part that overlaps this one is on its way");
		c->extra = json_pack("{s:i}", "retry_after_ms", RESUME_RETRY_MS);
		return -FTD_E_busy;
	}
	return r;
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
		r = digest_new(DIGEST_XXH3, &c->block);
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
	if (r == -FTD_E_quota_exceeded && c->extra == NULL)
		c->extra = quota_refusal(c->s, c->place->share);
	end = refuse(c->s, c->rq, &c->t.rest, r, message, take_ptr(c->extra));
	return end == 0 && c->t.close ? 1 : end;
}

static int
receive(struct part *c)
{
	int r, e;

	c->watch = (struct transfer_watch){ look, stored, c };
	c->t.watch = &c->watch;
	c->saved = c->t.base;
	c->block_at = UINT64_MAX;
	c->due_usec = clock_usec() + CHECKPOINT_USEC;
	report_transfer_begin(c->s, "upload-part", true, c->place->name, c->t.expected);
	r = transfer_receive(c->s, c->rq, &c->t);
	if (r == 1 && (c->t.voided || c->t.error == -FTD_E_digest_mismatch))
		e = take_back(c);
	else
		e = checkpoint(c); /* what arrived counts, however it ended */
	if (r < 0)
		report_transfer_end(c->s, r == -ETIMEDOUT ? "timeout" : "cancelled",
				    r == -ENODATA ? "the client is gone" : NULL);
	if (r != 0)
		return r < 0 ? r : give_up(c, c->t.error);
	if (e < 0)
		return give_up(c, e);
	report_transfer_end(c->s, "ok", NULL);
	partial_done(&c->p); /* who is told that it is there finds it free */
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
	(void)digest_free(c->block);
	free(c);
	return r;
}
