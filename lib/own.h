/*
 * Ownership that a reader can see: resources are declared with their clean-up and leave a function
 * only through take_*(). Nothing here logs or fails.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#define auto_close __attribute__((cleanup(own_closep)))
#define auto_free __attribute__((cleanup(own_freep)))
#define auto_json __attribute__((cleanup(own_jsonp)))
#define auto_dir __attribute__((cleanup(own_dirp)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void
own_closep(int *fd)
{
	if (*fd >= 0) {
		int e = errno;

		(void)close(*fd);
		errno = e;
	}
}

static inline void
own_freep(void *p)
{
	free(*(void **)p);
}

static inline void
own_jsonp(json_t **p)
{
	json_decref(*p);
}

static inline void
own_dirp(DIR **p)
{
	if (*p != NULL)
		(void)closedir(*p);
}

/* The descriptor, which is no longer the variable's to close. */
static inline int
take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/* Closes *fd if it is open and leaves -1. */
static inline void
close_fd(int *fd)
{
	own_closep(fd);
	*fd = -1;
}

/* The pointer, which is no longer the variable's to free. */
#define take_ptr(p)                         \
	__extension__({                     \
		__typeof__(p) take_v = (p); \
		(p) = NULL;                 \
		take_v;                     \
	})
