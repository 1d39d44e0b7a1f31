#include "daemon/config/syntax.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/text.h"

enum kind { KIND_INT, KIND_INT64, KIND_FLOAT, KIND_BOOL, KIND_STRING };

struct syntax {
	const char *at;
	int line;
	int depth;
	unsigned names;
	struct config_problems *problems;
};

static int parse_settings(struct syntax *s, char close, int opened);

static int
refuse(struct syntax *s, const char *why)
{
	config_problem_add(s->problems, true, s->line, "%s", why);
	return -EINVAL;
}

/* Goes on to end, counting lines. */
static void
advance(struct syntax *s, const char *end)
{
	for (; s->at < end; s->at++)
		if (*s->at == '\n')
			s->line++;
}

/* Blanks and comments. */
static int
skip_blank(struct syntax *s)
{
	for (;;) {
		const char *end = s->at + strspn(s->at, " \t\r\n");

		advance(s, end);
		if (end[0] == '#' || (end[0] == '/' && end[1] == '/')) {
			end += strcspn(end, "\n");
		} else if (end[0] == '/' && end[1] == '*') {
			end = strstr(end + 2, "*/");
			if (end == NULL)
				return refuse(s, "a comment begins here and has no end");
			end += 2;
		} else {
			return 0;
		}
		advance(s, end);
	}
}

/* Something else stands there than wanted. */
static int
refuse_here(struct syntax *s, const char *wanted)
{
	char here[8];

	if (*s->at == '\0')
		(void)snprintf(here, sizeof(here), "the end");
	else
		(void)text_escape(here, sizeof(here), s->at, 1);
	config_problem_add(s->problems, true, s->line, "%s is missing before %s", wanted, here);
	return -EINVAL;
}

/* The bracket that ends what was opened in that line is not there, nor what else may be. */
static int
refuse_unclosed(struct syntax *s, char close, int opened, const char *or_else)
{
	char wanted[64];

	if (*s->at == '\0')
		(void)snprintf(wanted, sizeof(wanted), "%c for the bracket of line %d", close,
			       opened);
	else
		(void)snprintf(wanted, sizeof(wanted), "%s or %c", or_else, close);
	return refuse_here(s, wanted);
}

static bool
begins_name(char c)
{
	return isalpha((unsigned char)c) || c == '*';
}

static size_t
name_length(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || (p[n] != '\0' && strchr("-_*", p[n]) != NULL))
		n++;
	return n;
}

static int
parse_string(struct syntax *s)
{
	const char *p = s->at + 1;

	for (; *p != '"'; p++) {
		if (p[0] == '\\' && (p[1] == 'x' || p[1] == 'X') && p[2] == '0' && p[3] == '0')
			return refuse(s, "\\x00 cannot be part of a text");
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return refuse(s, "a text begins here and has no end");
	}
	advance(s, p + 1);
	return 0;
}

/* One text after the other is one text. */
static int
parse_strings(struct syntax *s)
{
	int r = 0;

	while (r == 0 && *s->at == '"') {
		r = parse_string(s);
		if (r == 0)
			r = skip_blank(s);
	}
	return r;
}

static int
parse_number(struct syntax *s, enum kind *ret)
{
	const char *p = s->at + strspn(s->at, "+-");
	bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	size_t digits;

	if (p - s->at > (hex ? 0 : 1))
		return refuse(s, "this is no number");
	p += hex ? 2 : 0;
	digits = strspn(p, hex ? "0123456789abcdefABCDEF" : "0123456789");
	p += digits;
	*ret = KIND_INT;
	if (*p == 'L') {
		*ret = KIND_INT64;
		p++;
	} else if (*p == '.' && !hex) {
		*ret = KIND_FLOAT;
		p += 1 + strspn(p + 1, "0123456789");
	}
	if (digits == 0 || name_length(p) > 0 || *p == '.')
		return refuse(s, "this is no number; texts, sizes and durations stand in quotes");
	if (digits > (hex ? SYNTAX_HEX_DIGITS : SYNTAX_INTEGER_DIGITS))
		return refuse(s, "the number is too large");
	s->at = p;
	return 0;
}

