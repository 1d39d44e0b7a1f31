#include "daemon/supervisor/survey.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/common/packet.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/spawn.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

#define PATIENCE (2 * USEC_PER_SEC)

/* The share in force that has the root, or NULL. */
static const struct config_share *
same_root(const struct config *in_force, const char *root)
{
	for (unsigned i = 0; in_force != NULL && i < in_force->n_shares; i++)
		if (strcmp(in_force->shares[i].root, root) == 0)
			return &in_force->shares[i];
	return NULL;
}

/* All but those whose keepers already wait for longer than we would. */
static uint64_t
worth_a_look(const struct config *in_force, const struct config *c)
{
	uint64_t shares = 0;

	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *s = same_root(in_force, c->shares[i].root);

		if (s == NULL ||
		    helpers_keeper_silence((unsigned)(s - in_force->shares)) < PATIENCE)
			shares |= UINT64_C(1) << i;
	}
	return shares;
}

/* Takes one packet, and from *shares what has been told of whole. False: nothing more will come. */
static bool
take(int sock, uint64_t *shares, struct config *c, struct config_problems *problems)
{
	struct packet_surveyed p;
	ssize_t n = io_recv_packet(sock, &p, sizeof(p), NULL, 0, NULL, MSG_DONTWAIT);

	if (n == -EAGAIN || n == -EINTR)
		return true;
	if (n != (ssize_t)sizeof(p) || p.share >= c->n_shares)
		return false;
	if (p.end != 0) {
		c->shares[p.share].device = p.device;
		*shares &= ~(UINT64_C(1) << p.share);
		return true;
	}
	p.text[sizeof(p.text) - 1] = '\0';
	config_problem_add(problems, p.fatal != 0, c->shares[p.share].line, "%s", p.text);
	return true;
}

/* The shares of which nothing was told in time. */
static uint64_t
listen_to(int sock, uint64_t shares, struct config *c, struct config_problems *problems)
{
	uint64_t deadline = clock_usec() + PATIENCE, now;
	struct pollfd p = { .fd = sock, .events = POLLIN };

	while (shares != 0 && (now = clock_usec()) < deadline) {
		if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) > 0 &&
		    !take(sock, &shares, c, problems))
			break;
	}
	return shares;
}

static void
note_silent(uint64_t shares, const struct config *in_force, struct config *c,
	    struct config_problems *problems)
{
	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *s = same_root(in_force, c->shares[i].root);

		if ((shares & UINT64_C(1) << i) == 0)
			continue;
		c->shares[i].device = s != NULL ? s->device : 0;
		config_problem_add(problems, false, c->shares[i].line,
				   "shares[%u].root: %s does not answer: its file system hangs, or "
				   "the disk is very slow; it is taken as it is",
				   i, c->shares[i].root);
	}
}

static int
on_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	(void)si;
	(void)userdata;
	(void)sd_event_source_set_floating(source, false);
	return 0;
}

/* Nobody waits for it: what it looks at may hold it for longer than a signal helps. */
static void
let_go(struct supervisor *sup, pid_t pid)
{
	sd_event_source *source;

	(void)kill(pid, SIGKILL);
	if (children_add(sup->event, &source, pid, -1, on_end, NULL) < 0)
		return; /* it is reaped at the end of the daemon */
	(void)sd_event_source_set_floating(source, true);
	(void)sd_event_source_unref(source);
}

int
survey_roots(struct supervisor *sup, const struct config *in_force, struct config *c,
	     struct config_problems *problems)
{
	auto_close int config_fd = spawn_seal_config(c);
	auto_close int sock = -1;
	const struct spawn how = {
		.name = "surveyor",
		.config_fd = config_fd,
		.public_fd = -1,
		.orders_fd = -1,
		.reports_fd = -1,
		.extra_fd = -1,
		.log_fd = -1,
	};
	struct packet_survey which;
	uint64_t all = c->n_shares < 64 ? (UINT64_C(1) << c->n_shares) - 1 : UINT64_MAX, silent;
	pid_t pid;
	int r;

	if (config_fd < 0)
		return config_fd;
	if (sup->control != NULL)
		(void)control_disks_ask(sup); /* so that the next time we know who is silent */
	which.shares = worth_a_look(in_force, c);
	r = spawn_role(&how, &pid, &sock);
	if (r < 0)
		return r;
	r = io_send_packet(sock, &which, sizeof(which), NULL, 0, 0);
	silent = listen_to(sock, r < 0 ? 0 : which.shares, c, problems);
	note_silent(silent | (all & ~which.shares), in_force, c, problems);
	let_go(sup, pid);
	return r;
}
