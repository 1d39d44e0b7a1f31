#include "daemon/common/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/path.h"

#define NOTE_SUFFIX ".at"
enum { ID_MAX = 48 };

/* "<16 hex digits>-<digits>", as sessions name what they stage. */
static bool
is_id(const char *name, size_t len)
{
	size_t hex = strspn(name, "0123456789abcdef");

	if (hex != 16 || len > ID_MAX || name[hex] != '-' || len == hex + 1)
		return false;
	return hex + 1 + strspn(name + hex + 1, "0123456789") >= len;
}

/* The file, locked by us: nobody else uses it. -EAGAIN: somebody does. */
static int
open_unused(int dir, const char *name)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	auto_close int fd = path_open(dir, name, O_RDWR, 0, false);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return take_fd(&fd);
}

static int
remove_unused(int dir, const char *name, size_t *removed)
{
	auto_close int fd = open_unused(dir, name);

	if (fd < 0)
		return fd;
	if (unlinkat(dir, name, 0) < 0)
		return -errno;
	(*removed)++;
	return 0;
}

/* A note says in which directory the file of its id lies. */
static int
follow_note(int root, int staging, const char *note, size_t id_len, size_t *removed)
{
	auto_close int fd = open_unused(staging, note);
	auto_close int dir = -1;
	char where[PATH_BYTES_MAX + 1];
	char name[ID_MAX + sizeof(PATH_RESERVED) + 1];
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	n = io_read_full(fd, where, sizeof(where) - 1);
	if (n < 0)
		return (int)n;
	where[n] = '\0';
	dir = path_open(root, where, O_RDONLY | O_DIRECTORY, 0, false);
	if (dir >= 0) {
		(void)snprintf(name, sizeof(name), PATH_RESERVED "-%.*s", (int)id_len, note);
		r = remove_unused(dir, name, removed);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return unlinkat(staging, note, 0) < 0 ? -errno : 0;
}

static int
consider(int root, int staging, const char *name, size_t *removed)
{
	size_t len = strlen(name);
	size_t suffix = sizeof(NOTE_SUFFIX) - 1;

	if (is_id(name, len))
		return remove_unused(staging, name, removed);
	if (len > suffix && strcmp(name + len - suffix, NOTE_SUFFIX) == 0 &&
	    is_id(name, len - suffix))
		return follow_note(root, staging, name, len - suffix, removed);
	return 0;
}

int
sweep_share(int root, size_t *removed)
{
	auto_close int staging = reserved_open(root, RESERVED_STAGING);
	auto_dir DIR *dir = NULL;
	const struct dirent *e;
	int r;

	if (staging < 0)
		return staging == -ENOENT ? 0 : staging;
	dir = fdopendir(path_open(staging, "", O_RDONLY | O_DIRECTORY, 0, false));
	if (dir == NULL)
		return -errno;
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		r = consider(root, staging, e->d_name, removed);
		/* in use, gone meanwhile, or of another uid, whose sessions sweep it: as it should
		 * be */
		if (r < 0 && r != -EAGAIN && r != -ENOENT && r != -EINVAL && r != -EACCES)
			return r;
	}
	return -errno;
}
