#include "ctl/user_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl/local.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

#define FILE_DEFAULT "/etc/ftd/users"
#define RUN_AS_DEFAULT "ftd"

enum { LOCK_WAIT_SEC = 10, LOCK_POLL_MSEC = 20 };

static int
refuse_errno(json_t *answer, const char *path, int r)
{
	bool rights = r == -EACCES || r == -EPERM || r == -EROFS;

	return local_refuse(answer, r, "%s: %s%s", path, err_text(r),
			    rights && geteuid() != 0 ? "; root may" : "");
}

/* ---- where it is ---- */

/* What the daemon says of an option: a text, in quotes. 1, 0: nothing that can be used. */
static int
option_text(const json_t *rows, const char *option, char *dst, size_t size)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const char *name = json_string_value(json_object_get(row, "option"));
		const char *value = json_string_value(json_object_get(row, "value"));
		size_t len = value == NULL ? 0 : strlen(value);

		if (name == NULL || strcmp(name, option) != 0)
			continue;
		if (len < 2 || len - 2 >= size || strchr(value, '\\') != NULL)
			return 0;
		memcpy(dst, value + 1, len - 2);
		dst[len - 2] = '\0';
		return 1;
	}
	return 0;
}

/* Of the daemon, where one runs: what is not told stays. */
static int
ask_daemon(const struct options *o, char path[PATH_MAX], struct user_file *f, json_t *answer)
{
	auto_json json_t *request = json_pack("{s:s}", "opt", "config-show"), *told = NULL;
	const json_t *rows;
	int r = request == NULL ? -ENOMEM : local_ask(o, request, &told);

	if (r < 0)
		return local_refuse(answer, r,
				    "ftd does not tell where its users are (%s); see --file",
				    err_text(r));
	rows = json_object_get(told, "options");
	if (r > 0 && option_text(rows, "users", path, PATH_MAX) == 0)
		return local_refuse(answer, -FTD_E_not_found,
				    "ftd does not tell where its users are; see --file");
	(void)option_text(rows, "run_as", f->run_as, sizeof(f->run_as));
	return 0;
}

/* The path as it was given, or as the daemon has it. A file that is not there yet is made where an
 * administrator says so, or by default: not wherever a daemon, which may be in the wrong hands,
 * leads root. */
static int
find_path(const struct options *o, struct user_file *f, json_t *answer)
{
	const char *given = o->value[OPTION_FILE];
	char path[PATH_MAX] = FILE_DEFAULT;
	int r = 0;

	(void)snprintf(f->run_as, sizeof(f->run_as), "%s", RUN_AS_DEFAULT);
	if (given == NULL)
		r = ask_daemon(o, path, f, answer);
	if (r < 0)
		return r;
	f->path = realpath(given != NULL ? given : path, NULL);
	if (f->path == NULL && errno != ENOENT)
		return refuse_errno(answer, given != NULL ? given : path, -errno);
	if (f->path == NULL && given == NULL && strcmp(path, FILE_DEFAULT) != 0)
		return local_refuse(answer, -ENOENT, "there is no %s; make it with --file %s", path,
				    path);
	if (f->path == NULL)
		f->path = strdup(given != NULL ? given : path);
	return f->path == NULL ? -ENOMEM : 0;
}

/* ---- the lock ---- */

#define LOCK_SUFFIX ".lock"
#define NEW_SUFFIX ".new"

static const char *
name_of(const struct user_file *f)
{
	const char *slash = strrchr(f->path, '/');

	return slash != NULL ? slash + 1 : f->path;
}

/* The directory of the file; that of the default file may be missing. */
static int
open_dir(struct user_file *f, json_t *answer)
{
	auto_free char *copy = strdup(f->path);
	const char *dir;

	if (copy == NULL)
		return -ENOMEM;
	if (strlen(name_of(f)) + strlen(LOCK_SUFFIX) > NAME_MAX)
		return refuse_errno(answer, f->path, -ENAMETOOLONG);
	dir = dirname(copy);
	if (!f->exists && mkdir(dir, 0700) == 0 && chmod(dir, 0755) < 0)
		return refuse_errno(answer, dir, -errno);
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? refuse_errno(answer, dir, -errno) : 0;
}

/* A name beside the file. Returns buf (NAME_MAX + 1 bytes). */
static const char *
beside(const struct user_file *f, const char *suffix, char *buf)
{
	(void)snprintf(buf, NAME_MAX + 1, "%s%s", name_of(f), suffix);
	return buf;
}

