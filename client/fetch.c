#include "client/fetch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum { BLOCK_DIGEST = 16, ZEROS_AT_ONCE = 64 << 20 };

int
fetch_init(struct fetch *x, struct client *c)
{
	*x = (struct fetch){ .client = c, .fd = -1 };
	x->buffer = malloc(FETCH_BUFFER);
	if (x->buffer == NULL)
		return -ENOMEM;
	if (digest_new(c->options.digest, &x->digest) < 0) {
		free(take_ptr(x->buffer));
		return -ENOMEM;
	}
	return 0;
}

void
fetch_done(struct fetch *x)
{
	x->digest = digest_free(x->digest);
	free(take_ptr(x->buffer));
}

int
fetch_begin(struct fetch *x, int fd, bool seekable, uint64_t at, uint64_t size)
{
	x->fd = fd;
	x->seekable = seekable;
	x->at = at;
	x->size = size;
	return digest_reset(x->digest, x->client->options.digest);
}

static int
write_out(struct fetch *x, const void *data, size_t n)
{
	if (x->fd < 0)
		return 0;
	if (x->seekable)
		return io_pwrite_full(x->fd, data, n, (off_t)x->at);
	return io_write_full(x->fd, data, n);
}

static int
local_failure(int r, struct failure *f)
{
	if (r == -EINTR || interrupt_seen())
		return failure_interrupted(f);
	return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "cannot write: %s", err_text(r));
}

static int
take_body(struct fetch *x, uint64_t left, struct failure *f)
{
	struct client *c = x->client;
	size_t chunk = pace_chunk(&c->pace, FETCH_BUFFER);
	int r;

	while (left > 0) {
		size_t n = left < chunk ? (size_t)left : chunk;

		r = session_body(&c->session, x->buffer, n, f);
		if (r < 0)
			return r;
		digest_update(x->digest, x->buffer, n);
		progress_moved(&c->report.progress, n);
		left -= n;
		r = write_out(x, x->buffer, n);
		if (r < 0)
			return local_failure(r, f);
		x->at += n;
		if (pace_spend(&c->pace, n) < 0)
			return failure_interrupted(f);
	}
	return 0;
}

/* A file gets its holes from ftruncate() at the end; a pipe gets zeros. */
static int
take_hole(struct fetch *x, uint64_t left, struct failure *f)
{
	bool skip = x->seekable || x->fd < 0;
	uint64_t chunk = skip ? ZEROS_AT_ONCE : FETCH_BUFFER;
	int r;

	if (!skip)
		memset(x->buffer, 0, FETCH_BUFFER);
	while (left > 0) {
		uint64_t n = left < chunk ? left : chunk;

		if (interrupt_seen())
			return failure_interrupted(f);
		digest_update_zeros(x->digest, n);
		r = skip ? 0 : write_out(x, x->buffer, (size_t)n);
		if (r < 0)
			return local_failure(r, f);
		progress_moved(&x->client->report.progress, n);
		x->at += n;
		left -= n;
	}
	return 0;
}

int
fetch_frame(struct fetch *x, const struct answer *a, struct failure *f)
{
	uint64_t room = x->size - x->at;
	int r;

	if (a->body > room || a->hole > room - a->body)
		return failure_protocol(f, "more content than the file has");
	r = take_body(x, a->body, f);
	return r < 0 || a->hole == 0 ? r : take_hole(x, a->hole, f);
}

int
fetch_drop(struct fetch *x, const struct answer *a, struct failure *f)
{
	return session_skip(&x->client->session, a->body, f);
}

