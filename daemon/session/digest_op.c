#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/session/content.h"
#include "daemon/session/names.h"
#include "daemon/session/stop.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum {
	BLOCK_MIN = 64 << 10,
	BLOCK_MAX = 64 << 20,
	LOOK_EVERY = 16 << 20, /* bytes read between two looks at orders and cancel */
	SHOW_FROM = 64 << 20,  /* digests of so many bytes are shown as transfers */
	PIECE = 64 << 10,      /* bytes of block digests in one frame */
	PIECE_USEC = 4000000,  /* or so many as were made in this time */
};

struct args {
	struct message_str digest;
	uint64_t block, offset, length;
	bool verify;
};

enum { DIGEST, BLOCK, OFFSET, LENGTH };

static const struct message_field fields[] = {
	[DIGEST] = { "digest", MESSAGE_STR, offsetof(struct args, digest), DIGEST_TEXT_MAX, false },
	[BLOCK] = { "block", MESSAGE_UINT, offsetof(struct args, block), INT64_MAX, false },
	[OFFSET] = { "offset", MESSAGE_UINT, offsetof(struct args, offset), INT64_MAX, false },
	[LENGTH] = { "length", MESSAGE_UINT, offsetof(struct args, length), INT64_MAX, false },
	{ "verify", MESSAGE_BOOL, offsetof(struct args, verify), 0, false },
};

struct digesting {
	struct session *s;
	const struct request *rq;
	int fd;
	struct entry_stat st;
	enum digest_algorithm algorithm;
	uint64_t block, begin, at, end; /* block 0: one digest of all */
	struct reading reading;         /* of the digest under way */
	struct stop stop;
	int error;
	/* block digests: those not yet sent, and the digest of all of them */
	uint8_t *piece;
	size_t used;
	uint64_t sent_usec;
	struct digest *of_piece;
};

/* Reads up to limit into s->digest. 0; 1: d->error says why it ends; negative: conn_*. */
static int
digest_to(struct digesting *d, uint64_t limit)
{
	/* where pieces are sent they are the signs of life */
	const char *phase = d->block == 0 ? "verifying" : NULL;
	struct session *s = d->s;
	size_t n;
	int r;

	while (d->at < limit) {
		r = (d->at - d->begin) % LOOK_EVERY < SESSION_CHUNK
			? pace_work(s, d->rq, &d->stop, phase)
			: 0;
		if (r < 0)
			return r;
		n = limit - d->at < SESSION_CHUNK ? (size_t)(limit - d->at) : SESSION_CHUNK;
		d->error = r > 0 ? d->stop.error : content_read(d->fd, s->chunk, n, d->at);
		if (d->error < 0)
			return 1;
		reading_update(&d->reading, s->chunk, n);
		d->at += n;
		report_transfer_progress(s, d->at - d->begin);
	}
	return 0;
}

static int
answer_error(struct digesting *d)
{
	if (d->stop.error < 0)
		return stop_answer(d->s, d->rq, &d->stop, NULL);
	return reply_error(d->s, d->rq, d->error, NULL, NULL);
}

static json_t *
digest_object(const struct digest_value *v)
{
	char text[DIGEST_TEXT_MAX];

	return json_pack("{s:s}", "digest", digest_format(v, text));
}

/* ---- one digest */

/* As digest_to(). */
static int
read_whole(struct digesting *d)
{
	int r;

	if (d->reading.known)
		return 0;
	(void)beat_begin(d->s, d->rq, "verifying");
	r = digest_to(d, d->end);
	beat_end(d->s);
	return r;
}

static int
digest_whole(struct digesting *d)
{
	struct digest_value v;
	json_t *o;
	int r;

	r = reading_begin(&d->reading);
	if (r == 0)
		r = read_whole(d);
	if (r < 0)
		return r;
	if (r == 0)
		d->error = content_unchanged(d->fd, &d->st);
	if (d->error == 0)
		d->error = reading_end(&d->reading, &v);
	if (d->error < 0)
		return answer_error(d);
	o = digest_object(&v);
	return o != NULL ? reply_ok(d->s, d->rq, o) : -ENOMEM;
}

/* ---- a digest for each block */

static int
send_piece(struct digesting *d)
{
	json_t *o = json_pack("{s:I}", "body", (json_int_t)d->used);
	int r;

	if (o == NULL)
		return -ENOMEM;
	r = reply_more(d->s, d->rq, o);
	if (r == 0)
		r = conn_write_body(d->s, d->piece, d->used);
	digest_update(d->of_piece, d->piece, d->used);
	d->used = 0;
	d->sent_usec = clock_usec();
	return r;
}

