#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/command.h"
#include "client/hosts.h"
#include "client/interrupt.h"
#include "client/put_tree.h"
#include "client/resume.h"
#include "lib/err.h"
#include "lib/own.h"

struct put {
	struct client *client;
	struct upload upload;
	struct url target;
	bool into;  /* the target is a directory that the sources go into */
	bool fresh; /* the target was not there before */
	bool tree;  /* a directory was among the sources */
};

/* ---- where things go ---- */

/* The name that a source has in the directory it goes into; "" where only its content goes there.
 */
static const char *
leaf_of(const char *name, char *dst, size_t size)
{
	size_t end = strlen(name), start;

	while (end > 0 && name[end - 1] == '/')
		end--;
	start = end;
	while (start > 0 && name[start - 1] != '/')
		start--;
	if (end - start >= size)
		return NULL;
	memcpy(dst, name + start, end - start);
	dst[end - start] = '\0';
	if (strcmp(dst, ".") == 0 || strcmp(dst, "..") == 0)
		dst[0] = '\0';
	return dst;
}

static int
set_remote(const struct put *p, struct upload_source *s, struct failure *f)
{
	char leaf[PATH_COMPONENT_MAX + 1];
	struct url url = p->target;

	if (p->into &&
	    (leaf_of(s->name, leaf, sizeof(leaf)) == NULL || url_join(&p->target, leaf, &url) < 0))
		return failure_local(f, -ENAMETOOLONG, "name");
	s->remote = strdup(url.path);
	return s->remote == NULL ? failure_connection(f, -ENOMEM) : 0;
}

/* Is the target a directory? One question, where the command line does not say it already. */
static int
find_target(struct put *p, int n_sources, struct failure *f)
{
	struct session *session = &p->client->session;
	auto_json json_t *rq = NULL;
	struct answer a;
	struct entry e;
	int r;

	p->into = p->target.directory;
	if (p->into)
		return 0;
	rq = session_request("stat", &p->target);
	r = session_query(session, rq, &a, f);
	if (r == 0) {
		r = entry_decode(a.object, &e);
		if (r == 0) {
			p->into = e.type == ENTRY_DIR;
			entry_done(&e);
		}
		answer_done(&a);
		if (r < 0)
			return failure_protocol(f, "what stat says is no entry");
	} else if (f->scope != FAILURE_ITEM) {
		return r;
	} else {
		p->fresh = strcmp(f->code, "not_found") == 0;
		if (!p->fresh && strcmp(f->code, "permission") != 0)
			return r;
	}
	if (n_sources > 1 && !p->into)
		return failure_set(f, FAILURE_ITEM, err_exit_status("not_a_directory"),
				   "not_a_directory",
				   "several sources need a directory to go into");
	return 0;
}

/* ---- trees ---- */

/* With --include only what holds a wanted file is made, by the upload itself. */
static int
put_directory(struct put_tree *t, const char *path, const struct stat *st)
{
	return t->upload->parents ? 0 : put_tree_make(t, path, st);
}

static int
put_walked(struct put_tree *t, const struct walk_item *item)
{
	struct report *report = &t->upload->client->report;

	if (item->error < 0)
		put_tree_failed(report, t->source, item->path, item->error);
	else if (S_ISDIR(item->st.st_mode))
		return put_directory(t, item->path, &item->st);
	else if (S_ISREG(item->st.st_mode))
		return upload_put(t->upload, UPLOAD_FILE, t->source, item->path, &item->st);
	else
		put_tree_skipped(report, t->source, item);
	return 0;
}

/* The source itself, then all below it, then the times of the directories. */
static int
put_all_of(struct put *p, struct put_tree *t)
{
	auto_walk struct walk *w = NULL;
	char leaf[PATH_COMPONENT_MAX + 1];
	struct walk_item item;
	struct stat st;
	int r;

	if (fstat(t->source->dir, &st) < 0)
		return -errno;
	if (t->source->remote[0] != '\0' && leaf_of(t->source->name, leaf, sizeof(leaf)) != NULL &&
	    leaf[0] != '\0') {
		r = put_directory(t, "", &st);
		if (r < 0)
			return r;
	}
	r = walk_new(t->source->dir, &p->client->options, &w);
	while (r >= 0 && (r = walk_next(w, &item)) > 0)
		r = put_walked(t, &item);
	for (size_t i = t->n_made; r == 0 && i > 0; i--) /* the deepest first */
		r = put_tree_set(t, &t->made[i - 1]);
	return r < 0 ? r : upload_settle(&p->upload);
}

static int
put_tree(struct put *p, const struct upload_source *s)
{
	struct put_tree t = { .upload = &p->upload, .source = s };
	int r;

	r = put_all_of(p, &t);
	put_tree_done(&t);
	return r;
}

