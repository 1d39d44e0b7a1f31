#include "daemon/keeper/disk.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lib/io.h"

static int
look(const struct config_share *share, struct packet_kept *k)
{
	struct statvfs fs;
	struct stat st;

	if (stat(share->root, &st) < 0 || statvfs(share->root, &fs) < 0)
		return -errno;
	k->held = (uint64_t)fs.f_bavail * fs.f_frsize;
	k->size = (uint64_t)fs.f_blocks * fs.f_frsize;
	if (fs.f_files > 0 && fs.f_favail == 0)
		k->flags |= KEPT_FULL_OF_FILES;
	if ((fs.f_flag & ST_RDONLY) != 0)
		k->flags |= KEPT_READ_ONLY;
	if (share->device != 0 && share->device != st.st_dev)
		k->flags |= KEPT_ELSEWHERE;
	return 0;
}

int
disk_answer(int sock, const struct packet_keeper *question, const struct config_share *share)
{
	struct packet_kept k = { .type = KEPT_DISK, .serial = question->serial };
	int r;

	k.error = look(share, &k);
	r = io_send_packet(sock, &k, sizeof(k), NULL, 0, 0);
	k.type = KEPT_END;
	return r < 0 ? r : io_send_packet(sock, &k, sizeof(k), NULL, 0, 0);
}
