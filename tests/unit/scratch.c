#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static char path[] = "/tmp/ftd-test.XXXXXX";

int
scratch_make(void)
{
	(void)snprintf(path, sizeof(path), "/tmp/ftd-test.XXXXXX");
	if (mkdtemp(path) == NULL)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

const char *
scratch_path(void)
{
	return path;
}

static int
remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(name);
}

void
scratch_remove(void)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
