/*
 * Bytes that nobody else may see: read with a bound, wiped before their memory goes to others.
 */
#pragma once

#include <stddef.h>

#define auto_secret __attribute__((cleanup(secret_done)))

enum { SECRET_PASSWORD_MAX = 1024, SECRET_FILE_MAX = 64 << 10 };

struct secret {
	char *text; /* NULL: none; else with a NUL behind its len bytes */
	size_t len;
};

/* Wipes it; it is none then. */
void secret_done(struct secret *s);

/* Takes over what *from has, and leaves none there. */
void secret_move(struct secret *s, struct secret *from);

/* A copy of len bytes. -ENOMEM. */
int secret_set(struct secret *s, const char *text, size_t len);

/* All that can be read, at most SECRET_FILE_MAX bytes. -EFBIG, -ENOMEM, -EINTR after Ctrl-C,
 * -errno. */
int secret_read(int fd, struct secret *ret);

/* The whole of a regular file that only its owner can look into, who is the user or root. -EPERM:
 * others can; -EINVAL: no regular file; else as above. */
int secret_read_file(int dir, const char *name, struct secret *ret);

/* Leaves the first line of what was read, without its end. -EINVAL: that is no password: nothing,
 * longer than SECRET_PASSWORD_MAX, or not UTF-8. */
int secret_first_line(struct secret *s);
