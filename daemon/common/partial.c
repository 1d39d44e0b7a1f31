#include "daemon/common/partial.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/text.h"

/* Places in the record's file that are locked: no bytes of it need to be there. */
enum lock { LOCK_RECORD = 0, LOCK_WRITERS = 1, LOCK_CONTENT = 16 };
enum { STEP_NS = 2000000, TRIES = 8, HEX_WORD = 16, SUMS_STEP = 4096 };
#define WAIT_USEC (5 * USEC_PER_SEC)

/* ---- ids */

char *
partial_format_id(const struct staged_id *id, uint64_t claim, char *buf)
{
	(void)snprintf(buf, PARTIAL_ID_MAX, "u%016" PRIx64 "%016" PRIx64 "%016" PRIx64, id->session,
		       id->number, claim);
	return buf;
}

int
partial_parse_id(const char *text, size_t len, struct staged_id *ret, uint64_t *ret_claim)
{
	struct staged_id id;
	char again[PARTIAL_ID_MAX];
	uint64_t words[3];

	if (len != PARTIAL_ID_LEN || text[0] != 'u')
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (text_unhex(&words[i], sizeof(words[i]), text + 1 + (size_t)HEX_WORD * i,
			       HEX_WORD) < 0)
			return -EINVAL;
		words[i] = be64toh(words[i]);
	}
	id = (struct staged_id){ .session = words[0], .number = words[1] };
	/* one spelling only */
	if (memcmp(partial_format_id(&id, words[2], again), text, len) != 0)
		return -EINVAL;
	*ret = id;
	*ret_claim = words[2];
	return 0;
}

void
partial_init(struct partial *p, int dir, const struct staged_id *id)
{
	memset(p, 0, sizeof(*p));
	p->dir = dir;
	p->id = *id;
	p->record = -1;
}

void
partial_done(struct partial *p)
{
	close_fd(&p->record);
}

/* ---- locks */

