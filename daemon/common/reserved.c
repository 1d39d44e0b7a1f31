#include "daemon/common/reserved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/own.h"
#include "lib/path.h"

/* Also one that was made before, or under another umask. */
static int
let_all(int fd, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) == mode || st.st_uid != geteuid())
		return 0;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int
make_directory(int dir, const char *name, mode_t for_all)
{
	auto_close int fd = -1;
	int r;

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = path_open(dir, name, O_RDONLY | O_DIRECTORY, 0, false);
	if (fd < 0)
		return fd;
	r = for_all != 0 ? let_all(fd, for_all) : 0;
	return r < 0 ? r : take_fd(&fd);
}

int
reserved_open(int root, const char *name)
{
	char rel[sizeof(PATH_RESERVED) + PATH_COMPONENT_MAX + 1];

	(void)snprintf(rel, sizeof(rel), PATH_RESERVED "/%s", name);
	return path_open(root, rel, O_RDONLY | O_DIRECTORY, 0, false);
}

int
reserved_make(int root, const char *name, bool for_all)
{
	auto_close int top = make_directory(root, PATH_RESERVED, for_all ? 0711 : 0);

	return top < 0 ? top : make_directory(top, name, for_all ? 01777 : 0);
}
