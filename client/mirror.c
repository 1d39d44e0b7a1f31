#include "client/mirror.h"

#include <errno.h>
#include <string.h>

#include "client/hosts.h"
#include "client/interrupt.h"
#include "client/resume.h"
#include "lib/err.h"
#include "lib/own.h"

/* ---- what is told */

bool
mirror_does(struct mirror *m, enum report_deed deed, const char *name, uint64_t bytes)
{
	if (m->dry)
		report_deed(&m->client->report, deed, name, bytes);
	return !m->dry;
}

void
mirror_unchanged(struct mirror *m)
{
	if (!m->again) /* else it may have come just now */
		m->client->report.unchanged++;
}

int
mirror_blocked(struct mirror *m, const char *name)
{
	struct failure f;

	m->in_the_way++;
	if (m->removes && !m->again)
		return m->dry;
	(void)failure_set(&f, FAILURE_ITEM, err_exit_status("exists"), "exists",
			  m->again ? "something that is not to be removed is in its place"
				   : "a directory is in the place of a file, or the other way "
				     "round: --delete replaces it");
	report_failure(&m->client->report, name, &f);
	return 0;
}

int
mirror_stopped(struct mirror *m, const char *name, int r, const struct failure *f)
{
	if (r < 0)
		report_failure(&m->client->report, name, f);
	return r;
}

int
mirror_stopped_here(struct mirror *m, int r)
{
	struct failure f;

	(void)failure_named(&f, r);
	return mirror_stopped(m, m->here, r, &f);
}

/* ---- the end there */

int
mirror_stat(struct mirror *m, struct catalog_facts *ret, struct failure *f)
{
	auto_json json_t *rq = session_request("stat", &m->url);
	struct answer a;
	struct entry e;
	int r;

	r = session_open(&m->client->session, &m->url, f);
	if (r == 0)
		r = session_query(&m->client->session, rq, &a, f);
	if (r < 0)
		return strcmp(f->code, "not_found") == 0 ? 0 : r;
	r = entry_decode(a.object, &e);
	if (r == 0) {
		*ret = catalog_entry_facts(&e);
		entry_done(&e);
	}
	answer_done(&a);
	if (r < 0)
		return failure_protocol(f, "what stat says is no entry");
	if (ret->type != ENTRY_DIR)
		return failure_set(f, FAILURE_ITEM, err_exit_status("not_a_directory"),
				   "not_a_directory", "%s", err_text(-FTD_E_not_a_directory));
	return 1;
}

static int
take_entry(struct mirror *m, const struct entry *e, mirror_take_fn take, void *way,
	   struct failure *f)
{
	char path[PATH_BYTES_MAX + 1], shown[LISTING_NAME_MAX];
	struct failure bad;

	if (e->name.data == NULL || e->name.data[0] == '/' ||
	    path_from_wire(e->name.data, e->name.len, path) <= 0) {
		(void)failure_named(&bad, -FTD_E_bad_name);
		report_failure(&m->client->report, listing_name(shown, m->there, e), &bad);
		return 0;
	}
	return take(way, e, path,
		    options_wants_below(&m->client->options, path, e->type == ENTRY_DIR), f);
}

int
mirror_each(struct mirror *m, const char *digest, mirror_take_fn take, void *way, struct failure *f)
{
	struct listing l;
	struct entry e;
	int r = listing_init(&l, m->client, &m->url);

	if (r < 0)
		return failure_connection(f, r);
	l.digest = digest;
	progress_phase(&m->client->report.progress, "scanning");
	while (r >= 0 && (r = listing_next(&l, f)) > 0)
		for (size_t i = 0; r >= 0 && i < json_array_size(l.page); i++) {
			r = listing_entry(&l, i, &e, f);
			if (r < 0)
				break;
			r = take_entry(m, &e, take, way, f);
			entry_done(&e);
		}
	progress_phase(&m->client->report.progress, NULL);
	listing_done(&l);
	return r;
}

int
mirror_list(struct mirror *m, const char *path, const struct entry *e, struct failure *f)
{
	struct catalog_facts facts = catalog_entry_facts(e);
	int r;

	r = catalog_add(&m->listed, path, &facts, &e->digest);
	if (r == -E2BIG)
		return failure_set(f, FAILURE_STOP, STATUS_LOCAL, "local",
				   "more than %d names there: too many to remember", CATALOG_MAX);
	return r < 0 ? failure_connection(f, r) : 0;
}

/* ---- the order of things */

/* After anything that went wrong it is not known what the source has. */
static void
withhold(struct mirror *m)
{
	struct report *report = &m->client->report;
	struct failure f;

	(void)failure_set(&f, FAILURE_ITEM, STATUS_SOME_FAILED, "incomplete",
			  "nothing was deleted, because not all went well");
	report_failure(report, NULL, &f);
	if (report->stopped != 0 && !interrupt_seen())
		report->stopped = STATUS_SOME_FAILED;
}

static int
sweep(struct mirror *m, const struct mirror_direction *d, void *way)
{
	auto_free struct mirror_sweep *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return -ENOMEM;
	if (!m->missing)
		r = d->find_stale(m, way, s);
	if (r == 0 && m->client->report.failed > 0) {
		withhold(m);
		s->n = 0;
	}
	mirror_sweep_sort(s);
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = d->remove(m, way, &s->stale[i]);
	mirror_sweep_done(s);
	return r < 0 ? r : d->settle(m, way);
}

int
mirror_run(struct mirror *m, const struct mirror_direction *d, void *way)
{
	struct report *report = &m->client->report;
	int r = d->begin(m, way);

	if (r < 0)
		return r;
	r = d->pass(m, way);
	if (m->removes && (r < 0 || report->failed > 0)) {
		withhold(m);
	} else if (m->removes) {
		r = sweep(m, d, way);
		if (r == 0 && m->in_the_way > 0 && !m->dry) {
			m->again = true;
			r = d->pass(m, way);
		}
	}
	return r == 0 && !m->dry ? d->end(m, way) : r;
}

/* ---- the command */

/* Is the operand an address? 1 (*ret), 0: a name here; negative: told, the exit status. */
static int
read_operand(struct client *c, const char *text, struct url *ret)
{
	const char *why;

	if (hosts_resolve(text, ret, &why) == 0)
		return 1;
	return url_is(text) ? -command_bad_url(c, text, why) : 0;
}

int
command_mirror(struct client *c, int argc, char **argv)
{
	struct mirror m = { .client = c,
			    .root = -1,
			    .removes = options_has(&c->options, OPTION_BIT(delete)),
			    .dry = options_has(&c->options, OPTION_BIT(dry_run)),
			    .by_content = options_has(&c->options, OPTION_BIT(checksum)) };
	struct url dst;
	int from, to, r;

	(void)argc;
	from = read_operand(c, argv[0], &m.url);
	to = from < 0 ? from : read_operand(c, argv[1], &dst);
	if (to < 0)
		return -to;
	if (from == to)
		return command_usage(c, "one of the two is an address, the other a directory here");
	m.there = argv[to];
	m.here = argv[from];
	if (to)
		m.url = dst;
	report_mirrors(&c->report, m.dry);
	r = to ? mirror_put(&m) : mirror_get(&m);
	if (r < 0 && c->report.failed == 0) /* no memory */
		(void)mirror_stopped_here(&m, r);
	close_fd(&m.root);
	catalog_done(&m.listed);
	if (interrupt_seen() && c->report.progress.files > 0)
		resume_tell(c, false);
	report_summary(&c->report);
	return 0;
}
