#include "daemon/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <libconfig.h>

#include "daemon/config/check.h"
#include "daemon/config/syntax.h"
#include "daemon/config/tree.h"
#include "lib/io.h"
#include "lib/own.h"

static void
read_text(const char *text, struct config *c, struct config_problems *problems)
{
	__attribute__((cleanup(config_destroy))) config_t tree;
	auto_free char *lines = NULL;

	config_init(&tree);
	/* libconfig wants a line end behind a comment */
	if (asprintf(&lines, "%s\n", text) < 0) {
		lines = NULL;
		config_problem_add(problems, true, 0, "out of memory");
	} else if (config_read_string(&tree, lines) == CONFIG_FALSE) {
		config_problem_add(problems, true, config_error_line(&tree), "%s",
				   config_error_text(&tree));
	} else {
		tree_read(config_root_setting(&tree), c, problems);
		check_whole(c, problems);
	}
}

int
config_parse(const char *text, const char *name, struct config **ret,
	     struct config_problems *problems)
{
	auto_free struct config *c = NULL;

	(void)snprintf(problems->file, sizeof(problems->file), "%s", name);
	if (syntax_check(text, problems) < 0)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		config_problem_add(problems, true, 0, "out of memory");
		return -ENOMEM;
	}
	c->size = sizeof(*c);
	(void)snprintf(c->file, sizeof(c->file), "%s", name);
	read_text(text, c, problems);
	if (config_problems_fatal(problems))
		return -EINVAL;
	*ret = take_ptr(c);
	return 0;
}

/* The name made absolute, so that a reload finds the file after the daemon has gone to "/". */
static int
absolute(const char *file, char *buf, size_t size)
{
	char cwd[PATH_MAX] = "";
	int n;

	if (file[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return -errno;
	n = snprintf(buf, size, "%s%s%s", cwd, file[0] == '/' ? "" : "/", file);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int
complain_unread(struct config_problems *problems, const char *file, int r)
{
	(void)snprintf(problems->file, sizeof(problems->file), "%s", file);
	if (r == -EFBIG)
		config_problem_add(problems, true, 0, "larger than %d bytes", CONFIG_FILE_MAX);
	else
		config_problem_add(problems, true, 0, "cannot be read: %s",
				   r == -EINVAL ? "not a regular file" : strerror(-r));
	return r;
}

int
config_load(const char *file, struct config **ret, struct config_problems *problems)
{
	auto_free char *text = NULL;
	char name[PATH_MAX];
	size_t len;
	int r;

	r = absolute(file, name, sizeof(name));
	if (r == 0)
		r = io_read_file(AT_FDCWD, name, CONFIG_FILE_MAX, &text, &len);
	if (r < 0)
		return complain_unread(problems, file, r);
	if (strlen(text) != len) {
		(void)snprintf(problems->file, sizeof(problems->file), "%s", name);
		config_problem_add(problems, true, 0, "contains a NUL byte");
		return -EINVAL;
	}
	return config_parse(text, name, ret, problems);
}

const struct config_share *
config_share_of(const struct config *c, const char *name, const char **ret_rest)
{
	const struct config_share *best = NULL;
	size_t best_len = 0;

	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *s = &c->shares[i];
		size_t len = strlen(s->path);

		if (strncmp(name, s->path, len) != 0 ||
		    (len > 0 && name[len] != '/' && name[len] != '\0'))
			continue;
		if (best == NULL || len > best_len) {
			best = s;
			best_len = len;
		}
	}
	if (best != NULL)
		*ret_rest = name + best_len + (best_len > 0 && name[best_len] == '/');
	return best;
}

bool
config_is_first_of_root(const struct config *c, unsigned share)
{
	for (unsigned i = 0; i < share; i++)
		if (strcmp(c->shares[i].root, c->shares[share].root) == 0)
			return false;
	return true;
}

unsigned
config_share_rights(const struct config *c, const struct config_share *share)
{
	unsigned rights = share->rights;

	for (unsigned i = 0; i < share->n_rules; i++)
		rights |= c->rules[share->first_rule + i].rights;
	return rights;
}
