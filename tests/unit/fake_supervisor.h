/*
 * A supervisor without roles, for what only asks it: the functions of
 * daemon/supervisor/supervisor.h that control*.c call, on sessions that a test makes up.
 * Definitions: to be included once in a program.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/renewal.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/own.h"

static struct {
	struct supervisor sup;
	unsigned refreshed; /* calls of sessions_refresh() */
	unsigned shutdowns;
	uint64_t grace_usec; /* of the last one */
	uint64_t cancelled, cancelled_ordinal;
	uint64_t user_rate; /* what user_rates_set() was told */
	char limited_user[USER_NAME_MAX + 1];
	int reload_answer;          /* what reload_begin() answers */
	const char *reload_problem; /* what it adds */
	const char *reload_failure; /* what reload_last() says */
	const char *listener;
	struct house_certificate certificate;
	const char *certificate_problem;
	int64_t days_left;
	int keeper_answer;          /* what helpers_ask_keeper() answers */
	struct packet_keeper asked; /* what it was given last */
} fake;

/* n slots without a session. */
static inline void
fake_start(uint32_t n)
{
	memset(&fake, 0, sizeof(fake));
	fake.sup.config = calloc(1, sizeof(*fake.sup.config));
	fake.sup.slots = calloc(n, sizeof(struct session *));
	fake.sup.boards.slots = n;
	fake.sup.users = calloc(1, sizeof(*fake.sup.users));
	if (fake.sup.config == NULL || fake.sup.slots == NULL || fake.sup.users == NULL)
		abort();
	fake.sup.config->sessions = fake.sup.config->sessions_per_address = n;
	fake.sup.config->logins = 64;
	fake.sup.config->shutdown_grace = 30 * USEC_PER_SEC;
	fake.sup.config->file_size = UINT64_MAX;
	fake.sup.config->session_rate = fake.sup.config->user_rate = UINT64_MAX;
	fake.sup.config->total_rate = UINT64_MAX;
	fake.sup.config->n_shares = 1;
	(void)snprintf(fake.sup.config->shares[0].root, PATH_MAX, "/");
	fake.sup.generation = 1;
	fake.sup.started_usec = clock_usec();
	fake.sup.started_real_ns = clock_real_ns();
	fake.listener = "127.0.0.1:8001";
}

static inline struct session *
fake_session(uint32_t slot, const char *peer)
{
	struct session *s = calloc(1, sizeof(*s));
	socklen_t len;

	if (s == NULL || addr_parse(peer, 40000, &s->peer, &len) < 0)
		abort();
	s->slot = slot;
	s->number = 1000 + slot;
	s->pid = 1;
	s->started_real_ns = clock_real_ns();
	s->sup = &fake.sup;
	s->rate_limit = s->share = UINT64_MAX;
	fake.sup.slots[slot] = s;
	fake.sup.sessions++;
	return s;
}

static inline void
fake_transfer(struct session *s, const char *path, uint64_t size, uint64_t offset, uint64_t rate)
{
	s->seen.state = BOARD_RECEIVING;
	s->seen.transfer = 1;
	s->seen.upload = 1;
	s->seen.size = size;
	s->seen.offset = offset;
	s->seen.path_len = (uint32_t)strlen(path);
	memcpy(s->seen.path, path, strlen(path));
	s->transfer_id = 9000 + s->slot;
	s->rate = rate;
}

static inline void
fake_session_gone(uint32_t slot)
{
	free(fake.sup.slots[slot]);
	fake.sup.slots[slot] = NULL;
	fake.sup.sessions--;
}

static inline void
fake_stop(void)
{
	for (uint32_t i = 0; i < fake.sup.boards.slots; i++)
		free(fake.sup.slots[i]);
	free(fake.sup.slots);
	users_free(fake.sup.users);
	free(fake.sup.config);
}

void
supervisor_totals(const struct supervisor *sup, struct totals *ret)
{
	*ret = sup->retired;
}

void
supervisor_shutdown(struct supervisor *sup, uint64_t grace_usec, const char *why)
{
	(void)why;
	sup->draining = true;
	fake.shutdowns++;
	fake.grace_usec = grace_usec;
}

struct session *
sessions_at(const struct supervisor *sup, uint32_t slot)
{
	return slot < sup->boards.slots ? sup->slots[slot] : NULL;
}

struct session *
sessions_find(const struct supervisor *sup, uint64_t number)
{
	return number < 1000 ? NULL : sessions_at(sup, (uint32_t)(number - 1000));
}

struct session *
sessions_find_transfer(const struct supervisor *sup, uint64_t transfer_id)
{
	struct session *s =
	    transfer_id < 9000 ? NULL : sessions_at(sup, (uint32_t)(transfer_id - 9000));

	return s != NULL && s->seen.transfer != 0 ? s : NULL;
}

