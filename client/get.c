#include "client/get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/hosts.h"
#include "client/interrupt.h"
#include "client/resume.h"
#include "lib/err.h"
#include "lib/own.h"

/* Where on this machine things go. */
struct destination {
	const char *name; /* as written */
	int dir;          /* the directory that things go into, or that holds leaf */
	bool into;
	char leaf[PATH_COMPONENT_MAX + 1];
};

/* ---- the destination ---- */

static int
open_directory(const char *path)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* "a/b": opens "a", leaf is "b"; "b" alone is in the working directory. */
static int
open_above(struct destination *d)
{
	const char *slash = strrchr(d->name, '/');
	const char *leaf = slash != NULL ? slash + 1 : d->name;
	char above[PATH_MAX];

	if (path_check_component(leaf, strlen(leaf)) < 0)
		return -EINVAL;
	(void)snprintf(d->leaf, sizeof(d->leaf), "%s", leaf);
	if (slash == NULL)
		return open_directory(".");
	if ((size_t)(slash - d->name) + 2 > sizeof(above))
		return -ENAMETOOLONG;
	(void)snprintf(above, sizeof(above), "%.*s", (int)(slash - d->name) + 1, d->name);
	return open_directory(above);
}

static int
destination_open(const char *name, bool several, struct destination *ret)
{
	struct destination d = { .name = name };
	size_t len = strlen(name);
	struct stat st;
	bool is_dir = fstatat(AT_FDCWD, name, &st, 0) == 0 && S_ISDIR(st.st_mode);

	d.into = is_dir || several || (len > 0 && name[len - 1] == '/');
	d.dir = d.into ? open_directory(name) : open_above(&d);
	if (d.dir < 0)
		return d.dir;
	*ret = d;
	return 0;
}

/* The name of url here: as the command line says, or its last component. */
static int
leaf_for(const struct destination *d, const struct url *url, char *leaf, char *shown, size_t size)
{
	size_t len = strlen(d->name);
	const char *slash = len > 0 && d->name[len - 1] == '/' ? "" : "/";

	if (!d->into) {
		memcpy(leaf, d->leaf, sizeof(d->leaf));
		(void)snprintf(shown, size, "%s", d->name);
		return 0;
	}
	(void)snprintf(leaf, PATH_COMPONENT_MAX + 1, "%s", url_leaf(url));
	if (strcmp(d->name, ".") == 0)
		(void)snprintf(shown, size, "%s", leaf);
	else
		(void)snprintf(shown, size, "%s%s%s", d->name, leaf[0] != '\0' ? slash : "", leaf);
	return leaf[0] != '\0' ? 0 : -EISDIR;
}

/* ---- directories ---- */

/* Is url a directory? 1 (*ret_facts: its own), 0, or negative (f). */
static int
ask_directory(struct get *g, const struct url *url, struct part_facts *ret_facts, struct failure *f)
{
	auto_json json_t *rq = session_request("stat", url);
	struct answer a;
	struct entry e;
	int r;

	r = session_query(&g->client->session, rq, &a, f);
	if (r < 0)
		return r;
	r = entry_decode(a.object, &e);
	if (r == 0) {
		r = e.type == ENTRY_DIR;
		*ret_facts = get_facts(&e);
		entry_done(&e);
	} else {
		r = failure_protocol(f, "what stat says is no entry");
	}
	answer_done(&a);
	return r;
}

/* The directory here that the tree goes into; the root of a server goes into the destination
 * itself. */
static int
open_root(struct get *g, const struct destination *d, const char *leaf)
{
	int fd;

	if (leaf[0] == '\0') {
		fd = fcntl(d->dir, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (mkdirat(d->dir, leaf, 0777) == 0)
		g->fresh = true;
	else if (errno != EEXIST)
		return -errno;
	return path_open(d->dir, leaf, O_RDONLY | O_DIRECTORY, 0, false);
}

static int
get_directory(struct get *g, const struct url *url, const struct destination *d, const char *leaf,
	      const char *shown, const struct part_facts *facts)
{
	const struct options *o = &g->client->options;
	struct get_place place = { .name = shown, .parent = -1 };
	auto_close int root = open_root(g, d, leaf);
	struct failure f;
	int r;

	if (root < 0) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(root));
		report_failure(&g->client->report, shown, &f);
		return 0;
	}
	place.root = root;
	if (leaf[0] != '\0') /* a destination that was there keeps its own time */
		get_place_note(&place, "", facts);
	if (o->n_include + o->n_exclude > 0 || o->if_exists == IF_EXISTS_SKIP ||
	    o->if_exists == IF_EXISTS_FAIL)
		r = get_listed(g, url, &place, NULL);
	else
		r = get_tree(g, url, &place);
	get_place_done(&place);
	return r;
}

/* ---- sources ---- */

