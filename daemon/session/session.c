#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>

#include "daemon/common/rolelog.h"
#include "daemon/session/bare.h"
#include "daemon/session/quota.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "lib/text.h"

enum { LINGER_MS = 2000, LINGER_BYTES = 1 << 20, RETRY_MS = 1000 };

#define LOOK_PERIOD (250 * USEC_PER_MSEC)
#define WATCH_TIMEOUT (5 * USEC_PER_SEC)

/* ---- beginning */

/* The supervisor's poke ends a wait and does nothing else; it is let through only there. */
static void
poked(int signal)
{
	(void)signal;
}

static int
arrange_signals(void)
{
	struct sigaction action = { .sa_handler = poked };
	sigset_t urgent;

	if (sigaction(SIGURG, &action, NULL) < 0)
		return -errno;
	(void)sigemptyset(&urgent);
	(void)sigaddset(&urgent, SIGURG);
	return sigprocmask(SIG_BLOCK, &urgent, NULL) < 0 ? -errno : 0;
}

/* The slot's page still says what its last session said. */
static void
clear_report(struct board_report *r)
{
	board_write_begin(&r->seq);
	memset((uint8_t *)r + offsetof(struct board_report, state), 0,
	       sizeof(*r) - offsetof(struct board_report, state));
	r->heartbeat_usec = r->since_usec = clock_usec();
	board_write_end(&r->seq);
}

int
session_init(struct session *s, const struct session_start *start)
{
	int r;

	*s = (struct session){
		.config = start->config,
		.number = start->number,
		.subject = start->subject,
		.own_uid = start->own_uid,
		.orders = start->orders,
		.public = start->public,
		.report = start->report,
		.privilege = start->privilege,
		.hello = start->hello,
		.login = start->login,
	};
	access_view_init(&s->view, s->config, &s->subject);
	for (size_t i = 0; i < ARRAY_SIZE(s->shares); i++)
		s->shares[i].root = s->shares[i].ftd = s->shares[i].uploads = s->shares[i].digests =
		    -1;
	r = conn_init(&s->conn, start->connection);
	if (r < 0)
		return r;
	if (getrandom(&s->staging_id, sizeof(s->staging_id), 0) != (ssize_t)sizeof(s->staging_id))
		return -EIO;
	clear_report(s->report);
	return arrange_signals();
}

/* O_PATH: a drop box may be unreadable. What lies on another file system than it did when the
 * configuration was loaded is not the share: a file stored there would be hidden by the next mount.
 * Of a mount itself nothing is asked here, so one that hangs holds up who asks for its names, and
 * nobody's birth. */
static int
open_root(const struct config_share *share)
{
	auto_close int fd = openat(AT_FDCWD, share->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) < 0)
		return -errno;
	return share->device == 0 || share->device == makedev(st.stx_dev_major, st.stx_dev_minor)
		   ? take_fd(&fd)
		   : -EXDEV;
}

static const char *
why_closed(int r)
{
	return r == -EXDEV ? "another file system is there than when the configuration was loaded; "
			     "mount it again, or reload"
			   : strerror(-r);
}

void
session_open_shares(struct session *s)
{
	for (size_t i = 0; i < s->config->n_shares; i++) {
		struct session_share *share = &s->shares[i];

		share->config = &s->config->shares[i];
		if (s->view.shares[i] == 0)
			continue;
		share->root = open_root(share->config);
		if (share->root < 0)
			rolelog(LOG_ERR, "share /%s: cannot open %s, its names are refused: %s",
				share->config->path, share->config->root, why_closed(share->root));
	}
}

