#include "client/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/confdir.h"
#include "lib/io.h"
#include "lib/own.h"

enum { CONFIG_MAX = 64 << 10, NAME_LEN_MAX = 64 };

static char *
trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

/* "[name]": cuts the brackets off and returns the name, else NULL. */
static char *
section_name(char *line)
{
	size_t len = strlen(line);

	if (len < 3 || line[0] != '[' || line[len - 1] != ']')
		return NULL;
	line[len - 1] = '\0';
	return trim(line + 1);
}

static int
apply(char *line, struct url *u)
{
	char *value = strchr(line, '=');
	const char *why, *key;
	bool plain = u->plain;

	if (value == NULL)
		return -EINVAL;
	*value++ = '\0';
	key = trim(line);
	value = trim(value);
	if (strcmp(key, "plain") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return -EINVAL;
		u->plain = strcmp(value, "yes") == 0;
		return 0;
	}
	if (strcmp(key, "url") != 0 || url_parse(value, u, &why) < 0)
		return -EINVAL;
	u->plain = plain; /* the order of the keys does not matter */
	return 0;
}

int
hosts_find(char *text, const char *name, struct url *ret, unsigned *ret_line)
{
	struct url found = { .port = 0 }, other = found;
	bool inside = false, any = false;
	unsigned line = 0;
	char *next = text;

	while (next != NULL) {
		char *here = trim(strsep(&next, "\n")), *section;

		line++;
		if (*here == '\0' || *here == '#')
			continue;
		section = section_name(here);
		if (section != NULL) {
			inside = strcmp(section, name) == 0;
			any = any || inside;
			other = (struct url){ .port = 0 };
			continue;
		}
		if (apply(here, inside ? &found : &other) < 0) {
			*ret_line = line;
			return -EINVAL;
		}
	}
	if (!any || found.port == 0)
		return -ENOENT;
	*ret = found;
	return 0;
}

static int
look_up(const char *name, struct url *ret, const char **ret_why)
{
	static char why[160];
	auto_close int dir = -1;
	auto_free char *text = NULL;
	unsigned line = 0;
	size_t len;
	int r;

	*ret_why = "no ft:// address, and no such host in ~/.config/ft/config";
	dir = confdir_open();
	if (dir < 0)
		return -EINVAL;
	r = io_read_file(dir, "config", CONFIG_MAX, &text, &len);
	if (r < 0)
		return -EINVAL;
	r = hosts_find(text, name, ret, &line);
	if (r == -EINVAL) {
		(void)snprintf(why, sizeof(why), "~/.config/ft/config:%u: not understood", line);
		*ret_why = why;
	}
	return r < 0 ? -EINVAL : 0;
}

int
hosts_resolve(const char *text, struct url *ret, const char **ret_why)
{
	const char *colon = strchr(text, ':');
	char name[NAME_LEN_MAX + 1];
	struct url u, joined;
	size_t len;
	int r;

	if (url_is(text))
		return url_parse(text, ret, ret_why);
	len = colon != NULL ? (size_t)(colon - text) : 0;
	*ret_why =
	    "no address: write ft://host/path, or name:/path for a host of your configuration";
	if (len == 0 || len > NAME_LEN_MAX || memchr(text, '/', len) != NULL)
		return -EINVAL;
	memcpy(name, text, len);
	name[len] = '\0';
	r = look_up(name, &u, ret_why);
	if (r < 0)
		return r;
	*ret_why = "the path cannot be used ('.', '..', reserved or too long)";
	joined = u;
	if (url_set_path(&joined, colon + 1) < 0)
		return -EINVAL;
	if (colon[1] != '/') {
		bool directory = joined.directory;

		if (url_join(&u, joined.path, &joined) < 0)
			return -EINVAL;
		joined.directory = directory;
	}
	*ret = joined;
	return 0;
}
