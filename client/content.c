#include "client/content.h"

#include <errno.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "lib/err.h"
#include "lib/own.h"

enum { DIGEST_CHUNK = 256 << 10 };

void
content_init(struct content *c, int fd, uint64_t size, bool sparse)
{
	*c = (struct content){ .fd = fd, .size = size, .sparse = sparse };
	if (!sparse)
		c->data_end = size;
}

void
content_init_part(struct content *c, int fd, uint64_t first, uint64_t end, bool sparse)
{
	content_init(c, fd, end, sparse);
	c->at = first;
	c->part = true;
}

/* Where the hole that begins at c->at ends; at itself where there is data. File systems that know
 * no holes say that all is data. */
static uint64_t
hole_end(struct content *c)
{
	off_t data = lseek(c->fd, (off_t)c->at, SEEK_DATA);
	off_t end;

	if (data < 0)
		return errno == ENXIO ? c->size : c->at;
	if ((uint64_t)data > c->size)
		return c->size;
	end = lseek(c->fd, data, SEEK_HOLE);
	c->data_end = end < 0 || (uint64_t)end > c->size ? c->size : (uint64_t)end;
	return (uint64_t)data;
}

static ssize_t
read_some(struct content *c, void *buf, size_t n)
{
	ssize_t got;

	do {
		if (c->size == CONTENT_UNKNOWN)
			got = read(c->fd, buf, n);
		else
			got = pread(c->fd, buf, n, (off_t)c->at);
	} while (got < 0 && errno == EINTR && !interrupt_seen());
	return got < 0 ? -errno : got;
}

/* The end of the file was reached, as its size says: is there more now? */
static int
at_end(struct content *c)
{
	char more;
	ssize_t n = read_some(c, &more, 1);

	if (n < 0)
		return (int)n;
	return n > 0 ? -FTD_E_changed : 0;
}

int
content_next(struct content *c, void *buf, size_t max, struct content_run *ret)
{
	ssize_t n;

	if (c->size != CONTENT_UNKNOWN && c->at == c->size)
		return c->part ? 0 : at_end(c);
	if (c->sparse && c->at >= c->data_end) {
		uint64_t end = hole_end(c);

		if (end > c->at) {
			*ret = (struct content_run){ .len = end - c->at, .hole = true };
			c->at = end;
			return 1;
		}
		if (c->data_end <= c->at)
			c->data_end = c->size;
	}
	if (c->size != CONTENT_UNKNOWN && max > c->data_end - c->at)
		max = (size_t)(c->data_end - c->at);
	n = read_some(c, buf, max);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return c->size == CONTENT_UNKNOWN ? 0 : -FTD_E_changed;
	c->at += (uint64_t)n;
	*ret = (struct content_run){ .len = (uint64_t)n };
	return 1;
}

static void
free_digest(struct digest **d)
{
	(void)digest_free(*d);
}

int
content_digest(int fd, uint64_t size, bool sparse, enum digest_algorithm a,
	       struct digest_value *ret)
{
	__attribute__((cleanup(free_digest))) struct digest *d = NULL;
	auto_free uint8_t *buf = NULL;
	struct content_run run;
	struct content c;
	int r;

	r = digest_new(a, &d);
	if (r < 0)
		return r;
	buf = malloc(DIGEST_CHUNK);
	if (buf == NULL)
		return -ENOMEM;
	content_init(&c, fd, size, sparse);
	while ((r = content_next(&c, buf, DIGEST_CHUNK, &run)) > 0) {
		if (interrupt_seen())
			return -EINTR;
		if (run.hole)
			digest_update_zeros(d, run.len);
		else
			digest_update(d, buf, (size_t)run.len);
	}
	if (r < 0)
		return r;
	digest_final(d, ret);
	return 0;
}

int
content_block(int fd, uint64_t at, size_t n, uint8_t *buf, uint8_t ret[16])
{
	struct content c;
	struct content_run run;
	size_t got = 0;
	int r = 1;

	content_init_part(&c, fd, at, at + n, false);
	while (got < n && r > 0) {
		r = content_next(&c, buf + got, n - got, &run);
		got += r > 0 ? (size_t)run.len : 0;
	}
	if (r < 0)
		return r;
	digest_block(buf, n, ret);
	return 0;
}
