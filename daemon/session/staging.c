#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <syslog.h>

#include <linux/fs.h>

#include "daemon/common/partial.h"
#include "daemon/common/reserved.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sweep.h"
#include "daemon/session/quota.h"
#include "daemon/session/sync.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	TRIES = 8,
	/* extended attributes, and whoever opens it again, ask the mode, not our descriptor */
	MODE_WHILE_STAGED = 0600,
};

/* The staging directory of the share. The daemon makes it; where users have uids of their own, its
 * keeper does, and what a killed session of the same user left there is swept by the next. */
static int
open_directory(const struct session *s, int root)
{
	size_t removed = 0;
	int fd = reserved_open(root, RESERVED_STAGING);

	if (!s->own_uid)
		return fd != -ENOENT ? fd
				     : reserved_make(root, RESERVED_STAGING, s->config->own_uids);
	if (fd < 0)
		return fd == -ENOENT || fd == -EACCES ? -EBUSY : fd;
	(void)sweep_share(root, NULL, &removed);
	return fd;
}

static int
look_at(int dir, struct statx *ret)
{
	return statx(dir, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0 ? -errno
											: 0;
}

static int
prepare_share(const struct session *s, struct session_share *share)
{
	auto_close int fd = -1;
	struct statx st;
	int r;

	if (share->ftd >= 0 && !shares_gone(share->ftd))
		return 0;
	close_fd(&share->ftd);
	if (share->root < 0)
		return -EIO;
	fd = open_directory(s, share->root);
	if (fd < 0)
		return fd;
	r = look_at(fd, &st);
	if (r < 0)
		return r;
	share->ftd_mount = st.stx_mnt_id;
	share->ftd_whole = sync_is_whole(fd);
	share->ftd = take_fd(&fd);
	return 0;
}

/* Whether a file renamed into the directory would differ from one that was created there. */
static bool
gives_properties(int dir, const struct statx *st)
{
	struct fsxattr x;

	if (st->stx_mode & S_ISGID)
		return true;
	if (fgetxattr(dir, "system.posix_acl_default", NULL, 0) > 0)
		return true;
	return ioctl(dir, FS_IOC_FSGETXATTR, &x) == 0 && (x.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0;
}

/* Locks a fresh file. 1; 0: keeper was faster and takes it for an orphan; -errno. */
static int
lock_fresh(int fd, mode_t *ret_mode)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
		return errno == EAGAIN || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_mode = st.st_mode & 07777;
	return st.st_nlink > 0;
}

/* Makes and locks a file. 1; 0: not this name, but another will do; -errno. */
static int
make_locked(int dir, const char *name, mode_t mode, int *ret_fd, mode_t *ret_mode)
{
	auto_close int fd = path_open(dir, name, O_RDWR | O_CREAT | O_EXCL, mode, false);
	int r;

	if (fd < 0)
		return fd == -EEXIST ? 0 : fd;
	r = lock_fresh(fd, ret_mode);
	if (r < 0)
		(void)unlinkat(dir, name, 0);
	if (r == 1)
		*ret_fd = take_fd(&fd);
	return r;
}

/* The note that tells keeper where the file with the same number lies. */
static int
make_note(const struct place *target, struct staging *st)
{
	const char *slash = strrchr(target->rest, '/');
	mode_t mode;
	int r;

	r = make_locked(st->home, st->marker, 0600, &st->marker_fd, &mode);
	if (r <= 0 || slash == NULL)
		return r;
	r = io_write_full(st->marker_fd, target->rest, (size_t)(slash - target->rest));
	return r < 0 ? r : 1;
}

static int
make_elsewhere(const struct place *target, mode_t mode, struct staging *st)
{
	int r;

	(void)staged_name(&st->id, STAGED_NOTE, st->marker);
	(void)staged_name_elsewhere(&st->id, st->name);
	r = make_note(target, st);
	if (st->marker_fd < 0)
		st->marker[0] = '\0'; /* whatever has that name is not ours */
	if (r <= 0)
		return r;
	return make_locked(st->dir, st->name, mode, &st->fd, &st->mode);
}

static int
make_here(mode_t mode, struct staging *st)
{
	(void)staged_name(&st->id, "", st->name);
	return make_locked(st->dir, st->name, mode, &st->fd, &st->mode);
}

/* Everything of it but the file. */
static int
describe(struct session *s, const struct place *target, int target_dir, struct staging *ret)
{
	struct session_share *share = &s->shares[target->share];
	struct statx dir;
	int r;

	r = prepare_share(s, share);
	if (r == 0)
		r = look_at(target_dir, &dir);
	if (r < 0)
		return r;
	*ret = (struct staging){
		.home = share->ftd,
		.share = target->share,
		/* the staging directory is for all where users have uids of their own: their
		 * content is not */
		.elsewhere = s->own_uid || dir.stx_mnt_id != share->ftd_mount ||
			     gives_properties(target_dir, &dir),
		.fd = -1,
		.marker_fd = -1,
		.target_device = makedev(dir.stx_dev_major, dir.stx_dev_minor),
		.target_inode = dir.stx_ino,
	};
	ret->dir = ret->elsewhere ? target_dir : ret->home;
	return 0;
}

int
staging_place(struct session *s, const struct place *target, int target_dir, mode_t mode,
	      struct staging *ret)
{
	struct staging place, st;
	int r;

	r = describe(s, target, target_dir, &place);
	if (r < 0)
		return r;
	mode = quota_mode(s, target->share, mode) | MODE_WHILE_STAGED;
	for (int i = 0; i < TRIES; i++) {
		s->staged++;
		st = place;
		st.id = (struct staged_id){ .session = s->staging_id, .number = s->staged };
		r = st.elsewhere ? make_elsewhere(target, mode, &st) : make_here(mode, &st);
		if (r == 1) {
			*ret = st;
			return 0;
		}
		st.name[0] = '\0'; /* whatever has that name is not ours */
		staging_discard(s, &st);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

int
staging_restrict(const struct session *s, const struct staging *st, mode_t mode)
{
	mode_t extra = MODE_WHILE_STAGED & ~quota_mode(s, st->share, mode);

	if (extra == 0)
		return 0;
	return fchmod(st->fd, st->mode & ~extra) < 0 ? -errno : 0;
}

static void
remove_file(struct session *s, int dir, const char *name)
{
	if (name[0] == '\0' || unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return;
	rolelog(LOG_WARNING, "cannot remove the staging file %s, leaving it to the keeper: %s",
		name, strerror(errno));
	s->left = true;
}

void
staging_discard(struct session *s, struct staging *st)
{
	quota_release(s, st);
	remove_file(s, st->dir, st->name);
	remove_file(s, st->home, st->marker);
	close_fd(&st->fd);
	close_fd(&st->marker_fd);
	st->name[0] = st->marker[0] = '\0';
}

/* ---- resumable uploads */

/* As open_directory(): what the same user has not gone on with expires when they come again. */
static int
open_uploads(const struct session *s, int root)
{
	size_t removed = 0;
	int fd = reserved_open(root, RESERVED_UPLOADS);

	if (!s->own_uid)
		return fd != -ENOENT ? fd
				     : reserved_make(root, RESERVED_UPLOADS, s->config->own_uids);
	if (fd < 0)
		return fd == -ENOENT || fd == -EACCES ? -EBUSY : fd;
	(void)partial_expire(root, clock_real_ns(), s->config->uploads_keep, NULL, &removed);
	return fd;
}

int
staging_uploads(struct session *s, unsigned share)
{
	struct session_share *h = &s->shares[share];
	int root = shares_root(s, share);

	if (h->uploads >= 0 && shares_gone(h->uploads))
		close_fd(&h->uploads);
	if (h->uploads < 0 && root >= 0)
		h->uploads = open_uploads(s, root);
	return root >= 0 ? h->uploads : root;
}

static int
describe_kept(struct session *s, const struct place *target, int target_dir,
	      const struct staged_id *id, struct staging *ret)
{
	int r = describe(s, target, target_dir, ret);

	if (r == 0)
		r = staging_uploads(s, target->share);
	if (r < 0)
		return r;
	if (!ret->elsewhere)
		ret->dir = r;
	ret->home = r;
	ret->id = *id;
	return 0;
}

int
staging_keep(struct session *s, const struct place *target, int target_dir, mode_t mode,
	     const struct staged_id *id, struct staging *ret)
{
	char name[STAGED_NAME_MAX];
	struct staging st;
	int r = describe_kept(s, target, target_dir, id, &st);

	if (r < 0)
		return r;
	(void)unlinkat(st.home, staged_name(id, "", name), 0);
	(void)unlinkat(st.home, staged_name(id, STAGED_NOTE, name), 0);
	(void)unlinkat(target_dir, staged_name_elsewhere(id, name), 0);
	mode = quota_mode(s, target->share, mode) | MODE_WHILE_STAGED;
	r = st.elsewhere ? make_elsewhere(target, mode, &st) : make_here(mode, &st);
	if (r == 1) {
		*ret = st;
		return 0;
	}
	staging_discard(s, &st);
	return r < 0 ? r : -EBUSY;
}

int
staging_resume(struct session *s, const struct place *target, int target_dir, bool elsewhere,
	       const struct staged_id *id, uint64_t size, struct staging *ret)
{
	struct staging st;
	struct stat is;
	int r = describe_kept(s, target, target_dir, id, &st);

	if (r < 0)
		return r;
	st.elsewhere = elsewhere;
	st.dir = elsewhere ? target_dir : st.home;
	if (elsewhere) {
		(void)staged_name_elsewhere(id, st.name);
		(void)staged_name(id, STAGED_NOTE, st.marker);
	} else {
		(void)staged_name(id, "", st.name);
	}
	st.fd = path_open(st.dir, st.name, O_RDWR, 0, false);
	if (st.fd < 0)
		return st.fd == -ENOENT ? -FTD_E_upload_unknown : st.fd;
	r = fstat(st.fd, &is) < 0 ? -errno : 0;
	if (r == 0 && (!S_ISREG(is.st_mode) || (s->own_uid && is.st_uid != geteuid())))
		r = -FTD_E_upload_unknown;
	if (r < 0) {
		close_fd(&st.fd);
		return r;
	}
	st.mode = is.st_mode & 07777;
	st.allocated = (uint64_t)is.st_blocks * 512 >= size;
	*ret = st;
	return 0;
}

void
staging_leave(struct staging *st)
{
	close_fd(&st->fd);
	close_fd(&st->marker_fd);
	st->name[0] = st->marker[0] = '\0';
	st->hold.state = LEDGER_FREE;
}
