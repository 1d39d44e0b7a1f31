#include "client/known.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "client/confdir.h"
#include "lib/io.h"
#include "lib/own.h"

static const char file_name[] = "known_servers";

enum { WORDS = 3, WHEN_MAX = 32 };

struct word {
	const char *at;
	size_t len;
};

struct line {
	struct word all; /* without its end */
	struct word words[WORDS];
	size_t n_words; /* 0: nothing, or a comment */
};

char *
known_server(const struct url *u, char dst[KNOWN_SERVER_MAX])
{
	bool brackets = strchr(u->host, ':') != NULL;

	(void)snprintf(dst, KNOWN_SERVER_MAX, "%s%s%s:%u", brackets ? "[" : "", u->host,
		       brackets ? "]" : "", u->port);
	for (char *p = dst; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return dst;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the line at *at off the text, and into words. -EINVAL: more words than there may be, or
 * bytes that are in no word. */
static int
next_line(const char **at, const char *end, struct line *ret)
{
	const char *p = *at, *stop = memchr(p, '\n', (size_t)(end - p));
	struct line l = { .all = { .at = p } };

	stop = stop != NULL ? stop : end;
	l.all.len = (size_t)(stop - p);
	*at = stop < end ? stop + 1 : end;
	*ret = l;
	if (memchr(l.all.at, '\0', l.all.len) != NULL)
		return -EINVAL;
	for (;;) {
		while (p < stop && is_blank(*p))
			p++;
		if (p == stop || (*p == '#' && l.n_words == 0))
			break;
		if (l.n_words == WORDS)
			return -EINVAL;
		l.words[l.n_words].at = p;
		for (; p < stop && !is_blank(*p); p++)
			if ((unsigned char)*p <= ' ' || *p == 0x7f)
				return -EINVAL;
		l.words[l.n_words].len = (size_t)(p - l.words[l.n_words].at);
		l.n_words++;
	}
	*ret = l;
	return 0;
}

static bool
word_is(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->at, text, w->len) == 0;
}

static int
read_fingerprint(const struct word *w, char dst[FINGERPRINT_MAX])
{
	char text[FINGERPRINT_MAX];

	if (w->len != sizeof(text) - 1)
		return -EINVAL;
	memcpy(text, w->at, w->len);
	text[w->len] = '\0';
	return fingerprint_parse(text, dst);
}

/* The line of a server, and its fingerprint; every line is looked at. */
static int
find_line(const char *text, size_t len, const char *server, struct line *ret,
	  char ret_fingerprint[FINGERPRINT_MAX], unsigned *ret_line)
{
	const char *end = text + len;
	char fingerprint[FINGERPRINT_MAX];
	struct line l, found;
	bool any = false, here;
	unsigned n = 0;
	int r;

	while (text < end) {
		n++;
		r = next_line(&text, end, &l);
		if (r == 0 && l.n_words == 0)
			continue;
		if (r == 0)
			r = l.n_words < 2 ? -EINVAL : read_fingerprint(&l.words[1], fingerprint);
		here = r == 0 && word_is(&l.words[0], server);
		if (r < 0 || (here && any)) {
			*ret_line = n;
			return -EINVAL;
		}
		if (!here)
			continue;
		any = true;
		found = l;
		memcpy(ret_fingerprint, fingerprint, sizeof(fingerprint));
	}
	if (!any)
		return -ENOENT;
	*ret = found;
	return 0;
}

int
known_find(const char *text, size_t len, const char *server, char ret[FINGERPRINT_MAX],
	   unsigned *ret_line)
{
	char fingerprint[FINGERPRINT_MAX];
	struct line l;
	int r;

	r = find_line(text, len, server, &l, fingerprint, ret_line);
	if (r == 0)
		memcpy(ret, fingerprint, sizeof(fingerprint));
	return r;
}

int
known_change(const char *text, size_t len, const char *server, const char *fingerprint,
	     const char *when, char **ret, unsigned *ret_line)
{
	char line[KNOWN_SERVER_MAX + FINGERPRINT_MAX + WHEN_MAX] = "", old[FINGERPRINT_MAX];
	size_t before = len, skip = 0, size;
	const char *gap;
	struct line l;
	char *changed;
	int r;

	r = find_line(text, len, server, &l, old, ret_line);
	if (r < 0 && (r != -ENOENT || fingerprint == NULL))
		return r;
	if (r == 0) {
		before = (size_t)(l.all.at - text);
		skip = l.all.len + (before + l.all.len < len ? 1 : 0);
	}
	if (fingerprint != NULL)
		(void)snprintf(line, sizeof(line), "%s %s %s\n", server, fingerprint, when);
	gap = before > 0 && text[before - 1] != '\n' ? "\n" : "";
	size = len + strlen(gap) + strlen(line) + 1;
	if (size > KNOWN_FILE_MAX)
		return -EFBIG;
	changed = malloc(size);
	if (changed == NULL)
		return -ENOMEM;
	(void)snprintf(changed, size, "%.*s%s%s%.*s", (int)before, text, gap, line,
		       (int)(len - before - skip), text + before + skip);
	*ret = changed;
	return 0;
}

/* The file; empty where there is none. */
static int
read_file(int dir, char **ret, size_t *ret_len)
{
	int r = io_read_file(dir, file_name, KNOWN_FILE_MAX, ret, ret_len);

	if (r != -ENOENT)
		return r;
	*ret_len = 0;
	*ret = calloc(1, 1);
	return *ret != NULL ? 0 : -ENOMEM;
}

int
known_look_up(const char *server, char ret[FINGERPRINT_MAX], unsigned *ret_line)
{
	auto_close int dir = confdir_open();
	auto_free char *text = NULL;
	size_t len;
	int r;

	*ret_line = 0;
	if (dir < 0)
		return dir;
	r = read_file(dir, &text, &len);
	return r < 0 ? r : known_find(text, len, server, ret, ret_line);
}

int
known_remember(const char *server, const char *fingerprint, unsigned *ret_line)
{
	auto_close int dir = confdir_make();
	auto_free char *text = NULL, *changed = NULL;
	char when[WHEN_MAX];
	time_t now = time(NULL);
	struct tm tm;
	size_t len;
	int r;

	*ret_line = 0;
	if (dir < 0)
		return dir;
	if (flock(dir, LOCK_EX) < 0) /* another ft may be writing */
		return -errno;
	r = read_file(dir, &text, &len);
	if (r < 0)
		return r;
	if (gmtime_r(&now, &tm) == NULL || strftime(when, sizeof(when), "%FT%TZ", &tm) == 0)
		return -EOVERFLOW;
	r = known_change(text, len, server, fingerprint, when, &changed, ret_line);
	if (r < 0)
		return r;
	return io_replace_file(dir, file_name, changed, strlen(changed), 0600);
}
