#include "lib/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

enum { SIZE_MIN = 4096 };

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_done(struct buf *b)
{
	if (b->mem != NULL)
		(void)munmap(b->mem, b->size);
	buf_init(b, b->max);
}

/* Moves the content to the front of a new mapping of at least size bytes. */
static int
grow(struct buf *b, size_t size)
{
	size_t len = buf_len(b);
	size_t n = b->size > 0 ? b->size : SIZE_MIN;
	void *mem;

	while (n < size) {
		if (n > SIZE_MAX / 2)
			return -ENOMEM;
		n *= 2;
	}
	mem = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	if (b->mem != NULL) {
		memcpy(mem, b->mem + b->start, len);
		(void)munmap(b->mem, b->size);
	}
	b->mem = mem;
	b->size = n;
	b->start = 0;
	b->end = len;
	return 0;
}

static void
move_to_front(struct buf *b)
{
	size_t len = buf_len(b);

	memmove(b->mem, b->mem + b->start, len);
	b->start = 0;
	b->end = len;
}

int
buf_reserve(struct buf *b, size_t n, uint8_t **ret)
{
	size_t len = buf_len(b);
	int r;

	if (n > b->max - len)
		return -ENOBUFS;
	if (b->mem == NULL || n > b->size - b->end) {
		/* a move pays off where it frees as much as it copies, or where there is no other
		 * way */
		bool move = len + n <= b->size && (b->start >= len || b->size >= b->max);

		if (move) {
			move_to_front(b);
		} else {
			r = grow(b, len + n);
			if (r < 0)
				return r;
		}
	}
	*ret = b->mem + b->end;
	return 0;
}

size_t
buf_room(const struct buf *b)
{
	size_t mapped = b->size - b->end;
	size_t allowed = b->max - buf_len(b);

	return mapped < allowed ? mapped : allowed;
}

void
buf_added(struct buf *b, size_t n)
{
	assert(n <= buf_room(b));
	b->end += n;
}

int
buf_append(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *at;
	int r;

	if (n == 0)
		return 0;
	r = buf_reserve(b, n, &at);
	if (r < 0)
		return r;
	memcpy(at, bytes, n);
	buf_added(b, n);
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_wipe_dropped(struct buf *b)
{
	if (b->mem == NULL)
		return;
	explicit_bzero(b->mem, b->start);
	explicit_bzero(b->mem + b->end, b->size - b->end);
}

void
buf_trim(struct buf *b)
{
	if (buf_len(b) == 0)
		buf_done(b);
}