void
sessions_refresh(struct session *s)
{
	(void)s;
	fake.refreshed++;
}

void
sessions_quit(struct session *s, enum board_quit why, const char *reason, uint64_t retry_after_ms)
{
	(void)reason;
	(void)retry_after_ms;
	s->quit = why;
}

void
sessions_limit(struct session *s, uint64_t rate)
{
	s->rate_limit = rate;
}

void
sessions_pause(struct session *s, uint64_t ordinal)
{
	s->pause = ordinal;
}

bool
sessions_paused(const struct session *s)
{
	return s->pause != 0;
}

void
sessions_cancel(struct session *s, uint64_t ordinal)
{
	fake.cancelled = s->number;
	fake.cancelled_ordinal = ordinal;
}

uint64_t
throttle_ceiling(const struct session *s)
{
	return s->rate_limit;
}

uint64_t
throttle_rate(const struct session *s)
{
	return s->share < s->rate_limit ? s->share : s->rate_limit;
}

uint64_t
sessions_of_user(const struct supervisor *sup, const char *user)
{
	(void)sup;
	(void)user;
	return 0;
}

uint64_t
user_rates_limit(const struct supervisor *sup, const char *user)
{
	(void)sup;
	(void)user;
	return fake.user_rate;
}

int
user_rates_set(struct supervisor *sup, const char *user, uint64_t rate)
{
	(void)sup;
	(void)snprintf(fake.limited_user, sizeof(fake.limited_user), "%s", user);
	fake.user_rate = rate;
	return 0;
}

void
sessions_follow_users(struct supervisor *sup)
{
	(void)sup;
}

int
reload_begin(struct supervisor *sup, bool dry_run, struct config_problems *problems,
	     json_t **ret_diff)
{
	static char under_way;

	(void)snprintf(problems->file, sizeof(problems->file), "/etc/ftd.conf");
	if (fake.reload_problem != NULL)
		config_problem_add(problems, true, 12, "%s", fake.reload_problem);
	if (fake.reload_answer < 0)
		return fake.reload_answer;
	if (!dry_run)
		sup->reload = (struct reload *)&under_way;
	if (ret_diff != NULL)
		*ret_diff = json_pack("[{s:s, s:s, s:s, s:s}]", "option", "limits.sessions",
				      "before", "1", "after", "2", "takes_effect", "now");
	return 0;
}

bool
houses_ready(const struct supervisor *sup)
{
	return sup->houses[HOUSE_GATE] != NULL;
}

const struct house_certificate *
houses_certificate(const struct supervisor *sup)
{
	(void)sup;
	return fake.certificate.known ? &fake.certificate : NULL;
}

const char *
renewal_problem(void)
{
	return fake.certificate_problem;
}

const char *
renewal_untimely(const struct house_certificate *c)
{
	(void)c;
	return NULL;
}

int64_t
renewal_days_left(const struct house_certificate *c)
{
	(void)c;
	return fake.days_left;
}

int
reexec_begin(struct supervisor *sup, struct control_request *asker)
{
	(void)sup;
	(void)asker;
	return -EBUSY;
}

bool
reexec_runs(const struct supervisor *sup)
{
	(void)sup;
	return false;
}

const char *
reexec_failure(void)
{
	return "";
}

void
reexec_forget(struct supervisor *sup)
{
	(void)sup;
}

const char *
reload_last(const struct supervisor *sup)
{
	(void)sup;
	return fake.reload_failure;
}

void
admission_view(const struct supervisor *sup, struct admission_view *ret)
{
	(void)sup;
	*ret = (struct admission_view){ .gates = 2, .waiting = 1 };
}

bool
admission_welcomes(const struct supervisor *sup, const union addr *peer,
		   struct packet_verdict *ret_verdict)
{
	(void)sup;
	(void)peer;
	*ret_verdict = (struct packet_verdict){ .code = "" };
	return true;
}

const char *
listeners_text(const struct supervisor *sup, unsigned i, char *buf)
{
	(void)sup;
	if (i > 0)
		return NULL;
	(void)snprintf(buf, ADDR_TEXT_MAX, "%s", fake.listener);
	return buf;
}

bool
listeners_paused(const struct supervisor *sup)
{
	(void)sup;
	return false;
}

int
helpers_ask_keeper(const struct packet_keeper *question)
{
	fake.asked = *question;
	return fake.keeper_answer;
}

uint64_t
helpers_keeper_silence(unsigned share)
{
	(void)share;
	return 0;
}

void
log_line(int level, const char *format, ...)
{
	(void)level;
	(void)format;
}
