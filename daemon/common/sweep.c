#include "daemon/common/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "lib/own.h"
#include "lib/path.h"

struct sweep {
	int root;
	sweep_release release;
	size_t *removed;
};

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

/* What was reserved for it is void first: without the file, it would count as published. */
static int
remove_unused(const struct sweep *s, const struct staged_id *id, int dir, const char *name)
{
	auto_close int fd = open_unused(dir, name);
	int r;

	if (fd < 0)
		return fd;
	r = s->release != NULL ? s->release(s->root, id) : 0;
	if (r < 0)
		return r;
	if (unlinkat(dir, name, 0) < 0)
		return -errno;
	(*s->removed)++;
	return 0;
}

/* A note says in which directory the file of its id lies. */
static int
follow_note(const struct sweep *s, const struct staged_id *id, int staging, const char *note)
{
	auto_close int fd = open_unused(staging, note);
	auto_close int dir = -1;
	char name[STAGED_NAME_MAX];
	int r;

	if (fd < 0)
		return fd;
	dir = staged_follow(s->root, fd);
	if (dir < 0 && dir != -ENOENT)
		return dir; /* without the note nobody would find the file */
	if (dir >= 0) {
		r = remove_unused(s, id, dir, staged_name_elsewhere(id, name));
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return unlinkat(staging, note, 0) < 0 ? -errno : 0;
}

static int
consider(const struct sweep *s, int staging, const char *name)
{
	size_t len = strlen(name), suffix = strlen(STAGED_NOTE);
	struct staged_id id;

	if (staged_parse(name, len, &id) == 0)
		return remove_unused(s, &id, staging, name);
	if (len > suffix && strcmp(name + len - suffix, STAGED_NOTE) == 0 &&
	    staged_parse(name, len - suffix, &id) == 0)
		return follow_note(s, &id, staging, name);
	return 0;
}

/* In use, gone meanwhile, or of another uid, whose sessions sweep it: as it should be. */
static bool
is_somebodys(int r)
{
	return r == -EAGAIN || r == -EBUSY || r == -ENOENT || r == -EINVAL || r == -EACCES;
}

int
sweep_share(int root, sweep_release release, size_t *removed)
{
	const struct sweep s = { .root = root, .release = release, .removed = removed };
	auto_close int staging = reserved_open(root, RESERVED_STAGING);
	auto_dir DIR *dir = NULL;
	const struct dirent *e;
	int r, error = 0;

	if (staging < 0)
		return staging == -ENOENT ? 0 : staging;
	dir = fdopendir(path_open(staging, "", O_RDONLY | O_DIRECTORY, 0, false));
	if (dir == NULL)
		return -errno;
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		r = consider(&s, staging, e->d_name);
		if (error == 0 && r < 0 && !is_somebodys(r))
			error = r; /* the others are none the worse for it */
	}
	return errno != 0 ? -errno : error;
}