static int
set_lock(int fd, short type, off_t start, off_t len)
{
	struct flock f = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	if (fcntl(fd, F_OFD_SETLK, &f) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* Takes a byte within usec. 0, -EBUSY, -errno. */
static int
wait_lock(int fd, off_t at, uint64_t usec)
{
	const struct timespec step = { 0, STEP_NS };
	uint64_t deadline = clock_usec() + usec;
	int r;

	for (;;) {
		r = set_lock(fd, F_WRLCK, at, 1);
		if (r != -EAGAIN)
			return r;
		if (clock_usec() >= deadline)
			return -EBUSY;
		(void)nanosleep(&step, NULL);
	}
}

int
partial_lock(struct partial *p)
{
	struct stat st;
	int r = wait_lock(p->record, LOCK_RECORD, WAIT_USEC);

	if (r < 0)
		return r;
	if (fstat(p->record, &st) == 0 && st.st_nlink > 0)
		return 0;
	partial_unlock(p);
	return -ENOENT;
}

void
partial_unlock(struct partial *p)
{
	(void)set_lock(p->record, F_UNLCK, LOCK_RECORD, 1);
}

int
partial_join(struct partial *p)
{
	return set_lock(p->record, F_RDLCK, LOCK_WRITERS, 1);
}

int
partial_await_writers(struct partial *p, uint64_t usec)
{
	return wait_lock(p->record, LOCK_WRITERS, usec);
}

int
partial_take_range(struct partial *p, uint64_t first, uint64_t end)
{
	const uint64_t most = INT64_MAX - LOCK_CONTENT;

	if (first >= most || end <= first)
		return 0;
	/* a length of zero: all that follows */
	return set_lock(p->record, F_WRLCK, (off_t)(LOCK_CONTENT + first),
			end >= most ? 0 : (off_t)(end - first));
}

/* ---- the record */

static const char *
record_name(const struct partial *p, char *buf)
{
	return staged_name(&p->id, PARTIAL_RECORD, buf);
}

static int
read_at(int fd, void *dst, size_t len, off_t at)
{
	ssize_t n = pread(fd, dst, len, at);

	return n < 0 ? -errno : n == (ssize_t)len ? 0 : -EBADMSG;
}

static int
read_head(struct partial *p)
{
	uint8_t data[RECORD_HEAD];
	int r = read_at(p->record, data, sizeof(data), 0);

	return r < 0 ? r : record_read_head(data, &p->head);
}

static int
open_record(struct partial *p, int flags)
{
	char name[STAGED_NAME_MAX];
	struct stat st;

	p->record = path_open(p->dir, record_name(p, name), O_RDWR | flags, 0600, false);
	if (p->record < 0)
		return p->record;
	return fstat(p->record, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EBADMSG;
}

int
partial_open(struct partial *p)
{
	int r = open_record(p, 0);

	return r < 0 ? r : read_head(p);
}

int
partial_enter(struct partial *p)
{
	int r = -ENOENT;

	/* who removes it holds the lock: then it is another one's name */
	for (int i = 0; i < TRIES && r == -ENOENT; i++) {
		close_fd(&p->record);
		r = open_record(p, O_CREAT);
		if (r == 0)
			r = partial_lock(p);
	}
	if (r < 0)
		return r == -ENOENT ? -EBUSY : r;
	r = read_head(p);
	if (r == 0)
		r = partial_load(p);
	return r == 0 ? 1 : r == -EBADMSG ? 0 : r;
}

static off_t
slot_at(unsigned slot)
{
	return RECORD_SLOTS_AT + (off_t)slot * RECORD_SLOT;
}

int
partial_start(struct partial *p)
{
	static const uint8_t empty[RECORD_SLOT];
	uint8_t data[RECORD_HEAD];
	int r;

	if (ftruncate(p->record, 0) < 0)
		return -errno;
	record_write_head(&p->head, data);
	r = io_pwrite_full(p->record, data, sizeof(data), 0);
	if (r == 0)
		r = io_pwrite_full(p->record, &p->claim, sizeof(p->claim), RECORD_CLAIM_AT);
	/* a checkpoint on a full disk is to find its place */
	for (unsigned i = 0; i < 2 && r == 0; i++)
		r = io_pwrite_full(p->record, empty, sizeof(empty), slot_at(i));
	if (r < 0)
		return r;
	p->state.sequence = 0;
	p->state.done = false;
	p->state.ranges.n = 0;
	p->slot = 0;
	return partial_store(p);
}

int
partial_load(struct partial *p)
{
	static struct record_state other; /* too large for a stack */
	uint8_t data[RECORD_SLOT];

	p->state.sequence = 0;
	p->state.done = false;
	p->state.ranges.n = 0;
	p->slot = 1;
	for (unsigned i = 0; i < 2; i++) {
		if (read_at(p->record, data, sizeof(data), slot_at(i)) < 0 ||
		    record_read_slot(data, &other) < 0 || other.sequence <= p->state.sequence)
			continue;
		p->state = other;
		p->slot = i;
	}
	return 0;
}

int
partial_store(struct partial *p)
{
	uint8_t data[RECORD_SLOT];
	unsigned slot = 1 - p->slot;
	int r;

	p->state.sequence++;
	record_write_slot(&p->state, data);
	r = io_pwrite_full(p->record, data, sizeof(data), slot_at(slot));
	if (r == 0 && fdatasync(p->record) < 0)
		r = -errno;
	if (r == 0)
		p->slot = slot;
	return r;
}

/* ---- claims */

int
partial_read_claim(const struct partial *p, uint64_t *ret)
{
	return read_at(p->record, ret, sizeof(*ret), RECORD_CLAIM_AT);
}

int
partial_claim(struct partial *p)
{
	if (getrandom(&p->claim, sizeof(p->claim), 0) != (ssize_t)sizeof(p->claim))
		return -EIO;
	return io_pwrite_full(p->record, &p->claim, sizeof(p->claim), RECORD_CLAIM_AT);
}

bool
partial_is_mine(const struct partial *p)
{
	uint64_t now;

	return partial_read_claim(p, &now) == 0 && now == p->claim;
}

/* ---- digests of blocks */

static off_t
sum_at(uint64_t block)
{
	return RECORD_SUMS_AT + (off_t)(block * RECORD_SUM);
}

int
partial_sum(const struct partial *p, uint64_t block, uint8_t ret[RECORD_SUM])
{
	static const uint8_t none[RECORD_SUM];

	if (block >= PARTIAL_SUMS_MAX || read_at(p->record, ret, RECORD_SUM, sum_at(block)) < 0)
		return 0;
	return memcmp(ret, none, sizeof(none)) != 0;
}

void
partial_set_sum(const struct partial *p, uint64_t block, const uint8_t sum[RECORD_SUM])
{
	if (block < PARTIAL_SUMS_MAX) /* what fails is only not known */
		(void)io_pwrite_full(p->record, sum, RECORD_SUM, sum_at(block));
}

/* Zeros in place of n bytes of them. 1: there were others; 0; -errno. */
static int
wipe_sums(const struct partial *p, off_t at, size_t n)
{
	static const uint8_t zeros[SUMS_STEP];
	uint8_t is[SUMS_STEP];
	ssize_t got = pread(p->record, is, n, at);
	int r;

	if (got < 0)
		return -errno;
	if (memcmp(is, zeros, (size_t)got) == 0)
		return 0;
	r = io_pwrite_full(p->record, zeros, (size_t)got, at);
	return r < 0 ? r : 1;
}

int
partial_forget_sums(const struct partial *p, uint64_t first, uint64_t end)
{
	uint64_t block = first / DIGEST_BLOCK, last = end > 0 ? (end - 1) / DIGEST_BLOCK : 0;
	const uint64_t step = SUMS_STEP / RECORD_SUM;
	struct stat st;
	uint64_t n;
	int r = 0, any = 0;

	if (fstat(p->record, &st) < 0)
		return -errno;
	if (last >= PARTIAL_SUMS_MAX)
		last = PARTIAL_SUMS_MAX - 1;
	for (; block <= last && sum_at(block) < st.st_size && r >= 0; block += n) {
		n = last - block + 1 < step ? last - block + 1 : step;
		r = wipe_sums(p, sum_at(block), (size_t)n * RECORD_SUM);
		any |= r > 0;
	}
	if (r >= 0 && any && fdatasync(p->record) < 0)
		r = -errno;
	return r < 0 ? r : 0;
}

/* ---- content */

static int
open_noted(const struct partial *p, int root, char *ret_name)
{
	auto_close int note = -1;
	char name[STAGED_NAME_MAX];

	(void)staged_name_elsewhere(&p->id, ret_name);
	note = path_open(p->dir, staged_name(&p->id, STAGED_NOTE, name), O_RDONLY, 0, false);
	return note < 0 ? note : staged_follow(root, note);
}

int
partial_open_place(const struct partial *p, int root, char *ret_name)
{
	if (p->head.elsewhere)
		return open_noted(p, root, ret_name);
	(void)staged_name(&p->id, "", ret_name);
	return path_open(p->dir, "", O_RDONLY | O_DIRECTORY, 0, false);
}

static int
unlink_one(int dir, const char *name)
{
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Wherever the note says, also without a head that can be read. */
static int
unlink_elsewhere(const struct partial *p, int root)
{
	char name[STAGED_NAME_MAX];
	auto_close int place = open_noted(p, root, name);

	if (place < 0)
		return place == -ENOENT ? 0 : place;
	return unlink_one(place, name);
}

int
partial_remove(const struct partial *p, int root)
{
	char name[STAGED_NAME_MAX];
	int r = unlink_one(p->dir, staged_name(&p->id, "", name));

	if (r == 0)
		r = unlink_elsewhere(p, root);
	if (r == 0)
		r = unlink_one(p->dir, staged_name(&p->id, STAGED_NOTE, name));
	if (r == 0)
		r = unlink_one(p->dir, record_name(p, name));
	return r;
}
