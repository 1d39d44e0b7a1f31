#include "client/netrc.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = SECRET_PASSWORD_MAX };

struct reader {
	const char *at, *end;
	unsigned line; /* of at */
	char word[WORD_MAX + 1];
};

/* What is looked for, and the entry under way. */
struct search {
	const char *host, *user;
	bool host_fits, user_fits;
	bool has_password; /* of the entry */
	char password[WORD_MAX + 1];
	struct secret found;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char
take(struct reader *r)
{
	if (*r->at == '\n')
		r->line++;
	return *r->at++;
}

static void
skip_space(struct reader *r)
{
	while (r->at < r->end && is_space(*r->at))
		(void)take(r);
}

/* The rest of a word in quotes, in which a backslash makes the next character one of the word. */
static int
read_quoted(struct reader *r)
{
	size_t n = 0;

	(void)take(r);
	while (r->at < r->end && *r->at != '"') {
		if (*r->at == '\\' && r->at + 1 < r->end)
			r->at++;
		if (*r->at == '\n' || n == WORD_MAX)
			return -EINVAL;
		r->word[n++] = take(r);
	}
	if (r->at == r->end)
		return -EINVAL;
	(void)take(r);
	r->word[n] = '\0';
	return r->at == r->end || is_space(*r->at) ? 1 : -EINVAL;
}

/* The next word: 1; 0 at the end; -EINVAL. */
static int
read_word(struct reader *r)
{
	size_t n = 0;

	skip_space(r);
	if (r->at == r->end)
		return 0;
	if (*r->at == '"')
		return read_quoted(r);
	while (r->at < r->end && !is_space(*r->at)) {
		if (n == WORD_MAX)
			return -EINVAL;
		r->word[n++] = take(r);
	}
	r->word[n] = '\0';
	return 1;
}

/* The next word that says what follows; comments stand before such a one. */
static int
read_key(struct reader *r)
{
	for (;;) {
		skip_space(r);
		if (r->at == r->end || *r->at != '#')
			return read_word(r);
		while (r->at < r->end && *r->at != '\n')
			r->at++;
	}
}

static int
read_value(struct reader *r)
{
	return read_word(r) == 1 ? 0 : -EINVAL;
}

/* Commands for another program. */
static void
skip_macro(struct reader *r)
{
	bool empty = false;

	while (r->at < r->end) {
		char c = take(r);

		if (c == '\n' && empty)
			return;
		if (c != '\r')
			empty = c == '\n';
	}
}

/* The entry ends: keeps its password if it is the first that fits. */
static int
close_entry(struct search *s)
{
	if (!s->host_fits || !s->user_fits || !s->has_password || s->found.text != NULL)
		return 0;
	return secret_set(&s->found, s->password, strlen(s->password));
}

static int
open_entry(struct search *s, bool host_fits)
{
	int r = close_entry(s);

	s->host_fits = host_fits;
	s->user_fits = true;
	s->has_password = false;
	return r;
}

static int
take_key(struct reader *r, struct search *s)
{
	char key[sizeof("password")] = "";

	if (strcmp(r->word, "default") == 0)
		return open_entry(s, true);
	if (strlen(r->word) >= sizeof(key))
		return -EINVAL;
	memcpy(key, r->word, strlen(r->word));
	if (read_value(r) < 0)
		return -EINVAL;
	if (strcmp(key, "machine") == 0)
		return open_entry(s, strcasecmp(r->word, s->host) == 0);
	if (strcmp(key, "login") == 0) {
		s->user_fits = strcmp(r->word, s->user) == 0;
	} else if (strcmp(key, "password") == 0) {
		s->has_password = true;
		memcpy(s->password, r->word, strlen(r->word) + 1);
	} else if (strcmp(key, "macdef") == 0) {
		skip_macro(r);
	} else if (strcmp(key, "account") != 0) {
		return -EINVAL;
	}
	return 0;
}

static int
find(struct reader *r, struct search *s)
{
	unsigned line;
	int n;

	if (memchr(r->at, '\0', (size_t)(r->end - r->at)) != NULL)
		return -EINVAL;
	while ((n = read_key(r)) == 1) {
		line = r->line;
		n = take_key(r, s);
		if (n < 0) {
			r->line = line;
			return n;
		}
	}
	return n < 0 ? n : close_entry(s);
}

int
netrc_find(const char *text, size_t len, const char *host, const char *user, struct secret *ret,
	   unsigned *ret_line)
{
	struct reader reader = { .at = text, .end = text + len, .line = 1 };
	struct search search = { .host = host, .user = user };
	int r;

	r = find(&reader, &search);
	if (r == -EINVAL)
		*ret_line = reader.line;
	if (r == 0 && search.found.text == NULL)
		r = -ENOENT;
	if (r == 0)
		secret_move(ret, &search.found);
	secret_done(&search.found);
	explicit_bzero(search.password, sizeof(search.password));
	explicit_bzero(reader.word, sizeof(reader.word));
	return r;
}
