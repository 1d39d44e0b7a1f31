/*
 * The keeper: one process of low priority that looks after what outlives a session in the shares.
 * Orphans in staging and what they had reserved: when it starts, when a session died badly, and
 * every ten minutes. What users have of a share with a quota: count.h. What the supervisor wants to
 * know of unfinished uploads: uploads.h.
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
static int roots[CONFIG_SHARES_MAX]; /* or -errno */
static int64_t begun_ns;             /* the time of day at begun_usec */
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

/* A share whose directory could not be opened, or was removed since: another may be there now,
 * which only a keeper that begins can open. */
static bool
is_root_lost(void)
{
	struct stat st;

	for (unsigned i = 0; i < config->n_shares; i++)
		if (roots[i] < 0 || (fstat(roots[i], &st) == 0 && st.st_nlink == 0))
			return true;
	return false;
}

/* Where sessions of other uids can stage files, and keep what they have not finished. */
static void
make_for_all(unsigned share)
{
	static const char *const names[] = { RESERVED_STAGING, RESERVED_UPLOADS };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		auto_close int fd = reserved_make(roots[share], names[i], true);

		if (fd < 0)
			rolelog(4,
				"keeper: cannot make " PATH_RESERVED
				"/%s in %s, users with accounts "
				"of their own cannot upload there: %s",
				names[i], config->shares[share].root, strerror(-fd));
	}
}

/* A share that cannot be opened now is the sessions' trouble to tell; it is tried again by the next
 * keeper. */
static void
open_roots(void)
{
	for (unsigned i = 0; i < config->n_shares; i++) {
		roots[i] = open(config->shares[i].root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (roots[i] < 0)
			roots[i] = -errno;
		else if (config->own_uids)
			make_for_all(i);
	}
}

static int
enter_sandbox(void)
{
	struct sandbox_root open_ones[CONFIG_SHARES_MAX];
	size_t n = 0;
	int r = sandbox_compile(SANDBOX_KEEPER);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < config->n_shares; i++)
		if (roots[i] >= 0)
			open_ones[n++] =
			    (struct sandbox_root){ .fd = roots[i], .access = SANDBOX_READ_WRITE };
	r = sandbox_landlock(open_ones, n);
	if (r < 0 && config->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_KEEPER);
}

static int
take(const struct packet_keeper *p)
{
	if (p->type != KEEPER_SWEEP)
		return uploads_answer(ROLE_FD_HOUSE, p, config, roots);
	sweep_wanted = true; /* one serves all that wait */
	return 0;
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
tell(const char *what, unsigned share, int r)
{
	if (r < 0)
		rolelog(4, "keeper: cannot look through the %s of %s: %s", what,
			config->shares[share].root, strerror(-r));
}

static void
sweep_all(void)
{
	size_t removed = 0, expired = 0;

	for (unsigned i = 0; i < config->n_shares && !attend(); i++) {
		if (roots[i] < 0)
			continue;
		tell("staging", i, sweep_share(roots[i], ledgers_release, &removed));
		tell("unfinished uploads", i,
		     partial_expire(roots[i], now_ns(), config->uploads_keep, ledgers_release,
				    &expired));
	}
	count_reclaim(config, roots);
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
	int step = count_wanted(config) ? LOOK_MS : PERIOD_MS;
	uint64_t next = 0;

	for (;;) {
		if (sweep_wanted || clock_usec() >= next) {
			if (next != 0 && is_root_lost())
				return ROLE_EXIT_OK;
			sweep_wanted = false;
			sweep_all();
			next = clock_usec() + PERIOD_MS * USEC_PER_MSEC;
		}
		count_due(config, roots, attend);
		/* what was asked for while it was busy is not slept upon */
		if (poll(&p, 1, sweep_wanted ? 0 : step) < 0 && errno != EINTR)
			return ROLE_EXIT_BROKEN;
		if (attend())
			return exit_status;
	}
}

int
keeper_main(void)
{
	int r;

	if (role_begin("ftd-keeper") < 0)
		return ROLE_EXIT_SETUP;
	if (role_map_config(ROLE_FD_CONFIG, &config) < 0)
		return ROLE_EXIT_SETUP;
	begun_ns = clock_real_ns();
	begun_usec = clock_usec();
	rolelog_init(ROLE_FD_LOG, config->log_level);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
	open_roots();
	r = enter_sandbox();
	if (r < 0) {
		rolelog(3, "keeper: cannot enter the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return loop();
}
