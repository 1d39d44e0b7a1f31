/*
 * A keeper: for each share root one process of low priority that looks after what outlives a
 * session there. A file system that hangs holds its keeper, and no other. Orphans in staging and
 * what they had reserved: when it starts, when a session died badly, and every ten minutes. What
 * users have of a share with a quota: count.h. What the supervisor wants to know of the disk and of
 * unfinished uploads: disk.h, uploads.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/common/packet.h"
#include "daemon/common/partial.h"
#include "daemon/common/reserved.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/common/sweep.h"
#include "daemon/keeper/count.h"
#include "daemon/keeper/disk.h"
#include "daemon/keeper/ledgers.h"
#include "daemon/keeper/uploads.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

enum {
	PERIOD_MS = 10 * 60 * 1000,
	LOOK_MS = 5000, /* somebody may ask for a count */
};

/* ioprio_set(2), for which the C library has no name */
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_CLASS_IDLE = 3, IOPRIO_CLASS_SHIFT = 13 };

static const struct config *config;
static const struct config_share *share; /* the first of this root */
static int root;                         /* or -errno */
static int64_t begun_ns;                 /* the time of day at begun_usec */
static uint64_t begun_usec;
static bool sweep_wanted;
static int exit_status = -1; /* not negative: it is to end */

/* The time of day, by which unfinished uploads grow old: a clock that jumps while we run makes none
 * older than it is. */
static int64_t
now_ns(void)
{
	return begun_ns + (int64_t)((clock_usec() - begun_usec) * NSEC_PER_USEC);
}

/* A directory that could not be opened, or was removed since: another may be there now, which only
 * a keeper that begins can open. */
static bool
is_root_lost(void)
{
	struct stat st;

	return root < 0 || (fstat(root, &st) == 0 && st.st_nlink == 0);
}

/* Where sessions of other uids can stage files, and keep what they have not finished. */
static void
make_for_all(void)
{
	static const char *const names[] = { RESERVED_STAGING, RESERVED_UPLOADS };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		auto_close int fd = reserved_make(root, names[i], true);

		if (fd < 0)
			rolelog(4,
				"keeper: cannot make " PATH_RESERVED
				"/%s in %s, users with accounts "
				"of their own cannot upload there: %s",
				names[i], share->root, strerror(-fd));
	}
}

/* What cannot be opened now is the sessions' trouble to tell; it is tried again by the next keeper.
 */
static void
open_root(void)
{
	root = open(share->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		root = -errno;
	else if (config->own_uids)
		make_for_all();
}

static int
enter_sandbox(void)
{
	const struct sandbox_root own = { .fd = root, .access = SANDBOX_READ_WRITE };
	int r = sandbox_compile(SANDBOX_KEEPER);

	if (r < 0)
		return r;
	r = sandbox_landlock(&own, root >= 0);
	if (r < 0 && config->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_KEEPER);
}

static int
take(const struct packet_keeper *p)
{
	switch (p->type) {
	case KEEPER_SWEEP:
		sweep_wanted = true; /* one serves all that wait */
		return 0;
	case KEEPER_DISK:
		return disk_answer(ROLE_FD_HOUSE, p, share);
	default:
		return uploads_answer(ROLE_FD_HOUSE, p, root);
	}
}

/* Takes what the supervisor has sent; also now and then in what takes long. Whether the keeper is
 * to end. */
static bool
attend(void)
{
	struct packet_keeper p;
	ssize_t n;
	int r;

	while (exit_status < 0) {
		n = io_recv_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, NULL, MSG_DONTWAIT);
		if (n == -EAGAIN || n == -EINTR)
			return false;
		r = n == (ssize_t)sizeof(p) ? take(&p) : -EBADMSG;
		if (n == 0 || n == -ECONNRESET ||
		    (r < 0 && r != -EBADMSG)) /* nobody is there to be answered */
			exit_status = ROLE_EXIT_OK;
		else if (r < 0)
			exit_status = ROLE_EXIT_PROTOCOL;
	}
	return true;
}

static void
tell(const char *what, int r)
{
	if (r < 0)
		rolelog(4, "keeper: cannot look through the %s of %s: %s", what, share->root,
			strerror(-r));
}

static void
sweep(void)
{
	size_t removed = 0, expired = 0;

	tell("staging", sweep_share(root, ledgers_release, &removed));
	tell("unfinished uploads",
	     partial_expire(root, now_ns(), config->uploads_keep, ledgers_release, &expired));
	count_reclaim(share, root);
	if (removed > 0)
		rolelog(6, "keeper: removed %zu unfinished files that no session holds", removed);
	if (expired > 0)
		rolelog(6, "keeper: removed %zu unfinished uploads that nobody went on with",
			expired);
}

static int
loop(void)
{
	struct pollfd p = { .fd = ROLE_FD_HOUSE, .events = POLLIN };
	int step = root >= 0 && count_wanted(share) ? LOOK_MS : PERIOD_MS;
	uint64_t next = 0;

	for (;;) {
		if (sweep_wanted || clock_usec() >= next) {
			if (next != 0 && is_root_lost())
				return ROLE_EXIT_OK;
			sweep_wanted = false;
			if (root >= 0)
				sweep();
			next = clock_usec() + PERIOD_MS * USEC_PER_MSEC;
		}
		if (root >= 0)
			count_due(share, root, attend);
		/* what was asked for while it was busy is not slept upon */
		if (poll(&p, 1, sweep_wanted ? 0 : step) < 0 && errno != EINTR)
			return ROLE_EXIT_BROKEN;
		if (attend())
			return exit_status;
	}
}

/* The first thing that is said says whose keeper this is. */
static int
learn_share(void)
{
	struct packet_keeper p;
	ssize_t n = io_recv_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, NULL, 0);

	if (n != (ssize_t)sizeof(p) || p.type != KEEPER_SHARE || p.share >= config->n_shares)
		return -EBADMSG;
	share = &config->shares[p.share];
	return 0;
}

int
keeper_main(void)
{
	int r;

	if (role_begin("ftd-keeper") < 0)
		return ROLE_EXIT_SETUP;
	if (role_map_config(ROLE_FD_CONFIG, &config) < 0)
		return ROLE_EXIT_SETUP;
	if (learn_share() < 0)
		return ROLE_EXIT_PROTOCOL;
	begun_ns = clock_real_ns();
	begun_usec = clock_usec();
	rolelog_init(ROLE_FD_LOG, config->log_level);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
	open_root();
	r = enter_sandbox();
	if (r < 0) {
		rolelog(3, "keeper: cannot enter the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return loop();
}