static bool
is_boolean(const char *name, size_t len)
{
	return (len == 4 && strncasecmp(name, "true", 4) == 0) ||
	       (len == 5 && strncasecmp(name, "false", 5) == 0);
}

static int
parse_boolean(struct syntax *s)
{
	size_t len = name_length(s->at);

	if (!is_boolean(s->at, len))
		return refuse(s, "texts stand in quotes");
	s->at += len;
	return 0;
}

static int
parse_scalar(struct syntax *s, enum kind *ret)
{
	if (*s->at == '"') {
		*ret = KIND_STRING;
		return parse_strings(s);
	}
	if (begins_name(*s->at)) {
		*ret = KIND_BOOL;
		return parse_boolean(s);
	}
	if (isdigit((unsigned char)*s->at) || *s->at == '-' || *s->at == '+')
		return parse_number(s, ret);
	if (*s->at == '@')
		return refuse(s, "@include is not supported: the configuration is one file");
	return refuse_here(s, "a value");
}

static int parse_value(struct syntax *s);

/* ( ) with values of any kind, or [ ] with scalars of one. */
static int
parse_list(struct syntax *s, char close)
{
	enum kind first = KIND_INT, kind = KIND_INT;
	int opened = s->line;
	int r;

	s->at++;
	r = skip_blank(s);
	for (bool any = false; r == 0 && (any || *s->at != close); any = true) {
		r = close == ']' ? parse_scalar(s, &kind) : parse_value(s);
		if (r == 0 && close == ']' && any && kind != first)
			r = refuse(s, "the entries of [ ] must be of one type; ( ) takes any");
		if (close == ']' && !any)
			first = kind;
		if (r == 0)
			r = skip_blank(s);
		if (r < 0 || *s->at == close)
			break;
		if (*s->at != ',')
			return refuse_unclosed(s, close, opened, ",");
		s->at++;
		r = skip_blank(s);
	}
	if (r == 0)
		s->at++;
	return r;
}

static int
parse_value(struct syntax *s)
{
	enum kind kind;
	int opened = s->line;
	int r;

	if (*s->at == '\0' || strchr("([{", *s->at) == NULL)
		return parse_scalar(s, &kind);
	if (++s->depth > SYNTAX_DEPTH_MAX)
		return refuse(s, "too many brackets within brackets");
	if (*s->at == '{') {
		s->at++;
		r = parse_settings(s, '}', opened);
	} else {
		r = parse_list(s, *s->at == '(' ? ')' : ']');
	}
	s->depth--;
	return r;
}

/* name = value; where ';' may be ',' or nothing and '=' may be ':'. */
static int
parse_setting(struct syntax *s)
{
	size_t len = name_length(s->at);
	int r;

	if (++s->names > SYNTAX_NAMES_MAX)
		return refuse(s, "there are too many settings in this file");
	if (is_boolean(s->at, len))
		return refuse(s, "true and false cannot be names");
	s->at += len;
	r = skip_blank(s);
	if (r < 0)
		return r;
	if (*s->at != '=' && *s->at != ':')
		return refuse_here(s, "=");
	s->at++;
	r = skip_blank(s);
	if (r == 0)
		r = parse_value(s);
	if (r == 0)
		r = skip_blank(s);
	if (r == 0 && (*s->at == ';' || *s->at == ','))
		s->at++;
	return r;
}

/* Settings up to close, which is taken, too; '\0' is the end of the file. */
static int
parse_settings(struct syntax *s, char close, int opened)
{
	int r = skip_blank(s);

	while (r == 0 && *s->at != close) {
		if (*s->at == '@')
			return refuse(s,
				      "@include is not supported: the configuration is one file");
		if (!begins_name(*s->at))
			return close == '\0'
				   ? refuse_here(s, "the name of an option")
				   : refuse_unclosed(s, close, opened, "the name of an option");
		r = parse_setting(s);
		if (r == 0)
			r = skip_blank(s);
	}
	if (r == 0 && close != '\0')
		s->at++;
	return r;
}

int
syntax_check(const char *text, struct config_problems *problems)
{
	struct syntax s = { .at = text, .line = 1, .problems = problems };

	return parse_settings(&s, '\0', 0);
}
