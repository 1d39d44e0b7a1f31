#include "daemon/config/unit.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>

#include "lib/io.h"
#include "lib/own.h"

enum { UNIT_FILE_MAX = 65536 };
#define DROP_IN "/etc/systemd/system/ftd.service.d"

/* Where systemd looks first; the first file found is the unit. */
static const char *const unit_files[] = {
	"/etc/systemd/system/ftd.service",
	"/usr/local/lib/systemd/system/ftd.service",
	"/lib/systemd/system/ftd.service",
	"/usr/lib/systemd/system/ftd.service",
};

struct unit {
	bool strict;     /* everything is read-only that is not named */
	bool hides_home; /* what users have is not there at all */
	char *texts[32]; /* the unit and its drop-ins */
	size_t n;
};

static void
unit_done(struct unit *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->texts[i]);
}

/* The value of "key=value" at the start of the line, or NULL. */
static const char *
value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) == 0 && line[len] == '=' ? line + len + 1 : NULL;
}

static const char *
next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line == '\n' ? line + 1 : line;
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* What a line says; later ones win. */
static void
unit_take(struct unit *u, const char *line)
{
	const char *value = value_of(line, "ProtectSystem");

	if (value != NULL)
		u->strict = begins(value, "strict");
	value = value_of(line, "ProtectHome");
	if (value != NULL)
		u->hides_home = begins(value, "yes") || begins(value, "true") ||
				begins(value, "1") || begins(value, "on") || begins(value, "tmpfs");
}

/* Reads one more file of the unit. Whether there was one. */
static bool
unit_add(struct unit *u, const char *file)
{
	size_t len;

	if (u->n == ARRAY_SIZE(u->texts) ||
	    io_read_file(AT_FDCWD, file, UNIT_FILE_MAX, &u->texts[u->n], &len) < 0)
		return false;
	for (const char *line = u->texts[u->n]; *line != '\0'; line = next_line(line))
		unit_take(u, line);
	u->n++;
	return true;
}

static void
unit_read(struct unit *u, const char *prefix)
{
	char path[PATH_MAX];
	glob_t found;
	bool unit = false;

	for (size_t i = 0; i < ARRAY_SIZE(unit_files) && !unit; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", prefix, unit_files[i]);
		unit = unit_add(u, path);
	}
	(void)snprintf(path, sizeof(path), "%s" DROP_IN "/*.conf", prefix);
	if (!unit || glob(path, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		(void)unit_add(u, found.gl_pathv[i]);
	globfree(&found);
}

/* Whether path is one of the words of value, or lies below one. */
static bool
list_covers(const char *value, const char *path)
{
	const char *end = value + strcspn(value, "\n");

	for (const char *word = value; word < end; word++) {
		size_t len;

		word += strspn(word, " \t\"-+");
		len = strcspn(word, " \t\"\n");
		while (len > 1 && word[len - 1] == '/')
			len--;
		if (len > 0 && strncmp(path, word, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0' || (len == 1 && word[0] == '/')))
			return true;
		word += strcspn(word, " \t\"\n");
	}
	return false;
}

static bool
unit_covers(const struct unit *u, const char *path)
{
	for (size_t i = 0; i < u->n; i++)
		for (const char *line = u->texts[i]; *line != '\0'; line = next_line(line)) {
			const char *value = value_of(line, "ReadWritePaths");

			if (value != NULL && list_covers(value, path))
				return true;
		}
	return false;
}

/* The lines that the unit lacks. */
static void
write_missing(FILE *to, const struct unit *u, const struct config *c)
{
	bool hidden = false;

	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *s = &c->shares[i];

		hidden = hidden || list_covers("/home /root /run/user", s->root);
		if (u->strict &&
		    (config_share_rights(c, s) & ~(unsigned)(RIGHT_READ | RIGHT_LIST)) != 0 &&
		    !unit_covers(u, s->root))
			(void)fprintf(to, "\nReadWritePaths=\"%s\"", s->root);
	}
	if (hidden && u->hides_home)
		(void)fputs("\nProtectHome=no", to);
}

void
unit_check(const struct config *c, const char *prefix, struct config_problems *problems)
{
	__attribute__((cleanup(unit_done))) struct unit u = { 0 };
	auto_free char *lines = NULL;
	size_t len;
	FILE *to = open_memstream(&lines, &len);

	if (to == NULL)
		return;
	unit_read(&u, prefix);
	write_missing(to, &u, c);
	if (fclose(to) == 0 && lines[0] != '\0')
		config_problem_add(
		    problems, false, c->line[CONFIG_AT_shares],
		    "shares: the systemd unit keeps share roots away from the daemon; "
		    "write into " DROP_IN
		    "/shares.conf and then run systemctl daemon-reload:\n[Service]%s",
		    lines);
}

void
config_check_unit(const struct config *c, struct config_problems *problems)
{
	unit_check(c, "", problems);
}
