#include "client/put_tree.h"

#include <errno.h>
#include <string.h>

#include "lib/err.h"
#include "lib/own.h"

void
put_tree_done(struct put_tree *t)
{
	while (t->n_made > 0)
		free(t->made[--t->n_made].path);
	free(take_ptr(t->made));
	t->room = 0;
}

int
put_tree_note(struct put_tree *t, const char *path, const struct stat *st)
{
	struct put_made *more;
	size_t room;

	if (t->n_made == t->room) {
		room = t->room > 0 ? 2 * t->room : 64;
		more = reallocarray(t->made, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		t->made = more;
		t->room = room;
	}
	t->made[t->n_made].path = strdup(path);
	if (t->made[t->n_made].path == NULL)
		return -ENOMEM;
	t->made[t->n_made++].st = *st;
	return 0;
}

int
put_tree_make(struct put_tree *t, const char *path, const struct stat *st)
{
	int r;

	r = upload_put(t->upload, UPLOAD_MKDIR, t->source, path, st);
	return r < 0 ? r : put_tree_note(t, path, st);
}

int
put_tree_set(struct put_tree *t, const struct put_made *d)
{
	return upload_put(t->upload, UPLOAD_SET, t->source, d->path, &d->st);
}

void
put_tree_failed(struct report *report, const struct upload_source *source, const char *path,
		int error)
{
	char name[UPLOAD_NAME_MAX];
	struct failure f;

	(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(error));
	report_failure(report, upload_name(name, source, path), &f);
}

void
put_tree_skipped(struct report *report, const struct upload_source *source,
		 const struct walk_item *item)
{
	char name[UPLOAD_NAME_MAX];

	report_skipped(report, upload_name(name, source, item->path),
		       S_ISLNK(item->st.st_mode) ? "a symbolic link" : "no regular file");
}

void
put_tree_refused(const struct upload *u)
{
	if (u->times_refused > 0)
		report_warning(&u->client->report,
			       "%ju directories keep the times the server gave them",
			       (uintmax_t)u->times_refused);
}
