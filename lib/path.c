#include "lib/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "lib/err.h"
#include "lib/own.h"

enum { OPEN_TRIES = 8 };

int
path_check_component(const char *name, size_t len)
{
	if (len == 0 || len > PATH_COMPONENT_MAX)
		return -FTD_E_bad_name;
	if (memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL)
		return -FTD_E_bad_name;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -FTD_E_bad_name;
	return 0;
}

bool
path_is_reserved(const char *name, size_t len)
{
	return len >= strlen(PATH_RESERVED) &&
	       memcmp(name, PATH_RESERVED, strlen(PATH_RESERVED)) == 0;
}

int
path_check_visible(const char *name, size_t len)
{
	return path_is_reserved(name, len) ? -FTD_E_bad_name : path_check_component(name, len);
}

int
path_from_wire(const char *name, size_t len, char *dst)
{
	const char *at, *slash;
	size_t left, n;
	int r;

	if (len == 0 || len > PATH_BYTES_MAX)
		return -FTD_E_bad_name;
	at = name[0] == '/' ? name + 1 : name;
	len -= (size_t)(at - name);
	for (left = len; left > 0;) {
		slash = memchr(at + len - left, '/', left);
		n = slash != NULL ? (size_t)(slash - (at + len - left)) : left;
		r = path_check_visible(at + len - left, n);
		if (r < 0)
			return r;
		left -= n;
		if (slash != NULL && --left == 0)
			return -FTD_E_bad_name; /* a slash at the end */
	}
	memcpy(dst, at, len);
	dst[len] = '\0';
	return (int)len;
}

/* openat2() fails with EAGAIN when something was renamed while it looked: worth another try. */
static int
open_beneath(int dir, const char *rel, const struct open_how *how)
{
	long fd;

	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = syscall(SYS_openat2, dir, rel, how, sizeof(*how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN)
			break;
	}
	return -errno;
}

int
path_open(int dir, const char *rel, int flags, mode_t mode, bool follow_inside)
{
	bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.mode = creates ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	flags |= O_CLOEXEC;
	if (!follow_inside) {
		how.resolve |= RESOLVE_NO_SYMLINKS;
		if ((flags & O_DIRECTORY) == 0) /* else a link would be ENOTDIR, not ELOOP */
			flags |= O_NOFOLLOW;
	}
	if ((flags & O_PATH) == 0) /* which openat2() takes with none of these */
		flags |= O_NONBLOCK | O_NOCTTY;
	how.flags = (unsigned)flags;
	return open_beneath(dir, rel[0] != '\0' ? rel : ".", &how);
}

/* Opens the directory named by the first len bytes of rel. */
static int
open_prefix(int dir, const char *rel, size_t len, bool follow_inside)
{
	char prefix[PATH_BYTES_MAX + 1];

	if (len > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	memcpy(prefix, rel, len);
	prefix[len] = '\0';
	return path_open(dir, prefix, O_RDONLY | O_DIRECTORY, 0, follow_inside);
}

int
path_open_parent(int dir, const char *rel, bool follow_inside, const char **ret_leaf)
{
	const char *slash = strrchr(rel, '/');
	int fd;

	if (rel[0] == '\0')
		return -EINVAL;
	fd = open_prefix(dir, rel, slash != NULL ? (size_t)(slash - rel) : 0, follow_inside);
	if (fd < 0)
		return fd;
	*ret_leaf = slash != NULL ? slash + 1 : rel;
	return fd;
}

/* Makes the last component of the first len bytes of rel in its parent (open). */
static int
make_leaf(int parent, const char *rel, size_t len, const struct path_maker *maker)
{
	char path[PATH_BYTES_MAX + 1];
	const char *slash, *leaf;
	int r = 0;

	if (len > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	memcpy(path, rel, len);
	path[len] = '\0';
	slash = strrchr(path, '/');
	leaf = slash != NULL ? slash + 1 : path;
	if (maker != NULL && maker->may != NULL)
		r = maker->may(maker->userdata, path);
	if (r < 0)
		return r;
	if (mkdirat(parent, leaf, 0777) < 0)
		return errno == EEXIST ? 0 : -errno;
	return maker != NULL && maker->made != NULL ? maker->made(maker->userdata, parent) : 0;
}

int
path_make_parents(int dir, const char *rel, bool follow_inside, const struct path_maker *maker)
{
	auto_close int parent = -1;
	size_t len = strlen(rel), end = 0;
	int fd, r;

	fd = open_prefix(dir, rel, len, follow_inside);
	if (fd != -ENOENT)
		return fd;
	parent = open_prefix(dir, rel, 0, follow_inside);
	while (parent >= 0 && end < len) {
		end += strcspn(rel + end, "/");
		fd = open_prefix(dir, rel, end, follow_inside);
		if (fd == -ENOENT) {
			r = make_leaf(parent, rel, end, maker);
			if (r < 0)
				return r;
			fd = open_prefix(dir, rel, end, follow_inside);
		}
		close_fd(&parent);
		parent = fd;
		end += rel[end] == '/';
	}
	return take_fd(&parent);
}
