#include "daemon/session/content.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	PIECE_LEAST = 1 << 10, /* under a rate limit */
	PIECE_MIN = 256 << 10,
	PIECE_MAX = 64 << 20,
	HOLE_MIN = 64 << 10, /* shorter ones cost less as zeros */
	HOLE_MAX = 1 << 30,  /* in one frame: their digest takes time, too */
};

int
content_algorithm(const struct message_str *digest, enum digest_algorithm *ret)
{
	struct digest_value v = { .algorithm = DIGEST_XXH3 };
	bool has_value;
	int r;

	if (digest->data != NULL) {
		r = digest_parse(digest->data, digest->len, &v, &has_value);
		if (r < 0)
			return r;
	}
	*ret = v.algorithm;
	return 0;
}

int
content_read(int fd, void *dst, size_t n, uint64_t at)
{
	ssize_t got = io_pread_full(fd, dst, n, (off_t)at);

	if (got < 0)
		return -EIO;
	return (size_t)got == n ? 0 : -FTD_E_changed;
}

uint64_t
content_seek(int fd, uint64_t at, int whence, uint64_t limit)
{
	off_t found = lseek(fd, (off_t)at, whence);

	if (found < 0) /* ENXIO: nothing but a hole from there on */
		return errno == ENXIO || whence == SEEK_HOLE ? limit : at;
	return (uint64_t)found < limit ? (uint64_t)found : limit;
}

int
content_digest(struct session *s, enum digest_algorithm algorithm)
{
	return s->digest != NULL ? digest_reset(s->digest, algorithm)
				 : digest_new(algorithm, &s->digest);
}

int
content_unchanged(int fd, const struct entry_stat *st)
{
	struct entry_stat now;
	int r = entry_stat(fd, NULL, &now);

	if (r < 0)
		return r;
	return now.size == st->size && now.mtime_ns == st->mtime_ns ? 0 : -FTD_E_changed;
}

void
content_report_end(struct session *s, int r, int error, const char *reason)
{
	if (r < 0)
		report_transfer_end(s, r == -ETIMEDOUT ? "timeout" : "cancelled",
				    r == -ENODATA ? "the client is gone" : NULL);
	else
		report_transfer_end(s, error < 0 ? err_code(error) : "ok", reason);
}

/* ---- frames */

/* The next frame: the first one has the entry. */
static json_t *
frame(struct content *c)
{
	return c->entry != NULL ? take_ptr(c->entry) : json_object();
}

/* A frame with key: n that others follow. */
static int
put_counted(struct session *s, const struct request *rq, struct content *c, const char *key,
	    uint64_t n)
{
	json_t *o = frame(c);

	if (o == NULL || json_object_set_new(o, key, json_integer((json_int_t)n)) < 0)
		return -ENOMEM;
	return reply_more(s, rq, o);
}

static int
put_digest(struct session *s, const struct request *rq, struct content *c, json_t *o,
	   const struct digest_value *v)
{
	char text[DIGEST_TEXT_MAX];

	if (o == NULL || json_object_set_new(o, "digest", json_string(digest_format(v, text))) < 0)
		return -ENOMEM;
	return c->more ? reply_more(s, rq, o) : reply_ok(s, rq, o);
}

/* The keys of an error: in a tree it names the file, unless the entry did so before. */
static json_t *
error_keys(const struct content *c)
{
	static const char *const keys[] = { "name", "name_hex" };
	json_t *o = json_pack("{s:b}", "more", 1);

	for (size_t i = 0; o != NULL && c->entry != NULL && i < ARRAY_SIZE(keys); i++)
		(void)json_object_set(o, keys[i], json_object_get(c->entry, keys[i]));
	return o;
}

/* What came is void. */
static int
put_error(struct session *s, const struct request *rq, struct content *c)
{
	if (c->stop->error < 0)
		return stop_answer(s, rq, c->stop, NULL);
	return reply_error(s, rq, c->error, NULL, c->more ? error_keys(c) : NULL);
}

