/* What there is of an unfinished upload, and the digests of its blocks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session/content.h"
#include "daemon/session/resume.h"
#include "daemon/session/stop.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { PIECE = 64 << 10 };
#define PIECE_USEC (4 * USEC_PER_SEC)

struct args {
	struct message_str upload;
	bool blocks;
};

static const struct message_field fields[] = {
	{ "upload", MESSAGE_STR, offsetof(struct args, upload), PARTIAL_ID_LEN, true },
	{ "blocks", MESSAGE_BOOL, offsetof(struct args, blocks), 0, false },
};

struct status {
	struct session *s;
	const struct request *rq;
	const struct place *place;
	struct args args;
	struct partial p;
	struct staging staging;
	int target_dir;
	bool saves; /* nobody writes: what is found out is kept */
	struct digest *of_piece;
	uint8_t *piece;
	size_t used;
	struct stop stop;
	int error;
};

static json_t *
describe(struct status *t)
{
	const char *state = partial_is_closed(&t->p)    ? "verifying"
			    : partial_is_written(&t->p) ? "receiving"
							: "waiting";
	const struct record_head *h = &t->p.head;
	json_t *o = resume_ranges(&t->p);

	if (o == NULL || json_object_set_new(o, "state", json_string(state)) < 0 ||
	    json_object_set_new(o, "block", json_integer(DIGEST_BLOCK)) < 0 ||
	    json_object_set_new(o, "filesize",
				h->size != UINT64_MAX ? json_integer((json_int_t)h->size)
						      : json_null()) < 0 ||
	    json_object_set_new(o, "expires_s", json_integer(resume_expires(t->s))) < 0)
		return NULL;
	return o;
}

/* The digest of a block that is held wholly, as the disk has it; else zeros. */
static int
digest_block_of(struct status *t, uint64_t block, uint8_t *dst)
{
	uint64_t at = block * DIGEST_BLOCK, end = at + DIGEST_BLOCK;
	struct digest_value v;
	size_t n;
	int r;

	end = end < t->p.head.size ? end : t->p.head.size;
	memset(dst, 0, RECORD_SUM);
	if (!record_holds(&t->p.state.ranges, at, end))
		return 0;
	r = content_digest(t->s, DIGEST_XXH3);
	for (; r == 0 && at < end; at += n) {
		n = end - at < SESSION_CHUNK ? (size_t)(end - at) : SESSION_CHUNK;
		r = stop_look(t->s, &t->stop);
		if (r > 0)
			t->error = t->stop.error;
		if (r == 0)
			r = t->error = resume_check_claim(&t->p);
		if (r == 0)
			r = t->error = content_read(t->staging.fd, t->s->chunk, n, at);
		if (r == 0)
			digest_update(t->s->digest, t->s->chunk, n);
	}
	if (r != 0)
		return t->error < 0 ? 1 : r;
	digest_final(t->s->digest, &v);
	memcpy(dst, v.bytes, RECORD_SUM);
	if (t->saves)
		partial_set_sum(&t->p, block, v.bytes);
	return 0;
}

static int
send_piece(struct status *t)
{
	json_t *o = json_pack("{s:I}", "body", (json_int_t)t->used);
	int r;

	if (o == NULL)
		return -ENOMEM;
	r = reply_more(t->s, t->rq, o);
	if (r == 0)
		r = conn_write_body(t->s, t->piece, t->used);
	digest_update(t->of_piece, t->piece, t->used);
	t->used = 0;
	return r;
}

static int
send_trailer(struct status *t)
{
	char text[DIGEST_TEXT_MAX];
	struct digest_value v;

	if (t->stop.error < 0)
		return stop_answer(t->s, t->rq, &t->stop, NULL);
	if (t->error < 0)
		return reply_error(t->s, t->rq, t->error, NULL, NULL);
	digest_final(t->of_piece, &v);
	return reply_ok(t->s, t->rq, json_pack("{s:s}", "digest", digest_format(&v, text)));
}

/* Up to the last byte that is held. */
static uint64_t
n_blocks(const struct partial *p)
{
	const struct record_ranges *r = &p->state.ranges;

	return r->n == 0 ? 0 : (r->list[r->n - 1].end - 1) / DIGEST_BLOCK + 1;
}

static int
send_blocks(struct status *t)
{
	uint64_t sent_usec = clock_usec(), n = n_blocks(&t->p);
	int r = reply_more(t->s, t->rq, describe(t));

	for (uint64_t i = 0; i < n && r == 0; i++) {
		r = digest_block_of(t, i, t->piece + t->used);
		t->used += r == 0 ? RECORD_SUM : 0;
		if (r == 0 && (t->used == PIECE || clock_usec() - sent_usec > PIECE_USEC)) {
			r = send_piece(t);
			sent_usec = clock_usec();
		}
	}
	if (r == 0 && t->used > 0)
		r = send_piece(t);
	return r < 0 ? r : send_trailer(t);
}

static int
open_blocks(struct status *t)
{
	const char *leaf;
	int r;

	t->target_dir = shares_open_parent(t->s, t->place, &leaf);
	if (t->target_dir < 0)
		return t->target_dir;
	r = resume_content(t->s, t->place, &t->p, t->target_dir, &t->staging);
	if (r == 0)
		r = resume_check_held(&t->p, t->staging.fd);
	if (r < 0)
		return r;
	t->piece = malloc(PIECE);
	if (t->piece == NULL || session_chunk(t->s) == NULL)
		return -ENOMEM;
	/* what a killed session wrote may be in memory only */
	t->saves = partial_await_writers(&t->p, 0) == 0 && fdatasync(t->staging.fd) == 0;
	return digest_new(DIGEST_XXH3, &t->of_piece);
}

static int
look_up(struct status *t)
{
	int r = resume_open(t->s, t->place, &t->args.upload, &t->p);

	if (r == 0)
		r = resume_check_claim(&t->p);
	if (r == 0)
		r = partial_lock(&t->p);
	if (r == 0)
		r = partial_load(&t->p);
	if (r == 0) {
		partial_unlock(&t->p);
		r = t->p.state.phase == RECORD_DONE ? -FTD_E_upload_unknown : 0;
	}
	return r == 0 && t->args.blocks ? open_blocks(t) : r;
}

int
op_upload_status(struct session *s, const struct request *rq)
{
	struct status *t = calloc(1, sizeof(*t));
	uint64_t has;
	int r;

	if (t == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	*t = (struct status){ .s = s, .rq = rq, .place = rq->source, .target_dir = -1 };
	t->p.record = t->staging.fd = t->staging.marker_fd = -1;
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &t->args, &has);
	if (r > 0) {
		r = look_up(t);
		if (r < 0)
			r = reply_error(s, rq, shares_conceal(t->place, r), NULL, NULL);
		else
			r = t->args.blocks ? send_blocks(t) : reply_ok(s, rq, describe(t));
	}
	staging_leave(&t->staging);
	close_fd(&t->target_dir);
	partial_done(&t->p);
	(void)digest_free(t->of_piece);
	free(t->piece);
	free(t);
	return r;
}