static int
get_source(struct get *g, const struct url *url, const struct destination *d, const char *name)
{
	char leaf[PATH_COMPONENT_MAX + 1], shown[2 * PATH_MAX];
	struct part_facts facts;
	struct failure f;
	int is_dir = 0, r;

	r = session_open(&g->client->session, url, &f);
	if (r == 0 && options_has(&g->client->options, OPTION_BIT(recursive)))
		r = is_dir = ask_directory(g, url, &facts, &f);
	if (r < 0) {
		report_failure(&g->client->report, name, &f);
		return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
	}
	r = leaf_for(d, url, leaf, shown, sizeof(shown));
	if (is_dir)
		return get_directory(g, url, d, leaf, shown, &facts);
	if (r < 0) {
		(void)failure_set(&f, FAILURE_ITEM, err_exit_status("not_a_file"), "not_a_file",
				  "%s", err_text(-FTD_E_not_a_file));
		report_failure(&g->client->report, name, &f);
		return 0;
	}
	return get_file(g, url, d->dir, leaf, shown, false, 0);
}

/* ---- to the standard output ---- */

/* All of url; what has been written cannot be taken back, so nothing is tried twice. */
static int
write_out(struct get *g, const struct url *url, struct failure *f)
{
	struct client *c = g->client;
	json_t *rq = session_request("download", url);
	bool first = true, more = true;
	struct answer a;
	struct entry e;
	int r;

	if (rq != NULL)
		(void)json_object_set_new(rq, "digest",
					  json_string(digest_name(c->options.digest)));
	r = session_send(&c->session, rq, f);
	while (r == 0 && more) {
		r = session_receive_for(&c->session, c->session.last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		if (first && entry_decode(a.object, &e) < 0) {
			r = failure_protocol(f, "a download does not begin with an entry");
		} else if (first) {
			r = fetch_begin(&g->fetch, STDOUT_FILENO, false, 0, e.filesize);
			report_begin(&c->report, url->path, e.filesize, 0);
			entry_done(&e);
			r = r < 0 ? failure_connection(f, r) : 0;
		}
		first = false;
		if (r == 0)
			r = fetch_frame(&g->fetch, &a, f);
		if (r == 0 && !more)
			r = fetch_end(&g->fetch, &a, f);
		answer_done(&a);
	}
	if (r < 0 && f->scope == FAILURE_ITEM && f->status == STATUS_LOCAL)
		f->scope = FAILURE_STOP; /* nobody reads what we write */
	return r;
}

static int
get_to_stdout(struct get *g, const struct url *urls, int n, char **names)
{
	struct failure f;
	int r;

	for (int i = 0; i < n; i++) {
		r = session_open(&g->client->session, &urls[i], &f);
		if (r == 0)
			r = write_out(g, &urls[i], &f);
		if (r == 0) {
			g->client->report.ok++;
			continue;
		}
		report_failure(&g->client->report, names[i], &f);
		if (f.scope != FAILURE_ITEM)
			return -EPROTO;
	}
	return 0;
}

/* ---- commands ---- */

static void
get_to_directory(struct get *g, const struct url *urls, int n, char **names, const char *name)
{
	struct destination d;
	struct failure f;
	int r;

	r = destination_open(name, n > 1, &d);
	if (r < 0) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
		report_failure(&g->client->report, name, &f);
		return;
	}
	for (int i = 0; r == 0 && i < n; i++)
		r = get_source(g, &urls[i], &d, names[i]);
	close_fd(&d.dir);
}

int
command_get(struct client *c, int argc, char **argv)
{
	struct get g = { .client = c };
	auto_free struct url *urls = NULL;
	const char *dst = ".", *why;
	struct url last;
	bool out;
	int status;

	if (argc > 1 && hosts_resolve(argv[argc - 1], &last, &why) < 0 && !url_is(argv[argc - 1]))
		dst = argv[--argc];
	out = strcmp(dst, "-") == 0;
	if (out && (c->report.json || options_has(&c->options, OPTION_BIT(recursive))))
		return command_usage(c, "neither --json nor -r goes with the standard output");
	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	if (fetch_init(&g.fetch, c, &c->session) < 0)
		return STATUS_OTHER;
	if (out)
		(void)get_to_stdout(&g, urls, argc, argv);
	else
		get_to_directory(&g, urls, argc, argv, dst);
	fetch_done(&g.fetch);
	if (interrupt_seen() && !out && c->report.progress.files > 0)
		resume_tell(c, g.fresh && c->options.if_exists == IF_EXISTS_UNSAID);
	if (!out)
		report_summary(&c->report);
	return 0;
}

int
command_cat(struct client *c, int argc, char **argv)
{
	struct get g = { .client = c };
	auto_free struct url *urls = NULL;
	int status;

	if (c->report.json)
		return command_usage(c, "--json does not go with the standard output");
	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	if (fetch_init(&g.fetch, c, &c->session) < 0)
		return STATUS_OTHER;
	(void)get_to_stdout(&g, urls, argc, argv);
	fetch_done(&g.fetch);
	return 0;
}
