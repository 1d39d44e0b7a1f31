#include "daemon/supervisor/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <systemd/sd-daemon.h>

#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/listeners.h"
#include "daemon/supervisor/renewal.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/survey.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/own.h"

struct reload {
	struct config *config;
	struct users_snapshot *users;
	struct listeners *listeners; /* NULL: systemd's stay */
	bool new_udp;
	int udp_fd;
	struct house_pair *houses;
};

static char last_outcome[512]; /* "": the last one is in force */

const char *
reload_last(const struct supervisor *sup)
{
	(void)sup;
	return last_outcome[0] == '\0' ? NULL : last_outcome;
}

static struct reload *
reload_free(struct reload *r)
{
	if (r == NULL)
		return NULL;
	listeners_free(r->listeners);
	close_fd(&r->udp_fd);
	free(r->config);
	users_free(r->users);
	free(r);
	return NULL;
}

void
reload_stop(struct supervisor *sup)
{
	if (sup->reload != NULL)
		houses_drop(sup->reload->houses);
	sup->reload = reload_free(sup->reload);
}

/* --- what would change */

static int
diff_row(void *userdata, const char *path, const char *before, const char *after,
	 enum config_live live)
{
	static const char *const words[] = {
		[CONFIG_LIVE_NOW] = "now",
		[CONFIG_LIVE_NEW_SESSIONS] = "new-sessions",
		[CONFIG_LIVE_RESTART] = "restart",
	};

	return json_array_append_new(userdata, json_pack("{s:s, s:s, s:s, s:s}", "option", path,
							 "before", before, "after", after,
							 "takes_effect", words[live]));
}

static int
diff_json(const struct config *before, const struct config *after, json_t **ret)
{
	auto_json json_t *rows = json_array();

	if (rows == NULL || config_diff(before, after, diff_row, rows) < 0)
		return -ENOMEM;
	*ret = take_ptr(rows);
	return 0;
}

static int
log_row(void *userdata, const char *path, const char *before, const char *after,
	enum config_live live)
{
	(void)userdata;
	if (live == CONFIG_LIVE_RESTART)
		log_line(LOG_WARNING, "%s: %s -> %s needs a restart, keeping the old value", path,
			 before, after);
	else
		log_line(LOG_INFO, "%s: %s -> %s", path, before, after);
	return 0;
}

/* What cannot change in a running daemon stays as it is. */
static void
keep_what_stays(const struct config *now, struct config *fresh)
{
	memcpy(fresh->run_as, now->run_as, sizeof(fresh->run_as));
	memcpy(fresh->control_path, now->control_path, sizeof(fresh->control_path));
	fresh->sandbox = now->sandbox;
	fresh->log_target = now->log_target;
}

/* --- the swap */

static void
finished(struct supervisor *sup, const char *failure)
{
	(void)snprintf(last_outcome, sizeof(last_outcome), "%s", failure == NULL ? "" : failure);
	(void)sd_notify(0, "READY=1");
	control_changed(sup);
}

static void
swap(struct supervisor *sup, struct reload *r)
{
	struct config *before = sup->config;

	(void)config_diff(before, r->config, log_row, NULL);
	keep_what_stays(before, r->config);
	sup->config = take_ptr(r->config);
	users_adopt(sup, take_ptr(r->users));
	sup->generation++;
	sup->reloaded_real_ns = clock_real_ns();
	houses_adopt(sup, take_ptr(r->houses));
	renewal_done(sup);
	if (r->listeners != NULL) {
		listeners_free(sup->listeners);
		sup->listeners = take_ptr(r->listeners);
		if (listeners_watch(sup->listeners) < 0)
			log_line(LOG_ERR,
				 "cannot watch the new listeners: no new connections are accepted");
	}
	helpers_restart(sup, r->new_udp, take_fd(&r->udp_fd));
	log_set_level(sup->config->log_level);
	sessions_reconfigure(sup, before);
	control_reconfigure(sup);
	free(before);
}

static void
on_houses(struct supervisor *sup, struct house_pair *pair, int error)
{
	struct reload *r = sup->reload;
	char why[HOUSES_WHY_MAX + 64];

	sup->reload = NULL;
	if (error < 0) {
		(void)snprintf(why, sizeof(why), "the new houses did not start: %s",
			       houses_why(pair));
		log_event(LOG_ERR, MESSAGE_ID_RELOAD,
			  "reload failed, keeping the old configuration: %s", why);
		finished(sup, why);
		houses_drop(pair);
		renewal_before_houses(sup, sup->config);
	} else {
		swap(sup, r);
		log_event(LOG_NOTICE, MESSAGE_ID_RELOAD,
			  "configuration generation %" PRIu64 " is in force", sup->generation);
		finished(sup, NULL);
	}
	reload_free(r);
}

