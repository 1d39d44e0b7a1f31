#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/content.h"
#include "client/large.h"
#include "lib/err.h"
#include "lib/own.h"

/* What one connection works with. */
struct sender {
	struct large *x; /* shared */
	struct session *session;
	struct digest *digest; /* of the block under way */
	bool hashing;          /* it began at its beginning */
	uint8_t *buffer;       /* UPLOAD_PIECE bytes */
	uint64_t id;           /* of the request */
};

/* ---- digests ---- */

static void
end_block(struct sender *p, uint64_t i)
{
	struct blocks *b = &p->x->blocks;
	struct digest_value value;

	if (p->hashing) {
		digest_final(p->digest, &value);
		memcpy(b->digests[i], value.bytes, BLOCKS_DIGEST);
		b->flags[i] |= BLOCKS_KNOWN;
	}
	p->hashing = false;
	if ((b->flags[i] & BLOCKS_WRONG) == 0) /* what it had there before was nothing */
		b->flags[i] |= BLOCKS_RIGHT;
}

/* What was sent, from at on; data NULL: a hole. No other thread has the same blocks. */
static void
follow(struct sender *p, uint64_t at, const uint8_t *data, uint64_t n)
{
	const struct blocks *b = &p->x->blocks;

	while (n > 0) {
		uint64_t i = at / b->block;
		struct blocks_run block = blocks_at(b, i);
		uint64_t step = n < block.end - at ? n : block.end - at;

		if (at == block.first) {
			p->hashing = (b->flags[i] & BLOCKS_KNOWN) == 0 &&
				     digest_reset(p->digest, DIGEST_XXH3) == 0;
		}
		if (p->hashing && data != NULL)
			digest_update(p->digest, data, (size_t)step);
		else if (p->hashing)
			digest_update_zeros(p->digest, step);
		at += step;
		n -= step;
		data = data != NULL ? data + step : NULL;
		if (at == block.end)
			end_block(p, i);
	}
}

/* ---- one part ---- */

static int
send_run(struct sender *p, uint64_t at, const struct content_run *run, struct failure *f)
{
	struct large *x = p->x;
	const char *key = run->hole ? "hole" : "body";
	int r;

	r = session_send_piece(p->session,
			       json_pack("{s:b, s:I}", "more", 1, key, (json_int_t)run->len),
			       p->buffer, run->hole ? 0 : (size_t)run->len, f);
	if (r < 0)
		return r;
	follow(p, at, run->hole ? NULL : p->buffer, run->len);
	progress_moved(&x->client->report.progress, run->len);
	if (run->hole)
		return 0;
	x->moved += run->len;
	return pace_spend(&x->client->pace, run->len) < 0 ? failure_interrupted(f) : 0;
}

/* The server has answered before the end: it wants no more. */
static int
look_for_refusal(struct sender *p, struct failure *f)
{
	struct failure other;
	struct answer a;
	int r = session_poll_for(p->session, p->id, &a, f);

	if (r > 0) {
		answer_done(&a);
		return failure_protocol(f, "an answer to what was not yet sent");
	}
	if (r < 0 && f->scope == FAILURE_ITEM && session_send_void(p->session, &other) < 0)
		session_close(p->session);
	return r;
}

/* Where sending fails, the server may have said why. */
static void
hear_why(struct sender *p, struct failure *f)
{
	struct failure last;
	struct answer a;

	if (strcmp(f->code, "lost") != 0)
		return;
	if (session_receive_for(p->session, p->id, &a, &last) == 0)
		answer_done(&a);
	else if (strcmp(last.code, "lost") != 0)
		*f = last;
}

/* 0; 1: there is no use in the rest; negative (f). */
static int
send_content(struct sender *p, const struct blocks_run *part, struct failure *f)
{
	struct large *x = p->x;
	size_t chunk = pace_chunk(&x->client->pace, UPLOAD_PIECE);
	struct content content;
	struct content_run run;
	uint64_t at = part->first;
	int r, more;

	p->hashing = false;
	content_init_part(&content, x->fd, part->first, part->end, true);
	while ((more = content_next(&content, p->buffer, chunk, &run)) > 0 && !x->lanes.stop) {
		r = send_run(p, at, &run, f);
		if (r == 0)
			r = look_for_refusal(p, f);
		if (r < 0)
			return r;
		at += run.len;
	}
	if (more == 0)
		return session_send_piece(p->session, json_object(), NULL, 0, f);
	session_close(p->session); /* what arrived of the part counts */
	if (more < 0 && more != -FTD_E_changed)
		return upload_local_failure(more, f);
	if (more < 0)
		x->changed = true;
	return 1;
}

static int
send_part(void *worker, const struct blocks_run *part, struct failure *f)
{
	struct sender *p = worker;
	struct session *s = p->session;
	struct answer a;
	int r;

	r = session_send(s,
			 json_pack("{s:s, s:s, s:I, s:I, s:b}", "opt", "upload-part", "upload",
				   p->x->upload, "offset", (json_int_t)part->first, "filesize",
				   (json_int_t)(part->end - part->first), "more", 1),
			 f);
	p->id = s->last_id;
	if (r == 0)
		r = send_content(p, part, f);
	if (r < 0)
		hear_why(p, f);
	if (r == 0)
		r = session_receive_for(s, p->id, &a, f);
	if (r != 0)
		return r;
	answer_done(&a);
	blocks_taken(&p->x->blocks, *part);
	retry_reset(&s->retry);
	return 0;
}

/* ---- all of them ---- */

static void
sender_free(void *worker)
{
	struct sender *p = worker;

	if (p == NULL)
		return;
	(void)digest_free(p->digest);
	free(p->buffer);
	free(p);
}

static void *
sender_new(struct session *s, void *userdata)
{
	struct sender *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->x = userdata;
	p->session = s;
	p->buffer = malloc(UPLOAD_PIECE);
	if (p->buffer != NULL && digest_new(DIGEST_XXH3, &p->digest) == 0)
		return p;
	sender_free(p);
	return NULL;
}

int
large_send(struct large *x, struct failure *f)
{
	static const struct lanes_ops ops = { sender_new, send_part, sender_free };
	int r;

	x->changed = false;
	x->lanes =
	    (struct lanes){ .client = x->client, .blocks = &x->blocks, .ops = &ops, .userdata = x };
	r = lanes_run(&x->lanes, f);
	return x->changed ? LARGE_CHANGED : r;
}
