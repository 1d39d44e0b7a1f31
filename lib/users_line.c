#include "lib/users_line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/own.h"
#include "lib/text.h"
#include "lib/users.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

enum { KEY_HEX = 2 * USER_KEY_SIZE, QUOTE_MAX = 41 };

_Static_assert(USER_NAME_MAX + USER_HASH_MAX + USER_ACCOUNT_MAX +
		       USER_KEYS_MAX * (KEY_HEX + USER_LABEL_MAX + 6) + 64 <
		   USERS_LINE_MAX,
	       "every user's line fits");

/* A part of a line. */
struct word {
	const char *at;
	size_t len;
};

/* Says what is wrong. */
static int __attribute__((format(printf, 2, 3))) wrong(char *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(why, USERS_WHY_MAX, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* The word, short and fit to show. Returns buf (QUOTE_MAX). */
static const char *
quote(struct word w, char *buf)
{
	return text_escape(buf, QUOTE_MAX, w.at, w.len);
}

static bool
consists_of(struct word w, const char *set)
{
	for (size_t i = 0; i < w.len; i++)
		if (w.at[i] == '\0' || strchr(set, w.at[i]) == NULL)
			return false;
	return w.len > 0;
}

static bool
is(struct word w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

/* What stands before the first c, which is taken too; all where there is none. *ret_more: there was
 * one. */
static struct word
take_word(struct word *rest, char c, bool *ret_more)
{
	const char *end = memchr(rest->at, c, rest->len);
	struct word w = { rest->at, end != NULL ? (size_t)(end - rest->at) : rest->len };

	*ret_more = end != NULL;
	rest->at += w.len + (end != NULL);
	rest->len -= w.len + (end != NULL);
	return w;
}

/* dst has room for max bytes and the end. */
static void
keep(char *dst, struct word w)
{
	memcpy(dst, w.at, w.len);
	dst[w.len] = '\0';
}

/* ---- names ---- */

bool
users_name_is_valid(const char *name, size_t len)
{
	struct word w = { name, len };

	return len <= USER_NAME_MAX && consists_of(w, LOWER DIGITS "_.-") && name[0] != '.' &&
	       name[0] != '-' && !is(w, USER_NOBODY);
}

bool
users_label_is_valid(const char *label, size_t len)
{
	struct word w = { label, len };

	return len <= USER_LABEL_MAX && consists_of(w, LOWER UPPER DIGITS "@._-");
}

bool
users_account_is_valid(const char *name, size_t len)
{
	struct word w = { name, len };

	return len <= USER_ACCOUNT_MAX && consists_of(w, LOWER UPPER DIGITS "_.-") &&
	       name[0] != '-';
}

/* ---- the parts of a line ---- */

static int
parse_name(struct word w, struct user *u, char *why)
{
	char shown[QUOTE_MAX];

	if (!users_name_is_valid(w.at, w.len))
		return wrong(why,
			     "\"%s\" is no user name: 1 to %d of a-z 0-9 _ . -, "
			     "not beginning with . or -, not " USER_NOBODY,
			     quote(w, shown), USER_NAME_MAX);
	keep(u->name, w);
	return 0;
}

/* crypt(5): printable ASCII without white space and : ; * ! \. The oldest kinds of hash, which do
 * not begin with $, are not taken: anything is one. */
static bool
is_hash(struct word w)
{
	if (w.len < 2 || w.len > USER_HASH_MAX || w.at[0] != '$')
		return false;
	for (size_t i = 0; i < w.len; i++)
		if (w.at[i] <= ' ' || w.at[i] > '~' || strchr(":;*!\\", w.at[i]) != NULL)
			return false;
	return true;
}

static int
parse_password(struct word w, struct user *u, char *why)
{
	if (is(w, "*"))
		return 0;
	if (!is(w, USER_PAM) && !is_hash(w))
		return wrong(why,
			     "the password of %s is neither a hash ($y$..., as \"ftctl user "
			     "passwd\" makes it) nor * (none) nor " USER_PAM,
			     u->name);
	keep(u->hash, w);
	return 0;
}

static int
parse_label(struct word w, struct user *u, struct user_key *key, char *why)
{
	char shown[QUOTE_MAX];

	if (!users_label_is_valid(w.at, w.len))
		return wrong(why, "\"%s\" is no label of a key: 1 to %d of A-Z a-z 0-9 @ . _ -",
			     quote(w, shown), USER_LABEL_MAX);
	keep(key->label, w);
	for (unsigned i = 0; i < u->n_keys; i++)
		if (strcmp(u->keys[i].label, key->label) == 0)
			return wrong(why, "two keys of %s have the label %s", u->name,
				     quote(w, shown));
	return 0;
}

static int
parse_key(struct word w, struct user *u, char *why)
{
	struct user_key *key = &u->keys[u->n_keys];
	struct word hex;
	bool labelled;
	int r = 0;

	if (u->n_keys == USER_KEYS_MAX)
		return wrong(why, "%s has more than %d keys", u->name, USER_KEYS_MAX);
	hex = take_word(&w, '/', &labelled);
	if (text_unhex(key->bytes, sizeof(key->bytes), hex.at, hex.len) != USER_KEY_SIZE)
		return wrong(why, "a key of %s is not %d hex digits (and perhaps /label)", u->name,
			     KEY_HEX);
	for (unsigned i = 0; i < u->n_keys; i++)
		if (memcmp(u->keys[i].bytes, key->bytes, sizeof(key->bytes)) == 0)
			return wrong(why, "a key of %s is there twice", u->name);
	if (labelled)
		r = parse_label(w, u, key, why);
	u->n_keys += r == 0;
	return r;
}

static int
parse_account(struct word w, struct user *u, char *why)
{
	char shown[QUOTE_MAX];

	if (u->account[0] != '\0')
		return wrong(why, "\"account\" is there twice");
	if (!users_account_is_valid(w.at, w.len))
		return wrong(why, "\"%s\" is no name of a system user", quote(w, shown));
	keep(u->account, w);
	return 0;
}

static int
parse_flag(struct word w, bool *flag, char *why)
{
	char shown[QUOTE_MAX];

	if (*flag)
		return wrong(why, "\"%s\" is there twice", quote(w, shown));
	*flag = true;
	return 0;
}

static int
refuse_option(struct word name, bool has_value, char *why)
{
	static const char *const names[] = { "disabled", "key", "certificate", "account" };
	char shown[QUOTE_MAX];
	const char *nearest = text_nearest(quote(name, shown), names, ARRAY_SIZE(names));

	if (nearest == NULL)
		return wrong(
		    why, "unknown option \"%s\": there are disabled, key=, certificate, account=",
		    shown);
	if (!is(name, nearest))
		return wrong(why, "unknown option \"%s\": is \"%s\" meant?", shown, nearest);
	return wrong(why, has_value ? "\"%s\" takes no value" : "\"%s\" needs a value", shown);
}

static int
parse_option(struct word w, struct user *u, char *why)
{
	struct word value = w;
	bool has_value;
	struct word name = take_word(&value, '=', &has_value);

	if (has_value && is(name, "key"))
		return parse_key(value, u, why);
	if (has_value && is(name, "account"))
		return parse_account(value, u, why);
	if (is(w, "disabled"))
		return parse_flag(w, &u->disabled, why);
	if (is(w, "certificate"))
		return parse_flag(w, &u->certificate, why);
	return refuse_option(name, has_value, why);
}

int
users_line_parse(const char *text, size_t len, struct user *u, char *why)
{
	struct word line = { text, len };
	bool more;
	int r;

	r = parse_name(take_word(&line, ':', &more), u, why);
	if (r == 0 && !more)
		r = wrong(why, "a user is name:password, perhaps with :options behind");
	if (r == 0)
		r = parse_password(take_word(&line, ':', &more), u, why);
	while (r == 0 && more)
		r = parse_option(take_word(&line, ',', &more), u, why);
	return r;
}

/* Puts an option behind the n bytes that are in buf; the first one has a colon before it. Returns
 * what is there then. */
static int __attribute__((format(printf, 4, 5)))
add_option(char *buf, int n, bool *first, const char *format, ...)
{
	va_list ap;

	buf[n++] = *first ? ':' : ',';
	*first = false;
	va_start(ap, format);
	n += vsnprintf(buf + n, USERS_LINE_MAX - (size_t)n, format, ap);
	va_end(ap);
	return n;
}

int
users_format(const struct user *u, char *buf)
{
	char hex[KEY_HEX + 1];
	bool first = true;
	int n;

	n = snprintf(buf, USERS_LINE_MAX, "%s:%s", u->name, u->hash[0] != '\0' ? u->hash : "*");
	if (u->disabled)
		n = add_option(buf, n, &first, "disabled");
	if (u->certificate)
		n = add_option(buf, n, &first, "certificate");
	if (u->account[0] != '\0')
		n = add_option(buf, n, &first, "account=%s", u->account);
	for (unsigned i = 0; i < u->n_keys; i++)
		n = add_option(buf, n, &first, "key=%s%s%s",
			       text_hex(hex, u->keys[i].bytes, USER_KEY_SIZE),
			       u->keys[i].label[0] != '\0' ? "/" : "", u->keys[i].label);
	return n;
}
