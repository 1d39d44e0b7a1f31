#include "daemon/supervisor/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/adoption.h"
#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/listeners.h"
#include "daemon/supervisor/orphans.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/renewal.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/slots.h"
#include "daemon/supervisor/start.h"
#include "daemon/supervisor/tick.h"
#include "daemon/supervisor/user_rates.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

enum { EXIT_FAILED = 1 };

static struct start_sockets sockets;
static struct carried *carried; /* by another binary before; NULL: there was none, or it is over */
static int ready_fd = -1;       /* of `ftd --daemon`: the waiting parent */

/* --- the end */

void
supervisor_shutdown(struct supervisor *sup, uint64_t grace_usec, const char *why)
{
	uint64_t deadline = clock_usec() + grace_usec;
	char text[NUM_TEXT_MAX];

	if (sup->draining && deadline >= sup->drain_deadline_usec)
		return;
	sup->drain_deadline_usec = deadline;
	if (sup->draining)
		return;
	sup->draining = true;
	log_event(LOG_NOTICE, MESSAGE_ID_STOP, "%s: letting transfers finish for %s", why,
		  num_format_duration_exact(grace_usec, text));
	(void)sd_notify(0, "STOPPING=1");
	listeners_stop_accepting(sup->listeners);
	admission_refuse_all(sup, "draining", "the server is going down");
	sessions_drain(sup, why);
}

static int
on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct supervisor *sup = userdata;

	(void)source;
	(void)si;
	/* a second signal is impatience */
	supervisor_shutdown(sup, sup->draining ? 0 : sup->config->shutdown_grace,
			    "the server is going down");
	return 0;
}

static int
on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	(void)source;
	(void)si;
	reload_by_signal(userdata);
	return 0;
}

/* --- the beginning */

/* From now on the daemon serves. */
static void
on_first_houses(struct supervisor *sup, struct house_pair *pair, int error)
{
	int r;

	if (error < 0 || sup->draining) {
		if (error < 0)
			log_line(LOG_ERR, "cannot start: the roles did not come up: %s",
				 houses_why(pair));
		houses_drop(pair);
		(void)sd_event_exit(sup->event, error < 0 ? EXIT_FAILED : 0);
		return;
	}
	houses_adopt(sup, pair);
	renewal_done(sup);
	helpers_start(sup, take_fd(&sockets.udp));
	/* until now those who ask wait in the socket's queue */
	r = control_start(sup, take_fd(&sockets.control));
	if (r >= 0)
		r = listeners_watch(sup->listeners);
	if (r < 0) {
		log_line(LOG_ERR, "cannot start: %s", strerror(-r));
		(void)sd_event_exit(sup->event, EXIT_FAILED);
		return;
	}
	if (carried != NULL)
		control_welcome(sup, &carried->sockets);
	carried = carried_free(carried);
	sup->serving = true;
	log_event(LOG_NOTICE, MESSAGE_ID_START, "ftd %s is ready, pid %d", PACKAGE_VERSION,
		  (int)getpid());
	(void)sd_notify(0, "READY=1");
	if (ready_fd >= 0 && write(ready_fd, "", 1) < 0)
		log_line(LOG_WARNING, "cannot tell the caller that the daemon is ready");
	close_fd(&ready_fd);
	control_changed(sup);
}

static int
watch_signals(struct supervisor *sup)
{
	sigset_t mask;
	int r;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(sup->event, NULL, SIGTERM, on_terminate, sup);
	if (r >= 0)
		r = sd_event_add_signal(sup->event, NULL, SIGINT, on_terminate, sup);
	if (r >= 0)
		r = sd_event_add_signal(sup->event, NULL, SIGHUP, on_hangup, sup);
	return r;
}

/* Those of a supervisor that was killed, where its sessions may still live; else fresh ones. */
static int
open_boards(struct supervisor *sup)
{
	int r = boards_reopen(&sup->boards, sup->runtime_dir, CONFIG_SESSIONS_MAX);

	if (r == -ESTALE)
		log_line(
		    LOG_NOTICE,
		    "the boards are of another boot or version: sessions that are left from then "
		    "end by themselves");
	return r < 0 ? boards_create(&sup->boards, sup->runtime_dir, CONFIG_SESSIONS_MAX) : 0;
}

