#include "daemon/session/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/session/quota.h"
#include "daemon/session/room.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	WRITE_BEHIND = 8 << 20, /* that much is sent on its way to disk at once */
	HOLE_STEP = 256 << 20,  /* zeros are hashed so many at once */
};
#define LOOK_USEC (USEC_PER_SEC / 2)

static int
refused(struct transfer *t, int error, const char *message)
{
	t->error = error;
	t->message = message;
	return 1;
}

/* ---- limits */

/* Whether n more bytes are allowed. Bounded by expected or by 2^63-1, so sums do not wrap. */
static int
check_room(struct session *s, struct transfer *t, uint64_t n)
{
	uint64_t end = t->size + n;

	if (n > INT64_MAX || t->base + end > INT64_MAX || t->base + end > t->max)
		return -FTD_E_file_too_large;
	if (end > t->expected)
		return -FTD_E_size_mismatch;
	return quota_extend(s, t->staging, t->base + end);
}

/* ---- bytes */

/* Starts the way to disk of every 8 MiB that are full. */
static void
write_behind(struct transfer *t, uint64_t before)
{
	uint64_t from = t->base + before, to = t->base + t->size;

	from -= from % WRITE_BEHIND;
	to -= to % WRITE_BEHIND;

	if (t->write_behind && to > from)
		(void)sync_file_range(t->fd, (off_t)from, (off_t)(to - from),
				      SYNC_FILE_RANGE_WRITE);
}

static int
store(struct session *s, struct transfer *t, const uint8_t *data, size_t n)
{
	uint64_t before = t->size;
	int r;

	r = check_room(s, t, n);
	if (r == 0)
		r = io_pwrite_full(t->fd, data, n, (off_t)(t->base + t->size));
	if (r == 0)
		r = room_check(s, t->staging);
	if (r < 0)
		return r;
	if (!t->unhashed)
		digest_update(s->digest, data, n);
	t->size += n;
	t->received += n;
	write_behind(t, before);
	report_transfer_progress(s, t->received);
	if (t->watch == NULL)
		return 0;
	return t->watch->stored(t->watch->userdata, t->base + before, data, n);
}

/* The orders end this transfer. */
static int
stopped(struct session *s, struct transfer *t)
{
	const char *code;

	return gap_check(s, &code) < 0 ? refused(t, err_from_code(code), NULL) : 0;
}

/* The same between two chunks, where it also stands still as long as the orders say. */
static int
held(struct session *s, const struct request *rq, struct transfer *t)
{
	int r = pace_pause(s, rq, NULL);

	if (r == 0)
		r = stopped(s, t);
	if (r != 0 || t->watch == NULL)
		return r;
	r = t->watch->look(t->watch->userdata);
	return r < 0 ? refused(t, r, NULL) : 0;
}

/* ---- waiting, where somebody watches */

/* The next wait for bytes ends when it is time to look. */
static void
wait_in_steps(struct session *s, const struct transfer *t)
{
	if (t->watch != NULL)
		s->conn.deadline = clock_usec() + LOOK_USEC;
}

/* Whether r only says that it is time to look. A client that says nothing for long is gone. */
static bool
is_time_to_look(const struct session *s, struct transfer *t, int r)
{
	uint64_t now = clock_usec();

	if (r == -ETIME && t->watch != NULL)
		return now - t->heard_usec < s->config->stall_timeout;
	t->heard_usec = now;
	return r == -EINTR;
}

/* Up to want bytes, as many as the rate lets through. 0: none yet. */
static ssize_t
read_paced(struct session *s, size_t want)
{
	ssize_t n = pace_allowed(s, want);

	if (n > 0)
		n = conn_read_body(s, s->chunk, (size_t)n);
	if (n > 0)
		pace_moved(s, (size_t)n);
	return n;
}

/* The rest.bytes that follow now. */
static int
take_body(struct session *s, const struct request *rq, struct transfer *t)
{
	size_t want;
	ssize_t n;
	int r;

	while (t->rest.bytes > 0) {
		r = held(s, rq, t);
		if (r != 0)
			return r;
		want = t->rest.bytes < SESSION_CHUNK ? (size_t)t->rest.bytes : SESSION_CHUNK;
		wait_in_steps(s, t);
		n = read_paced(s, want);
		if (n == 0 || is_time_to_look(s, t, n < 0 ? (int)n : 0))
			continue;
		if (n < 0)
			return n == -ETIME && t->watch != NULL ? -ETIMEDOUT : (int)n;
		t->rest.bytes -= (uint64_t)n;
		r = store(s, t, s->chunk, (size_t)n);
		if (r < 0)
			return refused(t, r, NULL);
	}
	return 0;
}

int
transfer_make_hole(int fd, uint64_t first, uint64_t end)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (end > (uint64_t)st.st_size && ftruncate(fd, (off_t)end) < 0)
		return -errno;
	if (end > (uint64_t)st.st_size)
		end = (uint64_t)st.st_size;
	if (first < end && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first,
				     (off_t)(end - first)) < 0)
		return -errno;
	return 0;
}

