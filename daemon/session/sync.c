#include "daemon/session/sync.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "lib/own.h"

enum {
	FEW_FILES = 2,        /* that many are synced one by one */
	FEW_DIRECTORIES = 16, /* as many directories */
	DEVICES = 8,
	BY_FILE = 1,
};

#define MAGIC_BCACHEFS 0xca451a4eU
#define MAGIC_CEPH 0x00c36400U
#define MAGIC_ZFS 0x2fc12fc1U

bool
sync_is_whole(int fd)
{
	/* of FUSE it writes pages back, but does not make the other side keep them */
	static const uint32_t known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
					  F2FS_SUPER_MAGIC, TMPFS_MAGIC,     OVERLAYFS_SUPER_MAGIC,
					  NFS_SUPER_MAGIC,  MAGIC_CEPH,      MAGIC_BCACHEFS,
					  MAGIC_ZFS };
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if ((uint32_t)st.f_type == known[i])
			return true;
	return false;
}

enum config_durability
sync_durability(const struct session *s, const struct publish *p)
{
	unsigned share = p->staging.share;

	/* commit syncs the file system of the share's root, if it can */
	if (p->staging.elsewhere || !s->shares[share].ftd_whole)
		return CONFIG_DURABILITY_FULL;
	return s->config->shares[share].durability;
}

const char *
sync_durability_name(enum config_durability d)
{
	static const char *const names[] = {
		[CONFIG_DURABILITY_FULL] = "full",
		[CONFIG_DURABILITY_FILE] = "file",
		[CONFIG_DURABILITY_NONE] = "none",
	};

	return names[d];
}

/* ---- file systems that were synced as a whole */

struct devices {
	unsigned n;
	struct {
		uint64_t device;
		int result; /* of syncfs; BY_FILE: cannot be trusted */
	} list[DEVICES];
};

static int
sync_one(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

/* syncfs once for each file system, where that is as good as fsync; else, or for the ninth, fsync.
 */
static int
sync_whole(struct devices *d, int fd, uint64_t device)
{
	unsigned i = 0;

	while (i < d->n && d->list[i].device != device)
		i++;
	if (i == DEVICES)
		return sync_one(fd);
	if (i == d->n) {
		d->n++;
		d->list[i].device = device;
		d->list[i].result = BY_FILE;
		if (sync_is_whole(fd))
			d->list[i].result = syncfs(fd) < 0 ? -errno : 0;
	}
	return d->list[i].result == BY_FILE ? sync_one(fd) : d->list[i].result;
}

/* ---- contents */

static bool
wants_content(const struct session *s, const struct publish *p, int result)
{
	return result >= 0 && sync_durability(s, p) != CONFIG_DURABILITY_NONE;
}

/* syncfs waits for everybody's dirty pages: not while a large upload makes many. */
static bool
one_by_one(const struct session *s, size_t n)
{
	return n <= FEW_FILES || __atomic_load_n(&s->public->large_uploads, __ATOMIC_RELAXED) > 0;
}

void
sync_contents(struct session *s, struct publish *p, size_t n, int *results)
{
	struct devices d = { 0 };
	bool single = one_by_one(s, n);
	int fd;

	for (size_t i = 0; i < n; i++) {
		if (!wants_content(s, &p[i], results[i]))
			continue;
		fd = p[i].staging.fd;
		results[i] = single ? sync_one(fd) : sync_whole(&d, fd, p[i].staging.target_device);
	}
}

/* ---- directories */

struct directories {
	unsigned n; /* FEW_DIRECTORIES + 1: too many to list */
	struct {
		uint64_t device, inode;
		bool done;
		int result;
	} list[FEW_DIRECTORIES];
	struct devices whole;
};

static bool
wants_directory(const struct session *s, const struct publish *p, int result)
{
	return result >= 0 && sync_durability(s, p) == CONFIG_DURABILITY_FULL;
}

static unsigned
find(const struct directories *d, uint64_t device, uint64_t inode)
{
	unsigned i = 0;

	while (i < d->n && (d->list[i].device != device || d->list[i].inode != inode))
		i++;
	return i;
}

static void
note(struct directories *d, uint64_t device, uint64_t inode)
{
	if (d->n > FEW_DIRECTORIES || find(d, device, inode) < d->n)
		return;
	if (d->n < FEW_DIRECTORIES) {
		d->list[d->n].device = device;
		d->list[d->n].inode = inode;
	}
	d->n++;
}

/* The directory that gets the name, and those that were made on the way to it. */
static void
note_all(struct directories *d, const struct publish *p)
{
	struct entry_stat st;

	note(d, p->staging.target_device, p->staging.target_inode);
	for (unsigned i = 0; i < p->n_made; i++)
		if (entry_stat(p->made[i], NULL, &st) == 0)
			note(d, st.device, st.inode);
}

static int
sync_directory(struct directories *d, int fd, uint64_t device, uint64_t inode)
{
	unsigned i;

	if (d->n > FEW_DIRECTORIES)
		return sync_whole(&d->whole, fd, device);
	i = find(d, device, inode);
	if (i == d->n)
		return sync_one(fd);
	if (!d->list[i].done)
		d->list[i].result = sync_one(fd);
	d->list[i].done = true;
	return d->list[i].result;
}

static int
sync_all(struct directories *d, const struct publish *p)
{
	struct entry_stat st;
	int r;

	if (p->made_many)
		return sync_whole(&d->whole, p->target_dir, p->staging.target_device);
	r = sync_directory(d, p->target_dir, p->staging.target_device, p->staging.target_inode);
	for (unsigned i = 0; i < p->n_made && r >= 0; i++) {
		r = entry_stat(p->made[i], NULL, &st);
		if (r >= 0)
			r = sync_directory(d, p->made[i], st.device, st.inode);
	}
	return r;
}

void
sync_directories(struct session *s, struct publish *p, size_t n, int *results)
{
	struct directories d = { 0 };

	for (size_t i = 0; i < n; i++)
		if (wants_directory(s, &p[i], results[i]))
			note_all(&d, &p[i]);
	for (size_t i = 0; i < n; i++)
		if (wants_directory(s, &p[i], results[i]))
			results[i] = sync_all(&d, &p[i]);
}
