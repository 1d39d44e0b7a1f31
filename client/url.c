#include "client/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/text.h"

static const char scheme[] = "ft://";

bool
url_is(const char *text)
{
	return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

bool
url_has_password(const char *text)
{
	const char *colon;

	if (url_is(text))
		text += strlen(scheme);
	colon = strchr(text, ':');
	return colon != NULL && strchr(colon, '@') != NULL;
}

static int
parse_port(const char *text, uint16_t *ret)
{
	uint64_t n;

	if (num_parse_u64(text, UINT16_MAX, &n) < 0 || n == 0)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

static int
copy_host(struct url *u, const char *from, size_t len)
{
	if (len == 0 || len > URL_HOST_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)from[i] <= ' ' || from[i] == 0x7f || from[i] == '@')
			return -EINVAL;
	memcpy(u->host, from, len);
	u->host[len] = '\0';
	return 0;
}

/* Takes "user@" off the front of *text, if it is there. */
static int
take_user(const char **text, struct url *u, const char **ret_why)
{
	const char *at = strchr(*text, '@');
	size_t len = at != NULL ? (size_t)(at - *text) : 0;

	if (at == NULL)
		return 0;
	*ret_why = "a password has no place in an address, where others see it: leave it out, "
		   "and you are asked for it (ft(1) knows other ways)";
	if (memchr(*text, ':', len) != NULL)
		return -EINVAL;
	*ret_why = "what stands before '@' is no user: 1 to 32 of a-z 0-9 _ . -, not beginning "
		   "with . or -, not " USER_NOBODY;
	if (!users_name_is_valid(*text, len))
		return -EINVAL;
	memcpy(u->user, *text, len);
	u->user[len] = '\0';
	*text = at + 1;
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port", all perhaps behind "user@"; nothing may follow. */
static int
parse_authority(const char *text, struct url *u, const char **ret_why)
{
	const char *end, *rest;

	if (take_user(&text, u, ret_why) < 0)
		return -EINVAL;
	*ret_why = "the host is missing or cannot be a host";
	if (*text == '[') {
		end = strchr(text, ']');
		if (end == NULL || copy_host(u, text + 1, (size_t)(end - text) - 1) < 0)
			return -EINVAL;
		rest = end + 1;
	} else {
		end = strchr(text, ':');
		rest = end != NULL ? end : text + strlen(text);
		if (copy_host(u, text, (size_t)(rest - text)) < 0)
			return -EINVAL;
	}
	u->port = URL_PORT;
	*ret_why = "the port is not a number from 1 to 65535";
	if (*rest == '\0')
		return 0;
	return *rest == ':' ? parse_port(rest + 1, &u->port) : -EINVAL;
}

/* Decodes %XX into dst (size bytes). Length or -EINVAL. */
static int
decode_percent(const char *text, char *dst, size_t size)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0'; n++) {
		if (n + 1 >= size)
			return -EINVAL;
		dst[n] = *p++;
		if (dst[n] != '%')
			continue;
		if (strnlen(p, 2) < 2 || text_unhex(dst + n, 1, p, 2) != 1 || dst[n] == '\0')
			return -EINVAL;
		p += 2;
	}
	dst[n] = '\0';
	return (int)n;
}

int
url_set_path(struct url *u, const char *name)
{
	char squeezed[PATH_BYTES_MAX + 2];
	size_t n = 0, len = strlen(name);
	int r;

	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/' && (n == 0 || squeezed[n - 1] == '/'))
			continue; /* people write "dir//x" */
		if (n > PATH_BYTES_MAX)
			return -FTD_E_bad_name;
		squeezed[n++] = name[i];
	}
	u->directory = n == 0 || squeezed[n - 1] == '/';
	if (n > 0 && squeezed[n - 1] == '/')
		n--;
	u->path[0] = '\0';
	if (n == 0)
		return 0;
	r = path_from_wire(squeezed, n, u->path);
	return r < 0 ? r : 0;
}

int
url_parse_host(const char *text, struct url *ret, const char **ret_why)
{
	char authority[USER_NAME_MAX + URL_HOST_MAX + 16];
	struct url u = { .directory = true };
	size_t len;
	int r;

	if (url_is(text))
		text += strlen(scheme);
	len = strcspn(text, "/");
	*ret_why = "what stands before the path is too long";
	if (len >= sizeof(authority))
		return -EINVAL;
	memcpy(authority, text, len);
	authority[len] = '\0';
	r = parse_authority(authority, &u, ret_why);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

int
url_parse(const char *text, struct url *ret, const char **ret_why)
{
	char path[URL_TEXT_MAX];
	struct url u;
	int r;

	*ret_why = "an address begins with ft://";
	if (!url_is(text))
		return -EINVAL;
	r = url_parse_host(text, &u, ret_why);
	if (r < 0)
		return r;
	text += strlen(scheme);
	text += strcspn(text, "/");
	*ret_why = "'%' must be followed by two hexadecimal digits, not 00";
	if (decode_percent(text, path, sizeof(path)) < 0)
		return -EINVAL;
	*ret_why = "the path cannot be used ('.', '..', reserved or too long)";
	if (url_set_path(&u, path) < 0)
		return -EINVAL;
	*ret = u;
	return 0;
}

int
url_join(const struct url *u, const char *name, struct url *ret)
{
	size_t dir = strlen(u->path), len = strlen(name);
	struct url joined = *u;

	if (dir + 1 + len > PATH_BYTES_MAX)
		return -FTD_E_bad_name;
	if (dir > 0 && len > 0)
		joined.path[dir++] = '/';
	memcpy(joined.path + dir, name, len + 1);
	joined.directory = false;
	*ret = joined;
	return 0;
}

char *
url_path(const struct url *u, char dst[URL_PATH_TEXT_MAX])
{
	(void)snprintf(dst, URL_PATH_TEXT_MAX, "/%s", u->path);
	return dst;
}

const char *
url_leaf(const struct url *u)
{
	const char *slash = strrchr(u->path, '/');

	return slash != NULL ? slash + 1 : u->path;
}

bool
url_same_server(const struct url *a, const struct url *b)
{
	return a->port == b->port && strcasecmp(a->host, b->host) == 0 &&
	       strcmp(a->user, b->user) == 0;
}

bool
url_is_loopback(const struct url *u)
{
	union addr a;
	socklen_t len;

	if (strcasecmp(u->host, "localhost") == 0)
		return true;
	return addr_parse(u->host, u->port, &a, &len) == 0 && addr_is_loopback(&a);
}
