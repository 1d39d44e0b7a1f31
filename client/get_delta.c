/* A large file that is there already, in another version: its part begins as a copy of it, so that
 * only what differs is fetched. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/content.h"
#include "client/get.h"
#include "client/interrupt.h"
#include "lib/io.h"
#include "lib/own.h"

enum { LARGE = 64 << 20, CHUNK = 256 << 10 };

/* Holes are left out. 0 or negative. */
static int
copy(int from, int to, uint64_t size)
{
	auto_free uint8_t *buf = malloc(CHUNK);
	struct content content;
	struct content_run run;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	content_init(&content, from, size, true);
	while ((r = content_next(&content, buf, CHUNK, &run)) > 0) {
		if (interrupt_seen())
			return -EINTR;
		if (run.hole)
			continue;
		r = io_pwrite_full(to, buf, (size_t)run.len, (off_t)(content.at - run.len));
		if (r < 0)
			return r;
	}
	return r == 0 && ftruncate(to, (off_t)size) < 0 ? -errno : r;
}

void
get_begin_as(const struct get *g, const struct part *part, const char *leaf)
{
	struct progress *progress = &g->client->report.progress;
	auto_close int fd = -1;
	struct stat st;

	if (!g->delta || part_held(part) != 0)
		return;
	fd = path_open(part->dir, leaf, O_RDONLY, 0, false);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < LARGE)
		return;
	if (ioctl(part->fd, FICLONE, fd) == 0)
		return;
	progress_phase(progress, "copying");
	if (copy(fd, part->fd, (uint64_t)st.st_size) < 0)
		(void)!ftruncate(part->fd, 0);
	progress_phase(progress, NULL);
}
