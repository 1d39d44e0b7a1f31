#include "daemon/common/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

/* A lock is held for microseconds, or by somebody who is stopped. */
#define WAIT_USEC (5 * USEC_PER_SEC)
enum { STEP_FIRST_NS = 50000, STEP_MAX_NS = 5000000 };

bool
ledger_name_is_valid(const char *user, size_t len)
{
	return (len == strlen(LEDGER_NOBODY) && memcmp(user, LEDGER_NOBODY, len) == 0) ||
	       users_name_is_valid(user, len);
}

void
ledger_init(struct ledger *l, int root, const char *user, uint64_t session)
{
	*l = (struct ledger){ .root = root, .session = session, .fd = -1 };
	(void)snprintf(l->user, sizeof(l->user), "%s", user);
}

void
ledger_done(struct ledger *l)
{
	ledger_image_done(&l->image);
	close_fd(&l->fd);
}

/* ---- on disk */

off_t
ledger_place(size_t index)
{
	return (off_t)((index + 1) * LEDGER_ENTRY);
}

int
ledger_update(struct ledger *l)
{
	uint8_t entry[LEDGER_ENTRY];

	ledger_write_header(&l->image.header, entry);
	return io_pwrite_full(l->fd, entry, sizeof(entry), 0);
}

int
ledger_put(struct ledger *l, size_t index, const struct ledger_record *r)
{
	uint8_t entry[LEDGER_ENTRY];
	int e;

	ledger_write_record(r, entry);
	e = io_pwrite_full(l->fd, entry, sizeof(entry), ledger_place(index));
	if (e == 0)
		l->image.records[index] = *r;
	return e;
}

int
ledger_lock_entry(int fd, short type, off_t start)
{
	struct flock f = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = LEDGER_ENTRY
	};

	return fcntl(fd, F_OFD_SETLK, &f) < 0 ? -errno : 0;
}

/* ---- the lock */

static int
open_file(struct ledger *l)
{
	auto_close int dir = reserved_make(l->root, RESERVED_QUOTA, false);

	if (dir < 0)
		return dir;
	l->fd = path_open(dir, l->user, O_RDWR | O_CREAT, 0600, false);
	return l->fd < 0 ? l->fd : 0;
}

static int
lock_header(struct ledger *l)
{
	struct timespec step = { 0, STEP_FIRST_NS };
	uint64_t deadline = clock_usec() + WAIT_USEC;
	int r;

	for (;;) {
		r = ledger_lock_entry(l->fd, F_WRLCK, 0);
		if (r != -EAGAIN && r != -EACCES)
			return r;
		if (clock_usec() >= deadline)
			return -EBUSY;
		(void)nanosleep(&step, NULL);
		if (step.tv_nsec < STEP_MAX_NS)
			step.tv_nsec *= 2;
	}
}

static void
keep_copy(int dir, const char *user, const uint8_t *data, size_t len)
{
	char name[USER_NAME_MAX + sizeof("~bad")];
	auto_close int fd = -1;

	(void)snprintf(name, sizeof(name), "%s~bad", user);
	fd = path_open(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600, false);
	if (fd >= 0)
		(void)io_write_full(fd, data, len);
}

/* The bytes stay for whoever wants to know, the ledger begins anew in their place: those who have
 * it open go on with it. */
static int
set_aside(struct ledger *l, const uint8_t *data, size_t len)
{
	auto_close int dir = reserved_make(l->root, RESERVED_QUOTA, false);
	int r;

	if (dir < 0)
		return dir;
	keep_copy(dir, l->user, data, len);
	l->image = (struct ledger_image){ .header.flags = LEDGER_UNSURE | LEDGER_UNKNOWN };
	l->set_aside = true;
	r = ledger_update(l);
	if (r == 0 && ftruncate(l->fd, LEDGER_ENTRY) < 0)
		r = -errno;
	return r < 0 ? r : ledger_ask_count(l->root);
}

/* Nobody has been charged yet, as far as the name tells. */
static int
begin_anew(struct ledger *l)
{
	l->image = (struct ledger_image){ .header.flags = LEDGER_UNSURE };
	return ledger_update(l);
}

/* What was killed between the two writes of a settlement is brought to its end. */
static int
finish(struct ledger *l)
{
	const struct ledger_record none = { .state = LEDGER_FREE };
	uint32_t done = l->image.header.done;
	int r;

	if (done == 0)
		return 0;
	r = ledger_put(l, done - 1, &none);
	l->image.header.done = 0;
	return r < 0 ? r : ledger_update(l);
}

static int
read_image(struct ledger *l, size_t size)
{
	auto_free uint8_t *data = NULL;
	ssize_t n;
	int r;

	size = size < LEDGER_FILE_MAX ? size : LEDGER_FILE_MAX + 1;
	data = malloc(size);
	if (data == NULL)
		return -ENOMEM;
	n = pread(l->fd, data, size, 0);
	if (n < 0)
		return -errno;
	r = ledger_read(data, (size_t)n, &l->image);
	if (r == -EBADMSG)
		return set_aside(l, data, (size_t)n);
	return r < 0 ? r : finish(l);
}

/* 0; -ESTALE: the file has been removed meanwhile. */
static int
read_locked(struct ledger *l)
{
	struct stat st;

	if (fstat(l->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_nlink == 0)
		return -ESTALE;
	return st.st_size == 0 ? begin_anew(l) : read_image(l, (size_t)st.st_size);
}

int
ledger_lock(struct ledger *l)
{
	int r;

	do {
		r = l->fd < 0 ? open_file(l) : 0;
		if (r == 0)
			r = lock_header(l);
		if (r < 0)
			return r;
		r = read_locked(l);
		if (r == -ESTALE)
			close_fd(&l->fd);
	} while (r == -ESTALE);
	if (r < 0)
		ledger_unlock(l);
	return r;
}

void
ledger_unlock(struct ledger *l)
{
	ledger_image_done(&l->image);
	(void)ledger_lock_entry(l->fd, F_UNLCK, 0);
}

int
ledger_ask_count(int root)
{
	auto_close int dir = reserved_make(root, RESERVED_QUOTA, false);
	auto_close int fd = -1;

	if (dir < 0)
		return dir;
	fd = path_open(dir, LEDGER_ASKED, O_WRONLY | O_CREAT, 0600, false);
	return fd < 0 ? fd : 0;
}