uint8_t *
session_chunk(struct session *s)
{
	void *p;

	if (s->chunk == NULL) {
		p = mmap(NULL, SESSION_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		s->chunk = p != MAP_FAILED ? p : NULL;
	}
	return s->chunk;
}

/* ---- serving */

bool
session_ending(const struct session *s)
{
	return s->privilege < 0 ||
	       atomic_load_explicit(&s->orders->quit, memory_order_relaxed) != BOARD_STAY;
}

bool
session_watched(const struct session *s)
{
	uint64_t last = atomic_load_explicit(&s->orders->watched_usec, memory_order_relaxed);

	return s->privilege >= 0 || clock_usec() - last < WATCH_TIMEOUT;
}

/* With a client that never lets us wait, nothing else would show that the supervisor is gone. */
static void
look_up(struct session *s)
{
	struct pollfd p = { .fd = s->privilege, .events = 0 };
	uint64_t now = clock_usec();

	if (now - s->looked_usec < LOOK_PERIOD)
		return;
	s->looked_usec = now;
	if (poll(&p, 1, 0) > 0)
		close_fd(&s->privilege);
}

static int
serve_requests(struct session *s)
{
	int r;

	r = s->login != NULL ? login_answer(s, s->login) : conn_need(s, FRAME_PREFIX, true);
	if (r < 0)
		return r;
	if (s->login == NULL && frame_first(buf_data(&s->conn.in)) == FRAME_FIRST_BARE)
		return bare_serve(s);
	while (r == 0) {
		rolelog_set_level(
		    atomic_load_explicit(&s->orders->log_level, memory_order_relaxed));
		look_up(s);
		r = session_ending(s) ? -ECANCELED : dispatch_one(s);
	}
	return r;
}

/* ---- ending */

/* Why the supervisor ends the session, as the client is told. */
static int
quit_error(const struct session *s)
{
	switch ((enum board_quit)atomic_load(&s->orders->quit)) {
	case BOARD_QUIT_IDLE:
		return -FTD_E_timeout;
	case BOARD_QUIT_KICKED:
		return -FTD_E_cancelled;
	case BOARD_QUIT_DRAINING:
	case BOARD_QUIT_RELOAD:
	case BOARD_STAY:
		break;
	}
	return -FTD_E_draining;
}

/* The last words to a client that can understand them at any time. */
static void
farewell(struct session *s, int r)
{
	const struct request none = { 0 };
	char reason[BOARD_TEXT_MAX];

	if (r == -ETIMEDOUT)
		rolelog(LOG_NOTICE, "no byte either way for too long, closing");
	if (!s->hello)
		return;
	if (r == -ETIMEDOUT)
		(void)reply_last(s, &none, -FTD_E_timeout, "no byte either way for too long", 0);
	if (r == -ECANCELED && atomic_load(&s->orders->quit) == BOARD_STAY)
		(void)reply_last(s, &none, -FTD_E_busy, "the server is starting anew", RETRY_MS);
	else if (r == -ECANCELED)
		(void)reply_last(s, &none, quit_error(s), gap_reason(s, reason),
				 atomic_load(&s->orders->retry_after_ms));
}

/* The sending side first: closing on unread bytes would take the last answers back. */
static void
close_in_order(struct session *s)
{
	struct pollfd p = { .fd = s->conn.fd, .events = POLLIN };
	uint64_t deadline = clock_usec() + LINGER_MS * USEC_PER_MSEC, now;
	uint8_t scratch[16 << 10];
	size_t seen = 0;
	ssize_t n;

	if (shutdown(s->conn.fd, SHUT_WR) < 0)
		return;
	while (!s->conn.eof && seen < LINGER_BYTES) {
		now = clock_usec();
		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) < 0)
			return;
		n = recv(s->conn.fd, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		seen += n > 0 ? (size_t)n : 0;
	}
}

void
session_serve(struct session *s)
{
	int r;

	r = serve_requests(s);
	/* what is complete is published and answered, however the rest ended */
	(void)group_flush(s);
	s->leaving = true;
	farewell(s, r);
	(void)conn_flush(s);
	close_in_order(s);
}

void
session_done(struct session *s)
{
	beat_done(s);
	quota_done(s);
	for (size_t i = 0; i < ARRAY_SIZE(s->shares); i++) {
		close_fd(&s->shares[i].root);
		close_fd(&s->shares[i].ftd);
		close_fd(&s->shares[i].uploads);
		close_fd(&s->shares[i].digests);
	}
	s->digest = digest_free(s->digest);
	conn_trim(s);
	conn_done(&s->conn);
	close_fd(&s->privilege);
}
