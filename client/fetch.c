#include "client/fetch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum { ZEROS_AT_ONCE = 64 << 20 };

int
fetch_init(struct fetch *x, struct client *c, struct session *s)
{
	*x = (struct fetch){ .client = c, .session = s, .fd = -1, .algorithm = c->options.digest };
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
fetch_begin(struct fetch *x, int fd, bool seekable, uint64_t at, uint64_t end)
{
	x->fd = fd;
	x->seekable = seekable;
	x->at = at;
	x->end = end;
	x->moved = 0;
	x->algorithm = x->client->options.digest;
	return digest_reset(x->digest, x->algorithm);
}

int
fetch_announced(struct fetch *x, const struct answer *a, struct failure *f)
{
	enum digest_algorithm wanted = x->algorithm;
	struct digest_value v = { .algorithm = wanted };
	bool has_value;

	if (a->digest.data != NULL &&
	    digest_parse(a->digest.data, a->digest.len, &v, &has_value) < 0)
		return failure_protocol(f, "a digest is announced that nobody knows");
	if (v.algorithm != wanted && (wanted != DIGEST_XXH3 || v.algorithm != DIGEST_BLOCKS))
		return failure_protocol(f, "another digest is announced than was asked for");
	x->algorithm = v.algorithm;
	return digest_reset(x->digest, v.algorithm) < 0 ? failure_connection(f, -ENOMEM) : 0;
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

		r = session_body(x->session, x->buffer, n, f);
		if (r < 0)
			return r;
		digest_update(x->digest, x->buffer, n);
		progress_moved(&c->report.progress, n);
		x->moved += n;
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
	uint64_t room = x->end - x->at;
	int r;

	if (a->body > room || a->hole > room - a->body)
		return failure_protocol(f, "more content than the file has");
	r = take_body(x, a->body, f);
	return r < 0 || a->hole == 0 ? r : take_hole(x, a->hole, f);
}

int
fetch_drop(struct fetch *x, const struct answer *a, struct failure *f)
{
	return session_skip(x->session, a->body, f);
}

int
fetch_end(struct fetch *x, const struct answer *trailer, struct failure *f)
{
	struct digest_value got, said;
	bool has_value;

	if (x->at != x->end)
		return failure_set(f, FAILURE_ITEM, err_exit_status("size_mismatch"),
				   "size_mismatch", "less came than the file has");
	if (trailer->digest.data == NULL ||
	    digest_parse(trailer->digest.data, trailer->digest.len, &said, &has_value) < 0 ||
	    !has_value || said.algorithm != x->algorithm)
		return failure_protocol(f, "the digest that was asked for is missing");
	digest_final(x->digest, &got);
	if (!digest_equal(&got, &said))
		return failure_set(f, FAILURE_ITEM, err_exit_status("digest_mismatch"),
				   "digest_mismatch", "%s", err_text(-FTD_E_digest_mismatch));
	return 0;
}