/* n zeros that were not sent. A client that is gone does not keep us hashing. */
static int
take_hole(struct session *s, const struct request *rq, struct transfer *t, uint64_t n)
{
	uint64_t step;
	int r;

	if (n == 0)
		return 0;
	r = check_room(s, t, n);
	if (r == 0)
		r = transfer_make_hole(t->fd, t->base + t->size, t->base + t->size + n);
	if (r == 0 && t->watch != NULL)
		r = t->watch->stored(t->watch->userdata, t->base + t->size, NULL, n);
	if (r < 0)
		return refused(t, r, NULL);
	room_give_back(t->staging, t->base + t->size, n);
	(void)beat_begin(s, rq, "verifying");
	for (r = 0; n > 0 && r == 0; n -= step) {
		step = n < HOLE_STEP ? n : HOLE_STEP;
		if (!t->unhashed)
			digest_update_zeros(s->digest, step);
		t->size += step;
		report_heartbeat(s);
		r = stopped(s, t);
		if (r == 0 && conn_poll(s) == 0 && s->conn.eof)
			r = -ENODATA;
	}
	beat_end(s);
	return r;
}

/* ---- pieces */

struct piece_args {
	uint64_t hole;
	struct message_str digest, status, code;
};

static const struct message_field piece_fields[] = {
	{ "hole", MESSAGE_UINT, offsetof(struct piece_args, hole), INT64_MAX, false },
	{ "digest", MESSAGE_STR, offsetof(struct piece_args, digest), DIGEST_TEXT_MAX, false },
	{ "status", MESSAGE_STR, offsetof(struct piece_args, status), 32, false },
	{ "code", MESSAGE_STR, offsetof(struct piece_args, code), 32, false },
};

/* The trailer: its digest, or the word that all of it is void. */
static int
take_trailer(struct transfer *t, const struct piece_args *a)
{
	enum digest_algorithm announced = t->digest.algorithm;
	struct digest_value value;
	bool has_value;
	int r;

	if (a->status.data != NULL && strcmp(a->status.data, "error") == 0) {
		t->voided = true;
		if (a->code.data != NULL && err_known(a->code.data))
			return refused(t, err_from_code(a->code.data), NULL);
		return refused(t, -FTD_E_cancelled, NULL);
	}
	if (a->digest.data == NULL)
		return 0;
	r = digest_parse(a->digest.data, a->digest.len, &value, &has_value);
	if (r < 0)
		return refused(t, r, "the digest of the trailer cannot be read");
	if (t->unhashed || value.algorithm != announced)
		return refused(t, -FTD_E_bad_request,
			       "the trailer has a digest that was not announced");
	if (!has_value)
		return 0;
	t->digest = value;
	t->has_digest = true;
	return 0;
}

/* What a frame of the content says besides its bytes, which come first. */
static int
take_piece(struct session *s, const struct request *rq, const struct request *piece,
	   struct transfer *t)
{
	struct piece_args a = { 0 };
	const char *key, *why;
	uint64_t has;
	int r;

	if (message_decode(piece->object, piece_fields, ARRAY_SIZE(piece_fields), &a, &has, &key,
			   &why) < 0)
		return refused(t, -FTD_E_bad_request, "a piece has an unusable key");
	r = take_body(s, rq, t);
	if (r == 0)
		r = take_hole(s, rq, t, a.hole);
	if (r == 0 && !piece->more)
		r = take_trailer(t, &a);
	return r;
}

static int
next_piece(struct session *s, const struct request *rq, struct transfer *t, json_t **ret,
	   struct request *ret_piece)
{
	int r;

	do {
		r = held(s, rq, t);
		if (r != 0)
			return r;
		wait_in_steps(s, t);
		r = dispatch_header(s, false, ret, ret_piece);
	} while (is_time_to_look(s, t, r));
	if (r == -ETIME && t->watch != NULL)
		r = -ETIMEDOUT;
	if (r == 0 && ret_piece->body > REQUEST_PIECE_MAX)
		r = -FTD_E_bad_request;
	if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request) {
		t->close = true;
		return refused(t, r, NULL);
	}
	if (r < 0)
		return r;
	t->rest = (struct refuse_rest){ .bytes = ret_piece->body, .more = ret_piece->more };
	return 0;
}

static int
take_pieces(struct session *s, const struct request *rq, struct transfer *t)
{
	struct request piece;
	int r;

	r = take_piece(s, rq, rq, t);
	while (r == 0 && t->rest.more) {
		auto_json json_t *object = NULL;

		r = next_piece(s, rq, t, &object, &piece);
		if (r == 0)
			r = take_piece(s, rq, &piece, t);
	}
	return r;
}

/* ---- the whole */

static int
verify(struct session *s, struct transfer *t)
{
	struct digest_value is;

	if (t->expected != UINT64_MAX && t->size != t->expected)
		return refused(t, -FTD_E_size_mismatch, NULL);
	if (t->unhashed)
		return 0;
	digest_final(s->digest, &is);
	if (t->has_digest && !digest_equal(&is, &t->digest))
		return refused(t, -FTD_E_digest_mismatch, NULL);
	t->digest = is;
	return 0;
}

static int
prepare(struct session *s, enum digest_algorithm a)
{
	if (session_chunk(s) == NULL)
		return -ENOMEM;
	return s->digest == NULL ? digest_new(a, &s->digest) : digest_reset(s->digest, a);
}

int
transfer_receive(struct session *s, const struct request *rq, struct transfer *t)
{
	int r;

	r = prepare(s, t->digest.algorithm);
	if (r < 0)
		return refused(t, r, NULL);
	s->watch = t->watch;
	t->heard_usec = clock_usec();
	r = rq->more ? take_pieces(s, rq, t) : take_body(s, rq, t);
	if (t->watch != NULL)
		s->conn.deadline = 0;
	s->watch = NULL;
	return r == 0 ? verify(s, t) : r;
}
