#include "daemon/config/value.h"

#include <errno.h>
#include <string.h>

#include "lib/num.h"
#include "lib/own.h"
#include "lib/path.h"
#include "lib/text.h"

bool
value_is_list(const config_setting_t *s)
{
	return config_setting_is_list(s) || config_setting_is_array(s);
}

static const struct option_word *
word_find(const struct option_word *w, const char *name, size_t len)
{
	for (; w->name != NULL; w++)
		if (strlen(w->name) == len && memcmp(w->name, name, len) == 0)
			return w;
	return NULL;
}

static int
read_text(const struct option *o, const char *text, char *field)
{
	size_t len = strlen(text);

	if (len < o->min || len > o->max)
		return -EINVAL;
	memcpy(field, text, len + 1);
	return 0;
}

static int
read_name(const struct option *o, const char *text, void *field)
{
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == '\x7f' || *c == '/' || *c == ':')
			return -EINVAL;
	return read_text(o, text, field);
}

static int
read_path(const struct option *o, const char *text, void *field)
{
	if (text[0] != '/' && text[0] != '\0')
		return -EINVAL;
	return read_text(o, text, field);
}

static int
read_share_path(const struct option *o, const char *text, void *field)
{
	char path[PATH_BYTES_MAX + 1];
	size_t len = strlen(text);

	if (text[0] != '/' || len > o->max || path_from_wire(text, len, path) < 0)
		return -EINVAL;
	memcpy(field, path, strlen(path) + 1);
	return 0;
}

static int
read_address(const struct option *o, const char *text, void *field)
{
	union addr a;
	socklen_t len;

	if (text[0] != '\0' && addr_parse(text, 0, &a, &len) < 0)
		return -EINVAL;
	return read_text(o, text, field);
}

static int
read_duration(const struct option *o, const char *text, void *field)
{
	uint64_t v;

	if (num_parse_duration(text, &v) < 0 || v < o->min || v > o->max)
		return -EINVAL;
	*(uint64_t *)field = v;
	return 0;
}

static int
read_size(const struct option *o, const char *text, void *field)
{
	uint64_t v;

	if (num_parse_size(text, &v) < 0 || v < o->min || v > o->max)
		return -EINVAL;
	*(uint64_t *)field = v;
	return 0;
}

static int
read_rate(const struct option *o, const char *text, void *field)
{
	uint64_t v;

	if (num_parse_rate(text, &v) < 0 || v < o->min || v > o->max)
		return -EINVAL;
	*(uint64_t *)field = v;
	return 0;
}

static int
read_word(const struct option *o, const char *text, void *field)
{
	const struct option_word *w = word_find(option_words(o->type), text, strlen(text));

	if (w == NULL)
		return -EINVAL;
	*(unsigned *)field = w->value;
	return 0;
}

static int
read_rights(const struct option *o, const char *text, void *field)
{
	const struct option_word *w;
	unsigned rights = 0;
	size_t len;

	for (;; text += len + 1) {
		text += strspn(text, " ");
		len = strcspn(text, " ,");
		w = word_find(option_words(o->type), text, len);
		if (w == NULL)
			return -EINVAL;
		rights |= w->value;
		len += strspn(text + len, " ");
		if (text[len] == '\0')
			break;
		if (text[len] != ',')
			return -EINVAL;
	}
	*(unsigned *)field = rights;
	return 0;
}

static int
read_integer(const struct option *o, const config_setting_t *s, uint64_t *ret)
{
	long long v;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		v = config_setting_get_int(s);
		break;
	case CONFIG_TYPE_INT64:
		v = config_setting_get_int64(s);
		break;
	default:
		return -EINVAL;
	}
	if (v < 0 || (uint64_t)v < o->min || (uint64_t)v > o->max)
		return -EINVAL;
	*ret = (uint64_t)v;
	return 0;
}

typedef int (*text_reader)(const struct option *o, const char *text, void *field);
static const text_reader text_readers[OPTION_TYPES] = {
	[OPTION_NAME] = read_name,
	[OPTION_PATH] = read_path,
	[OPTION_SHARE_PATH] = read_share_path,
	[OPTION_ADDRESS] = read_address,
	[OPTION_DURATION] = read_duration,
	[OPTION_SIZE] = read_size,
	[OPTION_RATE] = read_rate,
	[OPTION_WHERE] = read_word,
	[OPTION_SANDBOX] = read_word,
	[OPTION_DURABILITY] = read_word,
	[OPTION_LINKS] = read_word,
	[OPTION_LOG_TARGET] = read_word,
	[OPTION_LOG_LEVEL] = read_word,
	[OPTION_TLS_VERSION] = read_word,
	[OPTION_CLIENT_CERTIFICATE] = read_word,
	[OPTION_RIGHTS] = read_rights,
};

int
value_read(const struct option *o, const config_setting_t *s, void *base)
{
	void *field = (char *)base + o->offset;
	const char *text;
	uint64_t v;
	int r;

	if (text_readers[o->type] != NULL) {
		text = config_setting_get_string(s);
		return text == NULL ? -EINVAL : text_readers[o->type](o, text, field);
	}
	r = read_integer(o, s, &v);
	if (r < 0)
		return r;
	if (o->type == OPTION_PORT)
		*(uint16_t *)field = (uint16_t)v;
	else
		*(uint64_t *)field = v;
	return 0;
}

const char *
value_show(const config_setting_t *s, char *buf)
{
	const char *text = config_setting_get_string(s);
	char shown[VALUE_SHOWN_MAX - 2];

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		(void)text_escape(shown, sizeof(shown), text, strlen(text));
		(void)snprintf(buf, VALUE_SHOWN_MAX, "\"%s\"", shown);
		break;
	case CONFIG_TYPE_INT:
		(void)snprintf(buf, VALUE_SHOWN_MAX, "%d", config_setting_get_int(s));
		break;
	case CONFIG_TYPE_INT64:
		(void)snprintf(buf, VALUE_SHOWN_MAX, "%lld", config_setting_get_int64(s));
		break;
	case CONFIG_TYPE_FLOAT:
		(void)snprintf(buf, VALUE_SHOWN_MAX, "%g", config_setting_get_float(s));
		break;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(s) ? "true" : "false";
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	default:
		return config_setting_length(s) == 0 ? "an empty list" : "a list";
	}
	return buf;
}

bool
value_same(const config_setting_t *a, const config_setting_t *b)
{
	if (config_setting_is_aggregate(a) || config_setting_is_aggregate(b))
		return value_is_list(a) && value_is_list(b) && config_setting_length(a) == 0 &&
		       config_setting_length(b) == 0;
	if (config_setting_type(a) != config_setting_type(b))
		return false;
	if (config_setting_type(a) == CONFIG_TYPE_STRING)
		return strcmp(config_setting_get_string(a), config_setting_get_string(b)) == 0;
	return config_setting_get_int(a) == config_setting_get_int(b);
}
