#include "daemon/config/scan.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct scan {
	const char *at;
	int line;
	int depth;
	struct config_problems *problems;
};

static int
refuse(struct scan *sc, int line, const char *why)
{
	config_problem_add(sc->problems, true, line, "%s", why);
	return -EINVAL;
}

/* Goes on to end, counting lines. */
static void
advance(struct scan *sc, const char *end)
{
	for (; sc->at < end; sc->at++)
		if (*sc->at == '\n')
			sc->line++;
}

static int
scan_block_comment(struct scan *sc)
{
	const char *end = strstr(sc->at + 2, "*/");

	if (end == NULL)
		return refuse(sc, sc->line, "a comment begins here and has no end");
	advance(sc, end + 2);
	return 0;
}

static int
scan_string(struct scan *sc)
{
	const char *p = sc->at + 1;
	int line = sc->line;

	for (; *p != '"'; p++) {
		if (p[0] == '\\' && (p[1] == 'x' || p[1] == 'X') && p[2] == '0' && p[3] == '0')
			return refuse(sc, line, "\\x00 cannot be part of a string");
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return refuse(sc, line, "a string begins here and has no end");
	}
	advance(sc, p + 1);
	return 0;
}

/* A name or a number: letters and digits, and what may stand between them in a name. */
static int
scan_word(struct scan *sc)
{
	const char *p = sc->at;
	bool number = isdigit((unsigned char)*p) != 0;

	while (isalnum((unsigned char)*p) || (!number && (*p == '_' || *p == '-' || *p == '*')))
		p++;
	if (number && p - sc->at > SCAN_INTEGER_DIGITS)
		return refuse(sc, sc->line, "the number is too large");
	sc->at = p;
	return 0;
}

static int
scan_one(struct scan *sc)
{
	const char *p = sc->at;

	if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
		advance(sc, p + strcspn(p, "\n"));
		return 0;
	}
	if (p[0] == '/' && p[1] == '*')
		return scan_block_comment(sc);
	if (*p == '"')
		return scan_string(sc);
	if (*p == '@')
		return refuse(sc, sc->line,
			      "@include is not supported: the configuration is one file");
	if (isalnum((unsigned char)*p))
		return scan_word(sc);
	if (strchr("({[", *p) != NULL && ++sc->depth > SCAN_DEPTH_MAX)
		return refuse(sc, sc->line, "too many brackets within brackets");
	if (strchr(")}]", *p) != NULL)
		sc->depth--;
	advance(sc, p + 1);
	return 0;
}

int
scan_check(const char *text, struct config_problems *problems)
{
	struct scan sc = { .at = text, .line = 1, .problems = problems };
	int r = 0;

	while (r == 0 && *sc.at != '\0')
		r = scan_one(&sc);
	return r;
}