int
fetch_end(struct fetch *x, const struct answer *trailer, struct failure *f)
{
	struct digest_value got, said;
	bool has_value;

	if (x->at != x->size)
		return failure_set(f, FAILURE_ITEM, err_exit_status("size_mismatch"),
				   "size_mismatch", "less came than the file has");
	if (trailer->digest.data == NULL ||
	    digest_parse(trailer->digest.data, trailer->digest.len, &said, &has_value) < 0 ||
	    !has_value || said.algorithm != x->client->options.digest)
		return failure_protocol(f, "the digest that was asked for is missing");
	digest_final(x->digest, &got);
	if (!digest_equal(&got, &said))
		return failure_set(f, FAILURE_ITEM, err_exit_status("digest_mismatch"),
				   "digest_mismatch", "%s", err_text(-FTD_E_digest_mismatch));
	if (x->fd >= 0 && x->seekable && ftruncate(x->fd, (off_t)x->size) < 0)
		return local_failure(-errno, f);
	return 0;
}

/* ---- what is held from an earlier try ---- */

struct compare {
	struct fetch *x;
	int fd;
	uint64_t held, at; /* at: blocks up to here have been looked at */
	bool differs;
	uint8_t *block; /* DIGEST_BLOCK bytes */
};

static int
compare_block(struct compare *c, const uint8_t said[BLOCK_DIGEST])
{
	uint64_t left = c->held - c->at;
	size_t n = left < DIGEST_BLOCK ? (size_t)left : DIGEST_BLOCK;
	uint8_t digest[BLOCK_DIGEST];
	size_t got = 0;

	while (got < n) {
		ssize_t k = pread(c->fd, c->block + got, n - got, (off_t)(c->at + got));

		if (k < 0)
			return -errno;
		if (k == 0)
			return -EIO;
		got += (size_t)k;
	}
	digest_block(c->block, n, digest);
	if (memcmp(digest, said, sizeof(digest)) != 0)
		c->differs = true;
	else
		c->at += n;
	return 0;
}

static int
compare_frame(struct compare *c, const struct answer *a, uint64_t *blocks, struct failure *f)
{
	struct session *session = &c->x->client->session;
	uint8_t said[BLOCK_DIGEST];
	int r;

	if (a->body % BLOCK_DIGEST != 0 || a->body / BLOCK_DIGEST > *blocks)
		return failure_protocol(f, "another number of block digests than was asked for");
	*blocks -= a->body / BLOCK_DIGEST;
	for (uint64_t left = a->body; left > 0; left -= BLOCK_DIGEST) {
		r = session_body(session, said, sizeof(said), f);
		if (r < 0)
			return r;
		if (c->differs)
			continue;
		r = compare_block(c, said);
		if (r < 0)
			return local_failure(r, f);
	}
	return 0;
}

static int
compare_all(struct compare *c, const struct url *url, struct failure *f)
{
	struct session *session = &c->x->client->session;
	uint64_t blocks = (c->held + DIGEST_BLOCK - 1) / DIGEST_BLOCK;
	json_t *rq = session_request("digest", url);
	struct answer a;
	bool more;
	int r;

	if (rq != NULL)
		(void)json_object_update_new(rq, json_pack("{s:s, s:i, s:i, s:I}", "digest", "xxh3",
							   "block", DIGEST_BLOCK, "offset", 0,
							   "length", (json_int_t)c->held));
	r = session_send(session, rq, f);
	if (r < 0)
		return r;
	do {
		r = session_receive_for(session, session->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = compare_frame(c, &a, &blocks, f);
		answer_done(&a);
		if (r < 0)
			return r;
	} while (more);
	return blocks > 0 ? failure_protocol(f, "fewer block digests than were asked for") : 0;
}

int
fetch_compare(struct fetch *x, const struct url *url, int fd, uint64_t held, uint64_t *ret_equal,
	      struct failure *f)
{
	struct compare c = { .x = x, .fd = fd, .held = held };
	int r;

	c.block = malloc(DIGEST_BLOCK);
	if (c.block == NULL)
		return failure_connection(f, -ENOMEM);
	progress_phase(&x->client->report.progress, "checking blocks");
	r = compare_all(&c, url, f);
	progress_phase(&x->client->report.progress, NULL);
	free(c.block);
	if (r < 0)
		return r;
	*ret_equal = c.at;
	return 0;
}
