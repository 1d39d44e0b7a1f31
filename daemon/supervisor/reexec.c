#include "daemon/supervisor/reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/common/capabilities.h"
#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/listeners.h"
#include "daemon/supervisor/orphans.h"
#include "daemon/supervisor/renewal.h"
#include "daemon/supervisor/slots.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/user_rates.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/text.h"

#define CHECK_TIMEOUT (10 * USEC_PER_SEC)
#define SETTLE_STEP (5 * USEC_PER_MSEC)
#define SETTLE_TIMEOUT (2 * USEC_PER_SEC)
enum { WHY_MAX = 512 };

struct reexec {
	struct supervisor *sup;
	struct control_request *asker;
	int binary;
	int said; /* what the check says */
	int udp;  /* what the beacon listened on */
	sd_event_source *child, *timer;
	uint64_t deadline_usec;
	bool settling; /* houses and helpers are not to be replaced */
};

static char failure[WHY_MAX];

bool
reexec_runs(const struct supervisor *sup)
{
	return sup->reexec != NULL;
}

bool
reexec_settles(const struct supervisor *sup)
{
	return sup->reexec != NULL && sup->reexec->settling;
}

const char *
reexec_failure(void)
{
	return failure;
}

void
reexec_forget(struct supervisor *sup)
{
	if (sup->reexec != NULL)
		sup->reexec->asker = NULL;
}

void
reexec_stop(struct supervisor *sup)
{
	struct reexec *x = sup->reexec;

	if (x == NULL)
		return;
	(void)sd_event_source_disable_unref(x->child);
	(void)sd_event_source_disable_unref(x->timer);
	close_fd(&x->binary);
	close_fd(&x->said);
	close_fd(&x->udp);
	free(x);
	sup->reexec = NULL;
}

static void
give_up(struct supervisor *sup, const char *why)
{
	(void)snprintf(failure, sizeof(failure), "%s", why);
	log_event(LOG_ERR, MESSAGE_ID_RELOAD, "the binary is not replaced: %s", why);
	reexec_stop(sup);
	(void)sd_notify(0, "READY=1");
	control_changed(sup);
}

/* ---- what is handed over */

static void
collect_asker(const struct reexec *x, struct carried_sockets *s)
{
	s->asker = x->asker != NULL ? control_descriptor(x->asker) : -1;
	if (x->asker == NULL)
		return;
	s->asker_uid = x->asker->uid;
	s->asker_pid = (uint64_t)x->asker->pid;
	s->asker_role = (uint64_t)x->asker->role;
}

static int
collect_sessions(const struct supervisor *sup, struct carried *c)
{
	const struct session *s;

	c->sessions = calloc((size_t)sup->sessions + 1, sizeof(*c->sessions));
	if (c->sessions == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		s = sup->slots[i];
		if (s != NULL && !s->adopted)
			c->sessions[c->n_sessions++] =
			    (struct carried_session){ .number = s->number,
						      .privilege = s->priv->privilege };
	}
	return 0;
}

static int
collect_rates(const struct supervisor *sup, struct carried *c)
{
	c->rates = calloc(sup->n_user_rates + 1, sizeof(*c->rates));
	if (c->rates == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sup->n_user_rates && c->n_rates < CARRIED_RATES_MAX; i++) {
		if (sup->user_rates[i].limit == UINT64_MAX)
			continue;
		memcpy(c->rates[c->n_rates].user, sup->user_rates[i].user,
		       sizeof(c->rates[0].user));
		c->rates[c->n_rates++].limit = sup->user_rates[i].limit;
	}
	return 0;
}