/* ---- sources ---- */

static int
put_source(struct put *p, struct upload_source *s)
{
	static const struct stat nothing;
	auto_close int dir = -1;
	struct failure f;
	struct stat st;
	int r;

	if (strcmp(s->name, "-") == 0)
		return upload_put(&p->upload, UPLOAD_FILE, s, "", &nothing);
	if (fstatat(AT_FDCWD, s->name, &st, 0) < 0) {
		put_tree_failed(&p->client->report, s, "", -errno);
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return upload_put(&p->upload, UPLOAD_FILE, s, "", &st);
	if (!options_has(&p->client->options, OPTION_BIT(recursive))) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local",
				  "a directory: put -r sends it with all below it");
		report_failure(&p->client->report, s->name, &f);
		return 0;
	}
	dir = openat(AT_FDCWD, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		put_tree_failed(&p->client->report, s, "", -errno);
		return 0;
	}
	p->tree = true;
	s->dir = dir;
	r = put_tree(p, s);
	s->dir = -1;
	return r;
}

/* So that the total line knows the end. Only for people: it reads every directory once more. */
static int
scan(struct put *p, const struct upload_source *sources, int n)
{
	uint64_t bytes = 0, files = 0;

	progress_phase(&p->client->report.progress, "scanning");
	for (int i = 0; i < n; i++) {
		auto_walk struct walk *w = NULL;
		auto_close int dir = -1;
		struct walk_item item;
		struct stat st;

		if (fstatat(AT_FDCWD, sources[i].name, &st, 0) < 0)
			continue;
		if (S_ISREG(st.st_mode)) {
			bytes += (uint64_t)st.st_size;
			files++;
			continue;
		}
		dir = openat(AT_FDCWD, sources[i].name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		if (walk_new(dir, &p->client->options, &w) < 0)
			return -ENOMEM;
		while (!interrupt_seen() && walk_next(w, &item) > 0)
			if (item.error == 0 && S_ISREG(item.st.st_mode)) {
				bytes += (uint64_t)item.st.st_size;
				files++;
			}
	}
	progress_phase(&p->client->report.progress, NULL);
	progress_expect(&p->client->report.progress, bytes, files);
	return 0;
}

static int
put_all(struct put *p, struct upload_source *sources, int n)
{
	struct failure f;
	int r;

	if (p->client->report.progress.kind == PROGRESS_TERMINAL)
		(void)scan(p, sources, n);
	for (int i = 0; i < n; i++) {
		r = set_remote(p, &sources[i], &f);
		if (r < 0) {
			report_failure(&p->client->report, sources[i].name, &f);
			continue;
		}
		r = put_source(p, &sources[i]);
		if (r < 0)
			return r;
	}
	return upload_settle(&p->upload);
}

static int
put_run(struct put *p, int n, char **names)
{
	struct report *report = &p->client->report;
	struct upload_source *sources;
	struct failure f;
	int r;

	r = session_open(&p->client->session, &p->target, &f);
	if (r == 0)
		r = find_target(p, n, &f);
	if (r < 0) {
		report_failure(report, NULL, &f);
		return r;
	}
	if (upload_init(&p->upload, p->client) < 0)
		return -ENOMEM;
	p->upload.parents = p->client->options.n_include > 0;
	sources = calloc((size_t)n, sizeof(*sources));
	if (sources == NULL) {
		upload_done(&p->upload);
		return -ENOMEM;
	}
	for (int i = 0; i < n; i++)
		sources[i] = (struct upload_source){ .name = names[i], .dir = -1 };
	r = put_all(p, sources, n);
	put_tree_refused(&p->upload);
	upload_done(&p->upload);
	for (int i = 0; i < n; i++)
		free(sources[i].remote);
	free(sources);
	return r;
}

int
command_put(struct client *c, int argc, char **argv)
{
	struct put p = { .client = c };
	struct failure f;
	const char *why;
	int r;

	if (hosts_resolve(argv[argc - 1], &p.target, &why) < 0)
		return command_usage(c, "%s: %s", argv[argc - 1], why);
	for (int i = 0; i < argc - 1; i++)
		if (strcmp(argv[i], "-") == 0 && (argc > 2 || p.target.directory))
			return command_usage(
			    c, "the standard input goes alone, to an address that names a file");
	r = put_run(&p, argc - 1, argv);
	if (r < 0 && c->report.failed == 0) { /* no memory */
		(void)failure_named(&f, r);
		report_failure(&c->report, NULL, &f);
	}
	if (interrupt_seen() && c->report.progress.files > 0)
		resume_tell(c, p.fresh && p.tree && c->options.if_exists == IF_EXISTS_UNSAID);
	report_summary(&c->report);
	return 0;
}
