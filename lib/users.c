#include "lib/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/users_line.h"

static int
say(char *why, int r, const char *text)
{
	(void)snprintf(why, USERS_WHY_MAX, "%s", text);
	return r;
}

/* Whoever can write the file can become anybody. */
static int
check_file(const struct stat *st, uid_t reader, char *why)
{
	if (!S_ISREG(st->st_mode))
		return say(why, -EINVAL, "not a regular file");
	if ((st->st_mode & 022) != 0)
		return say(why, -EPERM, "others than its owner may write it: chmod 0640 is right");
	if (st->st_uid != 0 && st->st_uid != reader)
		return say(why, -EPERM, "it belongs neither to root nor to who reads it");
	if (st->st_size > USERS_FILE_MAX)
		return say(why, -EFBIG, "larger than 16 MiB");
	return 0;
}

int
users_read_as(uid_t reader, const char *path, char **ret_text, size_t *ret_len, char *ret_why)
{
	auto_close int fd = -1;
	struct stat st;
	int r;

	fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		return say(ret_why, r, err_text(r));
	}
	r = check_file(&st, reader, ret_why);
	if (r < 0)
		return r;
	r = io_read_regular(fd, USERS_FILE_MAX, ret_text, ret_len);
	return r < 0 ? say(ret_why, r, err_text(r)) : 0;
}

int
users_read(const char *path, char **ret_text, size_t *ret_len, char *ret_why)
{
	return users_read_as(geteuid(), path, ret_text, ret_len, ret_why);
}

int
users_next(struct users_reader *reader, struct user *ret, char *ret_why)
{
	while (reader->at < reader->end) {
		const char *line = reader->at;
		const char *lf = memchr(line, '\n', (size_t)(reader->end - line));
		size_t len = (size_t)((lf != NULL ? lf : reader->end) - line);
		struct user u = { .line = ++reader->line };

		reader->begin = line;
		reader->at = line + len + (lf != NULL);
		if (len >= USERS_LINE_MAX)
			return say(ret_why, -EINVAL, "the line is longer than 4,096 bytes");
		if (len == 0 || line[0] == '#')
			continue;
		if (users_line_parse(line, len, &u, ret_why) < 0)
			return -EINVAL;
		*ret = u;
		return 1;
	}
	return 0;
}

/* ---- no name twice ---- */

/* Where the lines of users begin; each has a colon behind the name. */
struct lines {
	const char **items;
	size_t n, room;
};

static int
add_line(struct lines *l, const char *line)
{
	if (l->n == l->room) {
		size_t room = l->room != 0 ? 2 * l->room : 64;
		const char **more = reallocarray(l->items, room, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		l->items = more;
		l->room = room;
	}
	l->items[l->n++] = line;
	return 0;
}

static int
compare_names(const char *a, const char *b)
{
	size_t a_len = strcspn(a, ":"), b_len = strcspn(b, ":");
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return r != 0 ? r : (a_len > b_len) - (a_len < b_len);
}

/* By name, then as they stand in the file. */
static int
compare_lines(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	int r = compare_names(x, y);

	return r != 0 ? r : (x > y) - (x < y);
}

/* The first line whose name was there before, or NULL. Sorts. */
static const char *
find_twice(struct lines *l)
{
	const char *first = NULL;

	if (l->n > 1)
		qsort(l->items, l->n, sizeof(*l->items), compare_lines);
	for (size_t i = 1; i < l->n; i++)
		if (compare_names(l->items[i - 1], l->items[i]) == 0 &&
		    (first == NULL || l->items[i] < first))
			first = l->items[i];
	return first;
}

static int
line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

static int
check_names(const char *text, struct lines *l, int *ret_line, char *ret_why)
{
	const char *twice = find_twice(l);

	if (twice == NULL)
		return 0;
	*ret_line = line_of(text, twice);
	(void)snprintf(ret_why, USERS_WHY_MAX, "%.*s is in the file twice",
		       (int)strcspn(twice, ":"), twice);
	return -EINVAL;
}

int
users_check(const char *text, size_t len, int *ret_line, char *ret_why)
{
	struct users_reader reader = { .at = text, .end = text + len };
	struct lines lines = { 0 };
	struct user u;
	int r;

	while ((r = users_next(&reader, &u, ret_why)) > 0) {
		r = add_line(&lines, reader.begin);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = check_names(text, &lines, ret_line, ret_why);
	else if (r == -EINVAL)
		*ret_line = reader.line;
	free(lines.items);
	return r;
}