static int
collect(const struct reexec *x, struct carried **ret)
{
	const struct supervisor *sup = x->sup;
	struct carried *c = calloc(1, sizeof(*c));
	int r = c == NULL ? -ENOMEM : 0;

	if (r < 0)
		return r;
	c->generation = sup->generation;
	c->started_usec = sup->started_usec;
	c->started_real_ns = sup->started_real_ns;
	c->started_as_root = sup->started_as_root;
	c->next_id = sup->ids.next;
	c->totals = sup->retired;
	c->durations_ms = sup->durations_ms;
	c->sizes = sup->sizes;
	c->bans = sup->bans;
	c->penalties = sup->penalties;
	c->sockets = (struct carried_sockets){ .control = sup->control->fd,
					       .udp = x->udp >= 0 ? x->udp : helpers_udp(),
					       .pid_file = sup->pid_fd,
					       .handed = listeners_are_handed(sup->listeners) };
	journal_descriptors(sup->journal, &c->sockets.log_ours, &c->sockets.log_roles);
	collect_asker(x, &c->sockets);
	c->n_listen = listeners_descriptors(sup->listeners, c->listen);
	r = collect_sessions(sup, c);
	if (r == 0)
		r = collect_rates(sup, c);
	if (r < 0) {
		carried_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* In a file that is nowhere. Descriptor or -errno. */
static int
write_down(const struct carried *c)
{
	auto_close int fd = memfd_create("ftd-state", MFD_CLOEXEC);
	auto_free char *text = NULL;
	size_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = carried_write(c, &text, &len);
	if (r == 0)
		r = io_write_full(fd, text, len);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

/* Whether an exec lets it through. */
static void
keep_open(int fd, bool keep)
{
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void
keep_all_open(const struct carried *c, bool keep)
{
	const int64_t fds[] = { c->sockets.control,  c->sockets.udp,       c->sockets.pid_file,
				c->sockets.log_ours, c->sockets.log_roles, c->sockets.asker };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		keep_open((int)fds[i], keep);
	for (size_t i = 0; i < c->n_listen; i++)
		keep_open(c->listen[i], keep);
	for (size_t i = 0; i < c->n_sessions; i++)
		keep_open((int)c->sessions[i].privilege, keep);
}

/* ---- the last step */

/* Returns only when it could not be done. */
static int
replace(struct reexec *x)
{
	struct carried *c = NULL;
	auto_close int state = -1;
	int r = collect(x, &c);

	if (r < 0)
		return r;
	state = write_down(c);
	r = state < 0 ? state : 0;
	if (r == 0 && x->sup->config->own_uids && geteuid() != 0)
		r = capabilities_carry();
	if (r == 0) {
		keep_all_open(c, true);
		keep_open(state, true);
		r = spawn_replace(x->binary, x->sup->config->file, state);
		keep_all_open(c, false);
		(void)capabilities_keep();
	}
	carried_free(c);
	return r;
}

/* The old one serves again. */
static void
recover(struct reexec *x, int error)
{
	struct supervisor *sup = x->sup;
	int udp = take_fd(&x->udp);
	char why[WHY_MAX];

	(void)snprintf(why, sizeof(why), "cannot execute it: %s", strerror(-error));
	give_up(sup, why);
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		houses_crashed(sup, (enum house_kind)kind);
	helpers_start(sup, udp);
	if (listeners_watch(sup->listeners) < 0)
		log_line(LOG_ERR, "no new connections are accepted, restart the daemon");
}

static int
on_settle(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct reexec *x = userdata;
	uint64_t now = clock_usec();
	bool late = now > x->deadline_usec;
	/* what was killed and is there is held by a file system that hangs */
	bool held = late && now - x->deadline_usec > SETTLE_TIMEOUT;

	(void)usec;
	if (!gates_end(x->sup) || (!orphans_none_but_kin(x->sup, late) && !held)) {
		(void)sd_event_source_set_time_relative(source, SETTLE_STEP);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	log_event(LOG_NOTICE, MESSAGE_ID_RELOAD, "handing over to another binary");
	recover(x, replace(x));
	return 0;
}

/* All that is not handed over ends; when it has, on_settle() goes on. */
static int
settle(struct reexec *x)
{
	struct supervisor *sup = x->sup;

	x->settling = true;
	x->deadline_usec = clock_usec() + SETTLE_TIMEOUT;
	listeners_rest(sup->listeners);
	admission_refuse_all(sup, "busy", "the server is starting anew");
	renewal_stop(sup);
	x->udp = helpers_take_udp();
	helpers_stop();
	houses_stop(sup);
	return sd_event_add_time_relative(sup->event, &x->timer, CLOCK_MONOTONIC, 0, 0, on_settle,
					  x);
}

/* ---- the check */

static void
read_said(const struct reexec *x, char *ret)
{
	char text[WHY_MAX / 4];
	ssize_t n = read(x->said, text, sizeof(text));

	while (n > 0 && text[n - 1] == '\n')
		n--;
	(void)text_escape(ret, WHY_MAX, text, n > 0 ? (size_t)n : 0);
}

static int
on_checked(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct reexec *x = userdata;
	bool good = si->si_code == CLD_EXITED && si->si_status == 0;
	char said[WHY_MAX];

	(void)source;
	read_said(x, said);
	x->timer = sd_event_source_disable_unref(x->timer);
	if (!good)
		give_up(x->sup, said[0] != '\0' ? said : "the new binary does not run");
	else if (x->sup->draining || x->sup->reload != NULL || settle(x) < 0)
		give_up(x->sup, "the daemon is reloading or going down");
	return 0;
}

static int
on_check_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct reexec *x = userdata;

	(void)source;
	(void)usec;
	children_signal(x->child, SIGKILL);
	return 0;
}

static int
check(struct reexec *x)
{
	struct supervisor *sup = x->sup;
	struct carried *c = NULL;
	auto_close int state = -1;
	pid_t pid;
	int r = collect(x, &c);

	if (r < 0)
		return r;
	state = write_down(c);
	carried_free(c);
	if (state < 0)
		return state;
	r = spawn_check(x->binary, sup->config->file, state, &pid, &x->said);
	if (r == 0)
		r = children_add(sup->event, &x->child, pid, -1, on_checked, x);
	if (r >= 0)
		r = sd_event_add_time_relative(sup->event, &x->timer, CLOCK_MONOTONIC,
					       CHECK_TIMEOUT, 0, on_check_timeout, x);
	return r;
}

int
reexec_begin(struct supervisor *sup, struct control_request *asker)
{
	struct reexec *x;
	int r;

	if (sup->reexec != NULL || sup->reload != NULL || !sup->serving || sup->draining)
		return -EBUSY;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	*x = (struct reexec){ .sup = sup, .asker = asker, .said = -1, .udp = -1 };
	sup->reexec = x;
	x->binary = open(sup->program, O_RDONLY | O_CLOEXEC);
	r = x->binary < 0 ? -errno : check(x);
	if (r < 0) {
		reexec_stop(sup);
		return r;
	}
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_usec());
	return 0;
}

/* ---- in the new binary */

int
reexec_take(int fd, struct carried **ret)
{
	auto_close int own = fd;
	auto_free char *text = NULL;
	const char *why = NULL;
	size_t len;
	int r = io_read_regular(own, CARRIED_BYTES_MAX, &text, &len);

	if (r == 0)
		r = carried_read(text, len, ret, &why);
	if (r == 0)
		return 0;
	(void)fprintf(stderr, "ftd: %s\n", why != NULL && r == -EBADMSG ? why : strerror(-r));
	return EXIT_FAILURE;
}
