#include "daemon/common/rolelog.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int log_fd = -1;
static unsigned log_level = 6;
static uint64_t log_dropped;

void
rolelog_init(int fd, unsigned level)
{
	log_fd = fd;
	log_level = level;
}

void
rolelog_set_level(unsigned level)
{
	log_level = level;
}

static size_t
put(uint8_t *dst, size_t at, const void *src, size_t len)
{
	if (len > 0)
		memcpy(dst + at, src, len);
	return at + len;
}

/* In one piece: sendmsg() could name another socket, so roles may not have it (sandbox_guard()). */
static void
send_record(struct rolelog_record *rec, const char *path, const char *text)
{
	uint8_t whole[sizeof(*rec) + ROLELOG_PATH_MAX + ROLELOG_TEXT_MAX];
	int e = errno;
	size_t len;

	rec->dropped = log_dropped;
	len = put(whole, 0, rec, sizeof(*rec));
	len = put(whole, len, path, rec->path_len);
	len = put(whole, len, text, rec->text_len);
	if (send(log_fd, whole, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_dropped++;
	else
		log_dropped = 0;
	errno = e;
}

static uint32_t
bounded(size_t len, size_t max)
{
	return (uint32_t)(len < max ? len : max);
}

void
rolelog(unsigned level, const char *format, ...)
{
	struct rolelog_record rec = { .kind = ROLELOG_TEXT, .level = level };
	char text[ROLELOG_TEXT_MAX];
	va_list ap;
	int n;

	if (level > log_level)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0)
		return;
	rec.text_len = bounded((size_t)n, sizeof(text) - 1);
	send_record(&rec, NULL, text);
}

void
rolelog_transfer(const struct rolelog_transfer *t)
{
	struct rolelog_record rec = {
		.kind = ROLELOG_TRANSFER,
		.level = 6,
		.path_len = bounded(t->path_len, ROLELOG_PATH_MAX),
		.transfer = t->transfer,
		.bytes = t->bytes,
		.usec = t->usec,
		.parts = t->parts,
	};

	if (t->reason != NULL)
		rec.text_len = bounded(strlen(t->reason), ROLELOG_TEXT_MAX);
	(void)snprintf(rec.opt, sizeof(rec.opt), "%s", t->opt);
	(void)snprintf(rec.result, sizeof(rec.result), "%s", t->result);
	send_record(&rec, t->path, t->reason);
}
