#include "client/confdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/own.h"

/* What the user's programs share, and ours below it. */
static int
find_base(char base[PATH_MAX])
{
	const char *given = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (given != NULL && *given == '/')
		n = snprintf(base, PATH_MAX, "%s", given);
	else if (home != NULL && *home == '/')
		n = snprintf(base, PATH_MAX, "%s/.config", home);
	else
		return -ENOENT;
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int
open_below(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int
confdir_open(void)
{
	char base[PATH_MAX];
	auto_close int dir = -1;
	int r;

	r = find_base(base);
	if (r < 0)
		return r;
	dir = open_below(AT_FDCWD, base);
	return dir < 0 ? dir : open_below(dir, "ft");
}

int
confdir_make(void)
{
	char base[PATH_MAX];
	auto_close int dir = -1;
	int r;

	r = find_base(base);
	if (r < 0)
		return r;
	if (mkdirat(AT_FDCWD, base, 0700) < 0 && errno != EEXIST)
		return -errno;
	dir = open_below(AT_FDCWD, base);
	if (dir < 0)
		return dir;
	if (mkdirat(dir, "ft", 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_below(dir, "ft");
}
