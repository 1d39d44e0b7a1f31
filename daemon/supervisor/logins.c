#include "daemon/supervisor/logins.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/asks.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/penalties.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/users.h"

enum { VERIFIER_NICE = 5 };
#define VERIFIER_TIMEOUT (10 * USEC_PER_SEC)

struct login {
	struct login *next;   /* in the order in which they came */
	struct connection *c; /* NULL: has its answer, or nobody waits for one any more */
	struct packet_gate head;
	int sock;             /* to the verifier; -1: it waits for one */
	uint64_t users_loads; /* when the verifier was started */
	sd_event_source *io, *child, *timeout;
};

static struct {
	struct supervisor *sup;
	struct login *first;
	unsigned running, most;
} logins;

static void
login_free(struct login *l)
{
	struct login **at = &logins.first;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	(void)sd_event_source_disable_unref(l->io);
	(void)sd_event_source_disable_unref(l->child);
	(void)sd_event_source_disable_unref(l->timeout);
	close_fd(&l->sock);
	free(l);
}

static void
settle(struct login *l, const struct packet_verified *v)
{
	struct connection *c = l->c;

	if (c == NULL)
		return;
	l->c = NULL;
	c->login = NULL;
	asks_settle(c, &l->head, v);
}

/* ---- one verifier */

/* The verifier may have read the file before who stands in it was taken out or disabled. */
static bool
is_outdated(const struct login *l, const char *user)
{
	return l->users_loads != logins.sup->users_loads && !users_may(logins.sup, user);
}

static void
take_answer(struct login *l)
{
	struct packet_verified v;
	ssize_t n = io_recv_packet(l->sock, &v, sizeof(v), NULL, 0, NULL, MSG_DONTWAIT);

	if (n == -EAGAIN || n == -EINTR)
		return;
	l->io = sd_event_source_disable_unref(l->io);
	if (n != (ssize_t)sizeof(v))
		return; /* its end settles it */
	v.user[sizeof(v.user) - 1] = '\0';
	v.account[sizeof(v.account) - 1] = '\0';
	if (!users_name_is_valid(v.user, strlen(v.user))) {
		v.user[0] = '\0';
		if (v.result == VERIFIED_YES)
			v.result = VERIFIED_BROKEN;
	}
	if (v.result == VERIFIED_YES && is_outdated(l, v.user))
		v.result = VERIFIED_DISABLED;
	settle(l, &v);
}

static int
on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct login *l = userdata;

	(void)source;
	(void)fd;
	(void)events;
	take_answer(l);
	return 0;
}

static int
on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct login *l = userdata;

	(void)source;
	(void)usec;
	log_line(LOG_ERR, "a verifier takes too long, ending it");
	children_signal(l->child, SIGKILL);
	return 0;
}

static void fill(void);

static int
on_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	const struct packet_verified broken = { .result = VERIFIED_BROKEN };
	struct login *l = userdata;

	(void)source;
	if (l->io != NULL)
		take_answer(l);
	if (l->c != NULL) {
		log_line(LOG_ERR, "a verifier ended without an answer (%s %d), refusing the login",
			 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
		settle(l, &broken);
	}
	login_free(l);
	logins.running--;
	fill();
	return 0;
}

static int
watch(struct login *l, pid_t pid)
{
	sd_event *e = logins.sup->event;
	int r;

	r = children_add(e, &l->child, pid, -1, on_death, l);
	if (r >= 0)
		r = sd_event_add_io(e, &l->io, l->sock, EPOLLIN, on_answer, l);
	if (r >= 0)
		r = sd_event_add_time_relative(e, &l->timeout, CLOCK_MONOTONIC, VERIFIER_TIMEOUT, 0,
					       on_timeout, l);
	return r;
}

static int
verify(struct login *l)
{
	auto_close int config_fd = spawn_seal_config(logins.sup->config);
	const struct spawn how = {
		.name = "verifier",
		.config_fd = config_fd,
		.public_fd = -1,
		.orders_fd = -1,
		.reports_fd = -1,
		.extra_fd = l->c->privilege,
		.log_fd = journal_role_fd(logins.sup->journal),
		.nice = VERIFIER_NICE,
	};
	pid_t pid;
	int r;

	if (config_fd < 0)
		return config_fd;
	l->users_loads = logins.sup->users_loads;
	r = spawn_role(&how, &pid, &l->sock);
	if (r < 0)
		return r;
	r = watch(l, pid);
	if (r < 0 && l->child == NULL) { /* it cannot be watched, so it may not live */
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	if (r < 0)
		children_signal(l->child, SIGKILL);
	logins.running++;
	return 0;
}

/* ---- the queue */

/* Until when the source of the connection owes for what it did. */
static uint64_t
owes(const struct connection *c)
{
	const struct penalty_record *r = penalties_find(&logins.sup->penalties, &c->peer);

	return r != NULL ? r->until_usec : 0;
}

static struct login *
next_in_line(void)
{
	struct login *best = NULL;

	for (struct login *l = logins.first; l != NULL; l = l->next)
		if (l->sock < 0 && (best == NULL || owes(l->c) < owes(best->c)))
			best = l;
	return best;
}

static void
fill(void)
{
	const struct packet_verified broken = { .result = VERIFIED_BROKEN };
	struct login *l;
	int r;

	while (logins.running < logins.most && (l = next_in_line()) != NULL) {
		r = verify(l);
		if (r == 0)
			continue;
		log_line(LOG_ERR, "cannot start a verifier, refusing the login: %s", strerror(-r));
		settle(l, &broken);
		login_free(l);
	}
}

int
logins_ask(struct connection *c, const struct packet_gate *head)
{
	struct login *l = calloc(1, sizeof(*l));
	struct login **at = &logins.first;

	if (l == NULL)
		return -ENOMEM;
	*l = (struct login){ .c = c, .head = *head, .sock = -1 };
	while (*at != NULL)
		at = &(*at)->next;
	*at = l;
	c->login = l;
	fill();
	return 0;
}

void
logins_forget(struct connection *c)
{
	struct login *l = c->login;

	if (l == NULL)
		return;
	l->c = NULL;
	c->login = NULL;
	if (l->child != NULL)
		children_signal(l->child, SIGKILL);
	else
		login_free(l);
}

void
logins_start(struct supervisor *sup)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	logins.sup = sup;
	logins.most = online > 0 ? (unsigned)online : 1;
}

void
logins_stop(void)
{
	while (logins.first != NULL) {
		if (logins.first->child != NULL)
			children_signal(logins.first->child, SIGKILL);
		login_free(logins.first);
	}
}
