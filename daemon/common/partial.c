#include "daemon/common/partial.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/own.h"
#include "lib/text.h"

enum { TRIES = 8, HEX_WORD = 16 };

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

/* ---- the record */

static const char *
record_name(const struct partial *p, char *buf)
{
	return staged_name(&p->id, PARTIAL_RECORD, buf);
}

static int
read_at(int fd, void *dst, size_t len, off_t at)
{
	ssize_t n = io_pread_full(fd, dst, len, at);

	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EBADMSG;
}

static int
read_head(struct partial *p)
{
	uint8_t data[RECORD_HEAD];
	int r = read_at(p->record, data, sizeof(data), 0);

	return r < 0 ? r : record_read_head(data, &p->head);
}

/* Where others may make files, theirs are not ours. As fstatat(). */
static int
check_record(const struct partial *p, int fd, const char *name)
{
	struct stat dir, st;

	if (fstat(p->dir, &dir) < 0 ||
	    fstatat(fd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	return (dir.st_mode & S_IWOTH) != 0 && st.st_uid != geteuid() ? -EPERM : 0;
}

static int
open_record(struct partial *p, int flags)
{
	char name[STAGED_NAME_MAX];

	p->record = path_open(p->dir, record_name(p, name), O_RDWR | flags, 0600, false);
	if (p->record >= 0)
		return check_record(p, p->record, "");
	/* closed to us because it is another one's, or for a reason that is to be told */
	return p->record == -EACCES && check_record(p, p->dir, name) == -EPERM ? -EPERM : p->record;
}

int
partial_open(struct partial *p)
{
	int r = open_record(p, 0);

	return r < 0 ? r : read_head(p);
}

int
partial_stat(const struct partial *p, struct stat *ret)
{
	char name[STAGED_NAME_MAX];

	return fstatat(p->dir, record_name(p, name), ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
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

static void
forget(struct partial *p)
{
	struct record_state *s = &p->state;

	s->sequence = s->received = s->parts = 0;
	s->phase = RECORD_OPEN;
	s->ranges.n = s->receipt.len = 0;
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
	forget(p);
	p->slot = 0;
	return partial_store(p);
}

/* Nothing can be held beyond the end of what is expected. */
static bool
fits(const struct partial *p, const struct record_state *s)
{
	const struct record_ranges *r = &s->ranges;

	return r->n == 0 || r->list[r->n - 1].end <= p->head.size;
}

/* A power cut may take a name back that was not synced, and leave the receipt: then the content is
 * here again, all of it. What waits beside its target is always synced. */
static void
take_back(struct partial *p)
{
	struct record_state *s = &p->state;
	char name[STAGED_NAME_MAX];
	auto_close int fd = -1;
	struct stat st;

	if (s->phase != RECORD_DONE || p->head.elsewhere)
		return;
	fd = path_open(p->dir, staged_name(&p->id, "", name), O_PATH, 0, false);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > p->head.size)
		return;
	s->phase = RECORD_PUBLISHING;
	if (st.st_size > 0)
		(void)record_add(&s->ranges, 0, (uint64_t)st.st_size);
}

int
partial_load(struct partial *p)
{
	static struct record_state other; /* too large for a stack */
	uint8_t data[RECORD_SLOT];
	int r;

	forget(p);
	p->slot = 1;
	for (unsigned i = 0; i < 2; i++) {
		r = read_at(p->record, data, sizeof(data), slot_at(i));
		if (r < 0 && r != -EBADMSG)
			return r; /* what is held is not forgotten for that */
		if (r < 0 || record_read_slot(data, &other) < 0 || !fits(p, &other) ||
		    other.sequence <= p->state.sequence)
			continue;
		p->state = other;
		p->slot = i;
	}
	take_back(p);
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

int
partial_has_content(const struct partial *p, int root)
{
	char name[STAGED_NAME_MAX];
	auto_close int dir = partial_open_place(p, root, name), fd = -1;

	if (dir >= 0)
		fd = path_open(dir, name, O_PATH, 0, false);
	if (dir >= 0 && fd >= 0)
		return 1;
	return dir == -ENOENT || (dir >= 0 && fd == -ENOENT) ? 0 : dir < 0 ? dir : fd;
}

static int
unlink_one(int dir, const char *name)
{
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* In the directory that the record's name leads to. Where in the namespace the share begins is not
 * known here: another one has no file with this id. */
static void
unlink_beside_target(const struct partial *p, int root)
{
	const char *rest = p->head.name, *slash, *leaf;
	char name[STAGED_NAME_MAX];

	(void)staged_name_elsewhere(&p->id, name);
	do {
		auto_close int dir = path_open_parent(root, rest, false, &leaf);

		if (dir >= 0 && unlinkat(dir, name, 0) == 0)
			return;
		slash = strchr(rest, '/');
		rest = slash != NULL ? slash + 1 : NULL;
	} while (rest != NULL);
}

/* Wherever the note says, also without a head that can be read; or the head, with a note that is
 * wrong. */
static int
unlink_elsewhere(const struct partial *p, int root)
{
	char name[STAGED_NAME_MAX];
	auto_close int place = open_noted(p, root, name);

	if (place < 0 && place != -ENOENT)
		return place;
	if (place >= 0 && unlinkat(place, name, 0) == 0)
		return 0;
	if (place >= 0 && errno != ENOENT)
		return -errno;
	if (p->head.elsewhere)
		unlink_beside_target(p, root);
	return 0;
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

/* ---- all of them */

int
partial_next(DIR *dir, struct staged_id *ret)
{
	const size_t suffix = strlen(PARTIAL_RECORD);
	const struct dirent *e;
	size_t len;

	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		len = strlen(e->d_name);
		if (len > suffix && strcmp(e->d_name + len - suffix, PARTIAL_RECORD) == 0 &&
		    staged_parse(e->d_name, len - suffix, ret) == 0)
			return 1;
	}
	return -errno;
}
