/* The house of the sessions: prepares everything once; then only takes sockets and clones. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/capabilities.h"
#include "daemon/common/creds.h"
#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/session/session.h"
#include "lib/own.h"

enum { DESCRIPTORS = 4096, MEMORY_MAX = 192 << 20 };

static struct {
	const struct config *config;
	const struct board_public *public;
} house;

/* ---- a session, from its birth */

/* A group of small uploads holds two descriptors each. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool
is_writable(const struct session *s, size_t share)
{
	return (s->view.shares[share] & ~(unsigned)(RIGHT_READ | RIGHT_LIST)) != 0;
}

/* Files: exactly the roots that were opened. */
static int
enter_sandbox(const struct session *s)
{
	struct sandbox_root roots[CONFIG_SHARES_MAX];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < s->config->n_shares; i++)
		if (s->shares[i].root >= 0)
			roots[n++] = (struct sandbox_root){
				.fd = s->shares[i].root,
				.access =
				    is_writable(s, i) ? SANDBOX_READ_WRITE : SANDBOX_READ_ONLY,
			};
	r = sandbox_landlock(roots, n);
	if (r < 0 && s->config->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_SESSION);
}

/* The user's own uid, where there is one. What a session is born with to become it, none keeps. */
static int
become(const struct packet_birth *birth)
{
	char account[sizeof(birth->account)];
	int r;

	(void)snprintf(account, sizeof(account), "%s", birth->account);
	if (account[0] == '\0')
		return geteuid() != 0 ? capabilities_drop() : 0;
	r = creds_become(account);
	if (r < 0)
		rolelog(LOG_ERR, "cannot become %s: %s", account,
			r == -EPERM ? "it is root" : strerror(-r));
	return r;
}

static int
start_of(const struct packet_birth *birth, int connection, int privilege, struct session_start *ret)
{
	*ret = (struct session_start){
		.config = house.config,
		.public = house.public,
		.orders = board_map_slot(ROLE_FD_ORDERS, birth->slot, false),
		.report = board_map_slot(ROLE_FD_REPORTS, birth->slot, true),
		.number = birth->connection,
		.subject = { .loopback = (birth->flags & BIRTH_LOOPBACK) != 0 },
		.own_uid = birth->account[0] != '\0',
		.hello = (birth->flags & BIRTH_HELLO) != 0,
		.login = (birth->flags & BIRTH_LOGIN) != 0 ? birth : NULL,
		.connection = connection,
		.privilege = privilege,
	};
	if (ret->orders == NULL || ret->report == NULL)
		return -ENOMEM;
	memcpy(ret->subject.user, ret->orders->user, USER_NAME_MAX);
	return 0;
}

static int
exit_status(const struct session *s)
{
	if (s->left)
		return ROLE_EXIT_LEFT;
	return s->nonsense ? ROLE_EXIT_CLIENT : ROLE_EXIT_OK;
}

static int
session_main(const struct packet_birth *birth, int connection, int privilege)
{
	const int keep[] = { ROLE_FD_LOG, connection, privilege };
	struct session_start start;
	struct session s;
	int r;

	role_set_name("ftd-session");
	role_reset_signals();
	raise_descriptors();
	r = start_of(birth, connection, privilege, &start);
	role_close_others(STDERR_FILENO, keep, ARRAY_SIZE(keep));
	if (r == 0)
		r = become(birth);
	if (r == 0)
		r = session_init(&s, &start);
	if (r == 0) {
		session_open_shares(&s);
		r = enter_sandbox(&s);
	}
	if (r < 0) { /* never served without the sandbox */
		rolelog(LOG_ERR, "cannot start a session, dropping the connection: %s",
			strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	session_serve(&s);
	report_end(&s, exit_status(&s));
	return exit_status(&s);
}

static void
child(const struct packet_birth *birth, const int *fds)
{
	_exit(session_main(birth, fds[BIRTH_CONNECTION], fds[BIRTH_PRIVILEGE]));
}

/* ---- the house */

/* What a library would otherwise look up behind the sandbox, or seed from the clock. */
static void
prepare_libraries(void)
{
	struct digest *d = NULL;

	json_object_seed(0);
	tzset();
	if (digest_new(DIGEST_SHA256, &d) == 0) /* reads OpenSSL's configuration */
		d = digest_free(d);
}

static int
take_maps(void)
{
	int r;

	r = role_map_config(ROLE_FD_CONFIG, &house.config);
	if (r < 0)
		return r;
	rolelog_init(ROLE_FD_LOG, (unsigned)house.config->log_level);
	house.public = board_map_public(ROLE_FD_PUBLIC);
	(void)close(ROLE_FD_PUBLIC);
	return house.public != NULL ? 0 : -errno;
}

int
sessionhouse_main(void)
{
	int r;

	r = role_begin("ftd-sessionhouse");
	if (r == 0)
		r = take_maps();
	if (r == 0)
		r = role_limit_memory(MEMORY_MAX);
	if (r < 0)
		return ROLE_EXIT_SETUP;
	prepare_libraries();
	r = sandbox_compile(SANDBOX_SESSION);
	if (r < 0) {
		rolelog(LOG_ERR, "cannot prepare the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return house_loop(child, BIRTH_STREAM);
}
