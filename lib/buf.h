/*
 * A growing run of bytes with a maximum built in; append at the end, consume at the front.
 * Memory is mapped, so that buf_trim() gives it back to the kernel.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *mem;
	size_t start, end, size; /* mem[start..end) is the content */
	size_t max;
};

/* An empty buffer that never holds more than max bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);

static inline size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline uint8_t *
buf_data(const struct buf *b)
{
	return b->start > 0 ? b->mem + b->start : b->mem;
}

/* Room for at least n more bytes at the end (content may be moved to the front, memory grows by
 * doubling). Points *ret at it. -ENOBUFS past the maximum, -ENOMEM. */
int buf_reserve(struct buf *b, size_t n, uint8_t **ret);

/* How many bytes may be written at the end without another buf_reserve(). */
size_t buf_room(const struct buf *b);

/* n bytes of the reserved room were filled. */
void buf_added(struct buf *b, size_t n);

/* -ENOBUFS, -ENOMEM; then nothing was appended. */
int buf_append(struct buf *b, const void *bytes, size_t n);

/* Drops the first n bytes (n <= buf_len). */
void buf_consume(struct buf *b, size_t n);

/* Overwrites what lay in it and was dropped or moved: for what held a secret. */
void buf_wipe_dropped(struct buf *b);

/* Gives the memory back if the buffer is empty. */
void buf_trim(struct buf *b);
