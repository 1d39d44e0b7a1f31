#include "client/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "lib/own.h"
#include "lib/text.h"

void
secret_done(struct secret *s)
{
	if (s->text != NULL)
		explicit_bzero(s->text, s->len);
	free(s->text);
	*s = (struct secret){ .text = NULL };
}

void
secret_move(struct secret *s, struct secret *from)
{
	secret_done(s);
	*s = *from;
	*from = (struct secret){ .text = NULL };
}

int
secret_set(struct secret *s, const char *text, size_t len)
{
	struct secret copy = { .text = malloc(len + 1), .len = len };

	if (copy.text == NULL)
		return -ENOMEM;
	memcpy(copy.text, text, len);
	copy.text[len] = '\0';
	secret_move(s, &copy);
	return 0;
}

int
secret_read(int fd, struct secret *ret)
{
	auto_secret struct secret s = { .text = malloc(SECRET_FILE_MAX + 1) };
	ssize_t n;

	if (s.text == NULL)
		return -ENOMEM;
	while ((n = read(fd, s.text + s.len, SECRET_FILE_MAX + 1 - s.len)) != 0) {
		if (n < 0 && (errno != EINTR || interrupt_seen()))
			return -errno;
		if (n > 0)
			s.len += (size_t)n;
		if (s.len > SECRET_FILE_MAX)
			return -EFBIG;
	}
	s.text[s.len] = '\0';
	secret_move(ret, &s);
	return 0;
}

int
secret_read_file(int dir, const char *name, struct secret *ret)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & 077) != 0 || (st.st_uid != geteuid() && st.st_uid != 0))
		return -EPERM;
	return secret_read(fd, ret);
}

int
secret_first_line(struct secret *s)
{
	char *end = memchr(s->text, '\n', s->len);
	size_t len = end != NULL ? (size_t)(end - s->text) : s->len;

	if (len > 0 && s->text[len - 1] == '\r')
		len--;
	explicit_bzero(s->text + len, s->len - len);
	s->len = len;
	if (len == 0 || len > SECRET_PASSWORD_MAX || memchr(s->text, '\0', len) != NULL ||
	    !text_utf8_valid(s->text, len))
		return -EINVAL;
	return 0;
}