static int
wait_for_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_MSEC * 1000 * 1000 };
	uint64_t deadline = clock_usec() + LOCK_WAIT_SEC * USEC_PER_SEC;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (clock_usec() > deadline)
			return -EBUSY;
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int
lock(struct user_file *f, json_t *answer)
{
	char name[NAME_MAX + 1];
	int r;

	f->lock = openat(f->dir, beside(f, LOCK_SUFFIX, name),
			 O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (f->lock < 0)
		return refuse_errno(answer, f->path, -errno);
	r = wait_for_lock(f->lock);
	return r < 0 ? local_refuse(answer, r, "%s: somebody else is editing it", f->path) : 0;
}

/* ---- reading ---- */

/* Root looks after files of others, too: the owner is who reads them then. */
static uid_t
reader_of(const struct user_file *f)
{
	struct stat st;

	return geteuid() == 0 && stat(f->path, &st) == 0 ? st.st_uid : geteuid();
}

static int
read_text(struct user_file *f, json_t *answer)
{
	char why[USERS_WHY_MAX];
	int r, line = 0;

	r = users_read_as(reader_of(f), f->path, &f->text, &f->len, why);
	f->exists = r == 0;
	if (r == -ENOENT) {
		f->text = strdup("");
		return f->text == NULL ? -ENOMEM : 0;
	}
	if (r == -EACCES)
		return refuse_errno(answer, f->path, r);
	if (r < 0)
		return local_refuse(answer, r, "%s: %s", f->path, why);
	r = users_check(f->text, f->len, &line, why);
	if (r == -EINVAL)
		return local_refuse(answer, r, "%s:%d: %s", f->path, line, why);
	return r;
}

int
user_file_open(const struct options *o, bool for_edit, struct user_file *ret, json_t *answer)
{
	struct user_file f = { .dir = -1, .lock = -1 };
	int r = find_path(o, &f, answer);

	f.exists = r == 0 && access(f.path, F_OK) == 0;
	if (r == 0 && for_edit)
		r = open_dir(&f, answer);
	if (r == 0 && for_edit)
		r = lock(&f, answer);
	if (r == 0)
		r = read_text(&f, answer);
	if (r < 0)
		user_file_close(&f);
	else
		*ret = f;
	return r;
}

void
user_file_close(struct user_file *f)
{
	free(f->path);
	free(f->text);
	close_fd(&f->lock);
	close_fd(&f->dir);
}

bool
user_file_find(const struct user_file *f, const char *name, struct user_place *ret)
{
	struct users_reader reader = { .at = f->text, .end = f->text + f->len };
	char why[USERS_WHY_MAX];
	struct user u;

	while (users_next(&reader, &u, why) > 0) {
		if (strcmp(u.name, name) != 0)
			continue;
		*ret = (struct user_place){ .user = u,
					    .at = (size_t)(reader.begin - f->text),
					    .len = (size_t)(reader.at - reader.begin) };
		return true;
	}
	return false;
}

/* ---- writing ---- */

/* The whole text with the change. NULL: no memory. */
static char *
changed_text(const struct user_file *f, size_t at, size_t len, const char *line, size_t *ret_len)
{
	size_t line_len = line != NULL ? strlen(line) : 0, n = at;
	bool join = at > 0 && f->text[at - 1] != '\n'; /* the last line has no end */
	char *text = malloc(f->len + line_len + 2);

	if (text == NULL)
		return NULL;
	memcpy(text, f->text, at);
	if (line != NULL) {
		if (join)
			text[n++] = '\n';
		memcpy(text + n, line, line_len);
		n += line_len;
		text[n++] = '\n';
	}
	memcpy(text + n, f->text + at + len, f->len - at - len);
	*ret_len = n + f->len - at - len;
	return text;
}

/* Owner and mode are those of the old file; a new one can be read by the daemon's group. */
static int
give_away(const struct user_file *f, int fd)
{
	const struct passwd *pw;
	struct stat now, st;

	if (fstat(fd, &now) < 0)
		return -errno;
	if (!f->exists) {
		pw = getpwnam(f->run_as);
		st = now;
		st.st_mode = 0640;
		st.st_gid = pw != NULL && geteuid() == 0 ? pw->pw_gid : now.st_gid;
	} else if (stat(f->path, &st) < 0) {
		return -errno;
	}
	if ((st.st_uid != now.st_uid || st.st_gid != now.st_gid) &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		return -errno;
	return fchmod(fd, st.st_mode & 07777) < 0 ? -errno : 0;
}

static int
write_new(const struct user_file *f, const char *name, const char *text, size_t len)
{
	auto_close int fd = -1;
	int r;

	(void)unlinkat(f->dir, name, 0); /* of an editor that was killed: we have the lock */
	fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, len);
	if (r >= 0)
		r = give_away(f, fd);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

static int
replace(const struct user_file *f, const char *text, size_t len)
{
	char fresh[NAME_MAX + 1];
	int r;

	(void)beside(f, NEW_SUFFIX, fresh);
	r = write_new(f, fresh, text, len);
	if (r >= 0 && renameat(f->dir, fresh, f->dir, name_of(f)) < 0)
		r = -errno;
	if (r >= 0)
		return fsync(f->dir) < 0 ? -errno : 0;
	(void)unlinkat(f->dir, fresh, 0);
	return r;
}

int
user_file_replace(const struct user_file *f, size_t at, size_t len, const char *line,
		  json_t *answer)
{
	auto_free char *text = NULL;
	size_t n;
	int r;

	text = changed_text(f, at, len, line, &n);
	if (text == NULL)
		return -ENOMEM;
	if (n > USERS_FILE_MAX)
		return local_refuse(answer, -EFBIG, "%s: larger than 16 MiB", f->path);
	r = replace(f, text, n);
	return r < 0 ? refuse_errno(answer, f->path, r) : 0;
}
