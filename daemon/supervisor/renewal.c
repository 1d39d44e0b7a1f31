#include "daemon/supervisor/renewal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/own.h"

#define PERIOD (10 * USEC_PER_SEC)
enum { SEC_PER_DAY = 86400 };

static struct {
	struct certificate_mark mark; /* of the files when a house last began to read them */
	struct house_pair *trial;     /* a gatehouse with the new ones, or NULL */
	uint64_t looked_usec;
	char problem[HOUSES_WHY_MAX];
} renewal;

static void
remember_files(const struct config *c)
{
	struct certificate_files files;

	certificate_files(c, &files);
	certificate_mark(&files, &renewal.mark);
	renewal.looked_usec = clock_usec();
}

static bool
is_incomplete(void)
{
	return renewal.mark.file[0].inode == 0 || renewal.mark.file[1].inode == 0;
}

void
renewal_stop(struct supervisor *sup)
{
	(void)sup;
	if (renewal.trial != NULL)
		houses_drop(take_ptr(renewal.trial));
}

void
renewal_before_houses(struct supervisor *sup, const struct config *c)
{
	renewal_stop(sup);
	remember_files(c);
}

void
renewal_done(struct supervisor *sup)
{
	const struct house_certificate *c = houses_certificate(sup);
	char text[CERTIFICATE_FINGERPRINT_TEXT];

	renewal.problem[0] = '\0';
	if (is_incomplete()) /* what was missing the gatehouse has made */
		remember_files(sup->config);
	if (c == NULL)
		return;
	log_line(LOG_INFO, "the certificate is %s, %s, for another %" PRId64 " days", c->subject,
		 certificate_fingerprint_text(c->fingerprint, text), renewal_days_left(c));
	if (renewal_untimely(c) != NULL)
		log_line(LOG_WARNING, "the certificate %s, but is used", renewal_untimely(c));
}

static void
on_trial(struct supervisor *sup, struct house_pair *pair, int error)
{
	renewal.trial = NULL;
	if (error < 0) {
		(void)snprintf(renewal.problem, sizeof(renewal.problem), "%s", houses_why(pair));
		log_line(LOG_ERR, "the changed certificate is not taken, keeping the old one: %s",
			 renewal.problem);
		houses_drop(pair);
		return;
	}
	houses_adopt(sup, pair);
	renewal_done(sup);
}

static bool
have_changed(const struct config *c)
{
	struct certificate_mark before = renewal.mark;

	remember_files(c);
	return memcmp(&before, &renewal.mark, sizeof(before)) != 0;
}

void
renewal_tick(struct supervisor *sup)
{
	int r;

	if (sup->draining || sup->reload != NULL || renewal.trial != NULL ||
	    sup->houses[HOUSE_GATE] == NULL || clock_usec() - renewal.looked_usec < PERIOD ||
	    !have_changed(sup->config))
		return;
	if (is_incomplete()) { /* perhaps in the middle of its exchange: a gatehouse would make one
				*/
		(void)snprintf(renewal.problem, sizeof(renewal.problem),
			       "certificate or key is missing");
		log_line(LOG_ERR, "%s, keeping what is in force", renewal.problem);
		return;
	}
	log_line(LOG_NOTICE, "the certificate's files have changed, trying them");
	r = houses_start_gate(sup, on_trial, &renewal.trial);
	if (r < 0)
		log_line(LOG_ERR, "cannot start a gatehouse to try them: %s", strerror(-r));
}

const char *
renewal_problem(void)
{
	return renewal.problem[0] == '\0' ? NULL : renewal.problem;
}

const char *
renewal_untimely(const struct house_certificate *c)
{
	int64_t now = clock_real_ns() / (int64_t)NSEC_PER_SEC;

	if (now < c->not_before)
		return "is not valid yet";
	return now > c->not_after ? "has expired" : NULL;
}

int64_t
renewal_days_left(const struct house_certificate *c)
{
	int64_t left = c->not_after - clock_real_ns() / (int64_t)NSEC_PER_SEC;

	return left > 0 ? left / SEC_PER_DAY : 0;
}
