#include "daemon/session/clone.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "daemon/session/content.h"
#include "lib/err.h"
#include "lib/io.h"

enum { STEP = 16 << 20 }; /* bytes between two gaps */

/* One step within data, by the kernel. 0 or -errno. */
static int
copy_range(struct clone *c, uint64_t at, size_t n)
{
	off_t in = (off_t)at, out = (off_t)at;
	ssize_t moved;

	while (n > 0) {
		moved = copy_file_range(c->from, &in, c->to, &out, n, 0);
		if (moved < 0)
			return -errno;
		if (moved == 0)
			return -FTD_E_changed;
		n -= (size_t)moved;
	}
	return 0;
}

static int
copy_by_hand(struct clone *c, uint64_t at, size_t n)
{
	uint8_t *chunk = session_chunk(c->s);
	size_t part;
	int r = chunk != NULL ? 0 : -ENOMEM;

	for (; n > 0 && r == 0; n -= part, at += part) {
		part = n < SESSION_CHUNK ? n : SESSION_CHUNK;
		r = content_read(c->from, chunk, part, at);
		if (r == 0)
			r = io_pwrite_full(c->to, chunk, part, (off_t)at);
	}
	return r;
}

static bool
kernel_cannot(int r)
{
	return r == -EXDEV || r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -EPERM;
}

static int
copy_step(struct clone *c, uint64_t at, size_t n)
{
	uint64_t free, total;
	int r;

	if (shares_space(c->s, c->share, &free, &total) == 0 && free < n)
		return -FTD_E_disk_full;
	r = c->by_hand ? -EXDEV : copy_range(c, at, n);
	if (kernel_cannot(r)) {
		c->by_hand = true;
		r = copy_by_hand(c, at, n);
	}
	return r;
}

/* Copies the data and leaves the holes out. */
static int
copy_data(struct clone *c)
{
	uint64_t at = content_seek(c->from, 0, SEEK_DATA, c->size), end;
	size_t n;
	int r;

	if (ftruncate(c->to, (off_t)c->size) < 0)
		return -errno;
	while (at < c->size) {
		for (end = content_seek(c->from, at, SEEK_HOLE, c->size); at < end; at += n) {
			n = end - at < STEP ? (size_t)(end - at) : STEP;
			r = copy_step(c, at, n);
			if (r < 0)
				return r;
			c->done = at + n;
			r = c->look(c->userdata);
			if (r < 0)
				return r;
		}
		at = content_seek(c->from, at, SEEK_DATA, c->size);
	}
	c->done = c->size;
	return 0;
}

int
clone_content(struct clone *c)
{
	int r = c->look(c->userdata);

	if (r < 0)
		return r;
	c->shares = ioctl(c->to, FICLONE, c->from) == 0;
	if (!c->shares)
		return copy_data(c);
	c->done = c->size;
	return 0;
}
