#include "daemon/supervisor/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/common/access.h"
#include "daemon/common/role.h"
#include "daemon/common/verdict.h"
#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/orders.h"
#include "daemon/supervisor/refusals.h"
#include "daemon/supervisor/reports.h"
#include "daemon/supervisor/slots.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/own.h"

/* How long a session may take to obey before it is killed. */
#define OBEY_TIMEOUT (5 * USEC_PER_SEC)
/* A session ends its stalled transfer itself; later than this it does not live. */
#define STALL_OVERTIME (30 * USEC_PER_SEC)

struct session *
sessions_find_transfer(const struct supervisor *sup, uint64_t transfer_id)
{
	struct session *s;

	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		s = sup->slots[i];
		if (s == NULL)
			continue;
		sessions_refresh(s);
		if (s->seen.transfer != 0 && s->transfer_id == transfer_id)
			return s;
	}
	return NULL;
}

uint64_t
sessions_of_user(const struct supervisor *sup, const char *user)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL && strcmp(sup->slots[i]->user, user) == 0)
			n++;
	return n;
}

/* --- birth and death */

static int
ask_for_birth(struct session *s, const struct sessions_newcomer *who)
{
	struct packet_birth b = {
		.slot = s->slot,
		.connection = s->number,
		.generation = s->generation,
		.peer = s->peer,
		.flags = (who->said_hello ? BIRTH_HELLO : 0) |
			 (addr_is_loopback(&s->peer) ? BIRTH_LOOPBACK : 0) |
			 (who->login != NULL ? BIRTH_LOGIN : 0),
	};
	auto_close int theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (who->login != NULL) {
		b.id = who->login->id;
		(void)snprintf(b.account, sizeof(b.account), "%s", who->login->account);
		b.user_sessions = sessions_of_user(s->sup, s->user);
	}
	const int fds[] = { [BIRTH_CONNECTION] = who->connection, [BIRTH_PRIVILEGE] = pair[1] };
	s->priv->privilege = pair[0];
	theirs = pair[1];
	s->priv->connection = fcntl(who->connection, F_DUPFD_CLOEXEC, 0);
	if (s->priv->connection < 0)
		return -errno;
	return houses_birth(s->sup, HOUSE_SESSION, &b, fds);
}

static struct packet_verdict
busy_verdict(void)
{
	return verdict_make("busy", "the server cannot start a session now", 1000);
}

int
sessions_admit(struct supervisor *sup, const struct sessions_newcomer *who,
	       struct packet_verdict *ret_verdict)
{
	const char *user = who->login != NULL ? who->login->user : "";
	struct session *s = slots_claim(sup, who->number, who->peer, who->tls, user);
	int r = s == NULL ? -ENOMEM : ask_for_birth(s, who);

	if (r >= 0) {
		if (who->login != NULL)
			log_login(s);
		sup->retired.sessions++;
		return 0;
	}
	log_line(LOG_WARNING, "cannot start a session, refusing the connection: %s", strerror(-r));
	if (s != NULL)
		slots_free(s);
	*ret_verdict = busy_verdict();
	return r;
}

static bool
was_killed(const siginfo_t *si)
{
	return si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED;
}

static bool
ended_well(const siginfo_t *si)
{
	return !was_killed(si) &&
	       (si->si_status == ROLE_EXIT_OK || si->si_status == ROLE_EXIT_CLIENT);
}

/* What is told of its end, and what it costs the client. */
static void
judge_end(struct session *s, const siginfo_t *si)
{
	unsigned long long number = s->number;

	if (was_killed(si) && si->si_status != SIGTERM && si->si_status != SIGKILL) {
		log_line(LOG_ERR, "s%llu crashed (signal %d), replacing its house", number,
			 si->si_status);
		houses_crashed(s->sup, HOUSE_SESSION);
		penalties_add(s->sup, &s->peer, PENALTY_CRASH);
	} else if (was_killed(si)) {
		log_line(LOG_WARNING, "s%llu was killed (signal %d)", number, si->si_status);
	} else if (si->si_status == ROLE_EXIT_CLIENT) {
		penalties_add(s->sup, &s->peer, PENALTY_PROTOCOL);
	} else if (si->si_status != ROLE_EXIT_OK && si->si_status != ROLE_EXIT_LEFT) {
		log_line(LOG_ERR, "s%llu ended with class %d", number, si->si_status);
	}
}

static int
on_session_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct session *s = userdata;
	struct supervisor *sup = s->sup;

	(void)source;
	journal_listen(sup); /* its last words are still its own */
	sessions_refresh(s);
	reports_add(&sup->retired, &s->seen);
	judge_end(s, si);
	if (!ended_well(si)) {
		if (s->seen.transfer != 0)
			sup->retired.failed++;
		helpers_sweep(); /* what it left in staging */
	}
	slots_free(s);
	return 0;
}

static void
birth_failed(struct session *s)
{
	const struct packet_verdict v = busy_verdict();

	log_line(LOG_WARNING, "s%llu was not born, refusing the connection",
		 (unsigned long long)s->number);
	refusals_say(take_fd(&s->priv->connection), &v);
	slots_free(s);
}