/* --- the beginning */

static bool
same_udp(const struct config *a, const struct config *b)
{
	return strcmp(a->status_address, b->status_address) == 0 &&
	       a->status_port == b->status_port;
}

/* Binds what is new while the old still serves: a port in use is told before anything changes. */
static int
open_sockets(struct supervisor *sup, struct reload *r, struct config_problems *problems)
{
	int e = 0;

	if (!listeners_are_handed(sup->listeners))
		e = listeners_open(sup, r->config, sup->listeners, problems, &r->listeners);
	r->new_udp = !same_udp(sup->config, r->config);
	if (r->new_udp && listeners_open_udp(r->config, problems, &r->udp_fd) < 0)
		e = -EINVAL;
	return e;
}

/* Our own addresses are no trouble; open_sockets() judges the others. */
static int
check_machine(const struct supervisor *sup, const struct config *fresh,
	      struct config_problems *problems)
{
	char text[CONFIG_LISTENERS_MAX + 1][ADDR_TEXT_MAX];
	const char *skip[CONFIG_LISTENERS_MAX + 1];
	size_t n = 0;
	union addr a;
	socklen_t len;

	(void)sup;
	for (unsigned i = 0; i < fresh->n_listen; i++)
		if (addr_parse(fresh->listen[i].address, fresh->listen[i].port, &a, &len) == 0)
			skip[n] = addr_format(&a, text[n]), n++;
	if (fresh->status_address[0] != '\0' &&
	    addr_parse(fresh->status_address, (uint16_t)fresh->status_port, &a, &len) == 0)
		skip[n] = addr_format(&a, text[n]), n++;
	return config_check_machine(fresh, skip, n, problems);
}

static int
reload_new(struct supervisor *sup, struct config_problems *problems, struct reload **ret)
{
	struct reload *r = calloc(1, sizeof(*r));
	int e;

	if (r == NULL)
		return -ENOMEM;
	r->udp_fd = -1;
	e = config_load(sup->config->file, &r->config, problems);
	if (e >= 0)
		r->config->own_uids = sup->config->own_uids;
	if (e >= 0)
		e = survey_roots(sup, sup->config, r->config, problems);
	if (e >= 0)
		e = check_machine(sup, r->config, problems);
	if (e >= 0)
		e = users_load(r->config, problems, &r->users);
	if (e >= 0)
		e = open_sockets(sup, r, problems);
	if (e < 0) {
		reload_free(r);
		return e == -ENOMEM ? e : -EINVAL;
	}
	*ret = r;
	return 0;
}

int
reload_begin(struct supervisor *sup, bool dry_run, struct config_problems *problems,
	     json_t **ret_diff)
{
	auto_json json_t *diff = NULL;
	struct reload *r = NULL;
	int e;

	if (sup->reload != NULL || !sup->serving || sup->draining)
		return -EBUSY;
	e = reload_new(sup, problems, &r);
	if (e >= 0)
		e = diff_json(sup->config, r->config, &diff);
	if (e >= 0 && !dry_run)
		renewal_before_houses(sup, r->config);
	if (e >= 0 && !dry_run)
		e = houses_start(sup, r->config, on_houses, &r->houses);
	if (e < 0 || dry_run) {
		reload_free(r);
	} else {
		sup->reload = r;
	}
	if (e < 0)
		return e;
	if (ret_diff != NULL)
		*ret_diff = take_ptr(diff);
	return 0;
}

void
reload_by_signal(struct supervisor *sup)
{
	struct config_problems problems = { .n = 0 };
	int e;

	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_usec());
	e = reload_begin(sup, false, &problems, NULL);
	for (size_t i = 0; i < problems.n; i++)
		log_line(problems.list[i].fatal ? LOG_ERR : LOG_WARNING, "%s:%d: %s", problems.file,
			 problems.list[i].line, problems.list[i].text);
	config_problems_done(&problems);
	if (e >= 0)
		return; /* on_houses() goes on */
	log_event(LOG_ERR, MESSAGE_ID_RELOAD, "reload refused, keeping the old configuration%s",
		  e == -EBUSY ? ": the daemon is starting, reloading or going down" : "");
	if (e != -EBUSY)
		finished(sup, "the configuration has errors; the journal names them");
}