/* ---- one frame */

/* Up to n bytes of data, as many as the rate lets through. 0: none yet; -errno, conn_*. */
static ssize_t
send_paced(struct session *s, struct content *c, const uint8_t *data, size_t n)
{
	ssize_t now = pace_allowed(s, n);
	int r;

	if (now <= 0)
		return now;
	r = conn_write_body(s, data, (size_t)now);
	if (r < 0)
		return r;
	pace_moved(s, (size_t)now);
	c->sent += (size_t)now;
	report_transfer_progress(s, c->sent);
	return now;
}

/* Whether the file was the same all the time, and what its digest is. 0, or what the client is to
 * be told. */
static int
finish(struct content *c, struct digest_value *ret)
{
	int r = content_unchanged(c->fd, &c->st);

	return r == 0 ? reading_end(&c->reading, ret) : r;
}

static int
send_small(struct session *s, const struct request *rq, struct content *c)
{
	struct digest_value v;
	ssize_t done;
	size_t n = (size_t)(c->end - c->offset);
	json_t *o;
	int r;

	c->error = content_read(c->fd, s->chunk, n, c->offset);
	if (c->error == 0) {
		reading_update(&c->reading, s->chunk, n);
		c->error = finish(c, &v);
	}
	if (c->error < 0)
		return put_error(s, rq, c);
	o = frame(c);
	if (n > 0 && json_object_set_new(o, "body", json_integer((json_int_t)n)) < 0)
		return -ENOMEM;
	r = put_digest(s, rq, c, o, &v);
	for (size_t at = 0; r >= 0 && at < n; at += (size_t)done) {
		done = send_paced(s, c, s->chunk + at, n - at);
		if (done < 0)
			return (int)done;
	}
	return r;
}

/* ---- pieces */

/* Reads a step of a piece: content; once it cannot be had, zeros, which the trailer voids. */
static void
read_step(struct session *s, struct content *c, size_t n)
{
	if (c->error == 0)
		c->error = content_read(c->fd, s->chunk, n, c->offset);
	if (c->error < 0)
		memset(s->chunk, 0, n);
	else
		reading_update(&c->reading, s->chunk, n);
}

/* Sends up to n bytes of a step: how many. */
static ssize_t
put_step(struct session *s, struct content *c, size_t n)
{
	ssize_t sent = 0;
	int r;

	if (c->unread && c->error == 0)
		sent = conn_send_file(s, c->fd, c->offset, n);
	if (sent != 0)
		return sent;
	c->unread = false;
	read_step(s, c, n);
	r = conn_write_body(s, s->chunk, n);
	return r < 0 ? r : (ssize_t)n;
}

/* A step of at most n bytes: how many there were. No frame fits into a piece, so one that is void,
 * or that is to stand still, is brought to its end without regard to the rate. */
static ssize_t
send_step(struct session *s, struct content *c, size_t n)
{
	ssize_t now = (ssize_t)n;

	if (c->error == 0 && stop_ordered(s, c->stop))
		c->error = c->stop->error;
	if (c->error == 0 && !pace_paused(s))
		now = pace_allowed(s, n);
	if (now > 0)
		now = put_step(s, c, (size_t)now);
	if (now <= 0)
		return now;
	pace_moved(s, (size_t)now);
	c->offset += (size_t)now;
	c->sent += (size_t)now;
	report_transfer_progress(s, c->sent);
	return now;
}

/* About a second's worth at the rate of the last piece. Doubling at most: the first bytes only fill
 * the buffers on the way. */
static void
adapt(struct content *c, uint64_t n, uint64_t usec)
{
	uint64_t rate = n * USEC_PER_SEC / (usec + 1);
	uint64_t next = rate < 2 * c->piece ? rate : 2 * c->piece;

	if (n < c->piece) /* cut short by the file */
		return;
	next = next > PIECE_MIN ? next : PIECE_MIN;
	c->piece = next < PIECE_MAX ? next : PIECE_MAX;
}