int
sessions_watch(struct session *s)
{
	int r;

	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	r = s->pidfd < 0 ? -errno
			 : children_add(s->sup->event, &s->priv->child, s->pid, s->pidfd,
					on_session_death, s);
	if (r >= 0)
		return 0;
	log_line(LOG_ERR, "cannot watch s%llu, ending it: %s", (unsigned long long)s->number,
		 strerror(-r));
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, WNOHANG); /* or at the end of the daemon */
	slots_free(s);
	return r;
}

void
sessions_born(struct supervisor *sup, uint64_t number, pid_t pid)
{
	struct session *s = sessions_find(sup, number);

	if (s == NULL || s->pid != 0)
		return; /* told twice */
	if (pid <= 0) {
		birth_failed(s);
		return;
	}
	close_fd(&s->priv->connection);
	slots_set_pid(s, pid);
	if (sessions_watch(s) < 0)
		return;
	if (s->quit != BOARD_STAY)
		orders_poke(s);
}

/* --- limits of time */

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool
is_transferring(const struct session *s)
{
	return s->seen.transfer != 0 || s->seen.state == BOARD_WORKING;
}

static void
kill_one(const struct session *s)
{
	if (s->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
}

static void
enforce(struct session *s, uint64_t now)
{
	const struct config *c = s->sup->config;
	uint64_t idle_since = later(later(s->seen.since_usec, s->started_usec), s->resumed_usec);
	bool overdue = s->quit != BOARD_STAY && now - s->quit_usec > OBEY_TIMEOUT;

	if (s->quit == BOARD_STAY && s->seen.state == BOARD_IDLE && !sessions_paused(s) &&
	    now > idle_since && now - idle_since > c->idle_timeout)
		sessions_quit(s, BOARD_QUIT_IDLE, "idle for too long", 0);
	if (s->stalled_usec > c->stall_timeout + STALL_OVERTIME)
		overdue = true;
	if (s->quit != BOARD_STAY && s->quit != BOARD_QUIT_KICKED && is_transferring(s))
		overdue = false; /* it may finish what it serves */
	if (overdue)
		kill_one(s);
}

void
sessions_tick(struct supervisor *sup)
{
	uint64_t now = clock_usec();
	uint32_t left = sup->sessions;

	for (uint32_t i = 0; i < sup->boards.slots && left > 0; i++) {
		if (sup->slots[i] == NULL)
			continue;
		left--;
		atomic_store(&board_orders_at(&sup->boards, i)->watched_usec, now);
		sessions_refresh(sup->slots[i]);
		enforce(sup->slots[i], now);
	}
}

/* The same but for where they stand in the file? */
static bool
same_rules(const struct config *a, const struct config *b)
{
	struct config_rule before, now;

	if (a->n_rules != b->n_rules || a->n_rule_users != b->n_rule_users ||
	    memcmp(a->rule_users, b->rule_users, a->n_rule_users * sizeof(a->rule_users[0])) != 0)
		return false;
	for (unsigned i = 0; i < a->n_rules; i++) {
		before = a->rules[i];
		now = b->rules[i];
		before.line = now.line = 0;
		if (memcmp(&before, &now, sizeof(now)) != 0)
			return false;
	}
	return true;
}

static bool
same_shares(const struct config *a, const struct config *b)
{
	struct config_share before, now;

	for (unsigned i = 0; i < a->n_shares && i < b->n_shares; i++) {
		before = a->shares[i];
		now = b->shares[i];
		before.line = now.line = 0;
		if (memcmp(&before, &now, sizeof(now)) != 0)
			return false;
	}
	return a->n_shares == b->n_shares && same_rules(a, b);
}

static bool
may_stay(const struct session *s)
{
	const struct config *c = s->sup->config;

	return access_address(c, &s->peer).allowed &&
	       (s->tls != 0 || access_plaintext(c, &s->peer).allowed);
}

void
sessions_follow_users(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		struct session *s = sup->slots[i];

		if (s != NULL && s->user[0] != '\0' && !users_may(sup, s->user))
			sessions_quit(s, BOARD_QUIT_RELOAD, "the account is disabled", 0);
	}
}

void
sessions_reconfigure(struct supervisor *sup, const struct config *before)
{
	bool same = same_shares(sup->config, before);
	struct session *s;

	sessions_follow_users(sup);
	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		s = sup->slots[i];
		if (s == NULL)
			continue;
		slots_write_orders(s);
		if (!same || !may_stay(s))
			sessions_quit(s, BOARD_QUIT_RELOAD, "the configuration has changed", 1000);
	}
}

void
sessions_drain(struct supervisor *sup, const char *why)
{
	for (uint32_t i = 0; i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL)
			sessions_quit(sup->slots[i], BOARD_QUIT_DRAINING, why, 1000);
}

void
sessions_drain_is_over(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL)
			sessions_quit(sup->slots[i], BOARD_QUIT_KICKED, "the server is going down",
				      1000);
}

void
sessions_kill(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL)
			kill_one(sup->slots[i]);
}