/* As if this binary had run all the time. */
static int
restore(struct supervisor *sup)
{
	const struct carried *c = carried;

	if (c == NULL)
		return 0;
	sup->generation = c->generation + 1;
	sup->started_usec = c->started_usec;
	sup->started_real_ns = c->started_real_ns;
	sup->reloaded_real_ns = clock_real_ns();
	sup->started_as_root = c->started_as_root;
	sup->retired = c->totals;
	sup->durations_ms = c->durations_ms;
	sup->sizes = c->sizes;
	sup->bans = c->bans;
	sup->penalties = c->penalties;
	ids_pass(&sup->ids, c->next_id - 1);
	for (size_t i = 0; i < c->n_rates; i++)
		if (user_rates_set(sup, c->rates[i].user, c->rates[i].limit) < 0)
			return -ENOMEM;
	return 0;
}

static int
begin(struct supervisor *sup)
{
	struct house_pair *pair;
	int r;

	r = watch_signals(sup);
	if (r >= 0)
		r = open_boards(sup);
	if (r >= 0)
		r = journal_start(sup, carried != NULL ? &carried->sockets : NULL);
	if (r >= 0)
		r = slots_start(sup);
	if (r >= 0)
		r = restore(sup);
	if (r >= 0)
		r = admission_start(sup);
	if (r >= 0) {
		adoption_start(sup, carried);
		r = tick_start(sup);
	}
	renewal_before_houses(sup, sup->config);
	if (r >= 0)
		r = houses_start(sup, sup->config, on_first_houses, &pair);
	if (r >= 0)
		(void)sd_event_set_watchdog(sup->event, true);
	return r;
}

/* In the reverse order of begin(); everything that was started is reaped. */
static void
end(struct supervisor *sup)
{
	sessions_kill(sup);
	reexec_stop(sup);
	reload_stop(sup);
	renewal_stop(sup);
	helpers_stop();
	houses_stop(sup);
	adoption_stop(sup);
	admission_stop(sup);
	orphans_reap();
	journal_stop(sup);
	slots_stop(sup);
	control_stop(sup);
	close_fd(&sockets.control);
	close_fd(&sockets.udp);
	sup->listeners = listeners_free(sup->listeners);
	boards_done(&sup->boards);
	(void)unlinkat(sup->runtime_dir, "ftd.pid", 0);
	close_fd(&sup->runtime_dir);
	close_fd(&sup->pid_fd);
	ids_close(&sup->ids);
	sup->event = sd_event_unref(sup->event);
}

/* Its name, for the time when another file has it; the kernel says when that is so already. */
static void
remember_program(struct supervisor *sup)
{
	static const char replaced[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", sup->program, sizeof(sup->program) - 1);
	ssize_t name = n - (ssize_t)strlen(replaced);

	if (name > 0 && memcmp(sup->program + name, replaced, strlen(replaced)) == 0)
		n = name;
	sup->program[n > 0 ? n : 0] = '\0';
}

int
supervisor_run(struct config *config, int ready, struct carried *former)
{
	struct supervisor sup = {
		.config = config,
		.generation = 1,
		.started_usec = clock_usec(),
		.started_real_ns = clock_real_ns(),
		.started_as_root = geteuid() == 0,
		.runtime_dir = -1,
		.pid_fd = -1,
	};
	int r;

	carried = former;
	remember_program(&sup);
	ready_fd = ready;
	log_start(config->log_target, config->log_level);
	r = sd_event_default(&sup.event) < 0 ? EXIT_FAILED : start_prepare(&sup, carried, &sockets);
	if (r != 0) {
		(void)sd_event_unref(sup.event);
		free(sup.config);
		return r;
	}
	sup.listeners = take_ptr(sockets.listeners);
	r = begin(&sup);
	if (r < 0)
		log_line(LOG_ERR, "cannot start: %s", strerror(-r));
	else
		r = sd_event_loop(sup.event);
	end(&sup);
	users_free(sup.users);
	user_rates_done(&sup);
	free(sup.config);
	if (r == 0)
		log_event(LOG_NOTICE, MESSAGE_ID_STOP, "ended");
	return r < 0 ? EXIT_FAILED : r;
}