/* n, or less: what the rate that is ordered lets through in a second. */
static uint64_t
about_a_second(const struct session *s, uint64_t n)
{
	uint64_t rate = pace_rate(s);

	rate = rate > PIECE_LEAST ? rate : PIECE_LEAST;
	return n < rate ? n : rate;
}

static int
send_piece(struct session *s, const struct request *rq, struct content *c, uint64_t n)
{
	uint64_t began = clock_usec();
	ssize_t step;
	int r;

	r = put_counted(s, rq, c, "body", n);
	for (uint64_t left = n; r == 0 && left > 0; left -= (uint64_t)step) {
		step = send_step(s, c, left < SESSION_CHUNK ? (size_t)left : SESSION_CHUNK);
		if (step < 0)
			return (int)step;
	}
	adapt(c, n, clock_usec() - began);
	return r;
}

static int
send_hole(struct session *s, const struct request *rq, struct content *c, uint64_t n)
{
	c->offset += n;
	reading_update(&c->reading, NULL, n);
	return put_counted(s, rq, c, "hole", n);
}

/* Where the data at c->offset ends, holes of less than HOLE_MIN counted in. */
static uint64_t
data_end(const struct content *c, uint64_t limit)
{
	uint64_t at = c->offset, hole;

	while (at < limit) {
		hole = content_seek(c->fd, at, SEEK_HOLE, limit);
		at = content_seek(c->fd, hole, SEEK_DATA, limit);
		if (hole == limit || at - hole >= HOLE_MIN)
			return hole;
		if (at == hole) /* it cannot tell, after all */
			break;
	}
	return limit;
}

static int
send_next(struct session *s, const struct request *rq, struct content *c)
{
	uint64_t most = about_a_second(s, c->piece);
	uint64_t end = c->end - c->offset < most ? c->end : c->offset + most;
	uint64_t data;

	if (c->sparse) {
		data = content_seek(c->fd, c->offset, SEEK_DATA, c->end);
		if (data - c->offset >= HOLE_MIN)
			return send_hole(s, rq, c,
					 data - c->offset < HOLE_MAX ? data - c->offset : HOLE_MAX);
		end = data_end(c, end);
	}
	return send_piece(s, rq, c, end - c->offset);
}

/* To look for a hole where there is none can take as long as the file is large, at every piece. */
static bool
may_have_holes(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size;
}

static int
send_pieces(struct session *s, const struct request *rq, struct content *c)
{
	struct digest_value v;
	int r;

	c->unread = c->reading.known;
	c->sparse = c->holes && may_have_holes(c->fd);
	while (c->error == 0 && c->offset < c->end) {
		r = pace_pause(s, rq, c->stop);
		if (r == 0)
			r = stop_look(s, c->stop);
		if (r == 0)
			r = send_next(s, rq, c);
		else if (r > 0)
			c->error = c->stop->error;
		if (r < 0)
			return r;
	}
	if (c->error == 0)
		c->error = finish(c, &v);
	return c->error < 0 ? put_error(s, rq, c) : put_digest(s, rq, c, frame(c), &v);
}

int
content_send(struct session *s, const struct request *rq, struct content *c)
{
	bool small = c->end - c->offset <= about_a_second(s, CONTENT_SMALL) && !pace_paused(s);
	int r = session_chunk(s) != NULL ? 0 : -ENOMEM;

	c->error = 0;
	c->reading = (struct reading){ .s = s,
				       .share = c->share,
				       .fd = c->fd,
				       .st = &c->st,
				       .name = c->name,
				       .algorithm = c->algorithm,
				       /* a part is what the disk has */
				       .whole = c->offset == 0 && c->end == c->st.size };
	if (r == 0)
		r = reading_begin(&c->reading);
	if (r == 0)
		r = small ? send_small(s, rq, c) : send_pieces(s, rq, c);
	reading_done(&c->reading);
	return r;
}