static int
send_trailer(struct digesting *d)
{
	struct digest_value v;
	json_t *o;

	digest_final(d->of_piece, &v);
	o = digest_object(&v);
	if (o == NULL || json_object_set_new(o, "block", json_integer((json_int_t)d->block)) < 0)
		return -ENOMEM;
	return reply_ok(d->s, d->rq, o);
}

/* Appends the digest of the next block. As digest_to(). */
static int
digest_next(struct digesting *d)
{
	size_t size = digest_size(d->algorithm);
	struct digest_value v;
	int r;

	d->reading.algorithm = d->algorithm;
	if (reading_begin(&d->reading) < 0)
		return -ENOMEM;
	r = digest_to(d, d->end - d->at < d->block ? d->end : d->at + d->block);
	if (r != 0)
		return r;
	digest_final(d->s->digest, &v);
	memcpy(d->piece + d->used, v.bytes, size);
	d->used += size;
	return 0;
}

static int
send_blocks(struct digesting *d)
{
	size_t size = digest_size(d->algorithm);
	int r = 0;

	d->sent_usec = clock_usec();
	while (r == 0 && d->at < d->end) {
		r = digest_next(d);
		if (r == 0 && (d->used + size > PIECE || clock_usec() - d->sent_usec > PIECE_USEC))
			r = send_piece(d);
	}
	if (r == 0)
		d->error = content_unchanged(d->fd, &d->st);
	if (r == 0 && d->error == 0 && d->used > 0)
		r = send_piece(d);
	if (r < 0)
		return r;
	return d->error < 0 ? answer_error(d) : send_trailer(d);
}

static int
digest_blocks(struct digesting *d)
{
	int r;

	/* a block of its own is what "blocks" is made of */
	if (d->algorithm == DIGEST_BLOCKS)
		d->algorithm = DIGEST_XXH3;
	d->piece = malloc(PIECE);
	r = d->piece != NULL ? digest_new(DIGEST_XXH3, &d->of_piece) : -ENOMEM;
	if (r == 0)
		r = send_blocks(d);
	digest_free(d->of_piece);
	free(d->piece);
	return r;
}

/* ---- the request */

static int
check_block(uint64_t block)
{
	if (block < BLOCK_MIN || block > BLOCK_MAX || (block & (block - 1)) != 0)
		return -FTD_E_bad_request;
	return 0;
}

static int
prepare(struct digesting *d, const struct args *a, uint64_t has, const char **ret_why)
{
	int r;

	if ((has & 1U << BLOCK) != 0 && check_block(a->block) < 0) {
		*ret_why = "block must be a power of two from 65536 to 67108864";
		return -FTD_E_bad_request;
	}
	r = content_algorithm(&a->digest, &d->algorithm);
	if (r < 0)
		return r;
	d->fd = names_open_file(d->s, d->rq->source, &d->st);
	if (d->fd < 0)
		return d->fd;
	if (a->offset > d->st.size)
		return -FTD_E_size_mismatch;
	d->block = a->block;
	d->begin = d->at = a->offset;
	d->end = d->st.size;
	if ((has & 1U << LENGTH) != 0 && a->length < d->end - d->at)
		d->end = d->at + a->length;
	d->reading = (struct reading){ .s = d->s,
				       .share = d->rq->source->share,
				       .fd = d->fd,
				       .st = &d->st,
				       .name = d->rq->source->name,
				       .algorithm = d->algorithm,
				       .whole = d->block == 0 && d->end - d->begin == d->st.size,
				       .fresh = a->verify };
	return session_chunk(d->s) != NULL ? 0 : -ENOMEM;
}

static int
start(struct digesting *d)
{
	bool show = d->end - d->begin >= SHOW_FROM;
	int r;

	if (show)
		report_transfer_begin(d->s, "digest", false, d->rq->source->name,
				      d->end - d->begin);
	report_state(d->s, BOARD_VERIFYING);
	r = d->block > 0 ? digest_blocks(d) : digest_whole(d);
	if (show)
		content_report_end(d->s, r, d->error, NULL);
	return r;
}

int
op_digest(struct session *s, const struct request *rq)
{
	struct digesting d = { .s = s, .rq = rq, .fd = -1 };
	struct args a = { 0 };
	const char *why = NULL;
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0) {
		r = prepare(&d, &a, has, &why);
		r = r < 0 ? reply_error(s, rq, r, why, NULL) : start(&d);
	}
	reading_done(&d.reading);
	close_fd(&d.fd);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
